"""Scenarios and cells: one question, and the combinations that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lab.model.settings import Settings

BUILT_IN_AXES = ("image", "platform", "release", "image_user", "image_workdir", "user", "cwd", "caps", "userns")
"""Axes whose values are plain strings, in the order in which they stand in a cell's id, before a scenario's own."""

LAST_AXES = ("runtime", "engine")
"""The axes that close a cell's id."""

Pattern = str | tuple[str, ...]
"""What an axis value is matched with: a value, a glob, a version range (``runc>=1.0.0rc92,<1.1``), or several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """Cells for which ``when`` holds are left out unless ``require`` holds too; ``why`` is shown by ``plan``."""

    when: str
    require: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a cell is expected to show when ``when`` holds for it; ``source`` says where that comes from (a link).

    ``intermittent`` says why such a cell is known to show something else now and then; empty for one that must not.
    """

    verdict: Literal["passed", "denied", "failed"]
    when: str = "true"
    cause: str | None = None
    phase: str | None = None
    source: str = ""
    intermittent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One question.

    ``axes`` maps a built-in axis to its values as written; ``own_axes`` maps a scenario's own axis to its named
    fragments. ``base`` and the fragments are kept as plain data, because a cell's settings are merged from them
    before they are decoded (see ``lab.scenario.resolve``). The first expectation whose ``when`` holds is the cell's.
    ``pack`` is the theme that it is chosen by together with others; empty for none.
    """

    id: str
    question: str
    axes: Mapping[str, tuple[str, ...]]
    own_axes: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    base: Mapping[str, object] = field(default_factory=dict)
    exclude: tuple[Mapping[str, Pattern], ...] = ()
    include: tuple[Mapping[str, Pattern], ...] = ()
    constraints: tuple[Constraint, ...] = ()
    expect: tuple[Expectation, ...] = ()
    sources: tuple[str, ...] = ()
    pack: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination. ``axes`` holds (axis, value) pairs in the order of the id. Light: a plan may hold 100,000."""

    id: str
    scenario: str
    axes: tuple[tuple[str, str], ...]

    def value(self, axis: str, default: str = "") -> str:
        """The value of an axis, or ``default`` where the cell has no such axis."""
        for name, value in self.axes:
            if name == axis:
                return value
        return default


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One cell and the scenario that it belongs to."""

    scenario: Scenario
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A cell ready to run: what it says in full."""

    cell: Cell
    image: str
    runtime: str
    engine: str
    settings: Settings
