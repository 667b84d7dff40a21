/* Tables of names: errors, signals, limits, flags. No table of the C library is used, so that any libc builds this. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "probe.h"

struct named {
    unsigned long number;
    const char *name;
};

#define N(x) {x, #x}
static const struct named errors[] = {
    N(E2BIG), N(EACCES), N(EADDRINUSE), N(EADDRNOTAVAIL), N(EAFNOSUPPORT), N(EAGAIN), N(EALREADY), N(EBADE), N(EBADF),
    N(EBADFD), N(EBADMSG), N(EBUSY), N(ECANCELED), N(ECHILD), N(ECONNABORTED), N(ECONNREFUSED), N(ECONNRESET),
    N(EDEADLK), N(EDESTADDRREQ), N(EDOM), N(EDQUOT), N(EEXIST), N(EFAULT), N(EFBIG), N(EHOSTDOWN), N(EHOSTUNREACH),
    N(EIDRM), N(EILSEQ), N(EINPROGRESS), N(EINTR), N(EINVAL), N(EIO), N(EISCONN), N(EISDIR), N(EISNAM), N(EKEYEXPIRED),
    N(EKEYREJECTED), N(EKEYREVOKED), N(ELIBACC), N(ELIBBAD), N(ELOOP), N(EMEDIUMTYPE), N(EMFILE), N(EMLINK),
    N(EMSGSIZE), N(ENAMETOOLONG), N(ENETDOWN), N(ENETUNREACH), N(ENFILE), N(ENOBUFS), N(ENODATA), N(ENODEV), N(ENOENT),
    N(ENOEXEC), N(ENOKEY), N(ENOLCK), N(ENOLINK), N(ENOMEDIUM), N(ENOMEM), N(ENOMSG), N(ENOPROTOOPT), N(ENOSPC),
    N(ENOSYS), N(ENOTBLK), N(ENOTCONN), N(ENOTDIR), N(ENOTEMPTY), N(ENOTSOCK), N(ENOTTY), N(ENXIO), N(EOPNOTSUPP),
    N(EOVERFLOW), N(EOWNERDEAD), N(EPERM), N(EPFNOSUPPORT), N(EPIPE), N(EPROTO), N(EPROTONOSUPPORT), N(EPROTOTYPE),
    N(ERANGE), N(EREMOTE), N(EREMOTEIO), N(ERESTART), N(EROFS), N(ESHUTDOWN), N(ESOCKTNOSUPPORT), N(ESPIPE), N(ESRCH),
    N(ESTALE), N(ETIME), N(ETIMEDOUT), N(ETXTBSY), N(EUCLEAN), N(EUSERS), N(EXDEV),
};
static const struct named signals[] = {
    N(SIGABRT), N(SIGALRM), N(SIGBUS),  N(SIGCHLD), N(SIGCONT), N(SIGFPE),  N(SIGHUP),  N(SIGILL),
    N(SIGINT),  N(SIGIO),   N(SIGKILL), N(SIGPIPE), N(SIGPROF), N(SIGPWR),  N(SIGQUIT), N(SIGSEGV),
    N(SIGSTOP), N(SIGSYS),  N(SIGTERM), N(SIGTRAP), N(SIGTSTP), N(SIGTTIN), N(SIGTTOU), N(SIGURG),
    N(SIGUSR1), N(SIGUSR2), N(SIGVTALRM), N(SIGWINCH), N(SIGXCPU), N(SIGXFSZ),
};
static const struct named limits[] = {
    {RLIMIT_AS, "as"},           {RLIMIT_CORE, "core"},       {RLIMIT_CPU, "cpu"},
    {RLIMIT_DATA, "data"},       {RLIMIT_FSIZE, "fsize"},     {RLIMIT_LOCKS, "locks"},
    {RLIMIT_MEMLOCK, "memlock"}, {RLIMIT_MSGQUEUE, "msgqueue"}, {RLIMIT_NICE, "nice"},
    {RLIMIT_NOFILE, "nofile"},   {RLIMIT_NPROC, "nproc"},     {RLIMIT_RSS, "rss"},
    {RLIMIT_RTPRIO, "rtprio"},   {RLIMIT_RTTIME, "rttime"},   {RLIMIT_SIGPENDING, "sigpending"},
    {RLIMIT_STACK, "stack"},
};
static const struct named open_flags[] = {
    {O_RDONLY, "rdonly"},     {O_WRONLY, "wronly"},       {O_RDWR, "rdwr"},         {O_CREAT, "creat"},
    {O_EXCL, "excl"},         {O_TRUNC, "trunc"},         {O_APPEND, "append"},     {O_DIRECTORY, "directory"},
    {O_NOFOLLOW, "nofollow"}, {O_PATH, "path"},           {O_NOATIME, "noatime"},   {O_TMPFILE, "tmpfile"},
    {O_SYNC, "sync"},         {O_DIRECT, "direct"},
};
static const struct named mount_flags[] = {
    {MS_RDONLY, "ro"},         {MS_NOSUID, "nosuid"},   {MS_NODEV, "nodev"},     {MS_NOEXEC, "noexec"},
    {MS_NOATIME, "noatime"},   {MS_REMOUNT, "remount"}, {MS_BIND, "bind"},       {MS_REC, "rec"},
    {MS_PRIVATE, "private"},   {MS_SLAVE, "slave"},     {MS_SHARED, "shared"},   {MS_MOVE, "move"},
    {MS_RELATIME, "relatime"}, {MS_STRICTATIME, "strictatime"},
};
static const struct named seen_flags[] = {
    {ST_RDONLY, "ro"},     {ST_NOSUID, "nosuid"},         {ST_NODEV, "nodev"},       {ST_NOEXEC, "noexec"},
    {ST_NOATIME, "noatime"}, {ST_NODIRATIME, "nodiratime"}, {ST_RELATIME, "relatime"}, {ST_SYNCHRONOUS, "sync"},
};
static const struct named spaces[] = {
    {CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"},       {CLONE_NEWNET, "network"},
    {CLONE_NEWIPC, "ipc"},   {CLONE_NEWUTS, "uts"},  {CLONE_NEWCGROUP, "cgroup"},
};
static const struct named accesses[] = {{R_OK, "r"}, {W_OK, "w"}, {X_OK, "x"}, {F_OK, "f"}};
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *named_or(const struct named *table, size_t count, int number, const char *prefix, char space[16])
{
    for (size_t i = 0; i < count; i++)
        if (table[i].number == (unsigned long)number)
            return table[i].name;
    snprintf(space, 16, "%s%d", prefix, number);
    return space;
}

const char *errno_name(int number, char space[16])
{
    return named_or(errors, COUNT(errors), number, "E", space);
}

const char *signal_name(int number, char space[16])
{
    return named_or(signals, COUNT(signals), number, "SIG", space);
}

const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFCHR: return "char";
    case S_IFBLK: return "block";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    default: return "other";
    }
}

static bool find(const struct named *table, size_t count, const char *name, size_t length, unsigned long *number)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) {
            *number = table[i].number;
            return true;
        }
    }
    return false;
}

bool rlimit_number(const char *name, int *number)
{
    unsigned long found = 0;
    bool known = find(limits, COUNT(limits), name, strlen(name), &found);
    *number = (int)found;
    return known;
}

/* Adds up the flags that `text` names, separated by commas; "-" is none. */
static bool sum(const struct named *table, size_t count, const char *text, unsigned long *flags)
{
    *flags = 0;
    if (strcmp(text, "-") == 0)
        return true;
    for (const char *word = text;; word++) {
        size_t length = strcspn(word, ",");
        unsigned long flag = 0;
        if (!find(table, count, word, length, &flag))
            return false;
        *flags |= flag;
        word += length;
        if (*word == 0)
            return true;
    }
}

