"""Who a process is, and what system calls make of that: setuid(2), capset(2), execve(2), after capabilities(7).

Few processes differ among the cells of a run, so what became of one is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from lab.oracle.ids import IdMaps

Capabilities = frozenset[str]
"""Names as runtime-spec writes them: ``CAP_CHOWN``."""

NONE: Capabilities = frozenset()
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A process: ids as its user namespace numbers them, and its five capability sets."""

    uid: int = 0
    gid: int = 0
    groups: frozenset[int] = frozenset()
    maps: IdMaps = field(default_factory=IdMaps)
    effective: Capabilities = NONE
    permitted: Capabilities = NONE
    inheritable: Capabilities = NONE
    bounding: Capabilities = NONE
    ambient: Capabilities = NONE
    no_new_privileges: bool = False

    def __str__(self) -> str:
        return _words(self)


@lru_cache(maxsize=_REMEMBERED)
def _words(who: Credentials) -> str:
    groups = sorted({who.gid, *who.groups})
    power = [name for name in ("CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH") if name in who.effective]
    power_text = f"with {' and '.join(power)}" if power else "without CAP_DAC_*"
    return f"uid {who.uid}, groups {' '.join(map(str, groups))}, {power_text}"


@lru_cache(maxsize=_REMEMBERED)
def runtime_init(held: Capabilities, maps: IdMaps) -> Credentials:
    """A runtime's process inside the new container, before it becomes the user: uid 0 with what its caller has.

    ``held`` is all capabilities where the namespace is new: its first process gets them all (user_namespaces(7)).
    """
    return Credentials(maps=maps, effective=held, permitted=held, bounding=held)


@lru_cache(maxsize=_REMEMBERED)
def become(old: Credentials, uid: int, gid: int, groups: tuple[int, ...]) -> Credentials:
    """setgroups, setgid and setuid with the "keep capabilities" flag set, as runtimes do.

    capabilities(7), "Effect of user ID changes": when all uids go from 0 to others, the effective and the ambient set
    are emptied; the flag keeps the permitted one. Uid 0 → 0 changes nothing.
    """
    changed = replace(old, uid=uid, gid=gid, groups=frozenset(groups))
    if old.uid == 0 and uid != 0:
        return replace(changed, effective=NONE, ambient=NONE)
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """``process.capabilities`` of a config."""

    bounding: Capabilities = NONE
    effective: Capabilities = NONE
    permitted: Capabilities = NONE
    inheritable: Capabilities = NONE
    ambient: Capabilities = NONE

    @property
    def consistent(self) -> bool:
        """Whether capset(2) and prctl(2) take the sets as they are, for a process that holds them all."""
        return (
            self.effective <= self.permitted
            and self.permitted <= self.bounding
            and self.inheritable <= self.bounding
            and self.ambient <= self.permitted & self.inheritable
        )

    @property
    def everything(self) -> Capabilities:
        """All that any set names."""
        return self.bounding | self.effective | self.permitted | self.inheritable | self.ambient


@lru_cache(maxsize=_REMEMBERED)
def apply(old: Credentials, sets: Sets, *, no_new_privileges: bool = False) -> Credentials:
    """The sets of the config take the place of those that the process has, and so does ``noNewPrivileges``."""
    return replace(
        old,
        bounding=sets.bounding,
        effective=sets.effective,
        permitted=sets.permitted,
        inheritable=sets.inheritable,
        ambient=sets.ambient,
        no_new_privileges=no_new_privileges,
    )


@lru_cache(maxsize=_REMEMBERED)
def execute(old: Credentials) -> Credentials:
    """execve(2) of a program without file capabilities and set-id bits.

    capabilities(7), "Transformation of capabilities during execve()": uid 0 gets the bounding and inheritable sets,
    every other uid only the ambient one; with ``no_new_privs`` nothing that was not permitted before.
    """
    if old.uid == 0:
        gained = old.inheritable | old.bounding
        permitted = (gained & old.permitted if old.no_new_privileges else gained) | old.ambient
        return replace(old, permitted=permitted, effective=permitted)
    return replace(old, permitted=old.ambient, effective=old.ambient)
