/* Steps on what the kernel counts, isolates or mounts. What a step with HOLD made is given back when it has waited. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

enum { MOST_HELD = MOST_COUNTED };

/* How many were made of those wanted, and with which error the making ended. */
static void made(struct json *j, long count, long wanted, const char *call)
{
    result(j, count == wanted, call);
    json_int(j, "made", count);
}

static pid_t children[MOST_HELD];
static long child_count;

static void end_children(void)
{
    for (long i = 0; i < child_count; i++)
        kill(children[i], SIGKILL);
    for (long i = 0; i < child_count; i++)
        while (waitpid(children[i], NULL, 0) < 0 && errno == EINTR)
            ;
    child_count = 0;
}

void step_forks(struct json *j, char **args)
{
    long wanted = (long)number_of(args[0]);
    pid_t parent = getpid();
    while (child_count < wanted) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (getppid() == parent)
                pause();
            _exit(0);
        }
        if (child < 0)
            break;
        children[child_count++] = child;
    }
    made(j, child_count, wanted, "fork");
    line_then_wait(j, seconds_of(args[1]), end_children);
}

void step_fds(struct json *j, char **args)
{
    long count = 0, wanted = (long)number_of(args[0]);
    while (count < wanted && open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) >= 0)
        count++;
    made(j, count, wanted, "open");
}

void step_tmpfds(struct json *j, char **args)
{
    long count = 0, wanted = (long)number_of(args[1]);
    for (; count < wanted; count++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/.probe-%d-%ld", args[0], getpid(), count);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            break;
        unlink(path);
    }
    made(j, count, wanted, "open");
}

static int watchers[MOST_HELD];
static long watcher_count;

static void end_watchers(void)
{
    while (watcher_count > 0)
        close(watchers[--watcher_count]);
}

void step_inotify(struct json *j, char **args)
{
    long wanted = (long)number_of(args[0]);
    while (watcher_count < wanted) {
        int fd = inotify_init1(IN_CLOEXEC);
        if (fd < 0)
            break;
        watchers[watcher_count++] = fd;
    }
    made(j, watcher_count, wanted, "inotify_init1");
    line_then_wait(j, seconds_of(args[1]), end_watchers);
}

static void end_keys(void)
{
    syscall(SYS_keyctl, KEYCTL_CLEAR, KEY_SPEC_PROCESS_KEYRING);
}

void step_keys(struct json *j, char **args)
{
    long count = 0, wanted = (long)number_of(args[0]);
    for (; count < wanted; count++) {
        char description[48];
        snprintf(description, sizeof description, "p%d.%ld", getpid(), count);
        if (syscall(SYS_add_key, "user", description, "x", (size_t)1, KEY_SPEC_PROCESS_KEYRING) < 0)
            break;
    }
    made(j, count, wanted, "add_key");
    line_then_wait(j, seconds_of(args[1]), end_keys);
}

void step_bind(struct json *j, char **args)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number_of(args[0]))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        result(j, false, "socket");
        return;
    }
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    result(j, bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    close(fd);
}

void step_rawsocket(struct json *j, char **args)
{
    (void)args;
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    result(j, fd >= 0, "socket");
    if (fd >= 0)
        close(fd);
}

void step_setmtu(struct json *j, char **args)
{
    struct ifreq request = {.ifr_mtu = (int)number_of(args[1])};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", args[0]);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        result(j, false, "socket");
        return;
    }
    result(j, ioctl(fd, SIOCSIFMTU, &request) == 0, "SIOCSIFMTU");
    close(fd);
}

void step_unshareU(struct json *j, char **args)
{
    (void)args;
    result(j, unshare(CLONE_NEWUSER) == 0, "unshare");
}

void step_unshare(struct json *j, char **args)
{
    unsigned long flags = 0;
    flags_of(SPACES, args[0], &flags);
    result(j, unshare((int)flags) == 0, "unshare");
}

void step_mounttmpfs(struct json *j, char **args)
{
    result(j, mount("tmpfs", args[0], "tmpfs", 0, "size=64k") == 0, "mount");
}

void step_mountsysfs(struct json *j, char **args)
{
    result(j, mount("sysfs", args[0], "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "mount");
}

void step_mountproc(struct json *j, char **args)
{
    result(j, mount("proc", args[0], "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "mount");
}

void step_mount(struct json *j, char **args)
{
    unsigned long flags = 0;
    flags_of(MOUNT, args[3], &flags);
    result(j, mount(args[0], args[1], args[2], flags, args[4]) == 0, "mount");
}

void step_umount(struct json *j, char **args)
{
    result(j, umount2(args[0], 0) == 0, "umount2");
}

/* The kernel writes blanks in names as octal: "\040" is a space. */
static size_t unescape(char *out, const char *in, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (in[i] == '\\' && i + 3 < length && strspn(in + i + 1, "01234567") >= 3) {
            out[used++] = (char)((in[i + 1] - '0') << 6 | (in[i + 2] - '0') << 3 | (in[i + 3] - '0'));
            i += 3;
        } else {
            out[used++] = in[i];
        }
    }
    return used;
}

/* One line of mountinfo (proc_pid_mountinfo(5)): id parent dev root point options [optional…] - type source super */
static bool mount_item(struct json *j, char *line)
{
    static const char *const names[] = {NULL, NULL, "dev", "root", "mountpoint", "options"};
    static const char *const after[] = {"fstype", "source", "super"};
    static char plain[8192];
    struct json_mark mark = json_mark(j);
    int at = 0, dash = -1;
    json_object(j, NULL);
    for (char *word; (word = strsep(&line, " ")) != NULL; at++) { /* strsep: a source may be empty */
        const char *key = at < 6 ? names[at] : dash >= 0 && at - dash <= 3 ? after[at - dash - 1] : NULL;
        if (at >= 6 && dash < 0 && strcmp(word, "-") == 0)
            dash = at;
        size_t length = strlen(word);
        if (key != NULL)
            json_bytes(j, key, plain, unescape(plain, word, length < sizeof plain ? length : sizeof plain));
    }
    json_close(j);
    return json_settle(j, mark);
}

void step_mountinfo(struct json *j, char **args)
{
    (void)args;
    static char text[262144];
    ssize_t length = slurp("/proc/self/mountinfo", text, sizeof text - 1, true);
    result(j, length >= 0, "read");
    if (length < 0)
        return;
    text[length] = 0;
    char *save = NULL;
    json_array(j, "mounts");
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        if (!mount_item(j, line))
            break;
    json_close(j);
}

void step_sysctl(struct json *j, char **args)
{
    char path[4096], value[4096];
    bool dotted = strchr(args[0], '/') == NULL;
    int length = snprintf(path, sizeof path, "/proc/sys/%s", args[0]);
    for (char *c = path + strlen("/proc/sys/"); dotted && *c != 0; c++)
        *c = *c == '.' ? '/' : *c;
    errno = ENAMETOOLONG;
    ssize_t size = (size_t)length < sizeof path ? slurp(path, value, sizeof value, false) : -1;
    result(j, size >= 0, "read");
    while (size > 0 && value[size - 1] == '\n')
        size--;
    if (size >= 0)
        json_bytes(j, "value", value, (size_t)size);
}

void step_hostname(struct json *j, char **args)
{
    (void)args;
    struct utsname host;
    bool ok = uname(&host) == 0;
    result(j, ok, "uname");
    if (ok)
        json_string(j, "hostname", host.nodename);
}

void step_sethostname(struct json *j, char **args)
{
    (void)args;
    static const char name[] = "permlab-probe";
    result(j, sethostname(name, sizeof name - 1) == 0, "sethostname");
}
