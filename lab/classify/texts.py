"""The ordered table of runtimes' error texts. The first rule that matches any line decides.

A text that no rule knows stays unrecognised. ``OCI permission denied``, which podman appends to unrelated errors, is
cut off before anything is matched. Notes name who writes a text; the recorded ones stand in ``tests/recorded``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.classify.evidence import bounded, shown
from lab.classify.finding import Finding
from lab.classify.lines import Line, error_lines
from lab.model.verdict import Phase

_DENIED = r"(?:[Pp]ermission denied|[Oo]peration not permitted)"
_ENGINE_TAIL = re.compile(r"(?:: (?:unknown|OCI permission denied|OCI runtime error|<nil>))+$")


@dataclass(frozen=True, slots=True)
class TextRule:
    """A pattern over one line. ``name`` is what tests and documents call the rule by."""

    name: str
    cause: str
    phase: Phase
    pattern: re.Pattern[str]
    note: str = ""


def _rule(name: str, cause: str, phase: Phase, pattern: str, note: str = "") -> TextRule:
    return TextRule(name, cause, phase, re.compile(pattern), note)


LAB_FAULTS: tuple[TextRule, ...] = (
    _rule("loader", "", Phase.ADMISSION, r"error while loading shared libraries: .*", "the runtime's own libraries"),
    _rule("glibc", "", Phase.ADMISSION, r"/lib\S*: version `GLIBC\S+' not found.*", "built for a newer libc"),
    _rule("setpriv", "", Phase.ADMISSION, r"^setpriv: .*", "the lab's own helper"),
    _rule("hybrid", "", Phase.ADMISSION, r"cgroups in hybrid mode not supported.*", "crun on a hybrid tree"),
    _rule("speaks", "", Phase.ADMISSION, r"unknown version specified.*", "crun 0.17 and a newer ociVersion"),
    _rule(
        "v1", "", Phase.ADMISSION, r".*(?:cgroups? v1 .*not supported|unsupported cgroup setup).*", "youki without v1"
    ),
    _rule("full", "", Phase.ADMISSION, r".*[Nn]o space left on device.*", "a full disk, not the container"),
)
"""Texts that say the lab or its host is at fault."""

_ADMISSION, _CREATE, _MOUNT = Phase.ADMISSION, Phase.CREATE, Phase.MOUNT
_CHDIR, _EXEC = Phase.CHDIR, Phase.EXEC

_ENGINES = (
    _rule("docker-userns", "userns-incompatible", _ADMISSION, r".*when user namespaces are enabled", "dockerd"),
    _rule("docker-privileged", "userns-incompatible", _ADMISSION, r".*incompatible with user namespaces.*", "dockerd"),
    _rule("layer-id", "image-id-not-mapped", _CREATE, r"[Cc]ontainer ID \d+ cannot be mapped to a host ID", "dockerd"),
    _rule("podman-map", "uid-not-mapped", _CREATE, r".*doesn't map UID \d+", "podman"),
    _rule("subuid", "userns-not-configured", _CREATE, r".*no subuid ranges found.*", "dockerd, podman"),
    _rule("podman-workdir", "cwd-missing", _CREATE, r'workdir ".*" does not exist on container.*', "podman"),
    _rule("docker-source", "mount-source-missing", _CREATE, r".*bind source path does not exist.*", "dockerd"),
    _rule("podman-source", "mount-source-missing", _CREATE, r"statfs .*: no such file or directory", "podman"),
    _rule("podman-init", "init-binary-missing", _CREATE, r"container-init binary not found on the host.*", "podman"),
    _rule("unknown-flag", "usage-error", _ADMISSION, r".*(?:unknown flag|flag provided but not defined): .*", "all"),
    _rule("userns-mode", "usage-error", _ADMISSION, r"--userns: invalid USER mode", "docker"),
)

_MOUNTS = (
    _rule(
        "mount-source-unsearchable",
        "mount-source-not-searchable",
        _MOUNT,
        rf".*mounting \".*(?:stat|lstat|open) \S+: {_DENIED}.*",
        "runc",
    ),
    _rule("mount-source-gone", "mount-source-missing", _MOUNT, r".*mounting \".*: no such file or directory.*", "runc"),
    _rule("mount-erofs", "erofs", _MOUNT, r".*mounting \".*: read-only file system.*", "runc"),
    _rule("mount-denied", "mount-not-permitted", _MOUNT, rf".*mounting \".*: {_DENIED}.*", "runc"),
    _rule("mount-option", "mount-option-invalid", _MOUNT, r".*mounting \".*: invalid argument.*", "runc"),
    _rule("mount-other", "mount-failed", _MOUNT, r".*mounting \".*", "runc"),
    _rule("crun-mount-denied", "mount-not-permitted", _MOUNT, rf"mount `.*` to `.*`: {_DENIED}", "crun"),
    _rule("crun-mount-erofs", "erofs", _MOUNT, r"mount `.*` to `.*`: Read-only file system", "crun"),
    _rule("crun-mount-gone", "mount-source-missing", _MOUNT, r"mount `.*` to `.*`: No such file or directory", "crun"),
    _rule("crun-mount-option", "mount-option-invalid", _MOUNT, r"mount `.*` to `.*`: Invalid argument", "crun"),
)

_IDENTITIES = (
    _rule("user", "user-not-found", _CREATE, r"unable to find user .*", "facts.md §2"),
    _rule("group", "group-not-found", _CREATE, r"unable to find group .*", "seed S3-05"),
    _rule("uid-unmapped", "uid-not-mapped", _CREATE, r".*cannot set(?: |)uid to unmapped (?:user|uid).*", "runc"),
    _rule("gid-unmapped", "gid-not-mapped", _CREATE, r".*cannot set(?: |)gid to unmapped (?:user|gid|group).*", "runc"),
    _rule("stdin-unmapped", "uid-not-mapped", _CREATE, r"setup user: .*chown /dev/std\w+: invalid argument", "runc"),
    _rule("groups-unmapped", "gid-not-mapped", _CREATE, r".*setgroups: invalid argument", "runc"),
    _rule("groups-denied", "setgroups-not-permitted", _CREATE, rf".*setgroups`?: {_DENIED}", "runc, crun"),
    _rule(
        "groups-rootless", "setgroups-not-permitted", _CREATE, r".*additional groups in a rootless container.*", "runc"
    ),
    _rule("uid-map", "userns-map-not-permitted", _CREATE, r".*(?:uid_map|gid_map|newuidmap|newgidmap).*", "rootless"),
    _rule("setresuid", "uid-not-mapped", _CREATE, r".*setresuid.*: Invalid argument", "crun"),
    _rule("setresgid", "gid-not-mapped", _CREATE, r".*setresgid.*: Invalid argument", "crun"),
    _rule(
        "no-maps",
        "userns-without-mappings",
        _CREATE,
        r".*[Uu]ser namespaces enabled, but no .*mappings? found.*",
        "runc",
    ),
    _rule("stdio-erofs", "stdio-not-permitted", _CREATE, r"setup user: .*read-only file system", "runc ≤ 1.1.0"),
    _rule("stdio-denied", "stdio-not-permitted", _CREATE, rf"setup user: .*(?:chown|fchown) .*: {_DENIED}", "runc"),
)

_PRIVILEGES = (
    _rule("runc-caps", "capability-unavailable", _CREATE, rf"(?:unable to )?apply caps: {_DENIED}", "runc"),
    _rule("crun-caps", "capability-unavailable", _CREATE, rf"capset: {_DENIED}", "crun"),
    _rule("runc-rlimit", "rlimit-not-permitted", _CREATE, rf"error setting rlimit.*: {_DENIED}", "runc"),
    _rule("crun-rlimit", "rlimit-not-permitted", _CREATE, rf"setrlimit `\w+`: {_DENIED}", "crun"),
    _rule("keyring", "keyring-quota", _CREATE, r".*(?:keyring|keyctl).*[Dd]isk quota exceeded", "facts: seeds"),
    _rule(
        "seccomp-profile", "seccomp-profile-rejected", _CREATE, r".*error adding seccomp (?:filter )?rule.*", "runc rc9"
    ),
    _rule("seccomp-load", "seccomp-not-permitted", _CREATE, rf".*(?:seccomp).*: {_DENIED}", "runc, crun"),
    _rule(
        "sysctl-scope", "sysctl-not-permitted", _CREATE, r".*sysctl .*is not in a separate kernel namespace.*", "runc"
    ),
    _rule(
        "sysctl-write", "sysctl-not-permitted", _CREATE, rf".*(?:sysctl|/proc/sys/).*: (?:{_DENIED}|[Rr]ead-only.*)", ""
    ),
    _rule("oom", "oom-score-not-permitted", _CREATE, rf".*oom_score_adj.*: {_DENIED}", "runc, crun"),
    _rule("cgroup", "cgroup-not-permitted", _CREATE, rf".*cgroup.*: {_DENIED}", "rootless"),
    _rule("device", "device-not-permitted", _CREATE, rf".*mknod.*: {_DENIED}", "runc, crun"),
    _rule("namespace", "namespace-not-permitted", _CREATE, rf".*(?:unshare|setns|clone).*: {_DENIED}", "runc, crun"),
)

_DIRECTORIES = (
    _rule("runc-chdir", "cwd-not-searchable", _CHDIR, r'chdir to cwd \(".*"\) .*failed: permission denied', "all runc"),
    _rule("runc-chdir-gone", "cwd-missing", _CHDIR, r'chdir to cwd \(".*"\) .*failed: no such file.*', "runc exec"),
    _rule("runc-chdir-file", "cwd-not-directory", _CHDIR, r'chdir to cwd \(".*"\) .*failed: not a directory', "runc"),
    _rule("crun-chdir", "cwd-not-searchable", _CHDIR, r"chdir(?: to)?(?: `.*`)?: Permission denied", "crun"),
    _rule("crun-chdir-gone", "cwd-missing", _CHDIR, r"chdir(?: to)?(?: `.*`)?: No such file or directory", "crun 0.17"),
    _rule("crun-chdir-file", "cwd-not-directory", _CHDIR, r"chdir(?: to)?(?: `.*`)?: Not a directory", "crun"),
    _rule("mkdir-file", "cwd-not-directory", _CREATE, r"mkdir /\S*: not a directory", "facts.md §2"),
    _rule("mkdir-denied", "cwd-not-creatable", _CREATE, rf"mkdir /\S*: (?:file exists|read-only.*|{_DENIED})", "§2"),
    _rule(
        "outside", "cwd-outside-root", _CHDIR, r"current working directory is outside of container.*", "runc ≥ 1.1.12"
    ),
    _rule(
        "runsc-cwd", "cwd-not-searchable", _CHDIR, r"failed to find initial working directory .*: permission denied", ""
    ),
    _rule(
        "runsc-cwd-gone", "cwd-missing", _CHDIR, r"failed to find initial working directory .*: no such file.*", "runsc"
    ),
    _rule("youki-chdir", "cwd-not-searchable", _CHDIR, r"failed to chdir.*EACCES.*", "youki"),
    _rule("youki-chdir-gone", "cwd-missing", _CHDIR, r"failed to chdir.*ENOENT.*", "youki"),
)

_EXECUTION = (
    _rule("nproc", "limit-exhausted", _EXEC, r"exec.*: [Rr]esource temporarily unavailable", "seed S3-13"),
    _rule("exec-format", "program-format", _EXEC, r"exec.*: [Ee]xec format error", "runc, crun"),
    _rule("runc-path", "program-not-in-path", _EXEC, r'exec: ".*": executable file not found in \$PATH', "facts.md §2"),
    _rule("runc-exec", "exec-not-permitted", _EXEC, rf'exec: ".*": {_DENIED}', "runc: mode bits"),
    _rule("runc-eaccess", "exec-not-permitted", _EXEC, rf"eaccess \S+: {_DENIED}", "runc ≥ 1.1.4"),
    _rule("runc-init-exec", "exec-not-permitted", _EXEC, rf"exec user process caused:? \"?{_DENIED}", "runc ≤ 1.0.3"),
    _rule("runc-11-exec", "exec-not-permitted", _EXEC, rf"exec /\S+: {_DENIED}", "runc 1.1.0 to 1.1.3"),
    _rule("crun-open", "exec-not-permitted", _EXEC, rf"open executable: {_DENIED}", "crun ≤ 1.8.1"),
    _rule("crun-mode", "exec-not-permitted", _EXEC, r"the path `.*` exists but it is not executable.*", "crun ≥ 1.21"),
    _rule("crun-exec", "exec-not-permitted", _EXEC, rf"exec(?: container process)? `.*`: {_DENIED}", "crun"),
    _rule("exec-gone", "program-not-found", _EXEC, r"exec.*: no such file or directory", "runc"),
    _rule("crun-exec-gone", "program-not-found", _EXEC, r"executable file .*not found.*", "crun"),
)

TEXT_RULES: tuple[TextRule, ...] = (
    *_ENGINES,
    *_MOUNTS,
    *_IDENTITIES,
    *_DIRECTORIES,
    *_EXECUTION,
    *_PRIVILEGES,
)
"""In the order in which they are tried."""


def judge_text(stderr: bytes, *, marked_only: bool) -> Finding | None:
    """What a runtime's text says, or ``None`` for a text that no rule knows.

    ``marked_only`` leaves out lines whose form is not a runtime's own.
    """
    lines = [line for line in error_lines(stderr) if line.marked or not marked_only]
    for text, rule, found in _matches(lines):
        return Finding(rule.cause, rule.phase, bounded(text[found.start() :]))
    return None


def matching_rule(stderr: bytes) -> str | None:
    """The name of the rule that decides over a text."""
    return next((rule.name for _, rule, _ in _matches(error_lines(stderr))), None)


def _matches(lines: Sequence[Line]) -> Iterator[tuple[str, TextRule, re.Match[str]]]:
    """Rule by rule, then line by line: two processes of a runtime may write their lines in either order."""
    texts = [_ENGINE_TAIL.sub("", line.text) for line in lines]
    for rule in TEXT_RULES:
        for text in texts:
            if found := rule.pattern.search(text):
                yield text, rule, found


def lab_fault(stderr: bytes) -> str | None:
    """What a text says of the lab's own or its host's fault, if it does."""
    for line in shown(stderr).splitlines():
        for rule in LAB_FAULTS:
            if found := rule.pattern.search(line):
                return bounded(found[0])
    return None
