"""One-change cures for a failing cell, as fragments of settings that can be run. Pure.

A cure is a guess until its cell was run: nothing here says that it helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lab.codec import to_data
from lab.explain.situation import Obstacle, Situation
from lab.model.settings import Action, CapabilitySets, EditKind
from lab.oracle.access import EXECUTE, READ, WRITE
from lab.oracle.ids import Lines
from lab.oracle.tree import Kind
from lab.scenario.resolve import merge

AS_IS = "as-is"
"""The value of the axis ``cure`` that changes nothing."""

_DAC = "CAP_DAC_OVERRIDE"
_SEARCH_ALL = 0o111
_BITS = {READ: "r", WRITE: "w", EXECUTE: "x", WRITE | EXECUTE: "wx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """One change. ``name`` is its value on the axis ``cure``, ``words`` says it, ``how`` where people set it.

    ``fragment`` are the settings that change; ``unknown`` says why there are none, and then it cannot be tried.
    """

    name: str
    words: str
    how: str
    fragment: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = ""


def cures(found: Situation) -> tuple[Cure, ...]:
    """Every cure that changes something for this cell, in the order in which people try them."""
    about_files = found.obstacle is not None or bool(found.unknown)
    ids = (*_identities(found), *(_files(found) if about_files else ()), *_namespace(found)) if found.denied else ()
    return (*_directories(found), *ids, *(_powers(found) if about_files else ()), *_restrictions(found))


def _directories(found: Situation) -> Iterator[Cure]:
    if found.cwd != "/":
        yield Cure(
            name="cwd-root",
            words="working directory /",
            how="docker run -w /; Kubernetes workingDir: /; process.cwd",
            fragment=_process(found, {"cwd": "/"}, ("--cwd", "/")),
        )
        if found.workdir:
            yield Cure(
                name="image-workdir-root",
                words="image with WorkingDir /",
                how="Dockerfile: WORKDIR /",
                fragment={"image_workdir": "/"},
            )


def _identities(found: Situation) -> Iterator[Cure]:
    seen = found.obstacle
    if seen is None and found.unknown:
        yield Cure(
            name="user-owner",
            words="run as the owner of what is refused",
            how="docker run --user",
            unknown=found.unknown,
        )
    elif seen is not None and seen.uid != found.uid:
        yield _as_user(found, "user-owner", f"run as the owner of {seen.path}", seen.uid, seen.gid)
    if seen is not None and seen.gid not in {found.gid, *found.groups}:
        yield Cure(
            name="group-owner",
            words=f"supplementary group {seen.gid}, the group of {seen.path}",
            how=f"docker run --group-add {seen.gid}; Kubernetes supplementalGroups: [{seen.gid}]",
            fragment=_process(found, {"additional_gids": [*found.groups, seen.gid]}),
        )
    if found.uid != 0:
        yield _as_user(found, "user-root", "run as root", 0, 0)


def _as_user(found: Situation, name: str, words: str, uid: int, gid: int) -> Cure:
    user = f"{uid}:{gid}"
    return Cure(
        name=name,
        words=f"{words} ({user})",
        how=f"docker run --user {user}; Kubernetes runAsUser: {uid}, runAsGroup: {gid}",
        fragment=_process(found, {"user": user}, ("--user", user)),
    )


def _files(found: Situation) -> Iterator[Cure]:
    seen = found.obstacle
    if seen is None:
        names = (("group-zero", "group 0 with g=u"), ("init-chown", "an init chown"), ("mode-all", "chmod"))
        yield from (
            Cure(name=name, words=words, how="", unknown=found.unknown) for name, words in names if found.denied
        )
        return
    yield from _group_zero(found, seen)
    owner = f"{found.uid}:{found.gid}"
    yield from _change(
        found,
        seen,
        Cure(
            name="init-chown",
            words=f"an init container that runs chown {owner} {seen.path}",
            how="Kubernetes initContainers, for a volume; a chown in the image",
        ),
        uid=found.uid,
        gid=found.gid,
        mode=seen.mode,
    )
    bits = _BITS.get(seen.want, "rwx")
    opened = seen.mode | seen.want | seen.want << 3 | seen.want << 6
    yield from _change(
        found,
        seen,
        Cure(
            name="mode-all",
            words=f"chmod a+{bits} {seen.path} ({opened:04o})",
            how=f"Dockerfile: RUN chmod a+{bits} {seen.path}, or COPY --chmod",
        ),
        uid=seen.uid,
        gid=seen.gid,
        mode=opened,
    )


def _group_zero(found: Situation, seen: Obstacle) -> Iterator[Cure]:
    """OpenShift's rule for images: what the process needs belongs to group 0, which may do what the owner may."""
    mode = (seen.mode & ~0o070) | (seen.mode >> 3 & 0o070)
    joining = _process(found, {"user": f"{found.uid}:0"}, ("--user", f"{found.uid}:0")) if found.gid else {}
    cure = Cure(
        name="group-zero",
        words=f"group 0 with g=u on {seen.path}" + (", and the process in group 0" if joining else ""),
        how=f"Dockerfile: RUN chgrp 0 {seen.path} && chmod g=u {seen.path} (OpenShift's rule for images)",
    )
    for one in _change(found, seen, cure, uid=seen.uid, gid=0, mode=mode):
        yield one if one.unknown else replace(one, fragment=merge(one.fragment, joining))


def _change(found: Situation, seen: Obstacle, cure: Cure, *, uid: int, gid: int, mode: int) -> Iterator[Cure]:
    """The cure that gives the obstacle this owner and mode; none where it has them."""
    if (uid, gid, mode) == (seen.uid, seen.gid, seen.mode):
        return
    fragment = _changed(found, seen, uid=uid, gid=gid, mode=mode)
    if fragment is None:
        yield replace(cure, unknown=f"the lab changes what it made and directories, and {seen.path} is a {seen.kind}")
    else:
        yield replace(cure, fragment=fragment)


