"""What settings say that no cell can mean, whatever is merged with them: ids out of range, unknown words. Pure.

A value that a runtime may be asked about, and refuse, is none of these; and a patch puts anything into config.json.
"""

from __future__ import annotations

import errno
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from lab.model.settings import Caller, Check, Edit, EditKind, IdMapping, Linux, Mount, Process, Settings
from lab.model.steps import COUNTED, REST, STEPS
from lab.model.verdict import Phase

_LAST_ID = 0xFFFFFFFE
"""The largest uid and gid: chown(2) takes the next number for "leave it as it is"."""

_LARGEST = 0xFFFFFFFF
"""The largest number of a device, and the size of a map of all ids."""

_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
_LIMITS = (
    *("AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE"),
    *("NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK"),
)
"""The limits of getrlimit(2), without ``RLIMIT_``."""

_PATCHES: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}
"""The operations of RFC 6902 and the members that each must have."""

_FACT = re.compile(r"exit_code|reached|stderr|output|(?:start|end|step\.[0-9]+|host\..+)\..+")


def impossible(settings: Settings) -> Iterator[str]:
    """Every such fault: its path inside the settings, and what was expected."""
    for index, edit in enumerate(settings.rootfs):
        yield from _edit(f"rootfs[{index}]", edit)
    for name, fixture in settings.fixtures.items():
        where = f"fixtures.{name}"
        ids = {"uid": fixture.uid, "gid": fixture.gid}
        yield from _ids(where, ids | {"parent_uid": fixture.parent_uid, "parent_gid": fixture.parent_gid})
        yield from _modes(where, {"mode": fixture.mode, "parent_mode": fixture.parent_mode})
        for index, edit in enumerate(fixture.entries):
            yield from _edit(f"{where}.entries[{index}]", edit)
    for index, mount in enumerate(settings.mounts):
        yield from _mount(f"mounts[{index}]", mount)
    yield from _process("process", settings.process)
    if settings.exec is not None:
        yield from _process("exec", settings.exec)
    yield from _linux(settings.linux)
    yield from _caller(settings.caller)
    yield from _words(settings)
    for index, operation in enumerate(settings.patch):
        yield from _patch(f"patch[{index}]", operation)
    for index, check in enumerate(settings.checks):
        yield from _check(f"checks[{index}]", check)


def _edit(where: str, edit: Edit) -> Iterator[str]:
    if not edit.path.startswith("/") or "\0" in edit.path or ".." in edit.path.split("/"):
        yield f"{where}.path: expected an absolute path without `..`, not {edit.path!r}"
    if edit.kind is EditKind.SYMLINK and not edit.target:
        yield f"{where}.target: expected where the symlink leads to"
    yield from _ids(where, {"uid": edit.uid, "gid": edit.gid})
    yield from _ids(where, {"major": edit.major, "minor": edit.minor}, _LARGEST)
    if edit.mode is not None:
        yield from _modes(where, {"mode": edit.mode})


def _ids(where: str, numbers: Mapping[str, int], most: int = _LAST_ID) -> Iterator[str]:
    for name, number in numbers.items():
        if not 0 <= number <= most:
            yield f"{where}.{name}: expected 0 to {most}, not {number}"


def _modes(where: str, modes: Mapping[str, int], most: int = 0o7777) -> Iterator[str]:
    for name, mode in modes.items():
        if not 0 <= mode <= most:
            yield f"{where}.{name}: expected 0o0 to {most:#o}, not {mode:#o}"


def _mappings(where: str, maps: Sequence[IdMapping]) -> Iterator[str]:
    for index, line in enumerate(maps):
        yield from _ids(f"{where}[{index}]", {"container_id": line.container_id, "host_id": line.host_id})
        yield from _ids(f"{where}[{index}]", {"size": line.size}, _LARGEST)


def _mount(where: str, mount: Mount) -> Iterator[str]:
    if not mount.destination:
        yield f"{where}.destination: expected a path"
    if mount.source is not None and mount.fixture is not None:
        yield f"{where}: expected source or fixture, not both"
    if mount.type == "bind" and mount.source is None and mount.fixture is None:
        yield f"{where}: expected a source or a fixture, as a bind has one"
    yield from _mappings(f"{where}.uid_mappings", mount.uid_mappings)
    yield from _mappings(f"{where}.gid_mappings", mount.gid_mappings)


