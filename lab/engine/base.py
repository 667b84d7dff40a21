"""What an engine is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from lab.model.image import Image
from lab.model.observation import Observation
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cell with everything provisioned for it. ``serial`` is its number in the run."""

    serial: int
    resolved: Resolved
    runtime: Runtime
    image: Image


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A job that an engine has made ready: nothing of the runtime has been called yet.

    ``config`` is the text of config.json in its stored form (placeholders still in it); ``seconds`` what preparing
    took. ``state`` is the engine's own.
    """

    job: Job
    config: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    state: Any = None
    refusal: str | None = None
    fault: str | None = None


class Engine(Protocol):
    """Runs cells. ``prepare`` and ``discard`` may overlap with ``execute`` of other cells, each in its own thread."""

    name: str

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why this host cannot run the cell, or ``None``; asked before anything is provisioned for it."""

    def prepare(self, job: Job) -> Prepared:
        """Make the cell's files ready."""

    def execute(self, prepared: Prepared) -> Observation:
        """Run the cell and return what was seen. Never raises for what a container or runtime does."""

    def interrupt(self) -> None:
        """End what ``execute`` waits for in other threads, so that it returns soon; may be called again."""

    def discard(self, prepared: Prepared) -> None:
        """Remove everything that ``prepare`` and ``execute`` left of the cell."""

    def close(self) -> None:
        """End everything that the engine started; called once, also after an error."""
