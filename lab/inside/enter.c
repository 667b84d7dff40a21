/* Runs a program inside a running container, as the container's process is: its namespaces, root, working directory,
 * user, groups, umask, capabilities and no_new_privs, with a read-only toolbox mounted over one directory, which nobody
 * else sees.
 *
 *     enter PID TOOLBOX PLACE PROGRAM ARG...
 *
 * The toolbox stands in a mount namespace of this program's own, a copy of the container's: the container's mounts stay
 * as they are. All but the user namespace is entered first, with the caller's own privileges: what a mount needs, a user
 * namespace may not give (mount_namespaces(7)). Exit code: the program's, 128 + its signal, or 125 for a fault of ours.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAULT = 125, MOST_GROUPS = 1024, MOST_BYTES = 1 << 20, CAPABILITIES = 64 };

/* What /proc/PID tells of the process to be like; ids as the caller's user namespace has them. */
struct like {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[MOST_GROUPS];
    mode_t umask;
    uint64_t inheritable, bounding, ambient;
    bool no_new_privs;
};

static void fault(const char *format, ...)
{
    int number = errno;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "enter: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, ": %s\n", strerror(number));
    va_end(args);
    exit(FAULT);
}

static int opened(const char *pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        fault("%s", path);
    return fd;
}

/* The whole of a file of /proc, with a NUL behind it. */
static char *content(const char *pid, const char *name, size_t *length)
{
    int fd = opened(pid, name, O_RDONLY);
    char *bytes = calloc(1, MOST_BYTES + 1);
    ssize_t more = 1;
    for (*length = 0; more > 0 && *length < MOST_BYTES; *length += (size_t)more)
        if ((more = read(fd, bytes + *length, MOST_BYTES - *length)) < 0)
            fault("/proc/%s/%s", pid, name);
    close(fd);
    return bytes;
}

static const char *field(const char *status, const char *name)
{
    const char *found = strstr(status, name);
    if (found == NULL) {
        errno = ENODATA;
        fault("%s", name);
    }
    return found + strlen(name);
}

static struct like read_like(const char *pid)
{
    size_t length;
    char *status = content(pid, "status", &length);
    struct like like = {
        .uid = (uid_t)strtoul(field(status, "\nUid:\t"), NULL, 10),
        .gid = (gid_t)strtoul(field(status, "\nGid:\t"), NULL, 10),
        .umask = (mode_t)strtoul(field(status, "\nUmask:\t"), NULL, 8),
        .inheritable = strtoull(field(status, "\nCapInh:\t"), NULL, 16),
        .bounding = strtoull(field(status, "\nCapBnd:\t"), NULL, 16),
        .ambient = strtoull(field(status, "\nCapAmb:\t"), NULL, 16),
        .no_new_privs = *field(status, "\nNoNewPrivs:\t") == '1',
    };
    const char *next = field(status, "\nGroups:\t");
    while (like.group_count < MOST_GROUPS && isdigit((unsigned char)*next)) {
        char *end;
        like.groups[like.group_count++] = (gid_t)strtoul(next, &end, 10);
        next = end + strspn(end, " ");
    }
    free(status);
    return like;
}

/* An id of the caller's user namespace as the container's maps it; the id itself where that is the same namespace. */
static uint32_t mapped(const char *map, uint32_t id)
{
    unsigned long inside, outside, size;
    for (const char *line = map; sscanf(line, "%lu %lu %lu", &inside, &outside, &size) == 3; line++) {
        if (id >= outside && id - outside < size)
            return (uint32_t)(inside + (id - outside));
        if ((line = strchr(line, '\n')) == NULL)
            break;
    }
    errno = EINVAL;
    fault("id %u has no mapping in the container's user namespace", id);
    return id;
}

