"""Asking a session for the answers of cells, more than once where that is to prove that they are stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.model.record import Record
from lab.model.scenario import Task
from lab.model.verdict import Errored, Skipped
from lab.report.flips import Answer, answer


class Lab(Protocol):
    """What answers: an open session."""

    def measure(self, tasks: Sequence[Task], *, anew: bool = False) -> tuple[Record, ...]:
        """One record for each task; fewer when it was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A cell and its records, in the order in which they were made; none where it could not be run at all.

    ``reason`` says why, where the scenario does not have the cell.
    """

    cell: str
    value: str = ""
    records: tuple[Record, ...] = ()
    reason: str = ""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The different answers, in the order in which they came; skipped and errored are none."""
        known = (answer(record.verdict) for record in self.records)
        return tuple(dict.fromkeys(one for one in known if one is not None))

    @property
    def stable(self) -> bool:
        """Whether no two records differ in their answer."""
        return len(self.answers) <= 1

    @property
    def answer(self) -> Answer | None:
        """The cell's one answer; ``None`` where it is unknown or not stable."""
        return self.answers[0] if len(self.answers) == 1 else None

    @property
    def record(self) -> Record | None:
        """The latest record that has an answer."""
        return next((one for one in reversed(self.records) if answer(one.verdict) is not None), None)

    @property
    def why_unknown(self) -> str:
        """Why there is no answer; empty where there is one."""
        if self.answer is not None:
            return ""
        if not self.stable:
            return "not stable"
        for record in self.records:
            if isinstance(record.verdict, Skipped | Errored):
                return f"{record.verdict.kind}: {record.verdict.reason}"
        return self.reason or "not run"


def ask(lab: Lab, tasks: Sequence[Task | str], values: Sequence[str], *, times: int = 1) -> tuple[Asked, ...]:
    """Every task ``times`` times; the first time a stored record serves too, afterwards each is run anew.

    A task that is a text is one that the scenario leaves out, and why. What was unknown the first time is not asked
    again.
    """
    cells = [task for task in tasks if isinstance(task, Task)]
    rounds = [{record.cell: record for record in lab.measure(cells)}] if cells else []
    for _ in range(times - 1):
        known = [task for task in cells if _known(rounds[0].get(task.cell.id))]
        if known:
            rounds.append({record.cell: record for record in lab.measure(known, anew=True)})
    return tuple(
        Asked(cell="", value=value, reason=task)
        if isinstance(task, str)
        else Asked(
            cell=task.cell.id,
            value=value,
            records=tuple(one[task.cell.id] for one in rounds if task.cell.id in one),
        )
        for task, value in zip(tasks, values, strict=True)
    )


def _known(record: Record | None) -> bool:
    return record is not None and answer(record.verdict) is not None
