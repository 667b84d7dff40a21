"""The JSON diff as types: ``diff.schema.json`` is generated from them, and ``docs/compare.md`` explains them.

Keys are only ever added within one ``FORMAT``; a key that changes its meaning or goes away raises it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from lab.report.document import VerdictWord

FORMAT: Literal[1] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SideEntry:
    """One side: the run, and the value that each compared axis has there (none for whole runs)."""

    run: str
    values: Mapping[str, str]
    started: str
    finished: str
    void: bool
    lab_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEntry:
    """One cell's result. Texts stand as they were seen: escape them before you show them.

    ``runtime``, ``image`` and ``engine`` are digests, empty where nothing was run; ``held`` tells whether the result is
    what the scenario expected, and ``source`` where that comes from.
    """

    cell: str
    verdict: VerdictWord
    cause: str | None
    phase: str | None
    evidence: str | None
    reason: str | None
    held: bool | None
    source: str
    runtime: str
    image: str
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEntry:
    """A compared cell. ``axes`` are those that both sides share: all but the compared ones."""

    scenario: str
    axes: Mapping[str, str]
    differs: tuple[str, ...]
    swapped: tuple[str, ...]
    left: ResultEntry
    right: ResultEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneEntry:
    """A cell that only one run has."""

    scenario: str
    axes: Mapping[str, str]
    result: ResultEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class MisfitEntry:
    """A cell that is not comparable, the side that it stands on, and why."""

    side: Literal["left", "right"]
    reason: str
    scenario: str
    axes: Mapping[str, str]
    result: ResultEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapEntry:
    """A name that stands for other bytes on the other side, in so many compared cells."""

    part: Literal["runtime", "image", "engine", "probe"]
    name: str
    left: str
    right: str
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSummary:
    """How long each list is. ``compared`` counts the pairs with a verdict about the container on both sides."""

    compared: int
    regressions: int
    changed: int
    improvements: int
    unknown: int
    unchanged: int
    added: int
    deleted: int
    not_comparable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffDocument:
    """The whole diff.

    ``void``: nothing of it can be trusted. ``complete``: every run came to its end. ``twins``: pairs whose sides are
    two names for the same bytes.
    """

    format: Literal[1]
    axes: tuple[str, ...]
    left: SideEntry
    right: SideEntry
    answer: Literal["regressions", "no regressions", "cannot be told"]
    void: bool
    complete: bool
    summary: DiffSummary
    swaps: tuple[SwapEntry, ...]
    twins: int
    regressions: tuple[PairEntry, ...]
    changed: tuple[PairEntry, ...]
    improvements: tuple[PairEntry, ...]
    unknown: tuple[PairEntry, ...]
    deleted: tuple[AloneEntry, ...]
    added: tuple[AloneEntry, ...]
    not_comparable: tuple[MisfitEntry, ...]
    unchanged: tuple[PairEntry, ...]


def diff_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the JSON diff, open to keys that a later version adds."""
    schema = TypeAdapter(DiffDocument).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "permlab diff"}


def diff_schema_text() -> str:
    """The schema as ``lab/report/diff.schema.json`` holds it."""
    return json.dumps(diff_schema(), indent=2) + "\n"
