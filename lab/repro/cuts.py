"""What can be taken away from a case, level by level, and the case without it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from lab.model.settings import Action
from lab.repro.case import Case, Config
from lab.repro.tree import ROOTFS, Entry, Kind

Place = tuple[str | int, ...]
"""Where a value stands in a config: keys and list positions, from the outside in."""

_DEEPEST = 32

NEEDED: frozenset[Place] = frozenset(
    {
        ("ociVersion",),
        ("process",),
        ("process", "cwd"),
        ("process", "user"),
        ("process", "user", "uid"),
        ("process", "user", "gid"),
        ("root",),
        ("root", "path"),
        ("linux", "seccomp", "defaultAction"),
    }
)
"""What runtime-spec requires (config.md), and the user, which would read as root where it is not said.

The arguments have a level of their own.
"""

ISOLATION: tuple[Place, ...] = (
    ("process", "capabilities"),
    ("process", "noNewPrivileges"),
    ("root", "readonly"),
    ("linux", "namespaces"),
    ("linux", "uidMappings"),
    ("linux", "gidMappings"),
    ("linux", "resources"),
    ("linux", "cgroupsPath"),
    ("linux", "maskedPaths"),
    ("linux", "readonlyPaths"),
    ("linux", "seccomp"),
)
"""What keeps a process from the host. It stays, with the mounts' options, while there is a program that does anything:
a trial may let start what the whole case refuses."""

_ALWAYS_NEW = ("mount", "pid", "user")
"""Namespaces that stay: without the first, the runtime would mount on the host of whoever calls it by hand."""
_SHARED_WITHOUT = ("hostname", "domainname")
_HOLD = "hold"
"""The probe's step that keeps a container there to exec into."""

_OPTIONAL = "options"
_OPEN = {_OPTIONAL, "names"}
"""Lists inside the objects of a list that can be shortened: of a mount, and of a rule of seccomp.

Everything else there stays whole: a namespace without its path, or a map without its size, is another one.
"""


class CutKind(StrEnum):
    """Ways to make a case smaller."""

    CONFIG = "config.json"
    PROCESS = "process.json"
    ENTRY = "an entry, with what is below it"
    PLAIN = "an owner and a mode that differ from root's 0755 or 0644"
    EMPTY = "the content of a file"
    CAPABILITY = "a capability that the caller lacks"
    USER_NAMESPACE = "the user namespace with its maps"


@dataclass(frozen=True, slots=True)
class Cut:
    """One part that may go. ``place`` leads into a config, or is the entry's path or the capability's name alone."""

    kind: CutKind
    place: Place


Level = tuple[str, Callable[[Case], Sequence[Cut]]]


def first_levels(_case: Case) -> Iterator[Level]:
    """The levels that come before all others: what the programs do."""
    for kind in (CutKind.CONFIG, CutKind.PROCESS):
        yield f"{kind}, arguments", partial(_arguments, kind)


def levels(case: Case) -> Iterator[Level]:
    """All levels, each with the cuts that a case has on it: what the programs do, then files, which take time."""
    yield from first_levels(case)
    for depth in range(max((_depth(entry) for entry in case.tree), default=0) + 1):
        yield f"files, depth {depth}", partial(_entries, depth)
    for kind in (CutKind.CONFIG, CutKind.PROCESS):
        for depth in range(1, _deepest(_config(case, kind)) + 1):
            yield f"{kind}, depth {depth}", partial(_values, kind, depth)
    yield "the user namespace", _user_namespace
    yield "contents", _contents
    yield "owners and modes", _plain
    yield "capabilities that the caller lacks", _dropped


def apply(case: Case, cuts: Iterable[Cut]) -> Case:
    """The case without what the cuts take away."""
    by_kind: dict[CutKind, list[Place]] = {kind: [] for kind in CutKind}
    for cut in cuts:
        by_kind[cut.kind].append(cut.place)
    gone, plain, empty = (
        {str(place[0]) for place in by_kind[k]} for k in (CutKind.ENTRY, CutKind.PLAIN, CutKind.EMPTY)
    )
    lost = {place[0] for place in by_kind[CutKind.CAPABILITY]}
    config = without(case.config, by_kind[CutKind.CONFIG])
    return replace(
        case,
        config=_without_user_namespace(config) if by_kind[CutKind.USER_NAMESPACE] else config,
        process=None if case.process is None else without(case.process, by_kind[CutKind.PROCESS]),
        tree=_without_links(_changed(case.tree, gone, plain, empty)) if gone or plain or empty else case.tree,
        call=replace(case.call, dropped=tuple(name for name in case.call.dropped if name not in lost)),
    )


def _changed(tree: tuple[Entry, ...], gone: set[str], plain: set[str], empty: set[str]) -> Iterator[Entry]:
    for entry in tree:
        if gone and any(_above(entry.path, place) for place in gone):
            continue
        kept = entry.plain if entry.path in plain else entry
        yield replace(kept, content=b"") if entry.path in empty else kept


