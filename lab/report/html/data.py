"""What the page's script reads: two JSON blocks, made with plain Python, because they speak of every cell. Pure.

The *matrix* block is small and read at once: scenarios with their axes, columns and rows, one outcome for each cell.
The *details* block is read when the first cell is opened. Both hold texts as they were seen; the script escapes them
when it shows them (``escape.js``), and :func:`lab.report.html.frame.json_block` makes them harmless in the page.
``tests/unit/report/test_html_data.py`` and ``script/data.js`` are the two ends of this format; they change together.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from lab.classify.causes import CAUSES
from lab.model.observation import Call, Observation
from lab.model.record import Record
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Errored, Failed, Skipped
from lab.oracle.prediction import Predicted, Prediction
from lab.oracle.runs import Predictions
from lab.report.cell import check_words, ended_words, host_fact_words
from lab.report.expectations import held
from lab.report.html.texts import LONGEST, Texts
from lab.report.json_format import described
from lab.report.matrix import Grid, Matrix, Outcome, grids, join, outcome, version_place
from lab.report.summary import Report
from lab.report.words import predicted_words, wanted_words

FACTS = 500
"""Facts of one cell that are sent as facts; a longer output is shown as a text."""

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the page: its grid, the same with equal versions joined, and whether it holds the controls."""

    grid: Grid
    joined: Matrix
    control: bool = False


def tables(report: Report) -> tuple[Table, ...]:
    """The report's tables in their order, the control cells' last."""
    run, surprises = report.run, report.predictions.surprises
    shown = tuple(Table(grid=grid, joined=matrix) for grid, matrix in zip(grids(run), report.matrices, strict=True))
    if not report.controls or len(report.controls) == len(run.records):
        return shown
    beside = grids(replace(run, records=report.controls))
    return (
        *shown,
        *(Table(grid=grid, joined=join(replace(grid, surprises=surprises)), control=True) for grid in beside),
    )


def matrix_block(report: Report, shown: Sequence[Table]) -> tuple[Data, tuple[Record, ...]]:
    """The matrix block, and the records in the order in which it numbers the cells."""
    cells = _Cells(surprises=report.predictions.surprises)
    scenarios = [_scenario(table, cells) for table in shown]
    causes = {one.cause for one in cells.outcomes if one.cause}
    block = {
        "run": report.run.header.id,
        "scenarios": scenarios,
        "outcomes": [
            [one.kind, one.cause, one.phase, int(one.unmet), int(one.surprise), int(one.derived)]
            for one in cells.outcomes
        ],
        "causes": {name: CAUSES[name].meaning for name in sorted(causes) if name in CAUSES},
        "ids": [record.cell for record in cells.records],
        "cells": cells.places,
    }
    return block, tuple(cells.records)


@dataclass(slots=True, kw_only=True)
class _Cells:
    """Numbers the cells; ``places`` holds for each the place of its outcome in ``outcomes``."""

    surprises: Collection[str]
    records: list[Record] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, record: Record) -> int:
        self.places.append(self.outcomes.setdefault(outcome(record, self.surprises), len(self.outcomes)))
        self.records.append(record)
        return len(self.records) - 1


def _scenario(table: Table, cells: _Cells) -> Data:
    grid = table.grid
    places = [{value: place for place, value in enumerate(values)} for _, values in grid.axes]
    return {
        "id": grid.scenario,
        "question": grid.question,
        "control": int(table.control),
        "fixed": grid.fixed,
        "axes": grid.axes,
        "columns": _columns(table),
        "rows": [[known[value] for known, value in zip(places, key, strict=True)] for key in grid.rows],
        "cells": [
            [cells.add(row[column][-1]) if column in row else -1 for column in grid.columns]
            for row in grid.rows.values()
        ],
    }


def _columns(table: Table) -> list[list[str | int]]:
    """Family, version, engine, line (``1.0``) and era of each column.

    An era is a range of adjacent versions that are equal in every row, numbered within its table.
    """
    eras = [era for era, column in enumerate(table.joined.columns) for _ in column.versions]
    columns: list[list[str | int]] = []
    for (runtime, engine), era in zip(table.grid.columns, eras, strict=True):
        family, _, version = runtime.partition("@")
        columns.append([family, version, engine, line(version), era])
    return columns


def line(version: str) -> str:
    """The line of releases that a version belongs to: ``1.0`` of ``1.0.0-rc93``; ``other`` for what is no version."""
    rank, known, _ = version_place(version)
    return "other" if rank else ".".join(str(part) for part in (*known.release, 0)[:2])


def details_block(report: Report, records: Sequence[Record]) -> Data:
    """All that a cell's page shows beside its outcome, for the records in the order of the matrix block."""
    run = report.run
    details = _Details(
        paths={digest: str(facts.get("path", "")) for digest, facts in run.runtimes.items()},
        predictions=report.predictions,
    )
    cells = [details.cell(record) for record in records]
    used = {record.provenance.config for record in records}
    return {
        "cells": cells,
        "expectations": details.expectations,
        "predictions": details.predicted,
        "runtimes": described(run.runtimes),
        "images": described(run.images),
        "configs": {digest: details.texts.add(text) for digest, text in run.configs.items() if digest in used},
        "texts": details.texts.kept,
    }


