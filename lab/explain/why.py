"""Which of a cell's settings make its failure: its neighbours are run, and mixes of it with one that passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.bisection.asking import Asked, Lab, ask
from lab.bisection.axis import ENGINE, RUNTIME, asking_for, moved, runtime_values
from lab.bisection.bisect import Ending
from lab.bisection.mixes import Mixed, mix
from lab.explain.cures import Cure
from lab.explain.variant import Variant
from lab.model.scenario import Cell, Task
from lab.provision.catalogue import load_catalogue
from lab.report.flips import Answer
from lab.scenario.expand import axes_of

PASSED = Answer("passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The cell with another value on one axis, and what it answered."""

    axis: str
    value: str
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What was found of a failing cell.

    ``ending`` is ``found`` when the cell fails and is stable, ``ends-agree`` when it passes. ``neighbours`` differ from
    it in one axis. ``mixed`` has the fewest settings that make the failure in a cell that passes; ``None`` where no
    neighbour does.
    """

    asked: Asked
    ending: Ending
    neighbours: tuple[Neighbour, ...] = ()
    mixed: Mixed | None = None

    @property
    def answer(self) -> Answer | None:
        """The cell's answer."""
        return self.asked.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A cure and what its cell answered; nothing was asked where the cure could not be made."""

    name: str
    words: str
    how: str
    asked: Asked

    @property
    def cured(self) -> bool | None:
        """Whether the cell passes with it; ``None`` where that is unknown."""
        return None if self.asked.answer is None else self.asked.answer == PASSED


def explain(lab: Lab, task: Task, *, times: int, tell: Callable[[str], None] = lambda _: None) -> Why:
    """Run the cell ``times`` times, then every neighbour that its scenario has, then mixes with one that passes."""
    (asked,) = ask(lab, [task], [task.cell.id], times=times)
    if asked.answer is None:
        return Why(asked=asked, ending=Ending.UNKNOWN if asked.stable else Ending.UNSTABLE)
    if asked.answer == PASSED:
        return Why(asked=asked, ending=Ending.AGREE)
    neighbours = _neighbours(lab, task, tell)
    mixed = None
    for good in _good_cells(task.cell, neighbours):
        asking = asking_for(task.scenario, good)
        if isinstance(asking, str):
            continue
        tell(f"compared with {good.id}")
        found = mix(lab, asking, task, times=times, tell=tell)
        if found.good.answer == PASSED:
            mixed = found
            break
    return Why(asked=asked, ending=Ending.FOUND, neighbours=neighbours, mixed=mixed)


def near_runtimes(name: str) -> tuple[str, ...]:
    """The runtimes to compare with: the next and the previous version, the newest one, the newest of other families.

    Of a family only upstream's own builds are taken, so that no distribution's patches come in.
    """
    family = name.partition("@")[0]
    versions = list(runtime_values([name]))
    place = versions.index(name)
    own = [one for one in versions if "+" not in one]
    after = [one for one in versions[place + 1 :] if one in own][:1]
    before = [one for one in versions[:place] if one in own][-1:]
    others: dict[str, str] = {}
    for release in load_catalogue().default():
        if release.name.family != family:
            others[release.name.family] = str(release.name)
    found = dict.fromkeys((*after, *before, *own[-1:], *others.values()))
    return tuple(one for one in found if one != name)


def try_cures(lab: Lab, made: Variant, cures: Sequence[Cure], runtimes: Sequence[str]) -> tuple[Tried, ...]:
    """Run the cell as it is, with every cure, and with every other runtime."""
    tasks: list[Task | str] = [cure.unknown or made.task(cure.name) for cure in cures]
    tasks += [made.task(runtime=name) for name in runtimes]
    named = [(cure.name, cure.words, cure.how) for cure in cures]
    named += [("runtime", f"runtime {name.replace('@', ' ', 1)}", "") for name in runtimes]
    _, *asked = ask(lab, [made.task(), *tasks], ["", *(name for name, _, _ in named)])
    return tuple(
        Tried(name=name, words=words, how=how, asked=one) for (name, words, how), one in zip(named, asked, strict=True)
    )


def _neighbours(lab: Lab, task: Task, tell: Callable[[str], None]) -> tuple[Neighbour, ...]:
    places = list(_places(task))
    tasks = [asking_for(task.scenario, moved(task.cell, {axis: value})) for axis, value in places]
    tell(f"{len(places)} neighbours, which differ in one axis")
    asked = ask(lab, tasks, [value for _, value in places])
    return tuple(Neighbour(axis=axis, value=value, asked=one) for (axis, value), one in zip(places, asked, strict=True))


def _places(task: Task) -> Iterator[tuple[str, str]]:
    axes = axes_of(task.scenario, load_catalogue())
    for axis, own in task.cell.axes:
        values = near_runtimes(own) if axis == RUNTIME else axes.get(axis, ())
        yield from ((axis, value) for value in values if value != own)


def _good_cells(bad: Cell, neighbours: Sequence[Neighbour]) -> Iterator[Cell]:
    """Cells that may pass, the farthest from the bad one first.

    Where one other value of an axis is enough, that value is taken: then the axis is part of the failure. On the other
    axes any other value serves, to show that they are not.
    """
    enough: dict[str, str] = {}
    others: dict[str, str] = {}
    for one in neighbours:
        if one.asked.answer == PASSED:
            enough.setdefault(one.axis, one.value)
        elif one.asked.answer is not None and one.axis != ENGINE:
            others.setdefault(one.axis, one.value)
    if enough:
        yield moved(bad, {**others, **enough})
        yield moved(bad, enough)
        yield from (moved(bad, {axis: value}) for axis, value in enough.items())
    elif others:
        yield moved(bad, others)
