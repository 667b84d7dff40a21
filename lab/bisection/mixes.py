"""Between two cells: the fewest settings of the one that give its answer in the other. Every mix is really run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from lab.bisection.asking import Asked, Lab, ask
from lab.bisection.axis import asking_for, moved
from lab.bisection.bisect import Ending
from lab.errors import InputError
from lab.model.scenario import Cell, Task
from lab.report.flips import answer_words

MOST_AXES = 12
"""Axes in which two cells may differ: beyond, all the mixes are too many to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The good cell with the values that the bad one has on ``axes``, and what it answered."""

    axes: tuple[str, ...]
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """What was found between a good cell and a bad one.

    ``differing`` names each axis with its two values, good first. ``smallest`` are the mixes with the fewest values of
    the bad cell that give its answer: several when as few others do it too; where only the bad cell itself does, it is
    that one. ``mixes`` are all that were run, fewest values first.
    """

    good: Asked
    bad: Asked
    differing: tuple[tuple[str, str, str], ...]
    ending: Ending
    smallest: tuple[Mix, ...] = ()
    mixes: tuple[Mix, ...] = ()

    @property
    def unknown(self) -> tuple[Mix, ...]:
        """Mixes with as few values or fewer that could not be told: one of them may do it too."""
        return tuple(mix for mix in self.mixes if mix.asked.answer is None)


def differing(good: Cell, bad: Cell) -> tuple[tuple[str, str, str], ...]:
    """The axes in which two cells differ, each with its two values; raises :class:`InputError` where none compares."""
    names = [name for name, _ in good.axes]
    if good.scenario != bad.scenario or names != [name for name, _ in bad.axes]:
        raise InputError(
            "these cells do not have the same axes",
            details=f"{good.id}\n{bad.id}",
            resolution="give two cells of one scenario",
        )
    found = tuple((name, good.value(name), bad.value(name)) for name in names if good.value(name) != bad.value(name))
    if not found:
        raise InputError("both cells are the same", details=good.id, resolution="give two that differ")
    if len(found) > MOST_AXES:
        raise InputError(
            f"the cells differ in {len(found)} axes",
            details=f"the mixes of more than {MOST_AXES} are too many to run",
            resolution="choose a good cell that is nearer to the bad one",
        )
    return found


def mix(lab: Lab, good: Task, bad: Task, *, times: int, tell: Callable[[str], None] = lambda _: None) -> Mixed:
    """Verify both cells, then run mixes: one value of the bad cell, then two, until its answer is there.

    Both ends and every mix that shows the bad answer are run ``times`` times. Every smaller mix was run, so that no
    smaller set does it, but for the ones that are told as unknown.
    """
    between = differing(good.cell, bad.cell)
    ends = ask(lab, [good, bad], [good.cell.id, bad.cell.id], times=times)
    ending = _of_ends(ends)
    if ending is not None:
        return Mixed(good=ends[0], bad=ends[1], differing=between, ending=ending)
    wanted = ends[1].answers[0]
    mixes: list[Mix] = []
    names = tuple(name for name, _, _ in between)
    for size in range(1, len(names)):
        sets = tuple(combinations(names, size))
        tell(f"{len(sets)} mixes with {size} of the {len(names)} values that differ")
        found = _run(lab, good, bad, sets, times=1)
        hits = [one.axes for one in found if one.asked.answer == wanted]
        sure = {one.axes: one for one in _run(lab, good, bad, hits, times=times)}
        mixes += [sure.get(one.axes, one) for one in found]
        smallest = tuple(one for one in sure.values() if one.asked.answer == wanted)
        for one in smallest:
            tell(f"{' + '.join(one.axes)}: {answer_words(wanted)}")
        if smallest:
            break
    else:
        smallest = (Mix(axes=names, asked=ends[1]),)
    return Mixed(
        good=ends[0],
        bad=ends[1],
        differing=between,
        ending=Ending.FOUND,
        smallest=smallest,
        mixes=tuple(mixes),
    )


def _of_ends(ends: Sequence[Asked]) -> Ending | None:
    """Why there is nothing to search between two cells; ``None`` where there is."""
    if not all(one.stable for one in ends):
        return Ending.UNSTABLE
    if any(one.answer is None for one in ends):
        return Ending.UNKNOWN
    return Ending.AGREE if ends[0].answer == ends[1].answer else None


def _run(lab: Lab, good: Task, bad: Task, sets: Sequence[tuple[str, ...]], *, times: int) -> tuple[Mix, ...]:
    cells = [moved(good.cell, {name: bad.cell.value(name) for name in names}) for names in sets]
    tasks = [asking_for(good.scenario, cell) for cell in cells]
    asked = ask(lab, tasks, [cell.id for cell in cells], times=times)
    return tuple(Mix(axes=names, asked=one) for names, one in zip(sets, asked, strict=True))
