/*
 * floor.c: the least that libpq can do of rung's work, to see how far down a time can
 * go.
 *
 *     floor nothing [DIR]   connect and read the ledger; hash every file of DIR
 *     floor files DIR N     DIR's files, each a transaction with its row, N a Query
 *     floor file FILE       one file with its row in a transaction, 128 KiB a Query
 *     floor copy FILE       the same for a file with one COPY
 *
 * It checks nothing, takes no lock, counts no statement, and splits where a line ends
 * in a semicolon: it is no migration runner.  libpq's environment says where to
 * connect. The ledger is there already.
 */
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUERY_BYTES KIB(128)
#define BLOCK KIB(256)

static PGconn *conn;
static struct checksum *sum;
static struct rung_error why;

static void
die(const char *what)
{
    (void)fprintf(stderr, "floor: %s: %s\n", what, PQerrorMessage(conn));
    exit(1);
}

static void
run(const char *sql)
{
    PGresult *res = PQexec(conn, sql);

    if (PQresultStatus(res) == PGRES_FATAL_ERROR)
        die("query");
    PQclear(res);
}

/* All of it, and its digest.  The buffer is the next call's again. */
static struct str
read_file(const char *path, char hex[CHECKSUM_BYTES])
{
    static char *buffer;
    static size_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct str text;

    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    if ((size_t)st.st_size >= size) {
        size = (size_t)st.st_size + 1;
        free(buffer);
        buffer = malloc(size);
    }
    if (buffer == NULL || read(fd, buffer, size) != st.st_size)
        die(path);
    close(fd);
    text = (struct str){ buffer, (size_t)st.st_size };
    if (!checksum_reset(sum, &why) || !checksum_update(sum, text, &why)
        || !checksum_hex(sum, hex, &why))
        die(why.message);
    return text;
}

static int
is_sql(const struct dirent *entry)
{
    return strstr(entry->d_name, ".sql") != NULL;
}

static void
append_row(PQExpBuffer sql, const char *name, const char *hex)
{
    appendPQExpBuffer(sql,
        "INSERT INTO schema_migrations (version, filename, checksum, applied_at) "
        "VALUES (%ld, '%s', '%s', clock_timestamp());\n",
        strtol(name, NULL, 10), name, hex);
}

/* Hash them, and with `together` > 0 run them. */
static void
files(const char *dir, int together)
{
    struct dirent **names;
    int n = scandir(dir, &names, is_sql, alphasort), waiting = 0;
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    for (int i = 0; i < n; i++) {
        char path[4096], hex[CHECKSUM_BYTES];
        struct str text;

        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        text = read_file(path, hex);
        if (together > 0) {
            appendPQExpBufferStr(&sql, "BEGIN;\n");
            appendBinaryPQExpBuffer(&sql, text.p, text.n);
            append_row(&sql, names[i]->d_name, hex);
            appendPQExpBufferStr(&sql, "COMMIT;\n");
            waiting++;
        }
        if (waiting > 0 && (waiting == together || i + 1 == n)) {
            run(sql.data);
            resetPQExpBuffer(&sql);
            waiting = 0;
        }
        free(names[i]);
    }
    free(names);
    termPQExpBuffer(&sql);
}

static void
file_in_chunks(FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    while ((n = getline(&line, &room, file)) > 0) {
        (void)checksum_update(sum, (struct str){ line, (size_t)n }, &why);
        appendBinaryPQExpBuffer(&sql, line, (size_t)n);
        if (sql.len >= QUERY_BYTES && line[n - 2] == ';') {
            run(sql.data);
            resetPQExpBuffer(&sql);
        }
    }
    run(sql.data);
    free(line);
    termPQExpBuffer(&sql);
}

static void
file_with_copy(FILE *file)
{
    static char block[BLOCK];
    char *line = NULL;
    size_t room = 0, n;
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    while (getline(&line, &room, file) > 0) {
        appendPQExpBufferStr(&sql, line);
        if (strncmp(line, "COPY", 4) == 0)
            break;
    }
    run(sql.data);
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        (void)checksum_update(sum, (struct str){ block, n }, &why);
        if (PQputCopyData(conn, block, (int)n) != 1) /* the server stops at \. */
            die("COPY");
    }
    if (PQputCopyEnd(conn, NULL) != 1)
        die("COPY");
    for (PGresult *res; (res = PQgetResult(conn)) != NULL; PQclear(res))
        if (PQresultStatus(res) == PGRES_FATAL_ERROR)
            die("COPY");
    free(line);
    termPQExpBuffer(&sql);
}

static void
one_file(const char *path, void (*send)(FILE *))
{
    FILE *file = fopen(path, "re");
    char hex[CHECKSUM_BYTES];
    PQExpBufferData sql;

    if (file == NULL)
        die(path);
    run("BEGIN");
    send(file);
    (void)fclose(file);
    if (!checksum_hex(sum, hex, &why))
        die(why.message);
    initPQExpBuffer(&sql);
    append_row(&sql, "001_file.sql", hex);
    run(sql.data);
    run("COMMIT");
    termPQExpBuffer(&sql);
}

int
main(int argc, char **argv)
{
    const char *what = argc < 2 ? "" : argv[1];

    conn = PQconnectdb("client_encoding=UTF8");
    sum = checksum_new(&why);
    if (PQstatus(conn) != CONNECTION_OK || sum == NULL)
        die("start");
    if (strcmp(what, "nothing") == 0) {
        run("SELECT version, filename, checksum, applied_at FROM schema_migrations "
            "ORDER BY version");
        if (argc > 2)
            files(argv[2], 0);
    } else if (strcmp(what, "files") == 0 && argc > 3) {
        files(argv[2], (int)strtol(argv[3], NULL, 10));
    } else if (strcmp(what, "file") == 0 && argc > 2) {
        one_file(argv[2], file_in_chunks);
    } else if (strcmp(what, "copy") == 0 && argc > 2) {
        one_file(argv[2], file_with_copy);
    } else {
        die("usage: floor nothing|files|file|copy ...");
    }
    checksum_free(sum);
    PQfinish(conn);
    return 0;
}
