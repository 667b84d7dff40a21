"""The ordered axes of a cell, and the same cell at another place of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.errors import InputError
from lab.model.platform_release import RELEASE, shipped_with
from lab.model.runtime import Family
from lab.model.scenario import Cell, Scenario, Task
from lab.provision.catalogue import load_catalogue
from lab.provision.engines import engine_releases
from lab.scenario.expand import make_cell, reason_left_out
from lab.scenario.versions import expand_runtimes, name_key

RUNTIME, ENGINE = "runtime", "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One cell along one axis: a task for each value, in order, or why the scenario does not have it.

    ``id`` is the cell's id with ``*`` in the place of the axis.
    """

    id: str
    scenario: Scenario
    axis: str
    values: tuple[str, ...]
    tasks: tuple[Task | str, ...]


def line(task: Task, axis: str, values: Sequence[str]) -> Line:
    """The cell of a task at every one of ``values``."""
    return Line(
        id=open_id(task.cell, axis),
        scenario=task.scenario,
        axis=axis,
        values=tuple(values),
        tasks=tuple(asking_for(task.scenario, moved(task.cell, {axis: value})) for value in values),
    )


def asking_for(scenario: Scenario, cell: Cell) -> Task | str:
    """The task for a cell, or why the scenario does not have it."""
    reason = reason_left_out(scenario, cell)
    return f"left out by the scenario: {reason}" if reason else Task(scenario=scenario, cell=cell)


def moved(cell: Cell, values: dict[str, str]) -> Cell:
    """The cell with other values on some of its axes; another release brings its runtime and engine."""
    axes = {name: values.get(name, value) for name, value in cell.axes}
    changed = not values.keys().isdisjoint({RELEASE, ENGINE})
    return make_cell(cell.scenario, tuple((shipped_with(axes) if changed else axes).items()))


def open_id(cell: Cell, axis: str) -> str:
    """The cell's id with ``*`` in the place of an axis: also a pattern that fits the whole line.

    Raises :class:`InputError` for an axis that the cell does not have.
    """
    names = [name for name, _ in cell.axes]
    if axis not in names:
        raise InputError(f"{cell.id} has no axis {axis!r}", details=f"its axes: {', '.join(names)}")
    place = names.index(axis) + 1
    segments = cell.id.split("/")
    named = "" if axis in {"image", RUNTIME, ENGINE} else f"{axis}="
    return "/".join((*segments[:place], f"{named}*", *segments[place + 1 :]))


def ordered_values(task: Task, axis: str) -> tuple[str, ...]:
    """All values that an axis of a cell can have, in order.

    ``runtime``: every version of the cell's runtime that the catalogue knows, distributions' builds right after the
    version they carry. ``engine``: every version of its engine. Any other axis: as the scenario's author wrote it.
    """
    own = task.cell.value(axis)
    if axis == RUNTIME:
        return runtime_values([own])
    if axis == ENGINE:
        name = own.partition("@")[0]
        known = [str(release.name) for release in engine_releases() if release.name.family == name]
        return tuple(sorted(known, key=name_key)) or (own,)
    scenario = task.scenario
    known = list(scenario.own_axes.get(axis, scenario.axes.get(axis, ())))
    return tuple(known if own in known else [*known, own])


def runtime_values(runtimes: Iterable[str]) -> tuple[str, ...]:
    """Every version of the families of these runtimes, each family's in order."""
    given = tuple(runtimes)
    families = [family for family in Family if any(name.partition("@")[0] == family for name in given)]
    known = expand_runtimes([f"{family}@all" for family in families], load_catalogue())
    order = {family: place for place, family in enumerate(families)}
    return tuple(sorted({*known, *given}, key=lambda value: (order[Family(value.partition("@")[0])], name_key(value))))
