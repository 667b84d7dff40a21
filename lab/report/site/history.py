"""The history of each cell over runs: which run, what verdict, which binary. Pure.

Runs that found the same with the same binary and image are one spell. What was skipped or errored says nothing: it
stands in the history, and is no change. A record that a run took over from another published run counts there only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.report.matrix import RUNTIME, Outcome, family_rank, version_place
from lab.report.site.model import Point, Summary, version_of

UNKNOWN = frozenset({"skipped", "errored"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """Runs, one after the other among those that ran the cell, that found the same; digests of runtime and image."""

    kind: str
    cause: str
    phase: str
    runtime: str
    image: str
    runs: tuple[Summary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellHistory:
    """One cell, oldest spell first. ``changed``: runs that say something of the container disagree."""

    cell: str
    spells: tuple[Spell, ...]
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One scenario: the runs that ran it, oldest first, and its cells, grouped by all axes but the runtime."""

    scenario: str
    question: str
    runs: tuple[Summary, ...]
    cells: tuple[CellHistory, ...]


def histories(runs: Sequence[Summary]) -> tuple[History, ...]:
    """One history for each scenario that a run which is not void has cells of, by name; ``runs`` oldest first."""
    sound = [run for run in runs if not run.void]
    names = sorted({name for run in sound for name in run.questions})
    return tuple(_history(name, [run for run in sound if name in run.questions]) for name in names)


def _history(scenario: str, runs: Sequence[Summary]) -> History:
    found: dict[str, list[tuple[Summary, Point]]] = {}
    ids = {run.id for run in runs}
    for run in runs:
        for cell, point in run.points.items():
            if point.scenario == scenario and point.reused_from not in ids:
                found.setdefault(cell, []).append((run, point))
    ordered = sorted(found.items(), key=lambda item: _order(item[1][-1][1]))
    return History(
        scenario=scenario,
        question=next((run.questions[scenario] for run in reversed(runs) if run.questions[scenario]), ""),
        runs=tuple(runs),
        cells=tuple(_cell(cell, points) for cell, points in ordered),
    )


def _order(point: Point) -> tuple[object, ...]:
    """Versions of one combination stand below each other."""
    axes = {axis: value for axis, value in point.axes.items() if axis != RUNTIME}
    family = point.axes.get(RUNTIME, "").partition("@")[0]
    return tuple(axes), tuple(axes.values()), family_rank(family), version_place(version_of(point))


def _cell(cell: str, points: Iterable[tuple[Summary, Point]]) -> CellHistory:
    spells: list[Spell] = []
    for run, point in points:
        seen = point.outcome
        key = (seen.kind, seen.cause, seen.phase, point.runtime, point.image)
        last = spells[-1] if spells else None
        if last and (last.kind, last.cause, last.phase, last.runtime, last.image) == key:
            spells[-1] = _spell(point, seen, (*last.runs, run))
        else:
            spells.append(_spell(point, seen, (run,)))
    told = {(spell.kind, spell.cause) for spell in spells if spell.kind not in UNKNOWN}
    return CellHistory(cell=cell, spells=tuple(spells), changed=len(told) > 1)


def _spell(point: Point, seen: Outcome, runs: tuple[Summary, ...]) -> Spell:
    return Spell(
        kind=seen.kind, cause=seen.cause, phase=seen.phase, runtime=point.runtime, image=point.image, runs=runs
    )
