/*
 * fuzz.h: what the fuzz targets share.
 *
 * A target is a property: CHECK fails by a trap, which libFuzzer reports with the input
 * that did it.
 */
#ifndef RUNG_FUZZ_H
#define RUNG_FUZZ_H

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(fact)                                                                    \
    do {                                                                               \
        if (!(fact)) {                                                                 \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #fact);       \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* The input as a string of C: the caller's to free. */
static inline char *
fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    CHECK(text != NULL);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)data[i];
    text[size] = '\0';
    return text;
}

#endif
