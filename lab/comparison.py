"""Two sides of measurements → what changed from the left one to the right one, cell by cell. Pure.

The sides are two runs, or two values of one axis or of several together (inside one run, or one in each). Cells are
compared only when they are equal on every other axis; what has no partner, or a partner that is asked something else,
is told and not compared. Compared are verdict, cause and phase, never texts or exit codes. Skipped and errored cells
are unknown: they neither regress nor improve. Controls are no cells; they decide whether a run is void.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from lab.classify.again import run_judged_again
from lab.model.platform_release import RELEASE, in_families
from lab.model.record import Record, Run
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped

BESIDE_SETTINGS = frozenset({"image", "release", "runtime", "engine"})
"""The axes that are no part of a cell's settings (see ``lab.codec.settings_digest``)."""

Part = Literal["runtime", "image", "engine", "probe"]
PARTS: tuple[Part, ...] = ("runtime", "image", "engine", "probe")
"""What a record's provenance has a digest of, and two records with equal axes may differ in."""

Where = Literal["left", "right"]
_Key = tuple[str, frozenset[tuple[str, str]]]
"""Scenario and (axis, value) pairs, without the compared axes."""


class Change(StrEnum):
    """What became of a cell, worst first."""

    REGRESSION = "regression"
    CHANGED = "changed"
    IMPROVEMENT = "improvement"
    UNKNOWN = "unknown"
    UNCHANGED = "unchanged"


class Answer(StrEnum):
    """Whether the right side is worse than the left one."""

    REGRESSIONS = "regressions"
    NO_REGRESSIONS = "no regressions"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: a run, and the value that each compared axis has here where any are compared."""

    run: Run
    values: Mapping[str, str] = field(default_factory=dict)

    def has(self, record: Record) -> bool:
        """Whether a record of this run belongs to the side."""
        return all(record.axes.get(axis) == value for axis, value in self.values.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cell's record on each side.

    ``differs`` names what the verdicts differ in: verdict, cause, phase. ``swapped`` names which of :data:`PARTS`
    stand under the same name and are not the same bytes.
    """

    left: Record
    right: Record
    change: Change
    differs: tuple[str, ...] = ()
    swapped: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A cell of one side that is not compared, and why."""

    side: Where
    record: Record
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Same name, other bytes: the digests that ``name`` has on each side, in so many compared cells."""

    part: Part
    name: str
    left: str
    right: str
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed. Every cell of both sides stands in exactly one place.

    ``pairs`` has every kind of change. ``deleted`` and ``added`` are cells that only the left or the right run has.
    ``twins`` counts the pairs whose sides are two names for the same bytes, so that nothing could change.
    """

    left: Side
    right: Side
    axes: tuple[str, ...]
    pairs: Mapping[Change, tuple[Pair, ...]]
    deleted: tuple[Record, ...]
    added: tuple[Record, ...]
    misfits: tuple[Misfit, ...]
    swaps: tuple[Swap, ...]
    twins: int

    @property
    def compared(self) -> int:
        """How many pairs have a verdict about the container on both sides."""
        return sum(len(pairs) for change, pairs in self.pairs.items() if change is not Change.UNKNOWN)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The run, or both."""
        return (self.left.run,) if self.left.run is self.right.run else (self.left.run, self.right.run)

    @property
    def void(self) -> bool:
        """Whether a run is void, so that nothing here can be trusted."""
        return any(run.void for run in self.runs)

    @property
    def lost(self) -> tuple[Pair, ...]:
        """The pairs that passed on the left and errored on the right: whether they regressed cannot be told."""
        return tuple(
            pair
            for pair in self.pairs[Change.UNKNOWN]
            if isinstance(pair.left.verdict, Passed) and isinstance(pair.right.verdict, Errored)
        )

    @property
    def answer(self) -> Answer:
        """Unknown where a run is void, nothing could be compared, or no cell regressed but one was lost."""
        if self.void or not self.compared:
            return Answer.UNKNOWN
        if self.pairs[Change.REGRESSION]:
            return Answer.REGRESSIONS
        return Answer.UNKNOWN if self.lost else Answer.NO_REGRESSIONS


def compare(left: Side, right: Side) -> Comparison:
    """Compare two sides, which have values of the same axes. Linear in the number of records.

    Runs of different versions of the lab are both judged again: a change of its rules is none of the containers.
    """
    if left.run.header.lab_version != right.run.header.lab_version:
        left, right = (replace(side, run=run_judged_again(side.run)) for side in (left, right))
    axes = tuple(left.values)
    before, misfits = _cells(left, right, "left")
    after, others = _cells(right, left, "right")
    misfits += others
    rewritten = _rewritten(left.run, right.run) if BESIDE_SETTINGS.issuperset(axes) else frozenset()
    pairs: dict[Change, list[Pair]] = {change: [] for change in Change}
    for key, record in before.items():
        partner = after.get(key)
        if partner is None:
            continue
        if record.scenario in rewritten and _settings_differ(record, partner):
            reason = "the scenario file was changed between the runs, and these cells with it"
            misfits += (
                Misfit(side="left", record=record, reason=reason),
                Misfit(side="right", record=partner, reason=reason),
            )
        else:
            pair = _pair(record, partner, axes)
            pairs[pair.change].append(pair)
    gone = [record for key, record in before.items() if key not in after]
    come = [record for key, record in after.items() if key not in before]
    deleted, unmatched = _alone(gone, after.values(), right, "left")
    added, others = _alone(come, before.values(), left, "right")
    every = [pair for some in pairs.values() for pair in some]
    return Comparison(
        left=left,
        right=right,
        axes=axes,
        pairs={change: tuple(some) for change, some in pairs.items()},
        deleted=deleted,
        added=added,
        misfits=(*misfits, *unmatched, *others),
        swaps=_swaps(every),
        twins=sum(_twins(pair, axes) for pair in every) if axes and set(PARTS).issuperset(axes) else 0,
    )