bool flags_of(enum kind kind, const char *text, unsigned long *flags)
{
    switch (kind) {
    case OPEN: return sum(open_flags, COUNT(open_flags), text, flags);
    case MOUNT: return sum(mount_flags, COUNT(mount_flags), text, flags);
    case SPACES: return sum(spaces, COUNT(spaces), text, flags);
    case ACCESS:
        *flags = 0;
        for (const char *c = text; *c != 0; c++) {
            unsigned long flag = 0;
            if (!find(accesses, COUNT(accesses), c, 1, &flag))
                return false;
            *flags |= flag;
        }
        return *text != 0;
    default: return false;
    }
}

static void limit_fact(struct json *j, const char *key, rlim_t value)
{
    if (value == RLIM_INFINITY)
        json_string(j, key, "unlimited");
    else
        json_uint(j, key, value);
}

void rlimit_facts(struct json *j, const char *key, const char *only)
{
    json_object(j, key);
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct rlimit limit;
        if (only != NULL && strstr(only, limits[i].name) == NULL)
            continue;
        if (getrlimit((int)limits[i].number, &limit) != 0) {
            json_null(j, limits[i].name);
            continue;
        }
        json_object(j, limits[i].name);
        limit_fact(j, "soft", limit.rlim_cur);
        limit_fact(j, "hard", limit.rlim_max);
        json_close(j);
    }
    json_close(j);
}

void mount_flag_facts(struct json *j, const char *key, unsigned long flags)
{
    json_array(j, key);
    for (size_t i = 0; i < COUNT(seen_flags); i++)
        if ((flags & seen_flags[i].number) != 0)
            json_string(j, NULL, seen_flags[i].name);
    json_close(j);
}