@dataclass(slots=True, kw_only=True)
class _Details:
    """Turns records into tuples of references. ``paths`` maps a runtime's digest to where it was on that machine.

    Tuples, because there are hundreds of thousands: the garbage collector soon lets go of those that hold only numbers.
    """

    paths: Mapping[str, str]
    predictions: Predictions
    texts: Texts = field(default_factory=Texts)
    expectations: list[Data] = field(default_factory=list)
    predicted: list[Data] = field(default_factory=list)
    _wanted: dict[tuple[object, ...], int] = field(default_factory=dict)
    _foretold: dict[Predicted, int] = field(default_factory=dict)
    _seen: dict[int, int] = field(default_factory=dict)

    def cell(self, record: Record) -> tuple[object, ...]:
        add, verdict, known = self.texts.add, record.verdict, record.provenance
        text = ""
        if isinstance(verdict, Denied | Failed):
            text = verdict.evidence
        elif isinstance(verdict, Skipped | Errored):
            text = verdict.reason
        return (
            add(text),
            self._expectation(record.expectation),
            held(record),
            add(record.speaks_for),
            int(record.text_differs),
            add(record.started),
            add(", ".join(record.tolerate)),
            tuple([add(check_words(check)) for check in record.checks]),
            (add(known.runtime), add(known.image), add(known.probe), add(known.config), add(known.settings)),
            add(record.reused_from),
            self._prediction(self.predictions.cells[record.cell]),
            add(self.predictions.surprises.get(record.cell, "")),
            record.observation and self._observation(record.observation, self.paths.get(known.runtime, "")),
        )

    def _expectation(self, wanted: Expectation | None) -> int:
        if wanted is None:
            return -1
        key = (wanted.verdict, wanted.cause, wanted.phase, wanted.when, wanted.source)
        if key not in self._wanted:
            self._wanted[key] = len(self.expectations)
            self.expectations.append({"words": wanted_words(wanted), "when": wanted.when, "source": wanted.source})
        return self._wanted[key]

    def _prediction(self, one: Predicted) -> int:
        """Its place. Cells of one era share one object, which outlives this one; many others are equal."""
        place = self._seen.get(id(one))
        if place is None:
            place = self._seen[id(one)] = self._foretold.setdefault(one, len(self.predicted))
        if place == len(self.predicted):
            known = one if isinstance(one, Prediction) else None
            self.predicted.append(
                {
                    "words": predicted_words(one),
                    "era": known.era if known else "",
                    "source": known.source if known else "",
                    "reasoning": [[step.call, step.who, step.outcome] for step in known.reasoning] if known else [],
                }
            )
        return place

    def _observation(self, seen: Observation, path: str) -> tuple[object, ...]:
        add = self.texts.add
        facts, output = _split(seen.output)
        return (
            add(seen.reached),
            seen.exit_code,
            add(seen.refusal or ""),
            add(seen.fault or ""),
            tuple([(add(name), round(took, 5)) for name, took in seen.seconds.items()]),
            tuple([self._call(call, path) for call in seen.calls]),
            tuple([add(fact) for fact in facts]),
            add(output),
            tuple([tuple([add(words) for words in place]) for place in _host(seen)]),
        )

    def _call(self, call: Call, path: str) -> tuple[object, ...]:
        add = self.texts.add
        argv = " ".join(map(_quoted, call.argv))
        return (
            add(call.verb),
            # where the lab's cache lay on that machine is nothing to a reader
            add(argv.replace(path, path.rpartition("/")[2]) if path else argv),
            add("at its deadline" if call.timed_out else ended_words(call.returncode)),
            round(call.seconds, 4),
            int(call.truncated),
            add(call.stderr),
            add(call.stdout),
        )


_quoted = lru_cache(maxsize=4096)(shlex.quote)


def _split(output: bytes) -> tuple[list[bytes], bytes]:
    """The lines that may be facts of the probe (the script reads them), and all other output."""
    if not output.startswith(b"{") and b"\n{" not in output:
        return [], output
    lines = output.splitlines()
    facts = [one for one in lines if one.startswith(b'{"') and len(one) <= LONGEST]
    if len(facts) > FACTS:
        return [], output
    return facts, b"" if len(facts) == len(lines) else b"\n".join(one for one in lines if one not in facts)


def _host(seen: Observation) -> Iterable[tuple[str, str, str]]:
    before = {fact.path: fact for fact in seen.host_before}
    after = {fact.path: fact for fact in seen.host_after}
    for path in dict.fromkeys([*before, *after]):
        yield path, host_fact_words(before.get(path)), host_fact_words(after.get(path))
