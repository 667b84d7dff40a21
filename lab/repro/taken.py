"""What a smaller case lacks, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.repro.case import Case
from lab.repro.tree import Entry

_NAMES = ("destination", "type", "path", "name", "names", "action")
"""Keys that say which one an object of a list is, in the order in which they are asked."""


def taken_away(whole: Case, small: Case) -> tuple[str, ...]:
    """One line for each part that the smaller case does not have; empty when nothing was taken away."""
    return tuple(_lines(whole, small))


def _lines(whole: Case, small: Case) -> Iterator[str]:
    for name, before, after in (
        ("config.json", whole.config, small.config),
        ("process.json", whole.process or {}, small.process or {}),
    ):
        for place, labels in missing(before, after):
            yield f"{name} {place}: {', '.join(labels)}" if labels else f"{name} {place}"
    dropped = [name for name in whole.call.dropped if name not in small.call.dropped]
    if dropped:
        yield f"of the capabilities that the caller lacked: {', '.join(dropped)}"
    yield from _files(whole.tree, {entry.path: entry for entry in small.tree})


def _files(whole: tuple[Entry, ...], kept: Mapping[str, Entry]) -> Iterator[str]:
    gone = [entry for entry in whole if entry.path not in kept]
    if gone:
        yield f"{len(gone)} of {len(whole)} files and directories"
    for entry in whole:
        now = kept.get(entry.path)
        if now is not None and now.content != entry.content:
            yield f"the content of {entry.path}"
        if now is not None and (now.mode, now.uid, now.gid) != (entry.mode, entry.uid, entry.gid):
            before, after = (f"{one.uid}:{one.gid} {one.mode:04o}" for one in (entry, now))
            yield f"{entry.path}: owner and mode {before}, now {after}"


def missing(whole: Any, small: Any, place: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:  # noqa: ANN401  # JSON of any shape
    """Places (JSON pointers) that ``small``, a cut-down copy, lacks: a key, or a list with what is missing of it."""
    if isinstance(whole, Mapping):
        for key, value in whole.items():
            if key in small:
                yield from missing(value, small[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}", ()
    elif isinstance(whole, list):
        left = list(small)
        gone = []
        for value in whole:
            if left and _label(value) == _label(left[0]):
                yield from missing(value, left.pop(0), f"{place}/{_label(value)}")
            else:
                gone.append(_label(value))
        if gone:
            yield place, tuple(gone)


def _label(value: object) -> str:
    if isinstance(value, Mapping):
        found = next((value[name] for name in _NAMES if name in value), value)
        return " ".join(map(str, found)) if isinstance(found, list) else str(found)
    return str(value)
