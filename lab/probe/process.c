/* Steps about the process: who it is, what it may, what it inherited, and what it starts. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

extern char **environ;

/* A step that only looks: ok, then its facts. */
#define LOOK(name, ...)                                                                                                \
    void step_##name(struct json *j, char **args)                                                                      \
    {                                                                                                                  \
        (void)args;                                                                                                    \
        result(j, true, NULL);                                                                                         \
        __VA_ARGS__;                                                                                                   \
    }
LOOK(id, id_facts(j); group_facts(j))
LOOK(groups, group_facts(j))
LOOK(caps, cap_facts(j))
LOOK(nnp, nnp_facts(j))
LOOK(uidmap, map_facts(j))
LOOK(umask, umask_facts(j))
LOOK(limits, rlimit_facts(j, "rlimits", NULL))
LOOK(rlim, rlimit_facts(j, "rlimits", "nproc nofile"))
LOOK(namespaces, namespace_facts(j))
LOOK(tty, tty_facts(j))

void step_pwd(struct json *j, char **args)
{
    (void)args;
    char path[8192];
    result(j, syscall(SYS_getcwd, path, sizeof path) >= 0, "getcwd");
    cwd_facts(j);
}

void step_setumask(struct json *j, char **args)
{
    mode_t before = umask(octal_of(args[0]));
    result(j, true, NULL);
    json_octal(j, "before", before);
}

void step_env(struct json *j, char **args)
{
    const char *value = getenv(args[0]);
    result(j, true, NULL);
    json_bool(j, "present", value != NULL);
    json_string(j, "value", value);
}

void step_environ(struct json *j, char **args)
{
    (void)args;
    result(j, true, NULL);
    json_array(j, "environ");
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        struct json_mark mark = json_mark(j);
        json_string(j, NULL, *entry);
        if (!json_settle(j, mark))
            break;
    }
    json_close(j);
}

void step_raisenofile(struct json *j, char **args)
{
    struct rlimit limit = {0};
    rlim_t wanted = (rlim_t)number_of(args[0]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = wanted;
    limit.rlim_max = limit.rlim_max < wanted ? wanted : limit.rlim_max;
    result(j, setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    rlimit_facts(j, "rlimits", "nofile");
}

static rlim_t limit_of(const char *text)
{
    return strcmp(text, "unlimited") == 0 ? RLIM_INFINITY : (rlim_t)number_of(text);
}

void step_setrlimit(struct json *j, char **args)
{
    int number = 0;
    struct rlimit limit = {.rlim_cur = limit_of(args[1]), .rlim_max = limit_of(args[2])};
    rlimit_number(args[0], &number);
    result(j, setrlimit(number, &limit) == 0, "setrlimit");
    rlimit_facts(j, "rlimits", args[0]);
}

void step_setuid(struct json *j, char **args)
{
    result(j, setuid((uid_t)number_of(args[0])) == 0, "setuid");
    id_facts(j);
}

void step_setgid(struct json *j, char **args)
{
    result(j, setgid((gid_t)number_of(args[0])) == 0, "setgid");
    id_facts(j);
}

void step_setgroups(struct json *j, char **args)
{
    static gid_t groups[65536];
    size_t count = 0;
    for (const char *at = args[0]; isdigit((unsigned char)*at) && count < 65536; at += *at == ',') {
        groups[count++] = (gid_t)number_of(at);
        at += strspn(at, "0123456789");
    }
    result(j, setgroups(count, groups) == 0, "setgroups");
    group_facts(j);
}

void step_kill(struct json *j, char **args)
{
    result(j, kill((pid_t)number_of(args[0]), 0) == 0, "kill");
}

void step_signal(struct json *j, char **args)
{
    result(j, kill((pid_t)number_of(args[0]), (int)number_of(args[1])) == 0, "kill");
}

static void fd_facts(struct json *j, int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    static const char *const modes[] = {"r", "w", "rw", "none"};
    fd_link_facts(j, "link", fd);
    json_string(j, "access", flags < 0 ? NULL : (flags & O_PATH) != 0 ? "path" : modes[flags & O_ACCMODE]);
    if (fstat(fd, &st) == 0)
        stat_facts(j, &st);
}

void step_fdstat(struct json *j, char **args)
{
    int fd = (int)number_of(args[0]);
    bool ok = fcntl(fd, F_GETFD) >= 0;
    result(j, ok, "fcntl");
    if (ok)
        fd_facts(j, fd);
}

static bool fd_item(struct json *j, int fd)
{
    struct json_mark mark = json_mark(j);
    json_object(j, NULL);
    json_int(j, "fd", fd);
    json_bool(j, "facts", fd == facts_fd());
    fd_facts(j, fd);
    json_close(j);
    return json_settle(j, mark);
}

void step_fdlist(struct json *j, char **args)
{
    (void)args;
    DIR *dir = opendir("/proc/self/fd");
    result(j, true, NULL);
    json_bool(j, "complete", dir != NULL);
    json_array(j, "fds");
    if (dir != NULL) {
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            int fd = (int)number_of(entry->d_name);
            bool ours = fd == dirfd(dir) || (fd == facts_fd() && facts_fd_is_ours());
            if (isdigit((unsigned char)entry->d_name[0]) && !ours && !fd_item(j, fd))
                break;
        }
        closedir(dir);
    } else { /* no /proc, or no descriptor left to read it with: ask for the first ones one by one */
        for (int fd = 0; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) >= 0 && !(fd == facts_fd() && facts_fd_is_ours()) && !fd_item(j, fd))
                break;
    }
    json_close(j);
}