def _above(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _without_links(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, less hard links whose first name has gone."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind is not Kind.LINK or entry.target in kept:
            kept[entry.path] = entry
    return tuple(kept.values())


def without(config: Config, places: Iterable[Place]) -> dict[str, Any]:
    """A copy of a config without the values at these places."""
    return dict(_pruned(config, (), frozenset(places)))


def _pruned(value: Any, place: Place, gone: frozenset[Place]) -> Any:  # noqa: ANN401  # JSON of any shape
    if isinstance(value, Mapping):
        return {key: _pruned(inner, (*place, key), gone) for key, inner in value.items() if (*place, key) not in gone}
    if isinstance(value, list):
        return [_pruned(inner, (*place, at), gone) for at, inner in enumerate(value) if (*place, at) not in gone]
    return value


def _config(case: Case, kind: CutKind) -> Config:
    return case.config if kind is CutKind.CONFIG else {"process": case.process} if case.process is not None else {}


def _arguments(kind: CutKind, case: Case) -> list[Cut]:
    """The words behind the program's name; checks that count steps hold them where they are."""
    process = case.config["process"] if kind is CutKind.CONFIG else case.process or {}
    if any(check.fact.startswith("step.") for check in case.checks):
        return []
    above: Place = ("process", "args") if kind is CutKind.CONFIG else ("args",)
    return [Cut(kind, (*above, at)) for at, word in enumerate(process.get("args", ())) if at and word != _HOLD]


def _values(kind: CutKind, depth: int, case: Case) -> list[Cut]:
    config = _config(case, kind)
    places = [place for place in _places(config, ()) if len(place) == depth and not _stays(place, config, case)]
    return [Cut(kind, place if kind is CutKind.CONFIG else place[1:]) for place in places]


def _stays(place: Place, config: Config, case: Case) -> bool:
    """Whether a part is needed whatever the outcome: by the specification, or to keep the host safe."""
    if place in NEEDED or place[:2] == ("process", "args"):
        return True
    if place[:2] == ("linux", "namespaces") or place == ("linux",):
        return not _may_share(place, config, case)
    return not harmless(case) and _isolates(place, config)


def _may_share(place: Place, config: Config, case: Case) -> bool:
    """Whether one namespace may go: nothing in the config would then change the host's."""
    linux = config.get("linux", {})
    if len(place) != len(("linux", "namespaces", 0)) or not harmless(case):
        return False
    changes = any(config.get(name) for name in _SHARED_WITHOUT) or linux.get("sysctl")
    return not changes and linux["namespaces"][place[-1]]["type"] not in _ALWAYS_NEW


def _isolates(place: Place, config: Config) -> bool:
    if place[0] == "mounts":
        return len(place) != len(("mounts", 0)) or config["mounts"][place[1]]["destination"].startswith(
            ("/proc/", "/sys/")
        )
    return any(place[: len(one)] == one[: len(place)] for one in ISOLATION if _has(config, one))


def _has(config: Config, place: Place) -> bool:
    value: Any = config
    for key in place:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


def harmless(case: Case) -> bool:
    """Whether no program, should it start, does anything: it is absent, empty, or the probe without steps."""
    held = [word for word in case.config["process"]["args"] if word != _HOLD]
    beside = list(case.call.exec_words) if case.process is None else case.process["args"]
    return len(held) == 1 and len(beside) <= 1 and all(_idle(case, str(program)) for program in (*held, *beside))


def _idle(case: Case, program: str) -> bool:
    name = program.rpartition("/")[2]
    found = [entry for entry in case.tree if entry.path.rpartition("/")[2] == name and entry.kind is not Kind.DIRECTORY]
    return all(entry.kind is Kind.FILE and entry.content in {b"", case.probe} for entry in found)


def as_root(case: Case) -> Case | None:
    """The case with its process run as root, with the capabilities of its bounding set; ``None`` where it is already.

    ``None``, too, for an exec that says by flags who it is.
    """
    process = case.config["process"] if case.call.action is not Action.EXEC else case.process
    if process is None or (process["user"]["uid"], process["user"]["gid"]) == (0, 0):
        return None
    changed = {**process, "user": {"uid": 0, "gid": 0}}
    sets = process.get("capabilities")
    if sets is not None:
        bounding = sets.get("bounding", [])
        changed["capabilities"] = {**sets, "effective": bounding, "permitted": bounding}
    if case.call.action is Action.EXEC:
        return replace(case, process=changed)
    return replace(case, config={**case.config, "process": changed})


def _user_namespace(case: Case) -> list[Cut]:
    mapped = case.config.get("linux", {}).get("uidMappings")
    return [Cut(CutKind.USER_NAMESPACE, ())] if mapped and harmless(case) and not case.call.owner[0] else []


def _without_user_namespace(config: Config) -> dict[str, Any]:
    namespaces = config["linux"]["namespaces"]
    places: list[Place] = [("linux", key) for key in ("uidMappings", "gidMappings")]
    places += [("linux", "namespaces", at) for at, one in enumerate(namespaces) if one["type"] == "user"]
    return without(config, places)


def _places(value: Any, place: Place, *, whole: bool = False) -> Iterator[Place]:  # noqa: ANN401  # JSON of any shape
    """Every place whose value may go, by what stands above it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not whole or key == _OPTIONAL:
                yield (*place, key)
            if not whole or key in _OPEN:
                yield from _places(inner, (*place, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield (*place, at)
            yield from _places(inner, (*place, at), whole=True)


def _deepest(config: Config) -> int:
    return min(_DEEPEST, max((len(place) for place in _places(config, ())), default=0))


def _depth(entry: Entry) -> int:
    return entry.path.count("/")


def _entries(depth: int, case: Case) -> list[Cut]:
    """Entries of one depth; the root itself stays."""
    return [Cut(CutKind.ENTRY, (entry.path,)) for entry in case.tree if _depth(entry) == depth and entry.path != ROOTFS]


def _contents(case: Case) -> list[Cut]:
    return [Cut(CutKind.EMPTY, (entry.path,)) for entry in case.tree if entry.content]


def _plain(case: Case) -> list[Cut]:
    return [
        Cut(CutKind.PLAIN, (entry.path,))
        for entry in case.tree
        if entry.kind not in {Kind.SYMLINK, Kind.LINK} and entry.plain != entry
    ]


def _dropped(case: Case) -> list[Cut]:
    return [Cut(CutKind.CAPABILITY, (name,)) for name in case.call.dropped]
