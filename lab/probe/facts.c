/* Facts about the process itself. Looking must not change what is looked at: no file is created, no id is set. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "probe.h"

enum { PROC_MAGIC = 0x9fa0, MOST_GROUPS = 65536 };

void result(struct json *j, bool ok, const char *call)
{
    char space[16];
    int number = errno;
    json_bool(j, "ok", ok);
    if (!ok) {
        json_string(j, "errno", errno_name(number, space));
        json_string(j, "call", call);
    }
}

ssize_t slurp(const char *path, char *buffer, size_t size, bool proc_only)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -1;
    struct statfs fs;
    ssize_t used = 0;
    if (proc_only && (fstatfs(fd, &fs) != 0 || fs.f_type != PROC_MAGIC)) { /* something else is mounted on /proc */
        errno = ENODATA;
        used = -1;
    }
    while (used >= 0 && (size_t)used < size) {
        ssize_t more = read(fd, buffer + used, size - (size_t)used);
        if (more < 0)
            used = -1;
        if (more <= 0)
            break;
        used += more;
    }
    int number = errno;
    close(fd);
    errno = number;
    return used;
}

/* The value of a line of /proc/self/status ("Umask:" → "0022"), or null when it cannot be read. */
static const char *status(const char *name, char space[64])
{
    static char text[8192];
    ssize_t length = slurp("/proc/self/status", text, sizeof text - 1, true);
    if (length < 0)
        return NULL;
    text[length] = 0;
    size_t size = strlen(name);
    for (char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, size) == 0 && at[size] == ':') {
            snprintf(space, 64, "%.*s", (int)strcspn(at + size + 2, "\n"), at + size + 2);
            return space;
        }
        if (*at == 0)
            break;
    }
    return NULL;
}

void id_facts(struct json *j)
{
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;
    getresuid(&ruid, &euid, &suid);
    getresgid(&rgid, &egid, &sgid);
    json_uint(j, "ruid", ruid);
    json_uint(j, "euid", euid);
    json_uint(j, "suid", suid);
    json_uint(j, "fsuid", (uid_t)setfsuid((uid_t)-1)); /* -1 is no id: nothing is set, the present one is returned */
    json_uint(j, "rgid", rgid);
    json_uint(j, "egid", egid);
    json_uint(j, "sgid", sgid);
    json_uint(j, "fsgid", (gid_t)setfsgid((gid_t)-1));
}

void group_facts(struct json *j)
{
    static gid_t groups[MOST_GROUPS];
    int count = getgroups(MOST_GROUPS, groups);
    if (count < 0) {
        json_null(j, "groups");
        return;
    }
    json_array(j, "groups");
    for (int i = 0; i < count; i++) {
        struct json_mark mark = json_mark(j);
        json_uint(j, NULL, groups[i]);
        if (!json_settle(j, mark))
            break;
    }
    json_close(j);
}

void cwd_facts(struct json *j)
{
    char path[8192], space[16];
    /* The raw call: the library's own search would hide a cwd that the kernel shows as "(unreachable)/…". */
    bool ok = syscall(SYS_getcwd, path, sizeof path) >= 0;
    json_string(j, "cwd", ok ? path : NULL);
    json_string(j, "cwd_errno", ok ? NULL : errno_name(errno, space));
}

static void set_fact(struct json *j, const char *key, bool known, uint64_t set)
{
    if (known)
        json_hex(j, key, set);
    else
        json_null(j, key);
}

void cap_facts(struct json *j)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    bool ok = syscall(SYS_capget, &header, data) == 0;
    uint64_t bounding = 0, ambient = 0;
    for (int i = 0, in; i < 64 && (in = prctl(PR_CAPBSET_READ, i, 0, 0, 0)) >= 0; i++) {
        bounding |= (uint64_t)in << i;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
            ambient |= UINT64_C(1) << i;
    }
    json_object(j, "caps");
    const char *const names[] = {"inheritable", "permitted", "effective"};
    const uint64_t values[] = {
        data[0].inheritable | (uint64_t)data[1].inheritable << 32,
        data[0].permitted | (uint64_t)data[1].permitted << 32,
        data[0].effective | (uint64_t)data[1].effective << 32,
    };
    for (int i = 0; i < 3; i++)
        set_fact(j, names[i], ok, values[i]);
    set_fact(j, "bounding", prctl(PR_CAPBSET_READ, 0, 0, 0, 0) >= 0, bounding);
    set_fact(j, "ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0) >= 0, ambient);
    json_close(j);
}