def _process(where: str, process: Process) -> Iterator[str]:
    yield from _ids(where, {f"additional_gids[{index}]": gid for index, gid in enumerate(process.additional_gids)})
    if process.umask is not None:
        yield from _modes(where, {"umask": process.umask}, 0o777)
    for index, limit in enumerate(process.rlimits):
        if limit.type.removeprefix("RLIMIT_") not in _LIMITS or not limit.type.startswith("RLIMIT_"):
            yield f"{where}.rlimits[{index}].type: expected RLIMIT_ and one of {', '.join(_LIMITS)}, not {limit.type!r}"
    for index, step in enumerate(process.steps):
        for fault in _step(step):
            yield f"{where}.steps[{index}]: {fault} in {step!r}"


def _step(text: str) -> Iterator[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        yield str(error)
        return
    if not words:
        yield "expected a step of the probe (docs/probe.md)"
    while words:
        step, *words = words
        count = max(1, len(words)) if step == REST else STEPS.get(step)
        if step == COUNTED:
            count = int(words[0]) + 1 if words and words[0].isdecimal() else len(words) + 1
        if count is None:
            yield f"the probe has no step {step!r}"
            return
        if count > len(words):
            yield f"{step} takes more words than stand there"
            return
        words = words[count:]


def _linux(linux: Linux) -> Iterator[str]:
    for kind, place in linux.namespaces.items():
        where = f"linux.namespaces.{kind}"
        if kind not in _NAMESPACES:
            yield f"{where}: expected one of {', '.join(_NAMESPACES)}"
        elif place not in {"new", "host"} and not place.startswith("/") and (kind, place) != ("user", "held"):
            yield f"{where}: expected new, host{', held' if kind == 'user' else ''} or an absolute path, not {place!r}"
    yield from _mappings("linux.uid_mappings", linux.uid_mappings)
    yield from _mappings("linux.gid_mappings", linux.gid_mappings)


def _caller(caller: Caller) -> Iterator[str]:
    yield from _ids("caller", {"uid": caller.uid, "gid": caller.gid})
    yield from _modes("caller", {"umask": caller.umask}, 0o777)
    for number in caller.fds:
        if not number.isdecimal():
            yield f"caller.fds.{number}: expected the number of a descriptor"


def _words(settings: Settings) -> Iterator[str]:
    for index, place in enumerate(settings.host):
        if not place.startswith(("fixture:", "rootfs:/")):
            yield f"host[{index}]: expected fixture:NAME/path or rootfs:/path, not {place!r}"
    for index, name in enumerate(settings.tolerate):
        if not (name.startswith("E") and hasattr(errno, name)):
            yield f"tolerate[{index}]: expected the name of an errno such as EACCES, not {name!r}"
    if not (math.isfinite(settings.deadline) and settings.deadline > 0):
        yield f"deadline: expected a number of seconds above 0, not {settings.deadline}"


def _patch(where: str, operation: Mapping[str, object]) -> Iterator[str]:
    members = _PATCHES.get(str(operation.get("op")))
    if members is None:
        yield f"{where}.op: expected one of {', '.join(_PATCHES)}, not {operation.get('op')!r:.60}"
        return
    for name in members:
        value = operation.get(name)
        if name not in operation:
            yield f"{where}.{name}: expected, as the operation is {operation['op']}"
        elif name != "value" and not (isinstance(value, str) and (not value or value.startswith("/"))):
            yield f"{where}.{name}: expected a JSON pointer such as /process/cwd, not {value!r:.60}"


def _check(where: str, check: Check) -> Iterator[str]:
    if not _FACT.fullmatch(check.fact):
        yield f"{where}.fact: expected a fact such as step.1.errno or start.umask, not {check.fact!r}"
    if check.phase not in set(Phase):
        yield f"{where}.phase: expected one of {', '.join(Phase)}, not {check.phase!r}"
