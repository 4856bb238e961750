/*
 * oracle.h: what somebody else makes of a file, to compare with what split.c makes of
 * it.
 *
 * None of this includes the other's headers: PostgreSQL's own fit badly beside ours.
 */
#ifndef RUNG_ORACLE_H
#define RUNG_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

/* A statement as an oracle cut it: its bytes; comments may be left around it. */
struct piece {
    const char *p;
    size_t n;
};

struct pieces {
    struct piece *list;
    size_t n;
    bool open;       /* something was not closed */
    bool backslash;  /* it stopped at a psql command */
    char error[512]; /* why it refused; empty: it did not */
};

void pieces_add(struct pieces *pieces, const char *p, size_t n);
void pieces_free(struct pieces *pieces);

/* libpg_query: the server's grammar.  `text` ends with a NUL. */
void parser_split(const char *text, struct pieces *pieces);

/* libpgfeutils: psql's scanner; it goes on in `pieces`, which may hold some already. */
void scanner_split(const char *text, size_t n, bool standard_conforming_strings,
    struct pieces *pieces);

#endif
