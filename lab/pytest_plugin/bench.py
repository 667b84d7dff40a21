"""The open lab of one pytest process: opened for the first cell, closed when the tests are done.

With pytest-xdist every worker has its own, with engines and a stored run of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import FrameType

import pytest

from lab.cli.progress import interruptible
from lab.codec import read_text
from lab.errors import InputError, LabError, StoreError
from lab.model.record import Record
from lab.model.scenario import Scenario, Task
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.images import pull_image
from lab.provision.pulling import pull_all
from lab.provision.runtimes import find as find_runtime
from lab.pytest_plugin.plugin import RUNS
from lab.pytest_plugin.showing import Showing
from lab.report.expectations import held
from lab.scenario.load import CONTROLS, find, load
from lab.session import Session, control_tasks, new_header, open_session
from lab.store import runs as store

ATTEMPTS = 5
"""How often a run's id is made anew: two workers may start in the same 1/65536 of a second."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """An open session whose cells are measured one by one.

    ``unready`` maps runtimes and images that could not be made ready to why: that is not tried again for every cell.
    """

    session: Session
    showing: Showing
    controls: Scenario
    closing: ExitStack
    unready: dict[str, LabError] = field(default_factory=dict)
    _supplied: set[str] = field(default_factory=set)
    _broken: dict[str, tuple[Record, ...]] = field(default_factory=dict)

    def supply(self, tasks: Sequence[Task]) -> None:
        """Make ready all runtimes and images that the tasks need, all at once, and show what takes its time."""
        runtimes, images = (
            [word for word in dict.fromkeys(task.cell.value(axis) for task in tasks) if word not in self._supplied]
            for axis in ("runtime", "image")
        )
        self._supplied.update(runtimes, images)
        self.unready |= {word: error for word in runtimes if (error := self._unknown(word))}
        wanted = [word for word in runtimes if word not in self.unready]
        with self.showing.uncaptured():
            for runtime, outcome in pull_all(self.session.cache, wanted, progress=self.showing.write):
                if isinstance(outcome, LabError):
                    self.unready[str(runtime)] = outcome
            for name in images:
                try:
                    with self.showing.slow(f"{name}: making the image"):
                        pull_image(self.session.cache, name)
                except LabError as error:
                    self.unready[name] = error

    def _unknown(self, word: str) -> InputError | None:
        """Why a word names no runtime that could be made ready, or was added by the user."""
        try:
            load_catalogue().get(word)
        except InputError as error:
            return None if find_runtime(self.session.cache, word) else error
        return None

    def supplied(self, task: Task) -> bool:
        """Whether a task's runtime and image were made ready, or cannot be."""
        return {task.cell.value("runtime"), task.cell.value("image")} <= self._supplied

    def lacking(self, task: Task) -> LabError | None:
        """Why a task's runtime or image could not be made ready."""
        words = (task.cell.value("runtime"), task.cell.value("image"))
        return next((self.unready[word] for word in words if word in self.unready), None)

    def broken_controls(self, task: Task) -> tuple[Record, ...]:
        """The control cells of a task's runtime that do not show what they must; the first call runs them."""
        runtime = task.cell.value("runtime")
        if runtime not in self._broken:
            with self.interruptible():
                self.session.run(control_tasks((self.controls,), [task]))
            self._broken[runtime] = broken_controls(self.session.records.values(), runtime)
        return self._broken[runtime]

    def measure(self, task: Task) -> Record:
        """Run one cell, unless this run holds it already, as a control cell that is also an item of its own."""
        with self.interruptible():
            self.session.run([task])
        return self.session.records[task.cell.id]

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """^C ends what the session does politely; pytest gets its :class:`KeyboardInterrupt` from the session."""
        with interruptible() if _in_main_thread() else nullcontext() as interruption:
            if interruption is not None:
                interruption.reaches(self.session)
            yield

    def close(self, *, complete: bool) -> None:
        """End the engines and the run."""
        if complete:
            self.session.writer.finish()
        self.closing.close()


def broken_controls(records: Iterable[Record], runtime: str) -> tuple[Record, ...]:
    """The control cells of a runtime that do not show what they must."""
    return tuple(one for one in records if one.control and one.axes.get("runtime") == runtime and held(one) is False)


BENCH: pytest.StashKey[Bench | LabError] = pytest.StashKey()


def open_bench(config: pytest.Config, texts: Mapping[str, str]) -> Bench:
    """The process's lab, opened by the first call; ``texts`` maps the ids of scenarios to what their files say.

    What opening raised (a :class:`LabError`) every later call raises again.
    """
    bench = opened_bench(config)
    if bench is None:
        try:
            bench = config.stash[BENCH] = _opened(config, texts)
        except LabError as error:
            config.stash[BENCH] = error
            raise
    return bench


def opened_bench(config: pytest.Config) -> Bench | None:
    """The process's lab, where it was opened; raises again what opening raised."""
    bench = config.stash.get(BENCH, None)
    if isinstance(bench, LabError):
        raise bench
    return bench


def close_bench(config: pytest.Config, *, complete: bool) -> None:
    """Close the lab where it is open. ``complete`` says whether every chosen test has run."""
    bench = config.stash.get(BENCH, None)
    if isinstance(bench, Bench):
        del config.stash[BENCH]
        with bench.interruptible():
            bench.close(complete=complete)


def _opened(config: pytest.Config, texts: Mapping[str, str]) -> Bench:
    controls = find(CONTROLS)
    showing = Showing(config)
    with ExitStack() as stack:
        writer = stack.enter_context(new_run(config, {CONTROLS: read_text(controls), **texts}))
        config.stash.setdefault(RUNS, []).append(writer.path.stem)
        if _in_main_thread():
            stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _stop))
        with showing.uncaptured(), showing.slow("opening the lab"):
            session = stack.enter_context(open_session(default_cache(), writer, showing, jobs=_jobs()))
        return Bench(session=session, showing=showing, controls=load(controls), closing=stack.pop_all())


def new_run(config: pytest.Config, texts: Mapping[str, str]) -> store.RunWriter:
    """A new stored run with an id that no other process has taken."""
    directory, argv = store.runs_directory(), ("pytest", *map(str, config.invocation_params.args))
    for _ in range(ATTEMPTS - 1):
        try:
            return store.create(directory, replace(new_header(texts, argv=()), argv=argv))
        except StoreError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
    return store.create(directory, replace(new_header(texts, argv=()), argv=argv))


def _jobs() -> int:
    """How many control cells run at once: all cores, shared with the other workers of pytest-xdist."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End as ^C does, so that engines are ended: SIGTERM by itself would leave their daemons."""
    raise KeyboardInterrupt
