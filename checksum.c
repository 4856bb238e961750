/*
 * checksum.c: SHA-256 of bytes, and SHA256SUMS, the list of a directory's digests.
 *
 * Owns the digest and its text form, 64 lowercase hex digits as sha256sum prints them,
 * and the file that `sha256sum -c` reads.  Does not read migrations: sqlfile.c does.
 *
 * Invariant: SHA256SUMS is replaced whole or not at all.
 *
 * Sources: OpenSSL 3, EVP_DigestInit(3); coreutils manual, md5sum invocation (the
 * format of lines and its escapes).
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#define HEX_DIGITS (CHECKSUM_BYTES - 1)
#define SUMS_LIMIT MIB(64)

struct checksum {
    EVP_MD *md;           /* fetched once: that is the slow part */
    EVP_MD_CTX *ctx;      /* the running digest */
    EVP_MD_CTX *finished; /* where a copy of it is brought to its end */
};

static bool
openssl_failed(struct rung_error *err)
{
    char why[256] = "no reason given";
    unsigned long code = ERR_get_error();

    if (code != 0)
        ERR_error_string_n(code, why, sizeof why);
    ERR_clear_error();
    return err_set(err, RUNG_FAILED, "cannot compute SHA-256: %s", why);
}

struct checksum *
checksum_new(struct rung_error *err)
{
    struct checksum *sum = calloc(1, sizeof *sum);

    if (sum == NULL) {
        err_memory(err);
        return NULL;
    }
    sum->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    sum->ctx = EVP_MD_CTX_new();
    sum->finished = EVP_MD_CTX_new();
    if (sum->md == NULL || sum->ctx == NULL || sum->finished == NULL
        || EVP_DigestInit_ex(sum->ctx, sum->md, NULL) != 1) {
        openssl_failed(err);
        checksum_free(sum);
        return NULL;
    }
    return sum;
}

void
checksum_free(struct checksum *sum)
{
    if (sum == NULL)
        return;
    EVP_MD_CTX_free(sum->finished);
    EVP_MD_CTX_free(sum->ctx);
    EVP_MD_free(sum->md);
    free(sum);
}

bool
checksum_reset(struct checksum *sum, struct rung_error *err)
{
    return EVP_DigestInit_ex(sum->ctx, sum->md, NULL) == 1 || openssl_failed(err);
}

bool
checksum_update(struct checksum *sum, struct str bytes, struct rung_error *err)
{
    return bytes.n == 0 || EVP_DigestUpdate(sum->ctx, bytes.p, bytes.n) == 1
           || openssl_failed(err);
}

