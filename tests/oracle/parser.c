/*
 * parser.c: libpg_query, the grammar of the server as a library.
 */
#include "oracle.h"

#include <stdio.h>
#include <string.h>

#include <pg_query.h>

void
parser_split(const char *text, struct pieces *pieces)
{
    PgQuerySplitResult split = pg_query_split_with_parser(text);

    *pieces = (struct pieces){ 0 };
    if (split.error != NULL)
        snprintf(pieces->error, sizeof pieces->error, "%s", split.error->message);
    else
        for (int i = 0; i < split.n_stmts; i++)
            pieces_add(pieces, text + split.stmts[i]->stmt_location,
                (size_t)split.stmts[i]->stmt_len);
    pieces->open = strstr(pieces->error, "unterminated") != NULL
                   || strstr(pieces->error, "end of input") != NULL;
    pg_query_free_split_result(split);
}
