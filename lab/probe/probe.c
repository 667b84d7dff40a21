/* permlab's probe: carries out the steps of its arguments as the process that it is, and prints facts as JSON lines.
 *
 *     probe [--to PATH-OR-FD] STEP ARGUMENT... STEP ARGUMENT...
 *     probe --list
 *
 * Exit codes: 0 after all steps, whatever they met; 64 when the arguments cannot be read (nothing was carried out);
 * 73 when the place of the facts cannot be opened; 74 when facts could not be written. docs/probe.md has the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

enum { EXIT_USAGE = 64, EXIT_NO_PLACE = 73, EXIT_NOT_WRITTEN = 74 };

#define ROW(name, ...) {#name, {__VA_ARGS__}, step_##name}
const struct step steps[] = {
    ROW(ls, PATH), ROW(touch, PATH), ROW(append, PATH), ROW(read, PATH), ROW(write, PATH, TEXT), ROW(cat, PATH),
    ROW(open, PATH, OPEN), ROW(access, PATH), ROW(faccessat2, PATH, ACCESS), ROW(stat, PATH), ROW(lstat, PATH),
    ROW(mkdir, PATH), ROW(chdir, PATH), ROW(chroot, PATH), ROW(unlink, PATH), ROW(rmdir, PATH),
    ROW(rename, PATH, PATH), ROW(link, PATH, PATH), ROW(symlink, TEXT, PATH), ROW(readlink, PATH),
    ROW(chmod, PATH, MODE), ROW(chown, PATH, ID, ID), ROW(lchown, PATH, ID, ID),
    ROW(mknod, PATH, DEVICE, NUMBER, NUMBER), ROW(utime, PATH), ROW(getxattr, PATH, NAME),
    ROW(setxattr, PATH, NAME, TEXT), ROW(listxattr, PATH), ROW(statfs, PATH), ROW(lsdev, END_OF_ARGUMENTS),
    ROW(id, END_OF_ARGUMENTS), ROW(groups, END_OF_ARGUMENTS), ROW(pwd, END_OF_ARGUMENTS),
    ROW(caps, END_OF_ARGUMENTS), ROW(nnp, END_OF_ARGUMENTS), ROW(uidmap, END_OF_ARGUMENTS),
    ROW(umask, END_OF_ARGUMENTS), ROW(setumask, MODE), ROW(env, NAME), ROW(environ, END_OF_ARGUMENTS),
    ROW(limits, END_OF_ARGUMENTS), ROW(rlim, END_OF_ARGUMENTS), ROW(raisenofile, NUMBER),
    ROW(setrlimit, RLIMIT, LIMIT, LIMIT), ROW(setuid, NUMBER), ROW(setgid, NUMBER), ROW(setgroups, IDS),
    ROW(kill, NUMBER), ROW(signal, NUMBER, NUMBER), ROW(tty, END_OF_ARGUMENTS), ROW(fdstat, NUMBER),
    ROW(fdlist, END_OF_ARGUMENTS), ROW(namespaces, END_OF_ARGUMENTS), ROW(spawn, COUNTED), ROW(exec, REST),
    ROW(sleep, SECONDS), ROW(hold, END_OF_ARGUMENTS),
    ROW(forks, COUNT, SECONDS), ROW(fds, COUNT), ROW(tmpfds, PATH, COUNT), ROW(inotify, COUNT, SECONDS),
    ROW(keys, COUNT, SECONDS), ROW(bind, NUMBER), ROW(rawsocket, END_OF_ARGUMENTS), ROW(setmtu, NAME, NUMBER),
    ROW(unshareU, END_OF_ARGUMENTS), ROW(unshare, SPACES), ROW(mounttmpfs, PATH), ROW(mountsysfs, PATH),
    ROW(mountproc, PATH), ROW(mount, PATH, PATH, NAME, MOUNT, TEXT), ROW(umount, PATH),
    ROW(mountinfo, END_OF_ARGUMENTS), ROW(sysctl, NAME), ROW(hostname, END_OF_ARGUMENTS),
    ROW(sethostname, END_OF_ARGUMENTS),
};
const size_t step_count = sizeof steps / sizeof steps[0];

static struct json line;
static int place = STDOUT_FILENO;
static bool place_is_ours;
static bool written;
static int current;
static struct sigaction pipe_before;

int facts_fd(void)
{
    return place;
}

bool facts_fd_is_ours(void)
{
    return place_is_ours;
}

void restore_signals(void)
{
    sigaction(SIGPIPE, &pipe_before, NULL);
}

void line_begin(struct json *j, int step, const char *op, char **args)
{
    written = false;
    json_begin(j);
    if (step >= 0)
        json_int(j, "step", step);
    json_string(j, "op", op);
    if (args == NULL)
        return;
    j->list_limit = LIST_BYTES / 4; /* leaves room for the facts */
    json_array(j, "args");
    for (; *args != NULL; args++) {
        struct json_mark mark = json_mark(j);
        json_string(j, NULL, *args);
        if (!json_settle(j, mark))
            break;
    }
    json_close(j);
    j->list_limit = LIST_BYTES;
}