def _changed(found: Situation, seen: Obstacle, *, uid: int, gid: int, mode: int) -> dict[str, Any] | None:
    """The settings that give the obstacle another owner and mode; ``None`` where the lab has no way to."""
    if seen.fixture and seen.inside == "/":
        host = found.maps.outside(uid, gid)
        return {"fixtures": {seen.fixture: {"uid": host[0], "gid": host[1], "mode": mode}}}
    path = seen.inside or seen.path
    edits = found.settings.fixtures[seen.fixture].entries if seen.fixture else found.settings.rootfs
    own = next((edit for edit in reversed(edits) if edit.path == path and not edit.append), None)
    owner = found.maps.outside(uid, gid) if seen.fixture else (uid, gid)
    change = {"path": path, "uid": owner[0], "gid": owner[1], "mode": mode}
    if own is not None and own.kind is EditKind.FILE:
        made = {key: value for key, value in to_data(own).items() if value not in (None, "", False)}
        change = made | change
    elif seen.kind is not Kind.DIRECTORY:
        return None
    return {"fixtures": {seen.fixture: {"entries": [change]}}} if seen.fixture else {"rootfs": [change]}


def _namespace(found: Situation) -> Iterator[Cure]:
    """What only a user namespace makes necessary."""
    wanted = (
        ("uid_mappings", (found.uid,), found.maps.uids),
        ("gid_mappings", (found.gid, *found.groups), found.maps.gids),
    )
    missing = {name: _mapped_too(ids, lines) for name, ids, lines in wanted if _mapped_too(ids, lines)}
    if missing:
        yield Cure(
            name="ids-mapped",
            words="maps that have all ids of the process",
            how="podman --uidmap and --gidmap; a larger range in /etc/subuid and /etc/subgid",
            fragment={"linux": missing},
        )
    for name, fixture in found.settings.fixtures.items():
        if found.maps.uids and fixture.parent_mode & _SEARCH_ALL != _SEARCH_ALL:
            opened = fixture.parent_mode | _SEARCH_ALL
            yield Cure(
                name=f"source-parent-{name}",
                words=f"chmod a+x on the directory above the bind's source {name} ({opened:04o})",
                how="on the host",
                fragment={"fixtures": {name: {"parent_mode": opened}}},
            )


def _mapped_too(ids: tuple[int, ...], lines: Lines) -> list[dict[str, int]]:
    """One more line for each id that the maps do not have; none where there are no maps."""
    free = max((to + size for _, to, size in lines), default=0)
    without = [one for one in ids if lines and not any(start <= one < start + size for start, _, size in lines)]
    return [{"container_id": one, "host_id": free + place, "size": 1} for place, one in enumerate(without)]


def _powers(found: Situation) -> Iterator[Cure]:
    sets = found.capabilities
    if sets is None or (found.settings.action is Action.EXEC and found.settings.exec_flags):
        return
    if _DAC not in sets.effective:
        yield Cure(
            name="cap-effective",
            words=f"{_DAC} effective and permitted",
            how="Kubernetes capabilities.add: [DAC_OVERRIDE] (docker --cap-add gives it to uid 0 only)",
            fragment=_process(found, {"capabilities": _with(sets, "bounding", "effective", "permitted")}),
        )
    if _DAC not in sets.ambient:
        every = ("bounding", "effective", "permitted", "inheritable", "ambient")
        yield Cure(
            name="cap-ambient",
            words=f"{_DAC} in all five sets, ambient too",
            how="process.capabilities.ambient (no option of Docker or Kubernetes)",
            fragment=_process(found, {"capabilities": _with(sets, *every)}),
        )


def _restrictions(found: Situation) -> Iterator[Cure]:
    settings = found.settings
    if settings.readonly_root:
        yield Cure(
            name="writable-root",
            words="a writable root file system",
            how="docker run without --read-only; Kubernetes readOnlyRootFilesystem: false",
            fragment={"readonly_root": False},
        )
    if settings.process.no_new_privileges:
        yield Cure(
            name="new-privileges",
            words="new privileges allowed",
            how="Kubernetes allowPrivilegeEscalation: true",
            fragment=_process(found, {"no_new_privileges": False}),
        )
    if settings.linux.seccomp is not None:
        yield Cure(
            name="seccomp-unconfined",
            words="no seccomp filter",
            how="docker run --security-opt seccomp=unconfined; Kubernetes seccompProfile Unconfined",
            fragment={"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}}},
        )
    if settings.caller.drop_capabilities:
        yield Cure(
            name="caller-capabilities",
            words="a caller of the runtime that keeps its capabilities",
            how="the engine's own unit: CapabilityBoundingSet",
            fragment={"caller": {"drop_capabilities": []}},
        )


def _with(sets: CapabilitySets, *names: str) -> dict[str, list[str]]:
    """The sets with CAP_DAC_OVERRIDE in those that are named."""
    known = to_data(sets)
    return {
        name: [*values, *([_DAC] if name in names and _DAC not in values else ())] for name, values in known.items()
    }


def _process(found: Situation, change: dict[str, Any], flags: tuple[str, ...] = ()) -> dict[str, Any]:
    """The change at the process that fails: the container's, or the one that is exec'd (by its flags, where it has)."""
    if found.settings.action is not Action.EXEC:
        return {"process": change}
    if found.settings.exec_flags and flags:
        return {"exec_flags": [*found.settings.exec_flags, *flags]}
    return {"exec": change}
