"""What the page says in words, around its matrices: flips, missed expectations, legend, provenance. Pure, and bounded.

Everything here is escaped by :func:`lab.report.escape.escape_text` against characters that act, and by the templates
against markup.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from urllib.parse import urlencode

from lab.model.record import Record, Run
from lab.report.escape import cut, escape_text
from lab.report.expectations import held
from lab.report.flips import answer_words, flips, gap_words, range_words
from lab.report.matrix import Matrix, Row, column_name, family_rank, version_place
from lab.report.summary import Report
from lab.report.words import values_words, wanted_words

SHOWN = 100
"""Entries of one list; what is left out is counted."""
COMMANDS = 5
EVIDENCE = 300
FALLBACK_ROWS = 300
"""Rows of the table for browsers without scripts."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One span of a flip: where it lies, and what was found there."""

    where: str
    kind: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Combinations whose answers change in the same way along the versions of one runtime.

    ``rows`` names them in words, ``cells`` counts the combinations, ``cell`` is where the first change shows; ``gaps``
    tells what unknown versions leave open.
    """

    scenario: str
    runtime: str
    spells: tuple[Spell, ...]
    gaps: tuple[str, ...]
    rows: tuple[str, ...]
    count: int
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Records that missed one expectation in one way; ``cells`` names the first of them."""

    wanted: str
    found: str
    source: str
    count: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """A runtime as the page's provenance tells it."""

    name: str
    sha256: str
    origin: str
    toolchain: str
    reported: str


def run_flips(matrices: Iterable[Matrix]) -> tuple[Flip, ...]:
    """Every flip along the runtime axis of each table, the most frequent first."""
    found: dict[tuple[object, ...], list[Flip]] = {}
    for matrix in matrices:
        for row in matrix.rows:
            for flip in _row_flips(matrix, row):
                found.setdefault((flip.scenario, flip.runtime, flip.spells), []).append(flip)
    together = [
        Flip(
            scenario=some[0].scenario,
            runtime=some[0].runtime,
            spells=some[0].spells,
            gaps=tuple(dict.fromkeys(gap for flip in some for gap in flip.gaps)),
            rows=tuple(flip.rows[0] for flip in some),
            count=sum(flip.count for flip in some),
            cell=some[0].cell,
        )
        for some in found.values()
    ]
    return tuple(sorted(together, key=lambda flip: -flip.count))


def _row_flips(matrix: Matrix, row: Row) -> Iterator[Flip]:
    """The flips of one row: by runtime, and by engine where there are several."""
    places = [
        (column.family, column.engine, version, slot)
        for column, slot in zip(matrix.columns, row.slots, strict=True)
        for version in column.versions
    ]
    for (family, engine), members in groupby(places, key=lambda place: place[:2]):
        sequence = [
            (f"{family}@{version}", slot.records[-1].verdict if slot.records else None)
            for _, _, version, slot in members
        ]
        spans = flips(sequence)
        if len(spans) > 1:
            turn = spans[1].values[0].partition("@")[2]
            yield Flip(
                scenario=matrix.scenario,
                runtime=escape_text(f"{family} ({engine})" if engine else family),
                spells=tuple(
                    Spell(
                        where=escape_text(range_words(span)),
                        kind=span.answer.kind,
                        found=escape_text(answer_words(span.answer)),
                    )
                    for span in spans
                ),
                gaps=tuple(escape_text(gap) for gap in gap_words(spans)),
                rows=(_row_words(matrix, row),),
                count=prod(len(values) for values in row.values),
                cell=_cell_at(matrix, row, family, engine, turn),
            )


def _cell_at(matrix: Matrix, row: Row, family: str, engine: str, version: str) -> str:
    """The id of the row's cell in one column; of its first combination, where it stands for several."""
    for column, slot in zip(matrix.columns, row.slots, strict=True):
        if (column.family, column.engine) == (family, engine) and version in column.versions:
            runtime = f"{family}@{version}"
            return next(record.cell for record in slot.records if column_name(record.axes) == runtime)
    return ""


def _row_words(matrix: Matrix, row: Row) -> str:
    named = zip(matrix.axes, row.values, strict=True)
    return " · ".join(f"{name} {values_words(values, known)}" for (name, known), values in named) or "every combination"


