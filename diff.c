/*
 * diff.c: what differs between two texts, said by the system's own diff, and where they
 * begin to differ.
 *
 * For diff, the texts lie in temporary files, which only we can read (SQL may hold
 * secrets) and which are gone when this returns.
 *
 * Relies on POSIX.1-2008: mkstemp, and a diff that knows -u (POSIX) and -L (GNU, BSD,
 * busybox).
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST ((size_t)16 * 1024 * 1024)

/* A temporary file; removed by temp_close. */
struct temp {
    char path[512];
    int fd;
};

static bool
temp_open(struct temp *temp, struct rung_error *err)
{
    const char *dir = cli_environment("TMPDIR");
    int n;

    if (dir == NULL)
        dir = "/tmp";
    n = snprintf(temp->path, sizeof temp->path, "%s/rung-XXXXXX", dir);
    temp->fd = -1;
    if (n < 0 || (size_t)n >= sizeof temp->path)
        return cli_fail(err, "TMPDIR is too long");
    temp->fd = mkstemp(temp->path);
    if (temp->fd < 0 || fcntl(temp->fd, F_SETFD, FD_CLOEXEC) != 0)
        return cli_fail(err, "no temporary file in %s: %s", dir, strerror(errno));
    return true;
}

static void
temp_close(struct temp *temp)
{
    if (temp->fd < 0)
        return;
    (void)close(temp->fd);
    (void)unlink(temp->path);
}

static bool
write_text(const struct temp *temp, const char *text, struct rung_error *err)
{
    size_t n = strlen(text);

    for (size_t at = 0; at < n;) {
        ssize_t written = write(temp->fd, text + at, n - at);

        if (written < 0 && errno != EINTR)
            return cli_fail(
                err, "%s cannot be written: %s", temp->path, strerror(errno));
        at += written < 0 ? 0 : (size_t)written;
    }
    return true;
}

/* All of it, from the beginning.  The caller's to free(); NULL, with errno. */
static char *
read_text(int fd)
{
    struct stat st;
    size_t size, got = 0;
    char *text;

    if (fstat(fd, &st) != 0)
        return NULL;
    errno = EFBIG;
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uintmax_t)st.st_size > FILE_MOST)
        return NULL;
    size = (size_t)st.st_size;
    text = malloc(size + 1);
    while (text != NULL && got < size) {
        ssize_t n = pread(fd, text + got, size - got, (off_t)got);

        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        got += n < 0 ? 0 : (size_t)n;
    }
    if (text != NULL)
        text[got] = '\0';
    return text;
}

char *
diff_read_file(const char *directory, const char *name)
{
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char *text = fd < 0 ? NULL : read_text(fd);

    if (fd >= 0)
        (void)close(fd);
    if (dir >= 0)
        (void)close(dir);
    return text;
}

/* Run diff over the two.  *diff is the caller's to free(). */
static bool
run_diff(const struct temp *a, const char *label_a, const struct temp *b,
    const char *label_b, char **diff, struct rung_error *err)
{
    const char *const argv[] = { "diff", "-u", "-L", label_a, "-L", label_b, "--",
        a->path, b->path, NULL };
    struct process_output output;

    if (!process_run(argv, NULL, -1, &output, err))
        return false;
    if (output.status > 1) { /* 0: no difference, 1: there is one */
        process_free(&output);
        return cli_fail(err, "diff failed");
    }
    if (output.n > FILE_MOST) {
        process_free(&output);
        return cli_fail(err, "what diff said cannot be read: %s", strerror(EFBIG));
    }
    *diff = output.out;
    output.out = NULL;
    process_free(&output);
    return true;
}

bool
diff_texts(const struct diff_side *before, const struct diff_side *after, char **diff,
    struct rung_error *err)
{
    struct temp a = { .fd = -1 }, b = { .fd = -1 };
    bool ok;

    *diff = NULL;
    ok = temp_open(&a, err) && temp_open(&b, err) && write_text(&a, before->text, err)
         && write_text(&b, after->text, err)
         && run_diff(&a, before->label, &b, after->label, diff, err);
    temp_close(&a);
    temp_close(&b);
    return ok;
}

/* ---- where they begin to differ -------------------------------------------------- */

static const char *
skip_mark(const char *text)
{
    return text + (strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
}

uint64_t
diff_first_line(const char *before, const char *after)
{
    const char *a = skip_mark(before), *b = skip_mark(after);
    uint64_t line = 1;

    for (;; a++, b++) {
        a += a[0] == '\r' && a[1] == '\n';
        b += b[0] == '\r' && b[1] == '\n';
        if (*a != *b)
            break;
        if (*a == '\0')
            return 0;
        line += *a == '\n';
    }
    /* Where only the end is missing, its last line is the nearest that there is. */
    return *b == '\0' && line > 1 && b[-1] == '\n' ? line - 1 : line;
}
