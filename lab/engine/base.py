"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from lab.engine.subordinate import SubordinateIds
from lab.engine.workspace import Workspace
from lab.model.engine import EngineBuild
from lab.model.image import Image
from lab.model.observation import Observation
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved
from lab.provision.cache import Cache


@dataclass(frozen=True, kw_only=True)
class EngineContext:
    """What every engine of a run is made with.

    ``probe_layer`` is the directory that holds the probe; ``docker_host`` is the address of the user's own Docker
    daemon, where the user wants that one instead of a private one.
    """

    workspace: Workspace
    probe_layer: Path
    cache: Cache
    docker_host: str | None = None

    @cached_property
    def subordinate(self) -> SubordinateIds:
        """The run's subordinate ids: all engines write into the same account files."""
        return SubordinateIds(workspace=self.workspace, cache=self.cache)


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
    took. ``state`` is the engine's own. ``rest``, where ``execute`` set it, is what the container's end leaves to do:
    it can wait until the next container has been started.
    """

    job: Job
    config: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    state: Any = None
    refusal: str | None = None
    fault: str | None = None
    rest: Callable[[Observation], Observation] | None = None

    def complete(self, observation: Observation) -> Observation:
        """What ``execute`` returned, with what it left for later; called from the thread that called ``execute``."""
        rest, self.rest = self.rest, None
        return observation if rest is None else rest(observation)


class Engine(Protocol):
    """Runs cells. ``prepare``, ``execute`` and ``discard`` of different cells may overlap, in different threads.

    ``name`` is the word of the axis. ``build`` is what was provisioned of it, once it is open; the embedded engine has
    none.
    """

    name: str
    build: EngineBuild | None

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why this host, or this engine at all, cannot run the cell, or ``None``.

        Asked before the engine is open, without a runtime, and again with the runtime.
        """

    def open(self, tell: Callable[[str], None]) -> None:
        """Provision the engine and start what it needs; called once, before the first ``prepare``.

        ``tell`` takes one line for the user whenever something worth telling starts or ends. Raises
        :class:`lab.errors.LabError`.
        """

    def prepare(self, job: Job) -> Prepared:
        """Make the cell's files ready."""

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None]) -> Observation:
        """Run the cell and return what was seen. Never raises for what a container or runtime does.

        It may return when the container has ended: :meth:`Prepared.complete` does what is left then.

        ``meanwhile`` may be called once, from the same thread, while the container runs and there is nothing to do but
        to wait: the caller uses the time. It takes some milliseconds and never raises.
        """

    def interrupt(self) -> None:
        """End what ``execute`` waits for in other threads, so that it returns soon; may be called again."""

    def discard(self, prepared: Prepared) -> None:
        """Remove everything that ``prepare`` and ``execute`` left of the cell."""

    def close(self) -> None:
        """End everything that the engine started; called once, also when it never was open. The workspace stays."""
