/*
 * scanner.c: psql's scanner, libpgfeutils.
 *
 * Given the whole text and not, as psql does, line by line: psql loses the E of a
 * string that goes on in the next line.
 */
#include <postgres_fe.h>

#include <fe_utils/psqlscan.h>
#include <mb/pg_wchar.h>

#include "oracle.h"

void
scanner_split(
    const char *text, size_t n, bool standard_conforming_strings, struct pieces *pieces)
{
    static const PsqlScanCallbacks callbacks = { NULL }; /* no variable has a value */
    PsqlScanState state = psql_scan_create(&callbacks);
    PQExpBuffer query = createPQExpBuffer();
    promptStatus_t prompt;
    PsqlScanResult result;

    psql_scan_setup(state, text, (int)n, PG_UTF8, standard_conforming_strings);
    while ((result = psql_scan(state, query, &prompt)) == PSCAN_SEMICOLON) {
        pieces_add(pieces, pg_strdup(query->data), query->len);
        resetPQExpBuffer(query);
    }
    psql_scan_finish(state);
    pieces->backslash = result == PSCAN_BACKSLASH;
    pieces->open = result == PSCAN_INCOMPLETE && prompt != PROMPT_READY;
    if (query->len > 0 && !pieces->backslash && !pieces->open)
        pieces_add(pieces, pg_strdup(query->data), query->len);
    destroyPQExpBuffer(query);
    psql_scan_destroy(state);
}
