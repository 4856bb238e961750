/*
 * fuzz_names.c: any bytes as the name of a file, and of a table.
 *
 * A name that is taken is short, fit to be shown as it is, and stays in its directory.
 */
#include "fuzz.h"

#include <string.h>

static void
check_file(struct str name)
{
    struct sqlfile file = { 0 };
    struct str title;
    char shown[1024];
    bool cut;

    sqlfile_name(&file, name);
    CHECK((file.type == SQLFILE_MISNAMED || file.type == SQLFILE_REFUSED)
          == (file.problem != NULL));
    CHECK(sqlfile_name_ok(name) == (file.type == SQLFILE_UP));
    if (file.problem != NULL)
        return;
    CHECK(file.version >= 0 && file.version < INT64_C(1000000000000000000));
    CHECK(name.n <= FILE_NAME_LIMIT && utf8_valid(name, &cut) == name.n);
    CHECK(str_find(name, STR("/"), 0) == STR_NONE && name.p[0] != '.');
    CHECK(str_eq(str_of(text_escape(shown, sizeof shown, name)), name));
    title = sqlfile_title(name);
    CHECK(
        title.n < name.n && title.p >= name.p && title.p + title.n <= name.p + name.n);
}

/* Quoted, it is read as the same table again. */
static void
check_table(const char *text)
{
    struct ledger ledger = { 0 }, again = { 0 };
    struct rung_error err = { 0 };

    if (!ledger_name(&ledger, text, &err)) {
        CHECK(err.code == RUNG_USAGE && err.message[0] != '\0');
        return;
    }
    CHECK(ledger.table[0] != '\0' && strlen(ledger.table) < NAME_BYTES);
    CHECK(ledger_name(&again, ledger.given, &err));
    CHECK(strcmp(again.table, ledger.table) == 0);
    CHECK(strcmp(again.wanted_schema, ledger.wanted_schema) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_text(data, size);
    char shown[256];

    check_file((struct str){ bytes, size });
    check_table(bytes);
    text_escape(shown, sizeof shown, (struct str){ bytes, size });
    for (const char *c = shown; *c != '\0'; c++)
        CHECK((unsigned char)*c >= ' ' && *c != '\x7f');
    free(bytes);
    return 0;
}