def missed(report: Report) -> tuple[Missed, ...]:
    """The expectations that were not met."""
    return tuple(
        Missed(
            wanted=entry.wanted,
            found=cut(entry.found, EVIDENCE),
            source=link(entry.source),
            count=len(entry.records),
            cells=tuple(record.cell for record in entry.records[:COMMANDS]),
        )
        for entry in report.missed
    )


def surprises(report: Report) -> tuple[Missed, ...]:
    """The cells that show something else than the oracle predicts: ``wanted`` is the prediction."""
    return tuple(
        Missed(
            wanted=escape_text(entry.predicted),
            found=cut(entry.found, EVIDENCE),
            source="",
            count=len(entry.records),
            cells=tuple(record.cell for record in entry.records[:COMMANDS]),
        )
        for entry in report.surprises
    )


def broken(report: Report) -> tuple[str, ...]:
    """What each control cell that did not hold was expected to show."""
    return tuple(
        f"{escape_text(record.cell)}: expected {wanted_words(record.expectation) if record.expectation else 'nothing'}"
        for record in report.broken[:COMMANDS]
    )


def fallback(matrix: Matrix) -> tuple[tuple[Pairs, Row], ...]:
    """The rows that browsers without scripts see, each with the words of its axes."""
    return tuple(
        (
            tuple(
                (name, values_words(values, known))
                for (name, known), values in zip(matrix.axes, row.values, strict=True)
            ),
            row,
        )
        for row in matrix.rows[:FALLBACK_ROWS]
    )


def provenance(run: Run) -> Pairs:
    """The run, the lab and the host, as pairs."""
    header, host = run.header, run.header.host
    pairs = (
        ("run", header.id),
        ("command", shlex.join(header.argv)),
        ("permlab", header.lab_version),
        ("started", header.started),
        ("finished", run.finished or "not finished"),
        ("system", host.os),
        ("kernel", f"{host.kernel}, {host.machine}"),
        ("cgroups", host.cgroups),
        ("security modules", host.lsms),
        ("caller", f"uid {host.uid}, capabilities {host.capabilities}"),
        ("processors", str(host.cpus)),
    )
    return tuple((name, escape_text(text)) for name, text in pairs)


def runtime_facts(run: Run) -> tuple[RuntimeFacts, ...]:
    """What is known of the runtimes that the run's records speak of, in the order of the matrix's columns."""
    named = {record.provenance.runtime: record.axes.get("runtime", "") for record in run.records}
    named.pop("", None)
    return tuple(
        RuntimeFacts(
            name=escape_text(name),
            sha256=escape_text(digest),
            origin=_fact(run.runtimes.get(digest, {}), "origin"),
            toolchain=_fact(run.runtimes.get(digest, {}), "toolchain"),
            reported=_fact(run.runtimes.get(digest, {}), "reported").partition(r"\n")[0],
        )
        for digest, name in sorted(named.items(), key=lambda pair: _order(pair[1]))
    )


def _order(name: str) -> tuple[object, object]:
    family, _, version = name.partition("@")
    return family_rank(family), version_place(version)


def image_facts(run: Run) -> tuple[Pairs, ...]:
    """Name, digest and origin of each image."""
    return tuple(
        (("name", _fact(facts, "name")), ("digest", escape_text(digest)), ("origin", _fact(facts, "origin")))
        for digest, facts in run.images.items()
    )


def _fact(facts: Mapping[str, object], name: str) -> str:
    return escape_text(str(facts.get(name, "")))


def cell_link(cell: str) -> str:
    """The fragment of the page's address that opens a cell."""
    return f"#{urlencode({'cell': cell}, errors='replace')}"


def link(address: str) -> str:
    """An address that a reader may follow; empty when it is none of the web."""
    return escape_text(address) if address.startswith(("https://", "http://")) else ""


def control_words(records: Sequence[Record]) -> str:
    """How the control cells ended, in one sentence."""
    silent = sum(held(record) is None for record in records)
    fine = sum(held(record) is True for record in records)
    return f"{fine} of {len(records)} as expected" + (f", {silent} say nothing" if silent else "")
