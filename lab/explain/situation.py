"""What stands in the way of a cell's process, read from the stored run. Pure.

The model of files and access is the oracle's (``lab.oracle``). It only suggests what to try: every cure that is made of
it is then really run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lab.model.record import Record, Run
from lab.model.settings import Action, CapabilitySets, Settings
from lab.model.verdict import Denied, Failed, Phase
from lab.oci.capabilities import sets_for
from lab.oci.spec import PROBE
from lab.oracle import mtree
from lab.oracle.access import EXECUTE, READ, WRITE, permits
from lab.oracle.credentials import Credentials
from lab.oracle.files import Files, Outside, Refused
from lab.oracle.ids import IdMaps
from lab.oracle.predict import set_up
from lab.oracle.prediction import NoPrediction
from lab.oracle.runs import TREE
from lab.oracle.tree import Kind, Node
from lab.oracle.world import mapped_tree

_STEP = re.compile(r"step \d+, (?P<op>\w+)(?: (?P<path>\S+?))?(?= |: E)")
_USER = re.compile(r"(\d+)(?::(\d+))?")
_ALL_SEEING = frozenset({"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"})
_OWNERS = frozenset({"owner-required", "chown-denied"})
_CWD = frozenset({"cwd-not-searchable", "cwd-not-creatable", "cwd-missing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A file or directory that the process's ids alone do not open.

    ``uid``, ``gid`` and ``mode`` are as the container sees them. ``fixture`` is the fixture that it belongs to, and
    ``inside`` its path there; both are empty for the root file system. ``want`` are the bits that it must give.
    """

    path: str
    kind: Kind
    uid: int
    gid: int
    mode: int
    want: int
    fixture: str = ""
    inside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A failing cell as cures look at it.

    ``denied`` tells a permission from other failures. ``uid`` and ``gid`` are those of the process that fails; ``cwd``
    is its working directory as configured; ``workdir`` tells whether that is the image's own. ``obstacle`` is what
    stands in its way, where that is known; ``unknown`` says why it is not, where there must be
    something.
    """

    settings: Settings
    cause: str
    phase: str
    denied: bool
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    cwd: str = "/"
    workdir: bool = False
    capabilities: CapabilitySets | None = None
    maps: IdMaps
    obstacle: Obstacle | None = None
    unknown: str = ""


def situation(run: Run, record: Record, settings: Settings, config: dict[str, Any]) -> Situation:
    """The situation of a denied or failed record of a run; ``config`` is its config.json (see ``config_of``)."""
    verdict = record.verdict
    cause, phase, evidence = (
        (verdict.cause, str(verdict.phase), verdict.evidence) if isinstance(verdict, Denied | Failed) else ("", "", "")
    )
    process = config.get("process", {})
    user = process.get("user", {})
    uid, gid, cwd = user.get("uid", 0), user.get("gid", 0), process.get("cwd", "/")
    acting = settings.exec if settings.action is Action.EXEC and settings.exec is not None else settings.process
    if acting is settings.exec:
        uid, gid, cwd = _exec_identity(settings, uid, gid, cwd)
    linux = config.get("linux", {})
    maps = IdMaps(uids=_lines(linux.get("uidMappings", ())), gids=_lines(linux.get("gidMappings", ())))
    found = Situation(
        settings=settings,
        cause=cause,
        phase=phase,
        denied=isinstance(verdict, Denied),
        uid=uid,
        gid=gid,
        groups=tuple(dict.fromkeys((*user.get("additionalGids", ()), *acting.additional_gids))),
        cwd=cwd,
        workdir=acting is settings.process and acting.cwd is None,
        capabilities=_sets(process.get("capabilities"))
        if acting is settings.process
        else sets_for(acting.capabilities, uid, ()),
        maps=maps,
    )
    return _with_obstacle(found, run, record, config, evidence)


def _with_obstacle(found: Situation, run: Run, record: Record, config: dict[str, Any], evidence: str) -> Situation:
    target = _target(found, config, evidence)
    if target is None:
        return found
    path, want = target
    tree = run.images.get(record.provenance.image, {}).get(TREE)
    if not isinstance(tree, str) or not tree:
        return replace(found, unknown="the run holds no list of the image's files")
    setup = set_up(config, found.settings, lambda maps: mapped_tree(mtree.decode(tree), maps), 0)
    if isinstance(setup, NoPrediction):
        return replace(found, unknown=f"the files of this cell are not modelled: {setup.reason}")
    try:
        obstacle = _obstacle(found, setup.files, path, want)
    except (Outside, Refused) as error:
        return replace(found, unknown=f"{path} cannot be followed: {error}")
    if obstacle is None:
        return replace(found, unknown=f"nothing on the way to {path} is closed to the process's ids")
    return replace(found, obstacle=obstacle)


def _target(found: Situation, config: dict[str, Any], evidence: str) -> tuple[str, int] | None:
    """The path that was refused, and what the process wanted of it; ``None`` where the refusal is about no file."""
    if found.phase == Phase.PROCESS:
        step = _STEP.match(evidence)
        if step is None or not step["path"]:
            return None
        want = WRITE if found.cause.startswith("write-") or found.cause in _OWNERS else READ
        want = EXECUTE if step["op"] in {"chdir", "exec", "spawn"} else want
        return posixpath.join(found.cwd, step["path"]), want
    if found.cause in _CWD:
        return found.cwd, EXECUTE
    if found.cause == "exec-not-permitted":
        program = (config.get("process", {}).get("args") or [PROBE])[0]
        return (program, EXECUTE) if program.startswith("/") else None
    return None


def _obstacle(found: Situation, files: Files, path: str, want: int) -> Obstacle | None:
    """The first directory on the way that the process may not search, or the place itself."""
    who = Credentials(uid=found.uid, gid=found.gid, groups=frozenset(found.groups), maps=found.maps)
    seeing = Credentials(effective=_ALL_SEEING, maps=found.maps)
    above, *_ = _prefixes(path)
    for prefix in _prefixes(path):
        place = files.walk(seeing, prefix)
        if place.node is None:  # it would have to be made in the last one that is there
            parent = files.walk(seeing, above)
            return None if parent.node is None else _named(files, found, parent.path, parent.node, WRITE | EXECUTE)
        last = prefix == posixpath.normpath(path)
        wanted = want if last else EXECUTE
        if not permits(who, place.node, wanted):
            return _named(files, found, place.path, place.node, wanted)
        above = prefix
    return None


def _prefixes(path: str) -> list[str]:
    """``/``, ``/a``, ``/a/b`` for ``/a/b``."""
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    return ["/", *("/" + "/".join(parts[: place + 1]) for place in range(len(parts)))]


def _named(files: Files, found: Situation, path: str, node: Node, want: int) -> Obstacle:
    mount = files.mount_of(path)
    destination = mount.destination
    fixture = next(
        (one.fixture for one in found.settings.mounts if one.destination == destination and one.fixture), None
    )
    uid, gid = found.maps.shown(node.uid, node.gid)
    return Obstacle(
        path=path,
        kind=node.kind,
        uid=uid,
        gid=gid,
        mode=node.mode,
        want=want,
        fixture=fixture or "",
        inside=(path[len(destination) :] or "/") if fixture else "",
    )


def _exec_identity(settings: Settings, uid: int, gid: int, cwd: str) -> tuple[int, int, str]:
    """Who an exec'd process is, and where: by its flags, else by its process, else as the container's."""
    process = settings.exec
    flags = dict(_flags(settings.exec_flags))
    text = flags.get("--user") or (process.user if process is not None else None) or ""
    numbers = _USER.fullmatch(text)
    where = flags.get("--cwd") or (process.cwd if process is not None else None) or cwd
    return (int(numbers[1]), int(numbers[2] or 0), where) if numbers else (uid, gid, where)


def _flags(flags: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    waiting = ""
    for flag in flags:
        if waiting:
            yield waiting, flag
            waiting = ""
        elif "=" in flag:
            name, _, value = flag.partition("=")
            yield name, value
        else:
            waiting = flag


def _sets(capabilities: dict[str, list[str]] | None) -> CapabilitySets | None:
    if capabilities is None:
        return None
    return CapabilitySets(**{name: tuple(values or ()) for name, values in capabilities.items()})


def _lines(mappings: list[dict[str, int]]) -> tuple[tuple[int, int, int], ...]:
    return tuple((line["containerID"], line["hostID"], line["size"]) for line in mappings)