void nnp_facts(struct json *j)
{
    char space[64];
    int nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    if (nnp >= 0)
        json_bool(j, "no_new_privs", nnp == 1);
    else
        json_null(j, "no_new_privs");
    const char *mode = status("Seccomp", space); /* prctl(PR_GET_SECCOMP) may itself end a filtered process */
    if (mode != NULL)
        json_int(j, "seccomp", atoi(mode));
    else
        json_null(j, "seccomp");
}

void umask_facts(struct json *j)
{
    char space[64];
    const char *text = status("Umask", space);
    mode_t mask;
    if (text != NULL) {
        mask = (mode_t)strtoul(text, NULL, 8);
    } else {
        mask = umask(0); /* the only other way to learn it; put back at once */
        umask(mask);
    }
    json_octal(j, "umask", mask);
}

static void line_list(struct json *j, const char *key, const char *bytes, size_t length)
{
    json_array(j, key);
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t size = end != NULL ? (size_t)(end - bytes) - at : length - at;
        struct json_mark mark = json_mark(j);
        json_bytes(j, NULL, bytes + at, size);
        if (!json_settle(j, mark))
            break;
        at += size + 1;
    }
    json_close(j);
}

static void proc_lines(struct json *j, const char *key, const char *path)
{
    static char text[16384];
    ssize_t length = slurp(path, text, sizeof text, true);
    if (length < 0)
        json_null(j, key);
    else
        line_list(j, key, text, (size_t)length);
}

/* A file of one line, its newline taken off; null when it cannot be read. */
static void proc_line(struct json *j, const char *key, const char *path)
{
    char text[512];
    ssize_t length = slurp(path, text, sizeof text, true);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == 0))
        length--;
    if (length < 0)
        json_null(j, key);
    else
        json_bytes(j, key, text, (size_t)length);
}

void map_facts(struct json *j)
{
    proc_line(j, "setgroups", "/proc/self/setgroups");
    proc_lines(j, "uid_map", "/proc/self/uid_map");
    proc_lines(j, "gid_map", "/proc/self/gid_map");
}

void namespace_facts(struct json *j)
{
    static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    json_object(j, "namespaces");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        const char *inode = strchr(target, '[');
        if (inode != NULL)
            json_uint(j, names[i], strtoull(inode + 1, NULL, 10));
        else
            json_null(j, names[i]);
    }
    json_close(j);
}

void fd_link_facts(struct json *j, const char *key, int fd)
{
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target);
    if (length < 0)
        json_null(j, key);
    else
        json_bytes(j, key, target, (size_t)length);
}

void tty_facts(struct json *j)
{
    json_array(j, "stdio");
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        struct termios settings;
        bool open = fstat(fd, &st) == 0;
        json_object(j, NULL);
        json_int(j, "fd", fd);
        json_bool(j, "open", open);
        if (open) {
            json_bool(j, "tty", tcgetattr(fd, &settings) == 0);
            fd_link_facts(j, "link", fd);
            stat_facts(j, &st);
        }
        json_close(j);
    }
    json_close(j);
}

void stat_facts(struct json *j, const struct stat *st)
{
    char device[32];
    json_string(j, "type", type_name(st->st_mode));
    json_octal(j, "mode", st->st_mode & 07777);
    json_uint(j, "uid", st->st_uid);
    json_uint(j, "gid", st->st_gid);
    json_int(j, "size", st->st_size);
    json_uint(j, "links", st->st_nlink);
    snprintf(device, sizeof device, "%u:%u", major(st->st_dev), minor(st->st_dev));
    json_string(j, "dev", device);
    json_uint(j, "inode", st->st_ino);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        snprintf(device, sizeof device, "%u:%u", major(st->st_rdev), minor(st->st_rdev));
        json_string(j, "rdev", device);
    }
}

void start_facts(struct json *j, const char *argv0)
{
    struct utsname host;
    bool named = uname(&host) == 0;
    int securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    json_string(j, "argv0", argv0);
    json_int(j, "pid", getpid());
    json_int(j, "ppid", getppid());
    json_int(j, "pgid", getpgid(0));
    json_int(j, "sid", getsid(0));
    id_facts(j);
    cwd_facts(j);
    umask_facts(j);
    cap_facts(j);
    nnp_facts(j);
    if (securebits >= 0)
        json_int(j, "securebits", securebits);
    else
        json_null(j, "securebits");
    proc_line(j, "label", "/proc/self/attr/current");
    proc_line(j, "oom_score_adj", "/proc/self/oom_score_adj");
    rlimit_facts(j, "rlimits", NULL);
    json_string(j, "hostname", named ? host.nodename : NULL);
    json_string(j, "kernel", named ? host.release : NULL);
    json_string(j, "home", getenv("HOME"));
    json_string(j, "path", getenv("PATH"));
    namespace_facts(j);
    tty_facts(j);
    map_facts(j);
    group_facts(j);
}
