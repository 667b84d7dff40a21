"""The folder's run.sh: the shipped text with what is special to a case filled in. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from functools import cache
from importlib import resources

from lab.model.settings import Action, Stdio
from lab.oci.capabilities import full_name
from lab.process import BASE_PATH
from lab.repro.case import Call, Case
from lab.repro.tree import FIXTURES


@cache
def _text() -> str:
    return (resources.files("lab.repro") / "run.sh").read_text(encoding="utf-8")


def script(case: Case) -> str:
    """run.sh of a case."""
    call = case.call
    uid, gid = call.owner
    filled = {
        "@ACTION@": str(call.action),
        "@SECONDS@": str(call.seconds),
        "@UMASK@": f"{call.umask:04o}",
        "@OWNER@": f"{uid}:{gid}",
        "@AS@": _words(_as_caller(call)),
        "@ENV@": _words(("env", "-i", f"PATH={BASE_PATH}", "HOME=/root", "LC_ALL=C.UTF-8"))
        + 'XDG_RUNTIME_DIR="$work/state" timeout -k 5 "$seconds" ',
        "@FLAGS@": _words(call.flags),
        "@VERB_FLAGS@": _words(call.verb_flags),
        "@STREAMS@": " ".join(_redirections(call)),
        "@PREPARE@": "; ".join(_prepared(call)) or ":",
        "@KEEP@": "; ".join(_kept(call)) or ":",
        "@EXEC@": _exec(case),
        "@HOST_MOUNTS@": "; ".join(_host_mounts(case)) or ":",
        "@LOOK@": "; ".join(_looks(case)) or ":",
    }
    text = _text()
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


def _words(words: Iterable[str]) -> str:
    return "".join(f"{shlex.quote(word)} " for word in words)


def _as_caller(call: Call) -> tuple[str, ...]:
    """setpriv(1) with what the caller is not; its group is among its groups, as at a login."""
    uid, gid = call.owner
    words: list[str] = []
    if uid:
        words += [f"--reuid={uid}", f"--regid={gid}", f"--groups={gid}"]
    if call.dropped:
        names = ",".join(f"-{full_name(name)[4:].lower()}" for name in call.dropped)
        words += [f"--bounding-set={names}", f"--inh-caps={names}"]
    return ("setpriv", *words) if words else ()


def _exec(case: Case) -> str:
    if case.process is not None:
        return '--process "$work/process.json" "$id"'
    return f'{_words(case.call.exec_flags)}"$id" {_words(case.call.exec_words)}'.rstrip()


def _host_mounts(case: Case) -> Iterable[str]:
    for name, options in case.host_mounts.items():
        place = _fixture(name)
        yield f"mount --bind {place} {place}; mount -o remount,bind,{','.join(options)} {place}"


_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
_OPERATORS = {Stdio.FILE: "<>", Stdio.NULL: "<>", Stdio.READ_ONLY_FILE: "<"}
"""How a shell opens what the caller gives: for reading and writing, or for reading only."""


def _stream(call: Call, name: str) -> str:
    """The path of what a stream is, in the script's words."""
    if call.streams[name] is Stdio.NULL:
        return '"$work"/null'
    return f'"$work"/{name}' if call.stdio_fixture is None else f"{_fixture(call.stdio_fixture)}/{name}"


def _redirections(call: Call) -> Iterable[str]:
    for name, kind in call.streams.items():
        yield f"{_NUMBERS[name]}{_OPERATORS[kind]}{_stream(call, name)}"
    for number, fixture in call.fds.items():
        yield f"{number}<{_fixture(fixture)}"


def _prepared(call: Call) -> Iterable[str]:
    """Files of the caller's own, as it would make them; a null device that no runtime takes from the host."""
    for name, kind in call.streams.items():
        path = _stream(call, name)
        if kind is Stdio.FILE:
            yield f"[ -e {path} ] || (umask 177; : >{path})"
        elif kind is Stdio.NULL:
            yield f"[ -e {path} ] || mknod -m 644 {path} c 1 3"


def _kept(call: Call) -> Iterable[str]:
    target = "run" if call.action is Action.RUN else "container"
    for name, kind in call.streams.items():
        if kind is Stdio.FILE and name != "stdin":
            yield f'cat {_stream(call, name)} >"$work/out/{target}.{name}"'


def _fixture(name: str) -> str:
    return f'"$work"/{shlex.quote(f"{FIXTURES}/{name}/data")}'


def _looks(case: Case) -> Iterable[str]:
    """One line for each place, as ``place|type|mode|uid|gid|size``; ``place|`` where nothing stands."""
    for place in case.host:
        path, named = shlex.quote(host_path(place)), shlex.quote(place)
        yield f"stat -c {shlex.quote(f'{place}|%F|%a|%u|%g|%s')} {path} 2>/dev/null || echo {named}'|'"


def host_path(place: str) -> str:
    """Where ``fixture:NAME/path`` or ``rootfs:/path`` stands below the case's directory."""
    kind, _, rest = place.partition(":")
    name, _, inner = rest.partition("/")
    top = "rootfs" if kind == "rootfs" else f"{FIXTURES}/{name}/data"
    return f"{top}/{inner}".rstrip("/")
