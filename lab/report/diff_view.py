"""Comparison → what every renderer of a diff shows: sections, worst first, with tables and their evidence. Pure.

Rows that differ in one axis only, and show the same on both sides, are one row, as in the matrix of a run.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from lab.comparison import Answer, Change, Comparison, Pair, Part, Side, Swap, shared_axes
from lab.model.record import Record, Run
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped
from lab.provision.changes import load_changes
from lab.report.escape import escape_text
from lab.report.expectations import held
from lab.report.matrix import RUNTIME, Outcome, Row, Slot, Values, family_rank, group_rows, outcome, version_place
from lab.report.source import Source, read_source
from lab.report.words import ALL_FROM, UNMET, counted, found_words, sign, wanted_words

Words = tuple[str, ...]
"""A line in which every second part, from the second on, is quoted from somewhere: a name, an id, a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a table's sign stands on, by the example of one cell.

    ``expected`` says whether the scenario expects it; ``command`` prints the whole record.
    """

    outcome: Outcome
    text: str
    cells: int
    expected: Words
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The cells of one scenario in a section.

    ``fixed`` are the axes with one value only, ``axes`` the others with all their values; each row has a slot for
    each of ``heads``. ``changes`` are known ones between two runtimes: places to read on, not what was measured.
    """

    scenario: str
    question: str
    fixed: tuple[tuple[str, str | None], ...]
    axes: tuple[tuple[str, Values], ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    proofs: tuple[Proof, ...]
    changes: tuple[Words, ...] = ()

    @property
    def whole(self) -> tuple[tuple[str, Values], ...]:
        """The axes of which some row says only ``any of N``, with the values that this stands for."""
        return tuple(
            (name, known)
            for place, (name, known) in enumerate(self.axes)
            if len(known) >= ALL_FROM and any(row.values[place] == known for row in self.rows)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Cells of one fate. ``name`` is that of the list in the JSON document, ``title`` says how many there are."""

    name: str
    title: str
    note: str
    cells: int
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    """The whole report of a diff.

    ``alarms`` say why it must not be trusted, or what it cannot tell; ``notes`` what else differs between the sides;
    ``facts`` where it was measured. ``apart`` counts the cells that are not comparable, by reason.
    """

    left: str
    right: str
    headline: str
    answer: Answer
    summary: str
    alarms: tuple[Words, ...]
    notes: tuple[Words, ...]
    facts: Words
    sections: tuple[Section, ...]
    apart: tuple[tuple[str, int], ...]


_TITLES: Mapping[Change, tuple[str, str]] = {
    Change.REGRESSION: ("regression", "passed on the left, denied or failed on the right"),
    Change.CHANGED: ("other change", "denied or failed on both sides, with another verdict, cause or phase"),
    Change.IMPROVEMENT: ("improvement", "denied or failed on the left, passed on the right"),
    Change.UNKNOWN: ("unknown cell", "skipped or errored on a side: neither a regression nor none"),
}


def view(found: Comparison) -> DiffView:
    """The view of a comparison."""
    regressions = len(found.pairs[Change.REGRESSION])
    sections = tuple(section for section in _sections(found) if section.cells)
    return DiffView(
        left=side_words(found.left, found),
        right=side_words(found.right, found),
        headline=counted(regressions, "regression") if found.answer is Answer.REGRESSIONS else found.answer,
        answer=found.answer,
        summary=_summary(found),
        alarms=tuple(_alarms(found)),
        notes=(*_notes(found), *_unmet(sections)),
        facts=_facts(found.right.run),
        sections=sections,
        apart=tuple(Counter(misfit.reason for misfit in found.misfits).most_common()),
    )


def signs(row: Row) -> tuple[str, ...]:
    """What stands in a row's slots; with the phase where it is all that differs."""
    texts = [sign(one) for one in row.outcomes]
    if len(texts) > 1 and len(set(texts)) == 1 and len(set(row.outcomes)) > 1:
        return tuple(
            f"{text}, phase {escape_text(one.phase)}" for text, one in zip(texts, row.outcomes, strict=True) if one
        )
    return tuple(texts)


def side_words(side: Side, found: Comparison) -> str:
    """What one side is called: the values of the compared axes, the run, or both where there are two runs as well."""
    run = f"run {side.run.header.id}"
    if not side.values:
        return run
    values = ", ".join(side.values.values())
    return values if len(found.runs) == 1 else f"{values} ({run})"


def _summary(found: Comparison) -> str:
    parts = [
        counted(len(found.pairs[change]), noun) for change, (noun, _) in _TITLES.items() if change is not Change.UNKNOWN
    ]
    parts.append(f"{len(found.pairs[Change.UNCHANGED]):,} unchanged")
    rest = {
        "unknown": len(found.pairs[Change.UNKNOWN]),
        "added": len(found.added),
        "deleted": len(found.deleted),
        "not comparable": len(found.misfits),
    }
    told = ", ".join(f"{number:,} {word}" for word, number in rest.items() if number)
    return ", ".join(parts) + (f" · {told}" if told else "")


def _alarms(found: Comparison) -> Iterator[Words]:
    for run in found.runs:
        if run.void:
            yield ("VOID: ", f"run {run.header.id}", " cannot be trusted, and so this diff cannot: ", *_broken(run))
        if not run.finished:
            yield ("PARTIAL: ", f"run {run.header.id}", " has not come to its end; what it lacks may not have been run")
    if not found.compared:
        yield ("NOTHING COMPARED: no cell has a verdict about the container on both sides",)
    if found.lost:
        number = counted(len(found.lost), "cell")
        yield (f"NOT KNOWN: {number} passed before and errored now; whether they regressed cannot be told",)


def _broken(run: Run) -> Words:
    """The first control of a void run that did not show what it must."""
    for record in run.records:
        if record.control and record.expectation is not None and held(record) is False:
            wanted, seen = wanted_words(record.expectation), found_words(record.verdict)
            return ("control cell ", record.cell, ": expected ", wanted, ", found ", seen)
    return ("a control cell is broken",)


def _notes(found: Comparison) -> Iterator[Words]:
    for swap in found.swaps:
        yield _swap(swap, found)
    if found.twins:
        told = f" are the same {' and '.join(found.axes)}, byte for byte ({counted(found.twins, 'cell')})"
        yield ("", ", ".join(found.left.values.values()), " and ", ", ".join(found.right.values.values()), told)
    one, other = found.left.run.header, found.right.run.header
    for field in fields(one.host):
        before, after = (str(getattr(header.host, field.name)) for header in (one, other))
        if before != after:
            yield (f"the hosts differ: {field.name} ", before, " → ", after)
    if one.lab_version != other.lab_version:
        told = "; both are judged by today's rules"
        yield ("measured by different versions of permlab: ", one.lab_version, " → ", other.lab_version, told)
    odd = sum(_unexplained(pair, found) for some in found.pairs.values() for pair in some)
    if odd:
        yield (
            f"{counted(odd, 'cell')} changed with the same binary, image and host: it may not be stable, measure again",
        )


def _unmet(sections: Iterable[Section]) -> Iterator[Words]:
    rows = (row for section in sections for table in section.tables for row in table.rows)
    if any(one is not None and one.unmet for row in rows for one in row.outcomes):
        yield (f"{UNMET} stands where the scenario expects something else",)


def _facts(run: Run) -> Words:
    header, host = run.header, run.header.host
    versions = ("permlab ", header.lab_version, " on ", host.os, ", kernel ", host.kernel)
    return ("measured ", header.started, " by ", "", *versions)


def _swap(swap: Swap, found: Comparison) -> Words:
    sides = ((swap.left, found.left.run), (swap.right, found.right.run))
    before, after = (f"{digest}{_origin(swap.part, digest, run)}" for digest, run in sides)
    cells = counted(swap.cells, "cell")
    return (f"same name, other {swap.part}: ", swap.name, " is ", before, " → ", after, f" ({cells})")


def _origin(part: Part, digest: str, run: Run) -> str:
    """Where the bytes came from, as far as the run knows."""
    known = {"runtime": run.runtimes, "image": run.images, "engine": run.engines}.get(part, {}).get(digest, {})
    words = ", ".join(str(known[name]) for name in ("origin", "toolchain") if known.get(name))
    return f" ({words})" if words else ""


def _unexplained(pair: Pair, found: Comparison) -> bool:
    """Whether a cell changed although all that it was run with is the same."""
    same_host = found.left.run.header.host == found.right.run.header.host
    changed = pair.change not in {Change.UNCHANGED, Change.UNKNOWN}
    return changed and not found.axes and not pair.swapped and same_host


def _sections(found: Comparison) -> Iterator[Section]:
    heads = (side_words(found.left, found), side_words(found.right, found))
    runs = (found.left.run, found.right.run)
    for change, (noun, note) in _TITLES.items():
        entries = [(pair.left, pair.right) for pair in found.pairs[change]]
        tables = _tables(entries, heads, runs, found.axes)
        if RUNTIME in found.axes and change is not Change.UNKNOWN:
            tables = tuple(replace(table, changes=tuple(_known(table, found))) for table in tables)
        yield Section(name=change, title=counted(len(entries), noun), note=note, cells=len(entries), tables=tables)
    for name, records, head, run, side in (
        ("deleted", found.deleted, heads[0], runs[0], "left"),
        ("added", found.added, heads[1], runs[1], "right"),
    ):
        yield Section(
            name=name,
            title=f"{counted(len(records), 'cell')} {name}",
            note=f"only in the {side} run",
            cells=len(records),
            tables=_tables([(record,) for record in records], (head,), (run,), found.axes),
        )


def _known(table: Table, found: Comparison) -> Iterator[Words]:
    """The known changes between the two runtimes that are about the causes of a table."""
    causes = frozenset(one.cause for row in table.rows for one in row.outcomes if one is not None and one.cause)
    left, right = found.left.values[RUNTIME], found.right.values[RUNTIME]
    for change in load_changes().between(left, right, causes=causes, scenario=table.scenario):
        links = tuple(part for link in change.links for part in (link, " "))
        yield (f"known change: {change.family} {change.since} {change.what}: ", *links)


_Entry = tuple[Record, ...]


def _tables(
    entries: Sequence[_Entry], heads: tuple[str, ...], runs: tuple[Run, ...], axes: Collection[str]
) -> tuple[Table, ...]:
    """One table for each scenario; each entry has a record for each head."""
    scenarios: dict[str, list[_Entry]] = {}
    for entry in entries:
        scenarios.setdefault(entry[0].scenario, []).append(entry)
    return tuple(_table(name, some, heads, runs, axes) for name, some in scenarios.items())


def _table(
    scenario: str, entries: Sequence[_Entry], heads: tuple[str, ...], runs: tuple[Run, ...], compared: Collection[str]
) -> Table:
    source = read_source(runs[-1].header.scenarios.get(scenario, ""))
    cells = [(shared_axes(entry[0].axes, compared), entry) for entry in entries]
    names = dict.fromkeys(name for values, _ in cells for name in values)
    known = {name: _values(name, [values for values, _ in cells], source) for name in names}
    axes = [name for name in names if len(known[name]) > 1]
    ordered = sorted(cells, key=lambda cell: [_place(name, cell[0].get(name), source) for name in axes])
    rows = tuple(
        Row(
            values=tuple((values.get(name),) for name in axes),
            slots=tuple(Slot(outcome=outcome(record), records=(record,)) for record in entry),
        )
        for values, entry in ordered
    )
    for place in reversed(range(len(axes))):
        rows = group_rows(rows, place)
    return Table(
        scenario=scenario,
        question=source.question,
        fixed=tuple((name, known[name][0]) for name in names if name not in axes),
        axes=tuple((name, known[name]) for name in axes),
        heads=heads,
        rows=rows,
        proofs=tuple(_proofs(rows, runs)),
    )


def _values(name: str, cells: Sequence[Mapping[str, str]], source: Source) -> Values:
    return tuple(sorted({axes.get(name) for axes in cells}, key=lambda value: _place(name, value, source)))


def _place(name: str, value: str | None, source: Source) -> tuple[object, ...]:
    """The sort key of a value: runtimes by family and version, all others as the author wrote them."""
    if name != RUNTIME or value is None:
        return source.rank(name, value)
    family, _, version = value.partition("@")
    return (1, family_rank(family), version_place(version))


def _proofs(rows: Iterable[Row], runs: Sequence[Run]) -> Iterator[Proof]:
    """One proof for every sign that stands for a text, later sides first: what is wrong now matters most."""
    found: dict[tuple[int, Outcome, str], list[Record]] = {}
    for row in rows:
        for place, slot in enumerate(row.slots):
            for record in slot.records:
                reason = record.verdict.reason if isinstance(record.verdict, Skipped | Errored) else ""
                if slot.outcome is not None and not isinstance(record.verdict, Passed):
                    found.setdefault((-place, slot.outcome, reason), []).append(record)
    for (place, shown, reason), records in sorted(found.items(), key=lambda item: item[0][0]):
        example = records[0]
        text = example.verdict.evidence if isinstance(example.verdict, Denied | Failed) else reason
        yield Proof(
            outcome=shown,
            text=text,
            cells=len(records),
            expected=_expected(example),
            command=f"permlab show {shlex.quote(example.cell)} --run {shlex.quote(runs[-place].header.id)}",
        )


def _expected(record: Record) -> Words:
    wanted, met = record.expectation, held(record)
    if wanted is None or met is None:
        return ()
    source = (": ", wanted.source) if wanted.source else ()
    return ("the scenario expects it", "", *source) if met else ("the scenario expects ", wanted_words(wanted), *source)
