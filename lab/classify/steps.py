"""The probe's steps: the first one that was refused, refined by what the facts say about process and file.

An ordered table: errno, steps, and a function that names the cause from the situation. What no rule knows is
``permission-denied`` for EACCES and EPERM, ``step-failed`` for every other errno.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.classify.evidence import bounded, escape
from lab.classify.finding import Finding
from lab.classify.programs import judge_program
from lab.classify.situation import OVERFLOW, Situation
from lab.model.observation import Fact
from lab.model.verdict import Phase

_REFUSED = frozenset({"EACCES", "EPERM"})
_OWNER_WRITE, _GROUP_WRITE = 0o200, 0o020
_SPARE_FILES = 16
"""Descriptors that a process may hold besides those that a step opened, when it hits its limit of open files."""

_READS = frozenset({"ls", "read", "cat", "stat", "lstat", "readlink", "getxattr", "listxattr", "statfs", "sysctl"})
_WRITES = frozenset(
    {"touch", "append", "write", "mkdir", "unlink", "rmdir", "rename", "link", "symlink", "setxattr", "tmpfds"}
)
_OWNERS = frozenset({"chmod", "utime", "unlink", "rmdir", "rename", "link"})
_MOUNTS = frozenset({"mounttmpfs", "mountsysfs", "mountproc", "mount", "umount"})

Namer = Callable[[Situation], str]
"""Names the cause of a refused step."""


@dataclass(frozen=True, slots=True)
class StepRule:
    """Applies to a step of ``ops`` (empty: any) that ended with one of ``errnos`` (empty: any)."""

    name: str
    ops: frozenset[str]
    errnos: frozenset[str]
    cause: str | Namer

    def applies(self, op: str, errno: str) -> bool:
        """Whether the rule decides over this step."""
        return (not self.ops or op in self.ops) and (not self.errnos or errno in self.errnos)


def _needs(capability: str, otherwise: str) -> Namer:
    """``capability-missing`` when the process is known to lack it, else ``otherwise``."""
    return lambda seen: "capability-missing" if seen.has(capability) is False else otherwise


def _write(seen: Situation) -> str:
    owner = seen.owner(seen.args[-1 if seen.step.get("op") == "symlink" else 0]) if seen.args else None
    powerful = seen.has("CAP_DAC_OVERRIDE")
    if seen.in_userns and (powerful or (owner is not None and owner.uid == OVERFLOW)):
        return "write-denied-userns"
    if seen.uid == 0 and powerful is False:
        return "write-denied-caps"
    if owner is None:
        return "write-denied"
    if owner.uid == seen.uid:
        return "write-denied" if owner.mode & _OWNER_WRITE else "write-denied-owner"
    member, writable = owner.gid in seen.groups, bool(owner.mode & _GROUP_WRITE)
    return "write-denied-group" if member is not writable else "write-denied-owner"


def _open(seen: Situation) -> str:
    flags = set(seen.args[1].split(",")) if len(seen.args) > 1 else set()
    return _write(seen) if flags & {"wronly", "rdwr", "creat", "trunc", "append", "tmpfile"} else "read-denied"


def _device_or(namer: Namer) -> Namer:
    """Below /dev the kernel's device filter may be what refuses (EPERM); FUSE has a cause of its own."""

    def name(seen: Situation) -> str:
        path = seen.args[0] if seen.args else ""
        if path == "/dev/fuse":
            return "fuse-not-permitted"
        if path.startswith("/dev/") and seen.step.get("errno") == "EPERM":
            return "device-not-permitted"
        return namer(seen)

    return name


def _chown(seen: Situation) -> str:
    return "capability-missing" if seen.uid == 0 and seen.has("CAP_CHOWN") is False else "chown-denied"


def _setgroups(seen: Situation) -> str:
    if seen.setgroups_denied:
        return "setgroups-not-permitted"
    return "capability-missing" if seen.has("CAP_SETGID") is False else "setgroups-not-permitted"


def _unshare_user(seen: Situation) -> str:
    return "seccomp-not-permitted" if seen.filtered else "namespace-not-permitted"


def _unshare(seen: Situation) -> str:
    spaces = set(seen.args[0].split(",")) if seen.args else set()
    if "user" in spaces:
        return _unshare_user(seen)
    return _needs("CAP_SYS_ADMIN", "namespace-not-permitted")(seen)


def _raw_access(seen: Situation) -> str:
    return "seccomp-not-permitted" if seen.filtered and seen.step.get("errno") == "EPERM" else "read-denied"


def _inotify(seen: Situation) -> str:
    """EMFILE is the limit of open files, or the per-uid ``max_user_instances``: the number made tells which."""
    made, limits = seen.step.get("made"), seen.latest("rlimits")
    nofile = next((v for k, v in limits.items() if "nofile" in k.lower()), None) if isinstance(limits, dict) else None
    soft = nofile.get("soft") if isinstance(nofile, dict) else None
    near = isinstance(made, int) and isinstance(soft, int) and made + _SPARE_FILES >= soft
    return "nofile-exhausted" if near else "user-quota-exhausted"


def _rule(name: str, ops: frozenset[str] | str, errnos: frozenset[str] | str, cause: str | Namer) -> StepRule:
    def names(words: frozenset[str] | str) -> frozenset[str]:
        return frozenset(words.split()) if isinstance(words, str) else words

    return StepRule(name, names(ops), names(errnos), cause)


