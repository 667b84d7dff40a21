"""Scenario files as pytest collects them: an item for each cell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lab.codec import decode_toml, read_text
from lab.errors import InputError, LabError
from lab.model.scenario import Cell, Scenario, Task
from lab.provision.catalogue import load_catalogue
from lab.pytest_plugin.choice import activate
from lab.pytest_plugin.failure import LabFault, NotAsExpected, as_report
from lab.pytest_plugin.measuring import measure, prepare, tell_outcome
from lab.scenario.expand import expand
from lab.scenario.load import parse
from lab.scenario.resolve import expectation_of, resolve
from lab.scenario.versions import parse_engine, parse_name

FILES: pytest.StashKey[dict[str, Path]] = pytest.StashKey()


def scenario_file(path: Path, parent: pytest.Collector, *, certain: bool) -> ScenarioFile | None:
    """A collector for a file; ``None`` for one that, where that is not ``certain``, looks like no scenario."""
    if not certain and not _looks_so(path):
        return None
    activate(parent.config)
    return ScenarioFile.from_parent(parent, path=path)


def _looks_so(path: Path) -> bool:
    """Whether a TOML file asks a question; one that cannot be read was meant to be a scenario, and its faults told."""
    try:
        return "question" in decode_toml(read_text(path), str(path))
    except InputError:
        return True


class ScenarioFile(pytest.File):
    """One scenario file. ``text`` is what it says, and ``shown`` how the user would name it."""

    text: str
    shown: str

    def collect(self) -> Iterator[CellItem]:
        """An item for each cell, in the order of the plan; raises :class:`InputError` with all faults of the file."""
        self.shown = _shown(self.path)
        other = self.config.stash.setdefault(FILES, {}).setdefault(self.path.stem, self.path)
        if other != self.path:
            raise InputError(
                f"{self.shown} and {_shown(other)} have the same name",
                resolution="give one of the scenarios another: their cells are stored in one run",
            )
        self.text = read_text(self.path)
        scenario = parse(self.text, id=self.path.stem, where=self.shown)
        for cell in self._cells(scenario, activate(self.config).runtimes):
            name = cell.id.removeprefix(f"{scenario.id}/")
            yield CellItem.from_parent(self, name=name, task=Task(scenario=scenario, cell=cell))

    def _cells(self, scenario: Scenario, runtimes: tuple[str, ...]) -> tuple[Cell, ...]:
        """The plan's cells; skips a scenario that the chosen runtimes cannot be for (releases bring their own)."""
        releases = tuple(load_catalogue())
        try:
            return expand(scenario, releases, runtimes).cells
        except InputError as error:
            expand(scenario, releases)  # a fault of its own goes first
            pytest.skip(f"{self.shown}: --runtime {','.join(runtimes)}: {error.brief}", allow_module_level=True)

    def repr_failure(  # type: ignore[override]  # pytest's own collectors take no style either
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Any:  # noqa: ANN401
        """The faults of the file, as `permlab plan` tells them."""
        if isinstance(excinfo.value, LabError):
            return as_report(str(excinfo.value), brief=excinfo.value.brief, path=self.path)
        return super().repr_failure(excinfo)


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


class CellItem(pytest.Item):
    """One cell."""

    def __init__(self, *, task: Task, **kwargs: Any) -> None:  # pytest's own
        super().__init__(**kwargs)
        self.task = task
        for mark in marks_of(task):
            self.add_marker(mark)
        wanted = expectation_of(task.scenario, task.cell)
        if wanted is not None and wanted.intermittent:
            self.add_marker(
                pytest.mark.xfail(
                    reason=f"known to be intermittent: {wanted.intermittent}", raises=NotAsExpected, strict=False
                )
            )

    @property
    def scenario_file(self) -> ScenarioFile:
        """The file that has the cell."""
        return cast("ScenarioFile", self.parent)

    def setup(self) -> None:
        """Make ready what the chosen cells need (the first item), and see that the runtime can be trusted."""
        prepare(self)

    def runtest(self) -> None:
        """Measure the cell, or look it up, and let the expectation decide."""
        tell_outcome(self, measure(self))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """Evidence, phase, cause and commands to paste, and no traceback."""
        value = excinfo.value
        if isinstance(value, LabFault):
            return as_report(value.text, brief=value.brief, path=self.path)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the cell stands, and its id."""
        return self.path, 0, self.task.cell.id


def marks_of(task: Task) -> Iterator[pytest.MarkDecorator]:
    """What tests of a cell are marked with."""
    for name, words in _marks(task):
        yield pytest.MarkDecorator(pytest.Mark(name, (), words, _ispytest=True), _ispytest=True)


def _marks(task: Task) -> Iterator[tuple[str, dict[str, object]]]:
    """The marks of a cell, with their keywords."""
    cell = task.cell
    yield "axis", dict(cell.axes)
    with contextlib.suppress(InputError):  # what names no engine is skipped when it runs
        engine = parse_engine(cell.value("engine"))
        yield engine.family.value, {}
        yield "engine", {"name": engine.family.value, "version": engine.version}
    runtime = parse_name(cell.value("runtime"))
    yield "runtime", {"family": runtime.family.value, "version": runtime.version, "build": runtime.build}
    if resolve(task.scenario, cell).settings.caller.rootless:
        yield "rootless", {}
    if task.scenario.pack:
        yield "pack", {"name": task.scenario.pack}
