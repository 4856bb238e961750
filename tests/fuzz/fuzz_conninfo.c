/*
 * fuzz_conninfo.c: any bytes around a password in a connection string.
 *
 * Whatever is wrong with the string, what stands where a password does is in no
 * message.
 */
#include "fuzz.h"

#include <string.h>

#define SECRET "hunter2"

static const struct {
    const char *before, *after;
} forms[] = {
    { "postgresql://u:" SECRET, "@h/d" },
    { "postgresql://u:", SECRET "@h/d" },
    { "postgresql+driver://u:" SECRET "@h/d?", "" },
    { "password=" SECRET, "" },
    { "password='", SECRET "' host=h" },
    { "host=h password=" SECRET " ", "" },
    { "postgresql://h/d?password=" SECRET, "" },
    { "postgres://u:" SECRET "@h:", "/d" },
};

static void
check(const char *text)
{
    struct rung_error err = { 0 };
    char *copy = NULL;

    if (conninfo_check(text, &copy, &err)) {
        CHECK(copy != NULL && err.message[0] == '\0');
        free(copy);
        return;
    }
    CHECK(copy == NULL && err.code == RUNG_USAGE);
    CHECK(strstr(err.message, SECRET) == NULL && strstr(err.hint, SECRET) == NULL);
    CHECK(strstr(err.detail, SECRET) == NULL && strstr(err.context, SECRET) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_text(data, size);
    bool plain = strstr(bytes, SECRET) == NULL; /* the input itself does not name it */
    PQExpBufferData text;

    initPQExpBuffer(&text);
    for (size_t i = 0; i < sizeof forms / sizeof *forms && plain; i++) {
        resetPQExpBuffer(&text);
        appendPQExpBuffer(&text, "%s%s%s", forms[i].before, bytes, forms[i].after);
        CHECK(!PQExpBufferDataBroken(text));
        check(text.data);
    }
    if (plain)
        check(bytes);
    termPQExpBuffer(&text);
    free(bytes);
    return 0;
}
