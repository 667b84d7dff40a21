"""A lab that answers from a function: for tests of searches. Nothing of it was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.model.record import Record
from lab.model.scenario import Cell, Scenario, Task
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Verdict
from lab.scenario.expand import expand
from lab.scenario.load import parse

PASSED = Passed()
DENIED = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="chdir")
OTHER = Failed(cause="cwd-missing", phase=Phase.CREATE, evidence="mkdir")
ERRORED = Errored(reason="deadline")

TEXT = """
format = 1
question = "?"
[axes]
user = ["0:0", "1000:0", "2000:0"]
cwd = ["/", "image"]
caps = ["docker", "cri", "none"]
runtime = ["runc@1.0.0-rc92", "runc@1.0.0-rc93"]
[axes.size]
small = {}
large = {}
[[exclude]]
caps = "none"
user = "2000:0"
"""


@dataclass
class AnsweringLab:
    """``say`` gives the verdict of a cell, told how often it was asked before. ``asked`` are all cells in order."""

    say: Callable[[Cell, int], Verdict]
    asked: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)

    def measure(self, tasks: Sequence[Task], *, anew: bool = False) -> tuple[Record, ...]:
        return tuple(self._record(task, anew=anew) for task in tasks)

    def _record(self, task: Task, *, anew: bool) -> Record:
        """As a session: from its own records, unless asked anew."""
        cell = task.cell
        if anew or cell.id not in self.records:
            verdict = self.say(cell, self.asked.count(cell.id))
            self.asked.append(cell.id)
            self.records[cell.id] = Record(
                cell=cell.id, scenario=task.scenario.id, axes=dict(cell.axes), verdict=verdict
            )
        return self.records[cell.id]


def scenario() -> Scenario:
    return parse(TEXT, id="mine", where="mine.toml")


def task(**values: str) -> Task:
    """The first cell of the scenario that has these values."""
    one = scenario()
    cells = expand(one, (), ("runc@1.0.0-rc93", "runc@1.0.0-rc92")).cells
    return Task(scenario=one, cell=next(cell for cell in cells if values.items() <= dict(cell.axes).items()))
