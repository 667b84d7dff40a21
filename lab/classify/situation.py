"""What the probe's facts say about the process at the moment of one step: ids, capabilities, whose files these are."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.model.observation import Fact

CAPABILITIES: Mapping[str, int] = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
"""Bits of linux/capability.h, those that a rule asks for."""

OVERFLOW = 65534
"""The id that stands for every owner outside a user namespace (/proc/sys/kernel/overflowuid)."""

_EVERY_ID = 4294967295
"""2³² - 1: the size of a map of all ids, and (as -1) no id at all."""
_FILTER = 2


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner and mode of a path, as a step of the same cell saw them."""

    path: str
    uid: int
    gid: int
    mode: int

    def __str__(self) -> str:
        return f"{self.path} is {self.uid}:{self.gid} {self.mode:04o}"


class Situation:
    """The facts up to and including one step; of two lines about the same thing the later one counts."""

    def __init__(self, facts: Sequence[Fact], step: Fact) -> None:
        self._all = facts
        number = step.get("step")
        self._past = [fact for fact in facts if isinstance(fact.get("step"), int) and not _after(fact, number)]
        self.step = step
        self.args = tuple(str(arg) for arg in _list(step.get("args")))

    def latest(self, key: str) -> object:
        """The last value of a fact until now; ``None`` when it was not told."""
        return next((fact[key] for fact in reversed(self._past) if fact.get(key) is not None), None)

    @property
    def uid(self) -> int | None:
        """The uid that file access is decided with."""
        return self._identity("fsuid", "euid")

    @property
    def groups(self) -> frozenset[int]:
        """The gid that file access is decided with, and the supplementary groups."""
        listed = [self._identity("fsgid", "egid"), *_list(self.latest("groups"))]
        return frozenset(number for number in listed if isinstance(number, int))

    def _identity(self, name: str, otherwise: str) -> int | None:
        """Where setfsuid answers -1 (gVisor has none) the effective id decides."""
        value = self.latest(name)
        value = self.latest(otherwise) if value is None or value == _EVERY_ID else value
        return value if isinstance(value, int) else None

    def has(self, capability: str) -> bool | None:
        """Whether the effective set holds a capability; ``None`` when it was not told."""
        caps = self.latest("caps")
        effective = caps.get("effective") if isinstance(caps, Mapping) else None
        held = _number(effective, 16)
        return None if held is None else bool(held >> CAPABILITIES[capability] & 1)

    @property
    def filtered(self) -> bool:
        """Whether a seccomp filter is at work."""
        return self.latest("seccomp") == _FILTER

    @property
    def setgroups_denied(self) -> bool:
        """Whether /proc/self/setgroups says ``deny``."""
        return str(self.latest("setgroups")).strip() == "deny"

    @property
    def in_userns(self) -> bool:
        """Whether the process lives in a user namespace that maps not every id to itself."""
        lines = [str(line).split() for line in _list(self.latest("uid_map"))]
        return bool(lines) and lines != [["0", "0", str(_EVERY_ID)]]

    def owner(self, path: str) -> Owner | None:
        """Who owns ``path`` or, where that was not seen, its directory, by any ``stat`` of this cell."""
        seen = {}
        for fact in self._all:
            if fact.get("op") in {"stat", "lstat"} and fact.get("ok") is True and (args := _list(fact.get("args"))):
                seen[self._absolute(str(args[0]))] = fact
        path = self._absolute(path)
        for place in (path, posixpath.dirname(path)):
            if place in seen:
                return _owner(place, seen[place])
        return None

    def _absolute(self, path: str) -> str:
        cwd = self.latest("cwd")
        return posixpath.normpath(posixpath.join(cwd if isinstance(cwd, str) else "/", path))

    def who(self) -> str:
        """The process in short: ``uid 1000, groups 0 1000``."""
        groups = " ".join(str(number) for number in sorted(self.groups))
        return f"uid {self.uid}, groups {groups or 'none'}"


def _after(fact: Fact, number: object) -> bool:
    own = fact["step"]
    return isinstance(own, int) and isinstance(number, int) and own > number


def _owner(path: str, fact: Fact) -> Owner | None:
    uid, gid, mode = fact.get("uid"), fact.get("gid"), _number(fact.get("mode"), 8)
    if isinstance(uid, int) and isinstance(gid, int) and mode is not None:
        return Owner(path, uid, gid, mode)
    return None


def _number(text: object, base: int) -> int | None:
    try:
        return int(text, base) if isinstance(text, str) else None
    except ValueError:
        return None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
