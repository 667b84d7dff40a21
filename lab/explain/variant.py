"""A scenario of its own for the cures of one cell, so that they are stored, judged and run again as any cell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from lab.explain.cures import AS_IS, Cure
from lab.model.platform_release import RELEASE
from lab.model.scenario import BUILT_IN_AXES, LAST_AXES, Cell, Scenario, Task
from lab.scenario.expand import make_cell
from lab.scenario.load import parse

NAMES = ("cure", "one_change")
"""What the axis is called: the second, where the scenario has an axis of the first name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The scenario of the cures of one cell, and its text as a user would write it."""

    scenario: Scenario
    text: str
    origin: Cell
    axis: str

    def task(self, cure: str = AS_IS, runtime: str | None = None) -> Task:
        """The cell with one cure, or with another runtime."""
        values = {**dict(self.origin.axes), self.axis: cure}
        if runtime is not None:
            values["runtime"] = runtime
        built_in = (axis for axis in BUILT_IN_AXES if axis in self.scenario.axes)
        names = (*built_in, *self.scenario.own_axes, *LAST_AXES)
        return Task(
            scenario=self.scenario,
            cell=make_cell(self.scenario.id, tuple((name, values[name]) for name in names)),
        )


def variant(
    scenario: Scenario, cell: Cell, cures: Sequence[Cure], runtimes: Sequence[str], *, checked: bool
) -> Variant:
    """The scenario in which every axis has the cell's value only, with an axis of cures and the other runtimes.

    Unless the failure is one of a check (``checked``), cures go without the scenario's checks: these speak of the cell
    as it was, and would refuse another user or working directory for being another.
    """
    name = f"{scenario.id}-cures"
    own = {axis: {cell.value(axis): fragments[cell.value(axis)]} for axis, fragments in scenario.own_axes.items()}
    # what a release stands for is said by the runtime and the engine, which are asked for one by one here
    kept = [axis for axis in BUILT_IN_AXES if axis in dict(cell.axes) and axis != RELEASE]
    axes: dict[str, Any] = {axis: [cell.value(axis)] for axis in kept}
    axes |= {"runtime": [cell.value("runtime"), *runtimes], "engine": [cell.value("engine")]}
    axis = next(name for name in NAMES if name not in own)
    lift: dict[str, Any] = {} if checked else {"checks": []}
    tried = {AS_IS: {}, **{cure.name: {**cure.fragment, **lift} for cure in cures if not cure.unknown}}
    document = {
        "format": 1,
        "question": f"What cures {cell.id}?",
        "sources": list(scenario.sources),
        "settings": dict(scenario.base),
        "axes": {**axes, **own, axis: tried},
    }
    text = tomli_w.dumps(document)
    made = parse(text, id=name, where=f"{name} (made by explain)")
    return Variant(scenario=made, text=text, origin=cell, axis=axis)
