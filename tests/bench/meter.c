/*
 * meter.c: what a program asks of the system, counted from inside (LD_PRELOAD).
 *
 *     cc -shared -fPIC -o meter.so meter.c
 *     METER=FILE LD_PRELOAD=$PWD/meter.so rung up
 *
 * FILE gets one line at the program's end:
 *
 *     opened N looked N reads N bytes N descriptors N kilobytes N
 *
 * files opened with openat, inodes looked at with fstat and fstatat, calls of read and
 * pread and what they brought, the most descriptors that were open at once when a file
 * was opened, and the most memory that was resident.  Counts what the program and its
 * libraries call by name; what libc does within itself (fopen, recv) it does not see.
 */
#define _GNU_SOURCE    /* RTLD_NEXT */
#undef _FORTIFY_SOURCE /* with it these are defined in libc's own headers */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static unsigned long opened, looked, reads, descriptors;
static unsigned long long bytes;

/* The function of that name behind ours. */
static void
find(const char *name, void *function, size_t size)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    memcpy(function, &found, size);
}

/* libc's own names for the parameters are reserved.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

int
openat(int dir, const char *path, int flags, ...)
{
    int (*real)(int, const char *, int, ...);
    mode_t mode = 0;
    va_list ap;
    int fd;

    va_start(ap, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    find("openat", &real, sizeof real);
    fd = real(dir, path, flags, mode);
    opened += fd >= 0;
    /* The system gives the lowest number that is free. */
    if (fd >= 0 && (unsigned long)fd + 1 > descriptors)
        descriptors = (unsigned long)fd + 1;
    return fd;
}

int
fstat(int fd, struct stat *st)
{
    int (*real)(int, struct stat *);

    find("fstat", &real, sizeof real);
    looked++;
    return real(fd, st);
}

int
fstatat(int dir, const char *path, struct stat *st, int flags)
{
    int (*real)(int, const char *, struct stat *, int);

    find("fstatat", &real, sizeof real);
    looked++;
    return real(dir, path, st, flags);
}

static ssize_t
count(ssize_t n)
{
    reads++;
    bytes += n > 0 ? (unsigned long long)n : 0;
    return n;
}

ssize_t
read(int fd, void *buffer, size_t size)
{
    static ssize_t (*real)(int, void *, size_t);

    if (real == NULL)
        find("read", &real, sizeof real);
    return count(real(fd, buffer, size));
}

ssize_t
pread(int fd, void *buffer, size_t size, off_t offset)
{
    static ssize_t (*real)(int, void *, size_t, off_t);

    if (real == NULL)
        find("pread", &real, sizeof real);
    return count(real(fd, buffer, size, offset));
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* VmHWM: unlike getrusage's it does not begin with what was there before exec. */
static unsigned long
most_kilobytes(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    unsigned long most = 0;
    char line[256];

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            most = strtoul(line + 6, NULL, 10);
    if (status != NULL)
        (void)fclose(status);
    return most;
}

__attribute__((destructor)) static void
report(void)
{
    const char *name = getenv("METER");
    FILE *file = name == NULL ? NULL : fopen(name, "we");

    if (file == NULL)
        return;
    (void)fprintf(file,
        "opened %lu looked %lu reads %lu bytes %llu descriptors %lu kilobytes %lu\n",
        opened, looked, reads, bytes, descriptors, most_kilobytes());
    (void)fclose(file);
}
