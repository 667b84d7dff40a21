"""What the model says of a cell. Never a measurement, and never shown as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.model.verdict import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One call of the reasoning: what is called, by whom, and how it ends."""

    call: str
    who: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The predicted verdict. ``steps`` maps the number of each step to its errno, ``""`` where it is carried out.

    ``steps`` is empty where the container does not start.
    """

    kind: Literal["passed", "denied", "failed"]
    cause: str = ""
    phase: Phase | None = None
    era: str = ""
    source: str = ""
    steps: tuple[tuple[int, str], ...] = ()
    reasoning: tuple[Reason, ...] = ()

    def __str__(self) -> str:
        return self.kind if self.phase is None else f"{self.kind}: {self.cause} (phase {self.phase})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPrediction:
    """The model does not cover the cell; ``reason`` says what it does not know."""

    reason: str


Predicted = Prediction | NoPrediction
