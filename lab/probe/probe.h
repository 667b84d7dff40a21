/* What the parts of the probe share. The probe carries out steps and prints facts; it never judges. */
#ifndef PERMLAB_PROBE_H
#define PERMLAB_PROBE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "json.h"

enum {
    MOST_ARGUMENTS = 5,
    MOST_COUNTED = 65536, /* processes, watchers, keys … that one step makes at most */
};

/* Kinds of step arguments; each is checked for every step before the first step runs. */
enum kind {
    END_OF_ARGUMENTS,
    PATH,    /* any bytes */
    TEXT,    /* any bytes */
    NAME,    /* any bytes */
    NUMBER,  /* a decimal number from 0 up */
    COUNT,   /* a decimal number from 0 to MOST_COUNTED */
    ID,      /* a number, or -1 */
    MODE,    /* an octal number */
    SECONDS, /* a decimal number with an optional fraction */
    IDS,     /* numbers separated by commas, or - for none */
    LIMIT,   /* a number or "unlimited" */
    RLIMIT,  /* the name of a resource limit: nofile, nproc, … */
    OPEN,    /* open flags separated by commas: wronly,creat,… */
    ACCESS,  /* letters of r, w, x, or f for existence */
    MOUNT,   /* mount flags separated by commas, or - for none */
    SPACES,  /* kinds of namespaces separated by commas: user,mount,… */
    DEVICE,  /* b, c, p, s or f */
    COUNTED, /* a count, then so many words: a program and its arguments */
    REST,    /* all the words that remain: a program and its arguments */
};

struct step {
    const char *op;
    enum kind kinds[MOST_ARGUMENTS + 1];
    void (*carry_out)(struct json *j, char **args); /* args ends with a null pointer */
};

extern const struct step steps[];
extern const size_t step_count;

/* probe.c: the place of the facts */
void line_begin(struct json *j, int step, const char *op, char **args);
void line_end(struct json *j); /* does nothing when the line has been written already */
void line_again(struct json *j, const char *op, char **args); /* a second line of the present step */
/* Writes the line, waits (negative: for ever), and on SIGTERM or SIGINT calls `release`, writes the end and exits 0. */
void line_then_wait(struct json *j, double seconds, void (*release)(void));
int facts_fd(void);
bool facts_fd_is_ours(void); /* opened by the probe itself, for --to PATH */
void restore_signals(void);  /* before another program takes over */

/* names.c: tables of names */
const char *errno_name(int number, char space[16]);
const char *signal_name(int number, char space[16]);
const char *type_name(mode_t mode);
bool rlimit_number(const char *name, int *number);
bool flags_of(enum kind kind, const char *text, unsigned long *flags);
void rlimit_facts(struct json *j, const char *key, const char *only);
void mount_flag_facts(struct json *j, const char *key, unsigned long flags);

/* check.c: arguments of steps, checked before the first step runs */
long long number_of(const char *text);
double seconds_of(const char *text);
unsigned octal_of(const char *text);
const char *kind_name(enum kind kind);
/* Words that a step takes from argv, or -1 with the fault written to `fault`. */
int words_of(const struct step *step, char **words, int left, char *fault, size_t size);

/* facts.c: what the process is */
void result(struct json *j, bool ok, const char *call); /* "ok", and on failure "errno" and "call" */
ssize_t slurp(const char *path, char *buffer, size_t size, bool proc_only); /* -1 and errno on failure */
void start_facts(struct json *j, const char *argv0);
void id_facts(struct json *j);
void group_facts(struct json *j);
void cwd_facts(struct json *j);
void cap_facts(struct json *j);
void nnp_facts(struct json *j);
void map_facts(struct json *j);
void umask_facts(struct json *j);
void namespace_facts(struct json *j);
void tty_facts(struct json *j);
void stat_facts(struct json *j, const struct stat *st);
void fd_link_facts(struct json *j, const char *key, int fd);

#define STEP(name) void step_##name(struct json *j, char **args)
#define FILE_STEPS(X)                                                                                                  \
    X(ls) X(touch) X(append) X(read) X(write) X(cat) X(open) X(access) X(faccessat2) X(stat) X(lstat) X(mkdir)         \
    X(chdir) X(chroot) X(unlink) X(rmdir) X(rename) X(link) X(symlink) X(readlink) X(chmod) X(chown) X(lchown)         \
    X(mknod) X(utime) X(getxattr) X(setxattr) X(listxattr) X(statfs) X(lsdev)
#define PROCESS_STEPS(X)                                                                                               \
    X(id) X(groups) X(pwd) X(caps) X(nnp) X(uidmap) X(umask) X(setumask) X(env) X(environ) X(limits) X(rlim)           \
    X(raisenofile) X(setrlimit) X(setuid) X(setgid) X(setgroups) X(kill) X(signal) X(tty) X(fdstat) X(fdlist)          \
    X(namespaces) X(spawn) X(exec) X(sleep) X(hold)
#define KERNEL_STEPS(X)                                                                                                \
    X(forks) X(fds) X(tmpfds) X(inotify) X(keys) X(bind) X(rawsocket) X(setmtu) X(unshareU) X(unshare) X(mounttmpfs)   \
    X(mountsysfs) X(mountproc) X(mount) X(umount) X(mountinfo) X(sysctl) X(hostname) X(sethostname)
#define DECLARE(name) STEP(name);
FILE_STEPS(DECLARE)
PROCESS_STEPS(DECLARE)
KERNEL_STEPS(DECLARE)

#endif