def cells(run: Run) -> tuple[Record, ...]:
    """The latest record of every cell; controls only when the run has nothing else."""
    chosen = [record for record in run.records if not record.control] or run.records
    return tuple({record.cell: record for record in chosen}.values())


def shared_axes(axes: Mapping[str, str], compared: Collection[str]) -> dict[str, str]:
    """What a cell must have in common with its partner: all axes but the compared ones.

    Of the runtimes and engines of two platform releases this is the family.
    """
    shown = in_families(axes) if RELEASE in compared else axes
    return {name: value for name, value in shown.items() if name not in compared}


def _cells(side: Side, other: Side, where: Where) -> tuple[dict[_Key, Record], list[Misfit]]:
    """The cells of one side by what they must share with a partner, and those that belong to no side.

    Inside one run the latter are listed on the left only.
    """
    one_run = side.run is other.run
    found: dict[_Key, Record] = {}
    outside: list[Misfit] = []
    for record in cells(side.run):
        if side.has(record):
            found[record.scenario, frozenset(shared_axes(record.axes, side.values).items())] = record
        elif not one_run or (where == "left" and not other.has(record)):
            reason = _outside(record, side, other if one_run else None)
            outside.append(Misfit(side=where, record=record, reason=reason))
    return found, outside


def _outside(record: Record, side: Side, other: Side | None) -> str:
    """Why a cell belongs to no side."""
    for axis in side.values:
        if axis not in record.axes:
            return f"the scenario has no axis {axis}"
    value = ", ".join(side.values.values())
    wanted = f"not {value}" if other is None else f"neither {value} nor {', '.join(other.values.values())}"
    return f"its {' and '.join(side.values)} {'are' if len(side.values) > 1 else 'is'} {wanted}"


def _rewritten(left: Run, right: Run) -> frozenset[str]:
    """The scenarios whose files say something else in the other run."""
    texts = right.header.scenarios
    return frozenset(name for name, text in left.header.scenarios.items() if texts.get(name, text) != text)


def _settings_differ(left: Record, right: Record) -> bool:
    """Whether two cells are asked different things; a newer lab may write the same settings with another digest."""
    one, other = left.provenance.settings, right.provenance.settings
    return bool(one and other) and one != other


def _pair(left: Record, right: Record, axes: Collection[str]) -> Pair:
    before, after = _answer(left), _answer(right)
    if before is None or after is None:
        change = Change.UNKNOWN
    elif before == after:
        change = Change.UNCHANGED
    elif isinstance(left.verdict, Passed):
        change = Change.REGRESSION
    else:
        change = Change.IMPROVEMENT if isinstance(right.verdict, Passed) else Change.CHANGED
    differs = zip(("verdict", "cause", "phase"), before or (), after or (), strict=False)
    return Pair(
        left=left,
        right=right,
        change=change,
        differs=tuple(name for name, one, other in differs if one != other),
        swapped=tuple(
            part
            for part in PARTS
            if part not in axes and left.axes.get(part) == right.axes.get(part) and _other_bytes(part, left, right)
        ),
    )


def _answer(record: Record) -> tuple[str, str, str] | None:
    """What is compared: verdict, cause, phase; ``None`` where the record says nothing about the container."""
    match record.verdict:
        case Denied() | Failed():
            return record.verdict.kind, record.verdict.cause, str(record.verdict.phase)
        case Passed():
            return record.verdict.kind, "", ""
        case Skipped() | Errored():
            return None


def _digest(part: str, record: Record) -> str:
    return str(getattr(record.provenance, part))


def _other_bytes(part: str, left: Record, right: Record) -> bool:
    one, other = _digest(part, left), _digest(part, right)
    return bool(one and other) and one != other


def _twins(pair: Pair, axes: Collection[str]) -> bool:
    """Whether the values of the compared axes are the same binary, image or engine on both sides."""
    return all(_digest(axis, pair.left) == _digest(axis, pair.right) != "" for axis in axes)


def _swaps(pairs: Iterable[Pair]) -> tuple[Swap, ...]:
    found = Counter(
        (part, pair.left.axes.get(part, part), _digest(part, pair.left), _digest(part, pair.right))
        for pair in pairs
        for part in pair.swapped
    )
    return tuple(
        Swap(part=part, name=name, left=left, right=right, cells=count)
        for (part, name, left, right), count in sorted(found.items())
    )


def _alone(
    records: Iterable[Record], partners: Iterable[Record], other: Side, where: Where
) -> tuple[tuple[Record, ...], list[Misfit]]:
    """The cells that only this side has, and those that cannot have a partner on the other one, with the reason."""
    if other.values:
        wanted = " and ".join(f"{axis} {value}" for axis, value in other.values.items())
        reason = f"no cell with {wanted} is equal on every other axis"
        return (), [Misfit(side=where, record=record, reason=reason) for record in records]
    shapes: dict[str, set[frozenset[str]]] = {}
    for partner in partners:
        shapes.setdefault(partner.scenario, set()).add(frozenset(partner.axes))
    alone: list[Record] = []
    misfits: list[Misfit] = []
    for record in records:
        there = shapes.get(record.scenario, set())
        names = frozenset(record.axes)
        odd = sorted(names ^ frozenset().union(*there)) if there else []
        if odd and names not in there:
            reason = f"the cells of the two runs do not have the same axes ({', '.join(odd)})"
            misfits.append(Misfit(side=where, record=record, reason=reason))
        else:
            alone.append(record)
    return tuple(alone), misfits
