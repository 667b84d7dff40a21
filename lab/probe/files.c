/* Steps on names, owners, modes and attributes of files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

void step_stat(struct json *j, char **args)
{
    struct stat st;
    bool ok = stat(args[0], &st) == 0;
    result(j, ok, "stat");
    if (ok)
        stat_facts(j, &st);
}

void step_lstat(struct json *j, char **args)
{
    struct stat st;
    bool ok = lstat(args[0], &st) == 0;
    result(j, ok, "lstat");
    if (ok)
        stat_facts(j, &st);
}

void step_mkdir(struct json *j, char **args)
{
    result(j, mkdir(args[0], 0777) == 0, "mkdir");
}

void step_chdir(struct json *j, char **args)
{
    result(j, chdir(args[0]) == 0, "chdir");
    cwd_facts(j);
}

void step_chroot(struct json *j, char **args)
{
    result(j, chroot(args[0]) == 0, "chroot");
    cwd_facts(j);
}

void step_unlink(struct json *j, char **args)
{
    result(j, unlink(args[0]) == 0, "unlink");
}

void step_rmdir(struct json *j, char **args)
{
    result(j, rmdir(args[0]) == 0, "rmdir");
}

void step_rename(struct json *j, char **args)
{
    result(j, rename(args[0], args[1]) == 0, "rename");
}

void step_link(struct json *j, char **args)
{
    result(j, link(args[0], args[1]) == 0, "link");
}

void step_symlink(struct json *j, char **args)
{
    result(j, symlink(args[0], args[1]) == 0, "symlink");
}

void step_readlink(struct json *j, char **args)
{
    char target[4096];
    ssize_t length = readlink(args[0], target, sizeof target);
    result(j, length >= 0, "readlink");
    if (length >= 0)
        json_bytes(j, "target", target, (size_t)length);
}

void step_chmod(struct json *j, char **args)
{
    result(j, chmod(args[0], octal_of(args[1])) == 0, "chmod");
}

void step_chown(struct json *j, char **args)
{
    result(j, chown(args[0], (uid_t)number_of(args[1]), (gid_t)number_of(args[2])) == 0, "chown");
}

void step_lchown(struct json *j, char **args)
{
    result(j, lchown(args[0], (uid_t)number_of(args[1]), (gid_t)number_of(args[2])) == 0, "lchown");
}

void step_mknod(struct json *j, char **args)
{
    mode_t type = S_IFREG;
    switch (args[1][0]) {
    case 'b': type = S_IFBLK; break;
    case 'c': type = S_IFCHR; break;
    case 'p': type = S_IFIFO; break;
    case 's': type = S_IFSOCK; break;
    }
    dev_t device = makedev((unsigned)number_of(args[2]), (unsigned)number_of(args[3]));
    result(j, mknod(args[0], type | 0666, device) == 0, "mknod");
}

void step_utime(struct json *j, char **args)
{
    /* A chosen time needs the owner or CAP_FOWNER; "now" would only need write access. */
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    result(j, utimensat(AT_FDCWD, args[0], times, 0) == 0, "utimensat");
}

void step_getxattr(struct json *j, char **args)
{
    char value[4096];
    ssize_t length = getxattr(args[0], args[1], value, sizeof value);
    result(j, length >= 0, "getxattr");
    if (length >= 0)
        json_bytes(j, "value", value, (size_t)length);
}

void step_setxattr(struct json *j, char **args)
{
    result(j, setxattr(args[0], args[1], args[2], strlen(args[2]), 0) == 0, "setxattr");
}

void step_listxattr(struct json *j, char **args)
{
    static char names[65536];
    ssize_t length = listxattr(args[0], names, sizeof names);
    result(j, length >= 0, "listxattr");
    if (length < 0)
        return;
    json_array(j, "names");
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        struct json_mark mark = json_mark(j);
        json_string(j, NULL, name);
        if (!json_settle(j, mark))
            break;
    }
    json_close(j);
}

void step_statfs(struct json *j, char **args)
{
    struct statfs fs;
    struct statvfs flags;
    bool ok = statfs(args[0], &fs) == 0 && statvfs(args[0], &flags) == 0;
    result(j, ok, "statfs");
    if (!ok)
        return;
    json_hex(j, "magic", (uint32_t)fs.f_type);
    json_int(j, "block_size", (long long)fs.f_bsize);
    json_uint(j, "blocks", fs.f_blocks);
    json_uint(j, "blocks_free", fs.f_bfree);
    json_uint(j, "files", fs.f_files);
    json_uint(j, "files_free", fs.f_ffree);
    mount_flag_facts(j, "flags", flags.f_flag);
}
