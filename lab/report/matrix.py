"""Run → matrices: the view that every renderer shows. Pure.

One matrix for each scenario. Rows are the combinations of all axes but the runtime (and the engine, when a scenario
has several: it then belongs to the column). In a scenario on platform releases these are the columns, and the families
of runtimes and engines stand in the rows. Adjacent versions of one runtime whose columns are equal in *every* row
become one column, and rows that are equal in every column and differ in one axis become one row: nothing is merged
that differs in verdict, cause, phase or in whether an expectation was met. Combinations without a record (not run
yet, or left out by the scenario) have an empty slot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from packaging.version import Version

from lab.errors import InputError
from lab.model.platform_release import RELEASE, in_families
from lab.model.record import Record, Run
from lab.model.runtime import Family
from lab.model.verdict import Denied, Failed
from lab.report.expectations import held
from lab.report.source import Source, read_source
from lab.scenario.versions import name_key

RUNTIME, ENGINE = "runtime", "engine"


@dataclass(frozen=True, slots=True, order=True)
class Outcome:
    """What is equal when cells are grouped.

    ``unmet``: the expectation did not hold. ``surprise``: the oracle predicted something else. ``derived``: worked out
    from an admission rule, not measured.
    """

    kind: str
    cause: str = ""
    phase: str = ""
    unmet: bool = False
    surprise: bool = False
    derived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One place of the matrix and the records that stand there; no outcome where there is none."""

    outcome: Outcome | None = None
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One or several adjacent versions of one runtime. ``engine`` is empty where the scenario has but one."""

    family: str
    versions: tuple[str, ...]
    engine: str = ""

    @property
    def range(self) -> str:
        """The versions as people say them: one, two, or from … to."""
        first, last = self.versions[0], self.versions[-1]
        several = len(self.versions) > 2  # noqa: PLR2004  # two are named, more are a range
        return f"{first} … {last}" if several else ", ".join(self.versions)

    @property
    def label(self) -> str:
        """Runtime, versions and engine in one line."""
        return f"{self.family} {self.range}".strip() + (f" ({self.engine})" if self.engine else "")


Values = tuple[str | None, ...]
"""Values of one axis; ``None`` for cells that do not have the axis (``include`` rows may name axes of their own)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``values`` holds for each axis of the matrix the values that the row stands for: all their combinations."""

    values: tuple[Values, ...]
    slots: tuple[Slot, ...]

    @property
    def outcomes(self) -> tuple[Outcome | None, ...]:
        """The row's outcomes, column by column."""
        return tuple(slot.outcome for slot in self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One scenario's table. ``fixed`` are the axes with one value only, ``axes`` the others with all their values."""

    scenario: str
    question: str
    fixed: tuple[tuple[str, str], ...]
    axes: tuple[tuple[str, Values], ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def records(self) -> Iterable[Record]:
        """Every record of the matrix, row by row."""
        return (record for row in self.rows for slot in row.slots for record in slot.records)

    @property
    def gaps(self) -> bool:
        """Whether some combination has no record."""
        return any(slot.outcome is None for row in self.rows for slot in row.slots)


def outcome(record: Record, surprises: Collection[str] = ()) -> Outcome:
    """A record's outcome, as far as grouping goes; ``surprises`` are ids of cells."""
    verdict, missed, surprise = record.verdict, held(record) is False, record.cell in surprises
    if isinstance(verdict, Denied | Failed):
        return Outcome(verdict.kind, verdict.cause, str(verdict.phase), missed, surprise, record.derived)
    return Outcome(verdict.kind, unmet=missed, surprise=surprise)


def controls(run: Run) -> tuple[Record, ...]:
    """The run's control cells, by id."""
    return tuple(sorted((record for record in run.records if record.control), key=lambda record: record.cell))


_Key = tuple[str | None, ...]
_ColumnKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One scenario's table before anything is joined: one row for each combination, one column for each runtime.

    ``columns`` holds (runtime, engine) in their order; the engine is empty where the scenario has but one. ``rows``
    maps the values of ``axes`` to the records of each column; columns without a record are left out. ``surprises`` are
    the ids of the cells that show something else than predicted.
    """

    scenario: str
    question: str
    fixed: tuple[tuple[str, str], ...]
    axes: tuple[tuple[str, Values], ...]
    columns: tuple[_ColumnKey, ...]
    rows: Mapping[_Key, Mapping[_ColumnKey, Sequence[Record]]]
    surprises: Collection[str] = ()


def matrices(run: Run, surprises: Collection[str] = ()) -> tuple[Matrix, ...]:
    """One matrix for each scenario that has records, in the order of the run's header.

    Control cells stand in none, unless the run has nothing else. ``surprises`` are ids of cells, which are marked.
    """
    return tuple(join(replace(grid, surprises=surprises)) for grid in grids(run))


def grids(run: Run) -> tuple[Grid, ...]:
    """What :func:`matrices` shows, with every combination and every runtime for itself."""
    found: dict[str, list[Record]] = {scenario: [] for scenario in run.header.scenarios}
    for record in [record for record in run.records if not record.control] or run.records:
        found.setdefault(record.scenario, []).append(record)
    return tuple(
        _grid(scenario, records, read_source(run.header.scenarios.get(scenario, "")))
        for scenario, records in found.items()
        if records
    )


def _grid(scenario: str, records: Sequence[Record], source: Source) -> Grid:
    released = any(RELEASE in record.axes for record in records)
    values = _axis_values([in_families(record.axes) if released else record.axes for record in records], source)
    engines = len(values.get(ENGINE, ())) > 1 and not released
    beside = {RELEASE} if released else {RUNTIME, ENGINE} if engines else {RUNTIME}
    single = {name for name, found in values.items() if len(found) == 1 and found[0] is not None} - beside
    names = [name for name in values if name not in beside | single]
    table: dict[_Key, dict[_ColumnKey, list[Record]]] = {}
    for record in records:
        axes = in_families(record.axes) if released else record.axes
        row = tuple(axes.get(name) for name in names)
        column = (column_name(record.axes), record.axes.get(ENGINE, "") if engines else "")
        table.setdefault(row, {}).setdefault(column, []).append(record)
    order = sorted(table, key=lambda key: [source.rank(*pair) for pair in zip(names, key, strict=True)])
    return Grid(
        scenario=scenario,
        question=source.question,
        fixed=tuple((name, found[0] or "") for name, found in values.items() if name in single),
        axes=tuple((name, values[name]) for name in names),
        columns=tuple(sorted({column for row in table.values() for column in row}, key=_column_order)),
        rows={key: table[key] for key in order},
    )


def column_name(axes: Mapping[str, str]) -> str:
    """What a cell's column is called: its runtime, or its platform release (``debian@12``) where it has one."""
    return axes[RELEASE].replace("-", "@", 1) if RELEASE in axes else axes.get(RUNTIME, "")


def join(grid: Grid) -> Matrix:
    """The grid with adjacent versions as one column, and rows as one row, where nothing differs."""
    columns, rows = _group_columns(grid.columns, grid.rows, grid.surprises)
    for axis in reversed(range(len(grid.axes))):
        rows = group_rows(rows, axis)
    return Matrix(
        scenario=grid.scenario,
        question=grid.question,
        fixed=grid.fixed,
        axes=grid.axes,
        columns=columns,
        rows=rows,
    )


def _axis_values(cells: Sequence[Mapping[str, str]], source: Source) -> dict[str, Values]:
    """Every axis of the cells, in the order of their ids, with its values in the author's order."""
    names = dict.fromkeys([*max(cells, key=len), *(name for axes in cells for name in axes)])
    return {name: _values(name, cells, source) for name in names}


def _values(name: str, cells: Sequence[Mapping[str, str]], source: Source) -> Values:
    return tuple(sorted({axes.get(name) for axes in cells}, key=lambda value: source.rank(name, value)))


def _column_order(key: _ColumnKey) -> tuple[tuple[int, str], str, tuple[int, Version, str]]:
    family, _, version = key[0].partition("@")
    return (family_rank(family), key[1], version_place(version))


def family_rank(family: str) -> tuple[int, str]:
    """Runtimes in the order in which the lab names them, and after them what it does not know, by name."""
    families = list(Family)
    return (families.index(Family(family)) if family in families else len(families), family)


def version_place(version: str) -> tuple[int, Version, str]:
    """Versions in their order, and after them what is no version (a binary of the user's own)."""
    try:
        return (0, name_key(f"x@{version}")[1], "")
    except InputError:
        return (1, Version("0"), version)


def _group_columns(
    keys: Sequence[_ColumnKey],
    table: Mapping[_Key, Mapping[_ColumnKey, Sequence[Record]]],
    surprises: Collection[str],
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    found = [{key: outcome(some[-1], surprises) for key, some in row.items()} for row in table.values()]

    def equal(key: _ColumnKey) -> tuple[object, ...]:
        family, _, version = key[0].partition("@")
        return family, key[1], version_place(version)[0], tuple(row.get(key) for row in found)

    groups = [tuple(group) for _, group in groupby(keys, key=equal)]
    rows = (
        Row(
            values=tuple((value,) for value in values),
            slots=tuple(_slot([row.get(key, []) for key in group], surprises) for group in groups),
        )
        for values, row in table.items()
    )
    return tuple(_column(group) for group in groups), tuple(rows)


def _column(keys: tuple[_ColumnKey, ...]) -> Column:
    return Column(
        family=keys[0][0].partition("@")[0],
        versions=tuple(key[0].partition("@")[2] for key in keys),
        engine=keys[0][1],
    )


def _slot(places: Iterable[Sequence[Record]], surprises: Collection[str]) -> Slot:
    records = tuple(record for place in places for record in place)
    return Slot(outcome=outcome(records[-1], surprises) if records else None, records=records)


def group_rows(rows: tuple[Row, ...], axis: int) -> tuple[Row, ...]:
    """Rows that differ in one axis only, and in no outcome, as one row; at the place of the first."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.values[:axis], row.values[axis + 1 :], row.outcomes), []).append(row)
    return tuple(_joined(group, axis) if len(group) > 1 else group[0] for group in groups.values())


def _joined(rows: list[Row], axis: int) -> Row:
    values = list(rows[0].values)
    values[axis] = tuple(value for row in rows for value in row.values[axis])
    slots = zip(*(row.slots for row in rows), strict=True)
    return Row(
        values=tuple(values),
        slots=tuple(
            Slot(outcome=some[0].outcome, records=tuple(record for slot in some for record in slot.records))
            for some in slots
        ),
    )