STEP_RULES: tuple[StepRule, ...] = (
    _rule("read-only", "", "EROFS", "erofs"),
    _rule("inotify", "inotify", "EMFILE", _inotify),
    _rule("keys", "keys", "EDQUOT", "user-quota-exhausted"),
    _rule("open files", "", "EMFILE ENFILE", "nofile-exhausted"),
    _rule("userns count", "unshareU unshare", "ENOSPC EUSERS", "user-quota-exhausted"),
    _rule("disk quota", "", "EDQUOT", "user-quota-exhausted"),
    _rule("processes", "forks spawn setuid", "EAGAIN", "limit-exhausted"),
    _rule("unmapped uid", "setuid", "EINVAL", "uid-not-mapped"),
    _rule("unmapped gid", "setgid setgroups", "EINVAL", "gid-not-mapped"),
    _rule("unmapped owner", "chown lchown", "EINVAL", "uid-not-mapped"),
    _rule("chdir", "chdir", "EACCES", "cwd-not-searchable"),
    _rule("chroot", "chroot", "EPERM", _needs("CAP_SYS_CHROOT", "permission-denied")),
    _rule("chroot path", "chroot", "EACCES", "read-denied"),
    _rule("execute", "exec spawn", _REFUSED, "exec-not-permitted"),
    _rule("program gone", "exec spawn", "ENOENT", "program-not-found"),
    _rule("program format", "exec spawn", "ENOEXEC", "program-format"),
    _rule("chown", "chown lchown", _REFUSED, _chown),
    _rule("node", "mknod", "EPERM", _needs("CAP_MKNOD", "device-not-permitted")),
    _rule("owner", _OWNERS, "EPERM", "owner-required"),
    _rule("device write", _WRITES, _REFUSED, _device_or(_write)),
    _rule("make a node", "mknod", "EACCES", _write),
    _rule("owner path", _OWNERS, "EACCES", "read-denied"),
    _rule("open", "open", _REFUSED, _device_or(_open)),
    _rule("read", _READS, _REFUSED, _device_or(lambda _: "read-denied")),
    _rule("raw access", "access faccessat2", _REFUSED, _raw_access),
    _rule("low port", "bind", "EACCES", _needs("CAP_NET_BIND_SERVICE", "namespace-not-owned")),
    _rule("raw socket", "rawsocket", _REFUSED, _needs("CAP_NET_RAW", "namespace-not-owned")),
    _rule("interface", "setmtu", _REFUSED, _needs("CAP_NET_ADMIN", "namespace-not-owned")),
    _rule("host name", "sethostname", _REFUSED, _needs("CAP_SYS_ADMIN", "namespace-not-owned")),
    _rule("limits", "setrlimit raisenofile", _REFUSED, "rlimit-not-permitted"),
    _rule("setgroups", "setgroups", _REFUSED, _setgroups),
    _rule("setuid", "setuid", _REFUSED, _needs("CAP_SETUID", "permission-denied")),
    _rule("setgid", "setgid", _REFUSED, _needs("CAP_SETGID", "permission-denied")),
    _rule("signal", "kill signal", _REFUSED, _needs("CAP_KILL", "permission-denied")),
    _rule("user namespace", "unshareU", _REFUSED, _unshare_user),
    _rule("namespace", "unshare", _REFUSED, _unshare),
    _rule("mount", _MOUNTS, _REFUSED, _needs("CAP_SYS_ADMIN", "mount-not-permitted")),
    _rule("other refusal", "", _REFUSED, "permission-denied"),
    _rule("other", "", "", "step-failed"),
)
"""In the order in which they are tried; the last one fits every failed step."""


def first_refused(facts: Sequence[Fact], *, tolerate: frozenset[str], judged: frozenset[int]) -> Finding | None:
    """The first step that failed, or whose program ended badly, and that neither ``tolerate`` nor a check covers."""
    for fact in facts:
        number = fact.get("step")
        if not isinstance(number, int) or number == 0 or number in judged:
            continue
        if fact.get("ok") is False and fact.get("errno") not in tolerate:
            return _name(Situation(facts, fact))
        if fact.get("op") == "spawn" and (fact.get("exit") or fact.get("signal")):
            return _program(fact)
    return None


def _name(seen: Situation) -> Finding:
    op, errno = str(seen.step.get("op")), str(seen.step.get("errno"))
    rule = next(rule for rule in STEP_RULES if rule.applies(op, errno))
    cause = rule.cause if isinstance(rule.cause, str) else rule.cause(seen)
    owner = seen.owner(seen.args[0]) if seen.args else None
    words = " ".join((op, *seen.args))
    made = f" after {seen.step['made']}" if isinstance(seen.step.get("made"), int) else ""
    line = f"step {seen.step['step']}, {words}: {errno} ({seen.step.get('call')}){made}; {seen.who()}"
    return Finding(cause, Phase.PROCESS, bounded(escape(f"{line}; {owner}" if owner else line)))


def _program(fact: Fact) -> Finding:
    said = str(fact.get("stderr") or "")
    ended = f"exit code {fact['exit']}" if fact.get("exit") else f"signal {fact.get('signal')}"
    text = f"step {fact['step']}, {fact.get('args')}: {ended}, {said}"
    return judge_program(said) or Finding("unrecognised", Phase.PROCESS, bounded(escape(text)))