/* Replaces this process; looks the program up in PATH when it has no slash. Returns only on failure. */
static void become(char **argv)
{
    const char *path = getenv("PATH");
    restore_signals();
    if (strchr(argv[0], '/') != NULL || path == NULL) {
        execve(argv[0], argv, environ);
        return;
    }
    int told = ENOENT; /* the first refusal that is more than "not here" */
    for (size_t length; *path != 0; path += length + (path[length] == ':')) {
        char full[8192];
        length = strcspn(path, ":");
        snprintf(full, sizeof full, "%.*s/%s", (int)length, path, argv[0]);
        execve(full, argv, environ);
        if (told == ENOENT && errno != ENOENT && errno != ENOTDIR)
            told = errno;
    }
    errno = told;
}

void step_exec(struct json *j, char **args)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    json_null(j, "ok"); /* after this line the other program has the word */
    line_end(j);
    become(args);
    int number = errno;
    sigaction(SIGPIPE, &ignore, NULL);
    line_again(j, "exec", args);
    errno = number;
    result(j, false, "execve");
}

struct capture {
    char bytes[TEXT_BYTES];
    size_t used;
    bool cut;
};

static void drain(struct pollfd *from, struct capture *into)
{
    char chunk[4096];
    ssize_t more = read(from->fd, chunk, sizeof chunk);
    if (more <= 0) {
        close(from->fd);
        from->fd = -1;
        return;
    }
    size_t room = sizeof into->bytes - into->used;
    size_t taken = (size_t)more < room ? (size_t)more : room;
    memcpy(into->bytes + into->used, chunk, taken);
    into->used += taken;
    into->cut |= taken < (size_t)more;
}

/* A pipe whose ends are not 0, 1 or 2, which the program to be started gets as its own. */
static bool make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        int low = ends[i];
        if (low > STDERR_FILENO)
            continue;
        ends[i] = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    return ends[0] >= 0 && ends[1] >= 0;
}

static void spawned(char **argv, int out, int err, int fault)
{
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    become(argv);
    int number = errno;
    if (write(fault, &number, sizeof number) < 0)
        _exit(126);
    _exit(127);
}

static void ended(struct json *j, pid_t child, int fault)
{
    char space[16];
    int number = 0, status = 0;
    bool failed = read(fault, &number, sizeof number) == sizeof number;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    errno = number;
    result(j, !failed, "execve");
    if (failed)
        return;
    if (WIFSIGNALED(status))
        json_string(j, "signal", signal_name(WTERMSIG(status), space));
    else
        json_int(j, "exit", WEXITSTATUS(status));
}

void step_spawn(struct json *j, char **args)
{
    static struct capture captured[2];
    int out[2], err[2], fault[2];
    memset(captured, 0, sizeof captured);
    if (!make_pipe(out) || !make_pipe(err) || !make_pipe(fault)) {
        result(j, false, "pipe2"); /* out of descriptors: the pipes that were made stay open */
        return;
    }
    pid_t child = fork();
    if (child == 0)
        spawned(args + 1, out[1], err[1], fault[1]);
    int number = errno;
    close(out[1]);
    close(err[1]);
    close(fault[1]);
    if (child < 0) {
        close(out[0]);
        close(err[0]);
        errno = number;
        result(j, false, "fork");
    } else {
        struct pollfd from[2] = {{.fd = out[0], .events = POLLIN}, {.fd = err[0], .events = POLLIN}};
        while (from[0].fd >= 0 || from[1].fd >= 0) {
            poll(from, 2, -1);
            for (int i = 0; i < 2; i++)
                if (from[i].fd >= 0 && from[i].revents != 0)
                    drain(&from[i], &captured[i]);
        }
        ended(j, child, fault[0]);
        json_text(j, "stdout", captured[0].bytes, captured[0].used);
        json_text(j, "stderr", captured[1].bytes, captured[1].used);
        j->cut |= captured[0].cut || captured[1].cut;
    }
    close(fault[0]);
}

static void nothing(void)
{
}

void step_sleep(struct json *j, char **args)
{
    result(j, true, NULL);
    line_then_wait(j, seconds_of(args[0]), nothing);
}

void step_hold(struct json *j, char **args)
{
    (void)args;
    result(j, true, NULL);
    json_bool(j, "ready", true);
    line_then_wait(j, -1, nothing);
}