static bool same_namespace(const char *pid, const char *name)
{
    char own[64], its[64];
    struct stat one, other;
    snprintf(own, sizeof own, "/proc/self/%s", name);
    snprintf(its, sizeof its, "/proc/%s/%s", pid, name);
    return stat(own, &one) == 0 && stat(its, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

static void join(int fd, const char *name)
{
    if (setns(fd, 0) != 0)
        fault("setns %s", name);
    close(fd);
}

static int toolbox_tree(const char *toolbox)
{
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, toolbox, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        fault("open_tree %s", toolbox);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
        fault("mount_setattr");
    return tree;
}

/* The container's mounts, in a namespace of our own that tells nothing back, with the toolbox on top. */
static void enter_mounts(int mounts, int root, int cwd, int tree, const char *place)
{
    join(mounts, "mnt");
    if (fchdir(root) != 0 || chroot(".") != 0)
        fault("the container's root");
    if (fchdir(cwd) != 0)
        fault("the container's working directory");
    if (unshare(CLONE_NEWNS) != 0)
        fault("unshare");
    /* EINVAL where / is no mount of its own: a chroot */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0 && errno != EINVAL)
        fault("the container's mounts");
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        fault("move_mount %s", place);
    close(tree);
}

/* The sets that execve(2) makes the others from: what the process holds before it does not matter then. */
static void take_capabilities(const struct like *like)
{
    for (unsigned long number = 0; number < CAPABILITIES; number++)
        if (!(like->bounding >> number & 1) && prctl(PR_CAPBSET_READ, number) == 1 && prctl(PR_CAPBSET_DROP, number) != 0)
            fault("PR_CAPBSET_DROP %lu", number);
}

static void raise_capabilities(const struct like *like)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0)
        fault("capget");
    for (int half = 0; half < 2; half++) {
        data[half].inheritable = (uint32_t)(like->inheritable >> 32 * half);
        data[half].permitted |= data[half].inheritable;
        data[half].effective = data[half].permitted;
    }
    if (syscall(SYS_capset, &header, data) != 0)
        fault("capset");
    for (unsigned long number = 0; number < CAPABILITIES; number++)
        if (like->ambient >> number & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
            fault("PR_CAP_AMBIENT_RAISE %lu", number);
}

static void become(const struct like *like, uid_t uid, gid_t gid)
{
    umask(like->umask);
    take_capabilities(like);
    if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        fault("the container's user %u:%u", uid, gid);
    raise_capabilities(like);
    if (like->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fault("PR_SET_NO_NEW_PRIVS");
}

/* The container's environment, with the toolbox before its own PATH. */
static char **environment(char *bytes, size_t length, const char *place)
{
    size_t count = 0;
    for (size_t at = 0; at < length; at += strlen(bytes + at) + 1)
        count++;
    char **variables = calloc(count + 2, sizeof *variables), **next = variables;
    const char *path = "";
    for (size_t at = 0; at < length; at += strlen(bytes + at) + 1) {
        if (strncmp(bytes + at, "PATH=", 5) == 0)
            path = bytes + at + 5;
        else
            *next++ = bytes + at;
    }
    size_t size = strlen(place) + strlen(path) + sizeof "PATH=/bin:";
    *next = malloc(size);
    snprintf(*next, size, *path ? "PATH=%s/bin:%s" : "PATH=%s/bin", place, path);
    return variables;
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fault("waitpid");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    static const char *const others[] = {"ns/net", "ns/ipc", "ns/uts", "ns/cgroup", "ns/pid"};
    enum { OTHERS = sizeof others / sizeof *others };
    if (argc < 5) {
        fprintf(stderr, "usage: enter PID TOOLBOX PLACE PROGRAM [ARG...]\n");
        return FAULT;
    }
    const char *pid = argv[1], *place = argv[3];
    size_t length;
    struct like like = read_like(pid);
    char *environ_bytes = content(pid, "environ", &length);
    char **variables = environment(environ_bytes, length, place);
    char *uids = content(pid, "uid_map", &length), *gids = content(pid, "gid_map", &length);
    bool apart = !same_namespace(pid, "ns/user");
    int root = opened(pid, "root", O_PATH), cwd = opened(pid, "cwd", O_PATH);
    int user = opened(pid, "ns/user", O_RDONLY), mounts = opened(pid, "ns/mnt", O_RDONLY), spaces[OTHERS];
    for (int i = 0; i < OTHERS; i++)
        spaces[i] = opened(pid, others[i], O_RDONLY);
    int tree = toolbox_tree(argv[2]);
    uid_t uid = apart ? mapped(uids, like.uid) : like.uid;
    gid_t gid = apart ? mapped(gids, like.gid) : like.gid;

    if (setgroups(like.group_count, like.groups) != 0) /* here: a user namespace may forbid it */
        fault("setgroups");
    for (int i = 0; i < OTHERS; i++)
        join(spaces[i], others[i]);
    enter_mounts(mounts, root, cwd, tree, place);
    if (apart)
        join(user, "user");
    pid_t child = fork(); /* a PID namespace is its children's */
    if (child < 0)
        fault("fork");
    if (child > 0)
        return wait_for(child);
    become(&like, uid, gid);
    execve(argv[4], argv + 4, variables);
    fault("%s", argv[4]);
}
