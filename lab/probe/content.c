/* Steps that open files and look at or change what is in them. Opening never waits (O_NONBLOCK) and takes no terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe.h"

enum { QUIET = O_NONBLOCK | O_NOCTTY | O_CLOEXEC, MOST_NAMES = 4096 };

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a directory without "." and "..", at most MOST_NAMES of them; -1 and errno on failure. */
static long names_in(const char *path, char **names, long *kept)
{
    DIR *dir = opendir(path);
    long count = 0;
    *kept = 0;
    if (dir == NULL)
        return -1;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*kept < MOST_NAMES && (names[*kept] = strdup(entry->d_name)) != NULL)
            ++*kept;
        count++;
    }
    int number = errno;
    closedir(dir);
    errno = number;
    qsort(names, (size_t)*kept, sizeof names[0], by_name);
    return number == 0 ? count : -1;
}

void step_ls(struct json *j, char **args)
{
    static char *names[MOST_NAMES];
    long kept, count = names_in(args[0], names, &kept);
    result(j, count >= 0, "readdir");
    if (count >= 0) {
        json_int(j, "count", count);
        json_array(j, "names");
        for (long i = 0; i < kept; i++) {
            struct json_mark mark = json_mark(j);
            json_string(j, NULL, names[i]);
            if (!json_settle(j, mark))
                break;
        }
        json_close(j);
        j->cut |= kept < count;
    }
    while (kept > 0)
        free(names[--kept]);
}

void step_lsdev(struct json *j, char **args)
{
    (void)args;
    static char *names[MOST_NAMES];
    long kept, count = names_in("/dev", names, &kept);
    result(j, count >= 0, "readdir");
    json_array(j, "devices");
    for (long i = 0; i < kept; i++) {
        char path[512];
        struct stat st;
        snprintf(path, sizeof path, "/dev/%s", names[i]);
        struct json_mark mark = json_mark(j);
        if (lstat(path, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))) {
            json_object(j, NULL);
            json_string(j, "name", names[i]);
            stat_facts(j, &st);
            json_close(j);
        }
        free(names[i]);
        if (!json_settle(j, mark)) {
            while (++i < kept)
                free(names[i]);
        }
    }
    json_close(j);
}

/* Reports an opened file (or why it could not be opened) and closes it. */
static void opened(struct json *j, int fd)
{
    struct stat st;
    result(j, fd >= 0, "open");
    if (fd >= 0 && fstat(fd, &st) == 0)
        stat_facts(j, &st);
    if (fd >= 0)
        close(fd);
}

void step_touch(struct json *j, char **args)
{
    opened(j, open(args[0], O_WRONLY | O_CREAT | QUIET, 0666));
}

void step_open(struct json *j, char **args)
{
    unsigned long flags = 0;
    flags_of(OPEN, args[1], &flags);
    opened(j, open(args[0], (int)flags | QUIET, 0666));
}

/* Opens, writes in one write(2), and reports the bytes that were taken. */
static void put_into(struct json *j, const char *path, int flags, const char *text, size_t length)
{
    int fd = open(path, flags | QUIET, 0666);
    if (fd < 0) {
        result(j, false, "open");
        return;
    }
    ssize_t done = write(fd, text, length);
    int number = errno;
    bool closed = close(fd) == 0;
    if (done < 0)
        errno = number;
    result(j, done >= 0 && closed, done < 0 ? "write" : "close");
    if (done >= 0)
        json_int(j, "bytes", done);
}

void step_append(struct json *j, char **args)
{
    static const char text[] = "permlab\n";
    put_into(j, args[0], O_WRONLY | O_CREAT | O_APPEND, text, sizeof text - 1);
}

void step_write(struct json *j, char **args)
{
    put_into(j, args[0], O_WRONLY | O_CREAT | O_TRUNC, args[1], strlen(args[1]));
}

void step_read(struct json *j, char **args)
{
    static char bytes[65536];
    ssize_t length = slurp(args[0], bytes, sizeof bytes, false);
    result(j, length >= 0, "read");
    if (length >= 0)
        json_int(j, "bytes", length);
    j->cut |= length == sizeof bytes;
}

void step_cat(struct json *j, char **args)
{
    static char bytes[TEXT_BYTES];
    ssize_t length = slurp(args[0], bytes, sizeof bytes, false);
    result(j, length >= 0, "read");
    if (length < 0)
        return;
    if (length == sizeof bytes) { /* cut: not in the middle of a character */
        j->cut = true;
        ssize_t start = length - 1;
        while (start > length - 4 && ((unsigned char)bytes[start] & 0xc0) == 0x80)
            start--;
        if ((unsigned char)bytes[start] >= 0xc0)
            length = start;
    }
    json_text(j, "text", bytes, (size_t)length);
}

/* "ok" or the name of the error, for the effective ids; null where only the real ids could be asked and they differ. */
static void access_fact(struct json *j, const char *key, const char *path, int mode)
{
    char space[16];
    long rc = syscall(SYS_faccessat2, AT_FDCWD, path, mode, AT_EACCESS);
    if (rc != 0 && errno == ENOSYS) {
        if (getuid() != geteuid() || getgid() != getegid()) {
            json_null(j, key);
            return;
        }
        rc = syscall(SYS_faccessat, AT_FDCWD, path, mode);
    }
    json_string(j, key, rc == 0 ? "ok" : errno_name(errno, space));
}

void step_access(struct json *j, char **args)
{
    struct stat st;
    bool found = stat(args[0], &st) == 0;
    result(j, found, "stat");
    access_fact(j, "exists", args[0], F_OK);
    access_fact(j, "read", args[0], R_OK);
    access_fact(j, "write", args[0], W_OK);
    access_fact(j, "execute", args[0], X_OK);
}

void step_faccessat2(struct json *j, char **args)
{
    unsigned long mode = 0;
    flags_of(ACCESS, args[1], &mode);
    result(j, syscall(SYS_faccessat2, AT_FDCWD, args[0], (int)mode, AT_EACCESS) == 0, "faccessat2");
}
