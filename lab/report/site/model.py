"""What a site keeps of each run: enough for the index, the histories and the feed, and no more. Pure.

A run of ten thousand cells is read, shown on its own page, reduced to this, and forgotten before the next one is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from lab.comparison import Change, Comparison
from lab.model.record import HostFacts, Record, Run
from lab.report.flips import Answer, Span, family, flips, version_words
from lab.report.matrix import ENGINE, RUNTIME, Grid, Outcome, grids, outcome
from lab.report.source import read_source
from lab.report.summary import Counts, counts
from lab.report.words import counted

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One cell in one run: what was found, with which binary and which image (digests).

    ``reused_from`` is the run that measured it, where that is another one.
    """

    scenario: str
    outcome: Outcome
    axes: Mapping[str, str]
    runtime: str
    image: str
    reused_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One flip in one combination: from ``before`` to ``after``, versions of ``family``, ``was`` became ``now``.

    ``cell`` is the cell of ``after``; ``row`` names the combination: all its other axes with their values, sorted, so
    that a run which asked less is understood too.
    """

    scenario: str
    family: str
    engine: str
    before: str
    after: str
    was: Answer
    now: Answer
    row: tuple[tuple[str, str], ...]
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What became of cells since an earlier run: how many of each kind of change. ``run`` is that run's id."""

    run: str
    changes: Mapping[Change, int]

    @property
    def words(self) -> str:
        """``1 regression, 2 improvements``; ``no change`` where every cell that both runs have says the same."""
        nouns = {Change.REGRESSION: "regression", Change.CHANGED: "other change", Change.IMPROVEMENT: "improvement"}
        parts = [counted(self.changes[change], noun) for change, noun in nouns.items() if self.changes[change]]
        return ", ".join(parts) or ("no change" if self.changes[Change.UNCHANGED] else "nothing can be compared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One run. ``points`` maps the cells to what was found, controls left out; a void run has none, and no turns.

    ``since`` compares it with the sound run of the same scenario before it, where there is one.
    """

    id: str
    started: str
    finished: str
    lab_version: str
    host: HostFacts
    void: bool
    counts: Counts
    questions: Mapping[str, str]
    points: Mapping[str, Point]
    turns: tuple[Turn, ...]
    since: Since | None

    @property
    def place(self) -> str:
        """The run's directory in the site, relative to its top."""
        return f"runs/{file_name(self.id)}"

    @property
    def updated(self) -> str:
        """When the run came to its end, or, if it did not, when it began."""
        return self.finished or self.started


def file_name(name: str) -> str:
    """A name of a file for any id: the id itself where it is harmless, else what is harmless of it and a digest."""
    if _PLAIN.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-")
    return f"{kept}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}".lstrip("-")


def summarise(run: Run, found: Comparison | None = None) -> Summary:
    """What the site keeps of a run, compared with an earlier one (on the left).

    Of a void run nothing is kept that could be taken for a finding.
    """
    cells = [] if run.void else [record for record in run.records if not record.control]
    scenarios = dict.fromkeys(record.scenario for record in run.records if not record.control)
    return Summary(
        id=run.header.id,
        started=run.header.started,
        finished=run.finished,
        lab_version=run.header.lab_version,
        host=run.header.host,
        void=run.void,
        counts=counts(run),
        questions={name: read_source(run.header.scenarios.get(name, "")).question for name in scenarios},
        points={record.cell: _point(record) for record in cells},
        turns=tuple(turn for grid in (grids(run) if cells else ()) for turn in _turns(grid)),
        since=None if found is None else _since(found),
    )


def _since(found: Comparison) -> Since:
    return Since(run=found.left.run.header.id, changes={change: len(pairs) for change, pairs in found.pairs.items()})


def _point(record: Record) -> Point:
    proof = record.provenance
    return Point(
        scenario=record.scenario,
        outcome=outcome(record),
        axes=record.axes,
        runtime=proof.runtime,
        image=proof.image,
        reused_from=record.reused_from,
    )


def _turns(grid: Grid) -> Iterator[Turn]:
    engines = dict.fromkeys(engine for _, engine in grid.columns)
    for found in grid.rows.values():
        for engine in engines:
            runtimes = [runtime for runtime, its in grid.columns if its == engine]
            last = {runtime: found[runtime, engine][-1] for runtime in runtimes if (runtime, engine) in found}
            spans = flips([(name, last[name].verdict if name in last else None) for name in runtimes])
            for before, after in pairwise(spans):
                if family(before.values[0]) == family(after.values[0]):
                    yield _turn(before, after, last[after.values[0]])


def _turn(before: Span, after: Span, record: Record) -> Turn:
    return Turn(
        scenario=record.scenario,
        family=family(after.values[0]),
        engine=record.axes.get(ENGINE, ""),
        before=version_words(before.values[-1]),
        after=version_words(after.values[0]),
        was=before.answer,
        now=after.answer,
        row=tuple(sorted(pair for pair in record.axes.items() if pair[0] != RUNTIME)),
        cell=record.cell,
    )


def version_of(point: Point) -> str:
    """The version in a cell's runtime axis."""
    return version_words(point.axes.get(RUNTIME, ""))
