"""The ordered table of runtimes' and engines' error texts: which words, which cause, in which phase.

Rules are tried in this order over all lines of a text, so that a symptom which several causes share comes after the
texts that name a cause. Notes say who writes a text; the recorded ones stand in ``tests/recorded``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.model.verdict import Phase

_DENIED = r"(?:[Pp]ermission denied|[Oo]peration not permitted)"
_GONE = r"[Nn]o such file or directory"
_EXECUTED = (
    r'(?:^exec user process caused:? "?|^exec /\S*: |exec: ".*": (?:stat \S+: )?'
    r"|exec (?:container process )?.*`.*`: |^exec: )"
)
"""How runc and crun begin what execve(2) said."""

_CAUSED = r'(?:: | caused:? "?)'
"""What stands between a text and the error below it: runc before rc91 quotes the latter."""


@dataclass(frozen=True, slots=True)
class TextRule:
    """A pattern over one line. ``name`` is what tests and documents call the rule by."""

    name: str
    cause: str
    phase: Phase
    pattern: re.Pattern[str]
    note: str

    def find(self, line: str) -> re.Match[str] | None:
        """Where the pattern stands in a line. One that begins with ``.*`` fits at the start or nowhere."""
        return self.pattern.match(line) if self.pattern.pattern.startswith(".*") else self.pattern.search(line)


def _rule(name: str, cause: str, phase: Phase, pattern: str, note: str) -> TextRule:
    return TextRule(name, cause, phase, re.compile(pattern), note)


_ADMISSION, _CREATE, _MOUNT = Phase.ADMISSION, Phase.CREATE, Phase.MOUNT
_CHDIR, _EXEC = Phase.CHDIR, Phase.EXEC

LAB_FAULTS: tuple[TextRule, ...] = (
    _rule("loader", "", _ADMISSION, r"error while loading shared libraries: .*", "the runtime's own libraries"),
    _rule("glibc", "", _ADMISSION, r"version `GLIBC\S+' not found.*", "a runtime built for a newer libc"),
    _rule("setpriv", "", _ADMISSION, r"^setpriv: .*", "the program that takes the caller's capabilities"),
    _rule("hybrid", "", _ADMISSION, r"cgroups in hybrid mode not supported.*", "crun on a hybrid cgroup tree"),
    _rule("cgroup v1", "", _ADMISSION, r"(?:cgroups? v1 .*not supported|unsupported cgroup setup).*", "youki"),
    _rule("newuidmap", "", _ADMISSION, r'exec: "newuidmap": executable file not found', "runsc: a missing tool"),
    _rule("platform", "", _ADMISSION, r"unknown platform: .*", "runsc"),
    _rule(
        "engine gone", "", _ADMISSION, r"transport is closing.*|error while dialing.*", "dockerd, its containerd gone"
    ),
    _rule("disk full", "", _ADMISSION, r"[Nn]o space left on device.*", "a full disk"),
)
"""Texts that say that the lab or its host is at fault."""

_ENGINES = (
    _rule("docker-userns", "userns-incompatible", _ADMISSION, r"when user namespaces are enabled", "dockerd"),
    _rule("docker-privileged", "userns-incompatible", _ADMISSION, r"incompatible with user namespaces", "dockerd"),
    _rule("cri-uid", "uid-not-mapped", _CREATE, r"IO owner: .*container ID \d+ cannot be mapped", "containerd ≥ 1.7"),
    _rule("layer-id", "image-id-not-mapped", _CREATE, r"[Cc]ontainer ID \d+ cannot be mapped to a host ID", "dockerd"),
    _rule("podman-map", "uid-not-mapped", _CREATE, r"container uses ID mappings .*doesn't map UID \d+", "podman"),
    _rule("subuid", "userns-not-configured", _CREATE, r"[Nn]o subuid ranges found", "dockerd, podman"),
    _rule("podman-auto", "userns-not-configured", _CREATE, r"not (?:find )?enough (?:available|unused) IDs", "podman"),
    _rule("podman-workdir", "cwd-missing", _CREATE, r'workdir ".*" does not exist on container', "podman"),
    _rule("podman-workdir-file", "cwd-not-directory", _CREATE, r'workdir ".*" exists .* not a directory', "podman"),
    _rule("docker-source", "mount-source-missing", _CREATE, r"bind source path does not exist", "dockerd"),
    _rule("docker-workdir", "cwd-not-directory", _CREATE, r"^Cannot mkdir: .* is not a directory", "dockerd"),
    _rule("podman-source", "mount-source-missing", _CREATE, rf"^statfs .*: {_GONE}", "podman"),
    _rule("podman-option", "mount-option-invalid", _ADMISSION, r'^invalid option type "', "podman"),
    _rule("podman-init", "init-binary-missing", _CREATE, r"container-init binary not found on the host", "podman"),
    _rule("userns-mode", "usage-error", _ADMISSION, r"^--userns: invalid USER mode", "docker"),
    _rule("podman-userns", "usage-error", _ADMISSION, r"^unrecognized namespace mode \S+ passed", "podman"),
    _rule("podman-rootful", "usage-error", _ADMISSION, r"^\S+ is only supported in rootless mode", "podman"),
    _rule("cri-idmap", "userns-incompatible", _CREATE, r"idmap mounts not (?:yet )?supported", "containerd ≥ 1.7"),
    _rule("cri-map", "userns-incompatible", _CREATE, r"only one (?:[ug]id )?mapping", "containerd ≥ 1.7"),
    _rule("cri-user", "user-not-found", _CREATE, r"mount callback failed .*: no users found", "containerd"),
    _rule("docker-flag", "usage-error", _ADMISSION, r"^unknown flag: --", "docker, podman"),
)

_YOUKI = (
    _rule("youki-chdir", "cwd-not-searchable", _CHDIR, r"failed to chdir e=EACCES", "youki"),
    _rule("youki-chdir-gone", "cwd-missing", _CHDIR, r"failed to chdir e=ENOENT", "youki"),
    _rule("youki-chdir-file", "cwd-not-directory", _CHDIR, r"failed to chdir e=ENOTDIR", "youki"),
    _rule("youki-path", "program-not-in-path", _EXEC, r"executable '.*' not found in \$PATH", "youki"),
    _rule("youki-mode", "exec-not-permitted", _EXEC, r"does not have correct permissions", "youki"),
    _rule("youki-exec", "exec-not-permitted", _EXEC, r"failed to execvp err=(?:EACCES|EPERM)", "youki"),
    _rule("youki-exec-gone", "program-not-found", _EXEC, r"failed to execvp err=ENOENT", "youki"),
    _rule("youki-uid", "uid-not-mapped", _CREATE, r"saved set uid err=EINVAL", "youki"),
    _rule("youki-gid", "gid-not-mapped", _CREATE, r"saved set gid err=EINVAL", "youki"),
    _rule("youki-user", "user-not-permitted", _CREATE, r"saved set [ug]id err=EPERM", "youki"),
    _rule("youki-group", "gid-not-mapped", _CREATE, r"supplementary group needs to be mapped", "youki"),
    _rule("youki-groups", "setgroups-not-permitted", _CREATE, r"unprivileged user can't set supplementary", "youki"),
    _rule("youki-maps", "userns-without-mappings", _CREATE, r"user namespace requires valid [ug]id mappings", "youki"),
    _rule("youki-cgroup", "cgroup-not-permitted", _CREATE, r"failed to (?:add task to|apply) cgroup .*Denied", "youki"),
    _rule("youki-caps", "capability-unavailable", _CREATE, rf"SetCaps\(.* failure: {_DENIED}", "youki"),
    _rule("youki-rlimit", "rlimit-not-permitted", _CREATE, r"failed to set rlimit err=Nix\(EPERM\)", "youki"),
    _rule("youki-action", "config-rejected", _CREATE, r"unknown variant `SCMP_", "youki"),
    _rule("youki-version", "config-rejected", _CREATE, r"runtime spec has incompatible version", "youki"),
    _rule("youki-hook", "hook-failed", _CREATE, r"hook command exited with non-zero", "youki"),
    _rule("youki-apparmor", "lsm-unavailable", _CREATE, r"failed to check if apparmor is enabled", "youki"),
    _rule("youki-rootfs", "rootfs-missing", _CREATE, r"failed to canonicalize rootfs", "youki"),
    _rule("youki-namespace", "namespace-missing", _CREATE, r"failed to open namespace file err=ENOENT", "youki"),
    _rule("youki-source-gone", "mount-source-missing", _MOUNT, rf'failed to canonicalize ".*": {_GONE}', "youki"),
    _rule(
        "youki-source-unsearchable",
        "mount-source-not-searchable",
        _MOUNT,
        rf'failed to canonicalize ".*": {_DENIED}',
        "youki",
    ),
    _rule("youki-mount", "mount-not-permitted", _MOUNT, r"prepare rootfs err=Mount\(.*(?:EPERM|EACCES)", "youki"),
    _rule("youki-mount-option", "mount-option-invalid", _MOUNT, r"prepare rootfs err=Mount\(.*EINVAL", "youki"),
    _rule("youki-mount-erofs", "erofs", _MOUNT, r"prepare rootfs err=Mount\(.*ReadOnlyFilesystem", "youki"),
    _rule("youki-mount-other", "mount-failed", _MOUNT, r"prepare rootfs err=Mount\(", "youki"),
    _rule("youki-idmap", "mount-not-permitted", _MOUNT, r"idmapped mounts are not supported in rootless", "youki"),
    _rule("youki-mount-id", "mount-option-invalid", _MOUNT, r"mount options require mapping valid [ug]id", "youki"),
    _rule("youki-mknod", "device-not-permitted", _CREATE, r"failed to mknod device err=Nix\(EPERM\)", "youki"),
    _rule("youki-device", "device-missing", _CREATE, r"failed to mount bind dev err=Nix\(ENOENT\)", "youki"),
)

_RUNSC = (
    _rule("runsc-cwd", "cwd-not-searchable", _CHDIR, r"initial working directory .*: permission denied", "runsc"),
    _rule("runsc-cwd-gone", "cwd-missing", _CHDIR, rf"initial working directory .*: {_GONE}", "runsc exec"),
    _rule("runsc-mkdir-file", "cwd-not-directory", _CREATE, r"create process working directory .*: not a dir", "runsc"),
    _rule(
        "runsc-mkdir",
        "cwd-not-creatable",
        _CREATE,
        rf"create process working directory .*: (?:file exists|read-only file|{_DENIED})",
        "runsc",
    ),
    _rule("runsc-path", "program-not-in-path", _EXEC, rf'finding executable ".*" in PATH .*: {_GONE}', "runsc"),
    _rule("runsc-path-denied", "exec-not-permitted", _EXEC, rf'finding executable ".*" in PATH .*: {_DENIED}', "runsc"),
    _rule("runsc-load", "exec-not-permitted", _EXEC, rf"failed to load .*: {_DENIED}", "runsc"),
    _rule("runsc-load-gone", "program-not-found", _EXEC, rf"failed to load .*: {_GONE}", "runsc"),
    _rule("runsc-format", "program-format", _EXEC, r"failed to load .*: exec format error", "runsc"),
    _rule("runsc-nproc", "limit-exhausted", _EXEC, r"creating process: try again", "runsc"),
    _rule("runsc-nobody", "user-not-permitted", _CREATE, r"can't run sandbox process as user nobody", "runsc 2022"),
    _rule(
        "runsc-network", "namespace-not-permitted", _CREATE, rf"error setting namespace of type .*: {_DENIED}", "runsc"
    ),
    _rule("runsc-selinux", "lsm-unavailable", _CREATE, r"SELinux is not supported: ", "runsc"),
    _rule("runsc-source", "mount-source-missing", _MOUNT, rf'failed to stat mount ".*: {_GONE}', "runsc"),
    _rule("runsc-args", "config-rejected", _CREATE, r"Spec\.Process\.Arg must be defined", "runsc"),
    _rule("runsc-relative", "config-rejected", _CREATE, r'cwd ".*" must be an absolute path', "runsc"),
    _rule("runsc-option", "mount-option-invalid", _MOUNT, r"unknown mount option ", "runsc 2022"),
    _rule("runsc-hook", "hook-failed", _CREATE, r'failure executing hook "', "runsc"),
)

_USAGE = (
    _rule("runc-flag", "usage-error", _ADMISSION, r"flag provided but not defined: -", "runc, runsc"),
    _rule("crun-flag", "usage-error", _ADMISSION, r"unrecognized option '", "crun"),
    _rule("youki-flag", "usage-error", _ADMISSION, r"^(?:error: )?unexpected argument '", "youki"),
    _rule("runc-terminal", "usage-error", _ADMISSION, r"cannot allocate tty if \w+ will detach", "runc, youki"),
    _rule("crun-terminal", "usage-error", _ADMISSION, r"use --console-socket with create", "crun"),
)

_CONFIG = (
    _rule(
        "seccomp-own-calls",  # names the file that runc wanted, setgroups for one: so before the rules for those
        "seccomp-not-permitted",
        _CREATE,
        rf"unsafe procfs detected: openat2 .*: (?:function not implemented|{_DENIED})",
        "runc 1.2.8, 1.3.3",
    ),
    _rule("crun-version", "config-rejected", _CREATE, r"unknown version specified", "crun ≤ 1.8.1"),
    _rule("runc-action", "config-rejected", _CREATE, r"is not a valid action for seccomp", "runc"),
    _rule("crun-action", "config-rejected", _CREATE, r"(?:invalid seccomp|seccomp get) action `", "crun"),
    _rule("runc-uts", "config-rejected", _CREATE, r"unable to set hostname without a private UTS namespace", "runc"),
    _rule("crun-uts", "config-rejected", _CREATE, r"hostname requires the UTS namespace", "crun"),
    _rule("runc-args", "config-rejected", _CREATE, r"args must not be empty", "runc"),
    _rule("runc-cwd", "config-rejected", _CREATE, r"Cwd must be an absolute path", "runc"),
    _rule("runc-uid-range", "config-rejected", _CREATE, r"uids and gids must be in range", "runc ≤ 1.2.9"),
    _rule("runc-seccomp-args", "config-rejected", _CREATE, r"syscalls only have up to 6 arguments", "runc ≥ 1.0.2"),
    _rule("crun-seccomp-args", "config-rejected", _CREATE, r"invalid seccomp index `?\d", "crun"),
    _rule("runc-rootfs", "rootfs-missing", _CREATE, r"rootfs \(.*\) does not exist", "runc ≤ 1.0.3"),
    _rule("runc-rootfs-stat", "rootfs-missing", _CREATE, rf"invalid rootfs: stat .*: {_GONE}", "runc ≥ 1.1.0"),
    _rule("crun-rootfs", "rootfs-missing", _CREATE, rf"make `.*` private: {_GONE}", "crun ≤ 1.8.1"),
    _rule("apparmor", "lsm-unavailable", _CREATE, r"apply apparmor profile", "runc"),
    _rule("crun-apparmor", "lsm-unavailable", _CREATE, r"AppArmor (?:is )?not initialized correctly", "crun"),
    _rule("selinux", "lsm-unavailable", _CREATE, r"selinux is disabled or not supported", "runc"),
    _rule("crun-selinux", "lsm-unavailable", _CREATE, r"write to `/proc/self/attr/keycreate`: ", "crun ≥ 1.8.1"),
    _rule("runc-namespace", "namespace-missing", _CREATE, rf"namespace path.*lstat .*: {_GONE}", "runc"),
    _rule("runc-hook", "hook-failed", _CREATE, r"error running (?:\w+ )?hook", "runc"),
    _rule("crun-hook", "hook-failed", _CREATE, r"error executing hook `", "crun"),
    _rule(
        "no-maps", "userns-without-mappings", _CREATE, r"[Uu]ser namespaces enabled, but no .*mappings? found", "runc"
    ),
)

_MOUNTS = (
    _rule(
        "source-unsearchable",
        "mount-source-not-searchable",
        _MOUNT,
        rf'mounting ".*(?:stat|lstat|open) [^ :]+: {_DENIED}',
        "runc ≤ 1.1.15",
    ),
    _rule("source-gone", "mount-source-missing", _MOUNT, rf'mounting ".*{_CAUSED}.*{_GONE}', "runc ≤ 1.1.15"),
    _rule("request-gone", "mount-source-missing", _MOUNT, rf"fulfil mount request: open .*: {_GONE}", "runc ≥ 1.2.0"),
    _rule("mount-erofs", "erofs", _MOUNT, rf'mounting ".*{_CAUSED}.*read-only file system', "runc"),
    _rule("mount-denied", "mount-not-permitted", _MOUNT, rf'mounting ".*{_CAUSED}{_DENIED}', "runc"),
    _rule("mount-option", "mount-option-invalid", _MOUNT, rf'mounting ".*{_CAUSED}invalid argument', "runc"),
    _rule("bind-options", "mount-option-invalid", _MOUNT, r"bind mounts cannot have any filesystem-specific", "runc"),
    _rule("idmap-rootless", "mount-not-permitted", _MOUNT, r"id-mapped mounts are not supported for rootless", "runc"),
    _rule("crun-idmap", "mount-not-permitted", _MOUNT, rf"mount_setattr `.*`: {_DENIED}", "crun"),
    _rule("runc-idmap", "config-rejected", _CREATE, r"id-mapped mounts must have both uid and gid mappings", "runc"),
    _rule("mount-other", "mount-failed", _MOUNT, r'mounting ".*" to rootfs', "runc"),
    _rule("crun-denied", "mount-not-permitted", _MOUNT, rf"mount `.*` to [`'].*[`']: {_DENIED}", "crun"),
    _rule("crun-mkdir-erofs", "erofs", _MOUNT, r"^mkdir `.*`: Read-only file system", "crun"),
    _rule("crun-option", "mount-option-invalid", _MOUNT, r"mount `.*` to [`'].*[`']: Invalid argument", "crun"),
    _rule("crun-device-gone", "device-missing", _CREATE, rf"mount `/dev/.*` to [`'].*[`']: {_GONE}", "crun"),
    _rule("crun-source-gone", "mount-source-missing", _MOUNT, rf"(?:stat'ing file|cannot stat) `.*`: {_GONE}", "crun"),
    _rule(
        "crun-source-unsearchable",
        "mount-source-not-searchable",
        _MOUNT,
        rf"(?:stat'ing file|cannot stat) `.*`: {_DENIED}",
        "crun",
    ),
    _rule("crun-mount-other", "mount-failed", _MOUNT, r"mount `.*` to [`'].*[`']: ", "crun"),
    _rule("device-gone", "device-missing", _CREATE, rf"creating device nodes{_CAUSED}.*{_GONE}", "runc"),
    _rule("crun-device", "device-not-permitted", _CREATE, rf"mknod(?:at)?[ :].*{_DENIED}", "crun"),
)

_PRIVILEGES = (
    _rule("runc-caps", "capability-unavailable", _CREATE, rf"apply caps: .*{_DENIED}", "runc"),
    _rule("crun-caps", "capability-unavailable", _CREATE, rf"^capset: {_DENIED}", "crun"),
    _rule("crun-bounding", "capability-unavailable", _CREATE, rf"prctl drop bounding: {_DENIED}", "crun"),
    _rule("runc-rlimit", "rlimit-not-permitted", _CREATE, rf"error setting rlimit.*: {_DENIED}", "runc"),
    _rule("crun-rlimit", "rlimit-not-permitted", _CREATE, rf"setrlimit `\w+`: {_DENIED}", "crun"),
    _rule("keyring", "keyring-quota", _CREATE, r"(?:keyring|keyctl).*[Dd]isk quota exceeded", "runc, crun"),
    _rule("seccomp-rule", "seccomp-profile-rejected", _CREATE, r"error adding seccomp (?:filter )?rule", "runc"),
    _rule("seccomp-load", "seccomp-not-permitted", _CREATE, rf"seccomp.*: {_DENIED}", "runc, crun"),
    _rule(
        "sysctl-scope",
        "sysctl-not-permitted",
        _CREATE,
        r'sysctl "?.*"? is not in a separate kernel namespace',
        "runc, youki",
    ),
    _rule(
        "sysctl-host", "sysctl-not-permitted", _CREATE, r"sysctl .* (?:is )?not allowed in (?:the )?host", "runc, youki"
    ),
    _rule("crun-sysctl", "sysctl-not-permitted", _CREATE, r"sysctl `.*` (?:is not namespaced|requires a new)", "crun"),
    _rule(
        "sysctl-write",
        "sysctl-not-permitted",
        _CREATE,
        rf"(?:sysctl|/proc/sys/).*(?:{_DENIED}|read-only)",
        "runc, crun",
    ),
    _rule(
        "sysctl-invalid", "sysctl-invalid", _CREATE, rf"(?:sysctl|/proc/sys/).*(?:{_GONE}|[Ii]nvalid argument)", "both"
    ),
    _rule("oom", "oom-score-not-permitted", _CREATE, rf"oom_score_adj.*: {_DENIED}", "runc, crun"),
    _rule("map", "userns-map-not-permitted", _CREATE, r"(?:writ\w+ .*[ug]id_map|new[ug]idmap)", "crun"),
    _rule("namespace", "namespace-not-permitted", _CREATE, rf"(?:unshare|setns|clone)\b.*: {_DENIED}", "runc, crun"),
    _rule("cgroup", "cgroup-not-permitted", _CREATE, rf"cgroup config\w*(?: for process)?{_CAUSED}.*{_DENIED}", "runc"),
)

_IDENTITIES = (
    _rule("user", "user-not-found", _CREATE, r"unable to find user ", "the lab, dockerd, podman"),
    _rule("group", "group-not-found", _CREATE, r"unable to find group ", "the lab, dockerd, podman"),
    _rule("uid-unmapped", "uid-not-mapped", _CREATE, r"cannot set ?uid to unmapped (?:user|uid)", "runc"),
    _rule("gid-unmapped", "gid-not-mapped", _CREATE, r"cannot set ?gid to unmapped (?:user|gid|group)", "runc"),
    _rule("groups-unmapped", "gid-not-mapped", _CREATE, r"setgroups: [Ii]nvalid argument", "runc ≥ 1.1.0, crun"),
    _rule("stdio-unmapped", "uid-not-mapped", _CREATE, r"setup user: .*chown /dev/std\w+: invalid argument", "runc"),
    _rule("user-invalid-later", "uid-not-mapped", _CREATE, r"unable to setup user: invalid argument", "runc ≥ 1.1.0"),
    _rule("user-invalid", "gid-not-mapped", _CREATE, r"setup user: invalid argument", "runc ≤ 1.0.3"),
    _rule("groups-rootless", "setgroups-not-permitted", _CREATE, r"additional groups in a rootless container", "runc"),
    _rule("groups-denied", "setgroups-not-permitted", _CREATE, rf"setgroups: {_DENIED}", "runc ≥ 1.1.0, crun"),
    _rule("setresuid", "uid-not-mapped", _CREATE, r"setresuid to .*: Invalid argument", "crun"),
    _rule("setresgid", "gid-not-mapped", _CREATE, r"setresgid to .*: Invalid argument", "crun"),
    _rule("setresuid-denied", "user-not-permitted", _CREATE, rf"setres[ug]id to .*: {_DENIED}", "crun"),
    _rule("stdio-erofs", "stdio-not-permitted", _CREATE, r"setup user: .*read-only file system", "runc ≤ 1.1.0"),
    _rule("stdio-fd", "stdio-not-permitted", _CREATE, rf"^fchown fd \d+: {_DENIED}", "runc ≥ 1.1.0, rootless"),
    _rule("user-denied", "user-not-permitted", _CREATE, rf"setup user: {_DENIED}", "runc"),
)

_DIRECTORIES = (
    _rule("runc-chdir", "cwd-not-searchable", _CHDIR, r'chdir to cwd \(".*"\) .*failed: permission denied', "all runc"),
    _rule("runc-chdir-gone", "cwd-missing", _CHDIR, r'chdir to cwd \(".*"\) .*failed: no such file', "runc exec"),
    _rule(
        "runc-chdir-file", "cwd-not-directory", _CHDIR, r'chdir to cwd \(".*"\) .*failed: not a directory', "runc exec"
    ),
    _rule("crun-chdir", "cwd-not-searchable", _CHDIR, r"^chdir(?: to)?(?: `.*`)?: Permission denied", "crun"),
    _rule("crun-chdir-gone", "cwd-missing", _CHDIR, rf"^chdir(?: to)?(?: `.*`)?: {_GONE}", "crun"),
    _rule("crun-chdir-file", "cwd-not-directory", _CHDIR, r"^chdir(?: to)?(?: `.*`)?: Not a directory", "crun"),
    _rule("mkdir-file", "cwd-not-directory", _CREATE, r"mkdir /\S*: not a directory", "runc"),
    _rule("mkdir", "cwd-not-creatable", _CREATE, rf"mkdir /\S*: (?:file exists|read-only file|{_DENIED})", "runc"),
    _rule("outside", "cwd-outside-root", _CHDIR, r"current working directory is outside of container", "runc ≥ 1.1.12"),
)

_EXECUTION = (
    _rule("nproc", "limit-exhausted", _EXEC, rf"{_EXECUTED}[Rr]esource temporarily unavailable", "runc, crun"),
    _rule("format", "program-format", _EXEC, rf"{_EXECUTED}[Ee]xec format error", "runc, crun"),
    _rule("runc-path", "program-not-in-path", _EXEC, r'exec: ".*": executable file not found in \$PATH', "runc"),
    _rule("runc-directory", "exec-not-permitted", _EXEC, r'exec: ".*": is a directory', "runc"),
    _rule("runc-eaccess", "exec-not-permitted", _EXEC, rf"eaccess \S+: {_DENIED}", "runc ≥ 1.1.4"),
    _rule("exec-denied", "exec-not-permitted", _EXEC, rf"{_EXECUTED}{_DENIED}", "runc, crun"),
    _rule("crun-open", "exec-not-permitted", _EXEC, rf"^open executable: {_DENIED}", "crun ≤ 1.8.1"),
    _rule("crun-mode", "exec-not-permitted", _EXEC, r"the path `.*` exists but it is not executable", "crun ≥ 1.21"),
    _rule("crun-directory", "exec-not-permitted", _EXEC, r"the path `.*` is not a regular file", "crun ≥ 1.21"),
    _rule("exec-gone", "program-not-found", _EXEC, rf"{_EXECUTED}{_GONE}", "runc, crun"),
    _rule("crun-gone", "program-not-found", _EXEC, r"executable file `.*` not found", "crun"),
)

TEXT_RULES: tuple[TextRule, ...] = (
    *_ENGINES,
    *_YOUKI,
    *_RUNSC,
    *_USAGE,
    *_CONFIG,
    *_MOUNTS,
    *_PRIVILEGES,
    *_IDENTITIES,
    *_DIRECTORIES,
    *_EXECUTION,
)
"""In the order in which they are tried."""