void line_end(struct json *j)
{
    if (written)
        return;
    written = true;
    size_t length = json_end(j);
    for (size_t done = 0; done < length;) {
        ssize_t more = write(place, j->bytes + done, length - done);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0 && errno == EAGAIN) { /* someone left the other end non-blocking */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        if (more <= 0)
            _exit(EXIT_NOT_WRITTEN);
        done += (size_t)more;
    }
}

void line_again(struct json *j, const char *op, char **args)
{
    line_begin(j, current, op, args);
}

static void finish(int signal)
{
    char space[16];
    line_begin(&line, -1, "end", NULL);
    json_int(&line, "steps", current);
    if (signal != 0)
        json_string(&line, "signal", signal_name(signal, space));
    line_end(&line);
    _exit(0);
}

void line_then_wait(struct json *j, double seconds, void (*release)(void))
{
    sigset_t ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    /* Blocked before the line tells that we wait: as PID 1 an unblocked signal without a handler would be lost. */
    sigprocmask(SIG_BLOCK, &ending, &before);
    line_end(j);
    int signal;
    if (seconds < 0) {
        do
            signal = sigwaitinfo(&ending, NULL);
        while (signal < 0 && errno == EINTR);
    } else {
        struct timespec now, until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)seconds;
        until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
        do {
            clock_gettime(CLOCK_MONOTONIC, &now);
            long long left = (until.tv_sec - now.tv_sec) * 1000000000LL + until.tv_nsec - now.tv_nsec;
            left = left > 0 ? left : 0;
            signal = sigtimedwait(&ending, NULL, &(struct timespec){left / 1000000000LL, left % 1000000000LL});
        } while (signal < 0 && errno == EINTR);
    }
    release();
    if (signal > 0)
        finish(signal);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void list_steps(void)
{
    line_begin(&line, -1, "list", NULL);
    json_array(&line, "steps");
    for (const struct step *step = steps; step < steps + step_count; step++) {
        int arity = 0;
        json_object(&line, NULL);
        json_string(&line, "op", step->op);
        json_array(&line, "args");
        for (const enum kind *kind = step->kinds; *kind != END_OF_ARGUMENTS; kind++) {
            arity = *kind == REST || *kind == COUNTED ? -1 : arity + 1;
            json_string(&line, NULL, kind_name(*kind));
        }
        json_close(&line);
        json_int(&line, "arity", arity);
        json_close(&line);
    }
    json_close(&line);
    line_end(&line);
}

static void usage(const char *error)
{
    line_begin(&line, -1, "usage", NULL);
    json_string(&line, "error", error);
    line_end(&line);
    _exit(EXIT_USAGE);
}

/* Reads "--to PLACE" at the start of the arguments; returns how many words it took. */
static int choose_place(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--to") != 0)
        return 0;
    if (argc < 3)
        usage("--to needs a path or the number of a file descriptor");
    const char *text = argv[2];
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 10 && text[digits] == 0) {
        place = (int)number_of(text);
        if (fcntl(place, F_GETFD) >= 0)
            return 2;
    } else {
        place = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
        place_is_ours = true;
        if (place >= 0)
            return 2;
    }
    char space[16];
    dprintf(STDERR_FILENO, "probe: cannot print facts to %s: %s\n", text, errno_name(errno, space));
    _exit(EXIT_NO_PLACE);
}

static const struct step *find_step(const char *op)
{
    for (const struct step *step = steps; step < steps + step_count; step++)
        if (strcmp(step->op, op) == 0)
            return step;
    return NULL;
}

static void check_all(int count, char **words)
{
    char fault[512];
    for (int at = 0; at < count;) {
        const struct step *step = find_step(words[at]);
        if (step == NULL) {
            snprintf(fault, sizeof fault, "unknown step %.200s", words[at]);
            usage(fault);
        }
        int used = words_of(step, words + at + 1, count - at - 1, fault, sizeof fault);
        if (used < 0)
            usage(fault);
        at += 1 + used;
    }
}

int main(int argc, char **argv)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &pipe_before); /* a closed reader becomes an exit code, not a death */
    int taken = choose_place(argc, argv);
    int count = argc > 0 ? argc - 1 - taken : 0;
    char **words = argv + 1 + taken;
    if (count == 1 && strcmp(words[0], "--list") == 0) {
        list_steps();
        return 0;
    }
    check_all(count, words);
    line_begin(&line, 0, "start", NULL);
    start_facts(&line, argc > 0 ? argv[0] : NULL);
    line_end(&line);
    for (int at = 0; at < count;) {
        char fault[512];
        const struct step *step = find_step(words[at]);
        int used = words_of(step, words + at + 1, count - at - 1, fault, sizeof fault);
        char **args = words + at + 1;
        char *next = args[used];
        args[used] = NULL; /* the step sees its own arguments only */
        line_begin(&line, ++current, step->op, args);
        step->carry_out(&line, args);
        line_end(&line);
        args[used] = next;
        at += 1 + used;
    }
    finish(0);
}