bool
checksum_hex(
    const struct checksum *sum, char hex[CHECKSUM_BYTES], struct rung_error *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    if (EVP_MD_CTX_copy_ex(sum->finished, sum->ctx) != 1
        || EVP_DigestFinal_ex(sum->finished, digest, &n) != 1 || n * 2 != HEX_DIGITS)
        return openssl_failed(err);
    for (unsigned int i = 0; i < n; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[HEX_DIGITS] = '\0';
    return true;
}

bool
checksum_is_hex(struct str text)
{
    if (text.n != HEX_DIGITS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = (char)(text.p[i] | 0x20);

        if (!(text.p[i] >= '0' && text.p[i] <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* ---- SHA256SUMS: reading --------------------------------------------------------- */

void
sums_free(struct sums *sums)
{
    for (size_t i = 0; i < sums->n; i++)
        free(sums->entries[i].name);
    free(sums->entries);
    *sums = (struct sums){ 0 };
}

static int
compare_entries(const void *left, const void *right)
{
    const struct sums_entry *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : a->line < b->line ? -1 : a->line > b->line;
}

static bool
bad_line(struct rung_error *err, const char *path, uint64_t line, const char *why)
{
    err_set(err, RUNG_FAILED, "%s", why);
    text_format(err->path, sizeof err->path, "%s", path);
    err->line = line;
    return err_hint(err, "Write the file anew with `rung sum`.");
}

/* Take back coreutils' escapes \\, \n and \r, in place.  False: it is none of them. */
static bool
unescape(char *name)
{
    char *out = name;

    for (const char *in = name; *in != '\0'; in++) {
        if (*in != '\\') {
            *out++ = *in;
            continue;
        }
        in++;
        if (*in != '\\' && *in != 'n' && *in != 'r')
            return false;
        *out++ = *in == 'n' ? '\n' : *in == 'r' ? '\r' : '\\';
    }
    *out = '\0';
    return true;
}

/* One line, without its end; comments and their like were sorted out. */
static bool
parse_line(
    struct sums_entry *entry, struct str line, const char *path, struct rung_error *err)
{
    bool escaped = line.n > 0 && line.p[0] == '\\';
    struct str name;

    if (escaped)
        line = str_slice(line, 1, line.n);
    if (line.n < HEX_DIGITS + 3 || !checksum_is_hex(str_slice(line, 0, HEX_DIGITS))
        || line.p[HEX_DIGITS] != ' '
        || (line.p[HEX_DIGITS + 1] != ' ' && line.p[HEX_DIGITS + 1] != '*'))
        return bad_line(err, path, entry->line,
            "not a line of SHA256SUMS: 64 hex digits, two spaces, a name");
    for (size_t i = 0; i < HEX_DIGITS;
         i++) /* letters to lower case; digits have 0x20 */
        entry->checksum[i] = (char)(line.p[i] | 0x20);
    name = str_slice(line, HEX_DIGITS + 2, line.n);
    if (memchr(name.p, '\0', name.n) != NULL)
        return bad_line(err, path, entry->line, "a NUL byte in a file name");
    entry->name = str_dup(name);
    if (entry->name == NULL)
        return err_memory(err);
    if (escaped && !unescape(entry->name))
        return bad_line(err, path, entry->line, "an unknown escape in a file name");
    if (strchr(entry->name, '/') != NULL)
        return bad_line(err, path, entry->line,
            "a path instead of a file name: SHA256SUMS lists the files beside it only");
    return true;
}

static bool
check_twice(const struct sums *sums, const char *path, struct rung_error *err)
{
    for (size_t i = 1; i < sums->n; i++)
        if (strcmp(sums->entries[i - 1].name, sums->entries[i].name) == 0)
            return bad_line(
                err, path, sums->entries[i].line, "a file that is listed already");
    return true;
}

static bool
parse_all(struct sums *sums, struct str text, const char *path, struct rung_error *err)
{
    size_t room = 0;
    uint64_t number = 0;

    for (size_t at = 0, end; at < text.n; at = end + 1) {
        const char *newline = memchr(text.p + at, '\n', text.n - at);
        struct sums_entry *entry;
        struct str line;

        end = newline == NULL ? text.n : (size_t)(newline - text.p);
        line = str_slice(text, at, end);
        number++;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > 0 && line.p[0] == '#')
            continue;
        if (sums->n == room) {
            size_t more = room == 0 ? 64 : room * 2;

            entry = realloc(sums->entries, more * sizeof *entry);
            if (entry == NULL)
                return err_memory(err);
            sums->entries = entry;
            room = more;
        }
        entry = &sums->entries[sums->n++];
        *entry = (struct sums_entry){ .line = number };
        if (!parse_line(entry, line, path, err))
            return false;
    }
    if (sums->n > 0)
        qsort(sums->entries, sums->n, sizeof *sums->entries, compare_entries);
    return check_twice(sums, path, err);
}

bool
sums_parse(struct sums *sums, struct str text, const char *path, struct rung_error *err)
{
    *sums = (struct sums){ 0 };
    if (parse_all(sums, text, path, err))
        return true;
    sums_free(sums);
    return false;
}

static bool
sums_failed(struct rung_error *err, const char *what, const char *path)
{
    return err_set(
        err, RUNG_FAILED, "cannot %s \"%s\": %s", what, path, strerror(errno));
}

/* The whole of an open file, at most SUMS_LIMIT bytes, the caller's to free. */
static bool
read_whole(int fd, const char *path, char **text, size_t *n, struct rung_error *err)
{
    struct stat st;
    size_t size;
    ssize_t r;

    if (fstat(fd, &st) != 0)
        return sums_failed(err, "read", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, RUNG_FAILED, "\"%s\" is not a regular file", path);
    if (st.st_size > (off_t)SUMS_LIMIT)
        return err_set(err, RUNG_FAILED, "\"%s\" is larger than 64 MiB", path);
    size = (size_t)st.st_size;
    *text = malloc(size + 1);
    if (*text == NULL)
        return err_memory(err);
    for (*n = 0; *n < size; *n += (size_t)r) {
        r = read(fd, *text + *n, size - *n);
        if (r < 0 && errno == EINTR)
            r = 0;
        else if (r < 0)
            return sums_failed(err, "read", path);
        else if (r == 0)
            break;
    }
    return true;
}

bool
sums_read(
    struct sums *sums, const struct sqldir *dir, bool *found, struct rung_error *err)
{
    char path[512], *text = NULL;
    size_t n = 0;
    bool ok;
    int fd;

    *sums = (struct sums){ 0 };
    *found = false;
    sqldir_path(path, sizeof path, dir, SUMS_NAME);
    do
        fd = openat(dir->fd, SUMS_NAME, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == ENOENT || sums_failed(err, "open", path);
    *found = true;
    ok = read_whole(fd, path, &text, &n, err)
         && sums_parse(sums, (struct str){ text, n }, path, err);
    free(text);
    close(fd);
    return ok;
}

/* ---- SHA256SUMS: comparing ------------------------------------------------------- */

static bool
is_migration(const struct sqlfile *file)
{
    return file->type == SQLFILE_UP || file->type == SQLFILE_DOWN;
}

static int
compare_names(const void *left, const void *right)
{
    const struct sqlfile *const *a = left, *const *b = right;

    return strcmp((*a)->name, (*b)->name);
}

/*
 * The up and down files, sorted by the bytes of their names.  The array is the
 * caller's to free; NULL when out of memory.
 */
static const struct sqlfile **
sorted_files(const struct sqldir *dir, size_t *n)
{
    const struct sqlfile **files = malloc((dir->n + 1) * sizeof *files);

    *n = 0;
    if (files == NULL)
        return NULL;
    for (size_t i = 0; i < dir->n; i++)
        if (is_migration(dir->files[i]))
            files[(*n)++] = dir->files[i];
    qsort(files, *n, sizeof *files, compare_names);
    return files;
}

bool
sums_compare(const struct sums *sums, const struct sqldir *dir,
    struct sums_finding **findings, size_t *n, struct rung_error *err)
{
    size_t n_files, s = 0, f = 0;
    const struct sqlfile **files = sorted_files(dir, &n_files);
    struct sums_finding *list = malloc((n_files + sums->n + 1) * sizeof *list);

    *findings = NULL;
    *n = 0;
    if (files == NULL || list == NULL) {
        free(files);
        free(list);
        return err_memory(err);
    }
    while (s < sums->n || f < n_files) {
        int order = s == sums->n   ? 1
                    : f == n_files ? -1
                                   : strcmp(sums->entries[s].name, files[f]->name);

        if (order < 0)
            list[(*n)++] = (struct sums_finding){ sums->entries[s].name, SUMS_GONE,
                sums->entries[s].line,
                "listed in SHA256SUMS, but no migration in the directory" };
        else if (order > 0)
            list[(*n)++] = (struct sums_finding){ files[f]->name, SUMS_NOT_LISTED, 0,
                "not listed in SHA256SUMS" };
        else if (strcmp(sums->entries[s].checksum, files[f]->checksum) != 0)
            list[(*n)++] = (struct sums_finding){ files[f]->name, SUMS_DIFFERENT,
                sums->entries[s].line, "not what SHA256SUMS says it is" };
        s += order <= 0;
        f += order >= 0;
    }
    free(files);
    *findings = list;
    return true;
}

/* ---- SHA256SUMS: writing --------------------------------------------------------- */

bool
sums_render(PQExpBuffer out, const struct sqldir *dir, struct rung_error *err)
{
    size_t n;
    const struct sqlfile **files = sorted_files(dir, &n);

    if (files == NULL)
        return err_memory(err);
    for (size_t i = 0; i < n; i++) /* no name that we take needs an escape */
        appendPQExpBuffer(out, "%s  %s\n", files[i]->checksum, files[i]->name);
    free(files);
    return !PQExpBufferBroken(out) || err_memory(err);
}

static bool
write_whole(int fd, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = write(fd, bytes + done, n - done);

        if (r < 0 && errno != EINTR)
            return false;
        if (r > 0)
            done += (size_t)r;
    }
    return true;
}

/* A new file beside SHA256SUMS; its name goes into `name`.  -1 as open() fails. */
static int
create_beside(const struct sqldir *dir, char *name, size_t size)
{
    int fd = -1;

    for (int i = 0; i < 100; i++) {
        text_format(name, size, ".%s.%ld-%d", SUMS_NAME, (long)getpid(), i);
        fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd >= 0 || (errno != EEXIST && errno != EINTR))
            break;
    }
    return fd;
}

/* Is the directory itself on disk?  Some file systems cannot, and say EINVAL. */
static bool
sync_directory(const struct sqldir *dir)
{
    return fsync(dir->fd) == 0 || errno == EINVAL;
}

static bool
replace_file(const struct sqldir *dir, const char *bytes, size_t n)
{
    char name[64];
    int fd = create_beside(dir, name, sizeof name), why;
    bool ok;

    if (fd < 0)
        return false;
    ok = write_whole(fd, bytes, n) && fsync(fd) == 0;
    why = errno;
    if (close(fd) != 0 && ok) {
        why = errno;
        ok = false;
    }
    if (ok && renameat(dir->fd, name, dir->fd, SUMS_NAME) == 0)
        return sync_directory(dir);
    if (ok)
        why = errno;
    unlinkat(dir->fd, name, 0);
    errno = why;
    return false;
}

bool
sums_write(const struct sqldir *dir, struct rung_error *err)
{
    PQExpBufferData text;
    char path[512];
    bool ok;

    initPQExpBuffer(&text);
    ok = sums_render(&text, dir, err);
    if (ok && !replace_file(dir, text.data, text.len))
        ok = sums_failed(err, "write", sqldir_path(path, sizeof path, dir, SUMS_NAME));
    termPQExpBuffer(&text);
    return ok;
}
