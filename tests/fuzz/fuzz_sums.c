/*
 * fuzz_sums.c: any bytes as SHA256SUMS.
 *
 * Entries are sorted, none comes twice, and each names a file of the directory.
 */
#include "fuzz.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_text(data, size);
    struct rung_error err = { 0 };
    struct sums sums;

    if (!sums_parse(&sums, (struct str){ bytes, size }, "SHA256SUMS", &err)) {
        CHECK(err.message[0] != '\0');
        free(bytes);
        return 0;
    }
    CHECK(err.message[0] == '\0');
    for (size_t i = 0; i < sums.n; i++) {
        const struct sums_entry *entry = &sums.entries[i];

        CHECK(entry->name[0] != '\0' && strchr(entry->name, '/') == NULL);
        CHECK(checksum_is_hex(str_of(entry->checksum)) && entry->line > 0);
        CHECK(strspn(entry->checksum, "0123456789abcdef") == 64);
        CHECK(i == 0 || strcmp(sums.entries[i - 1].name, entry->name) < 0);
    }
    sums_free(&sums);
    free(bytes);
    return 0;
}
