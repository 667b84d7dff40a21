"""Cells → records: order, parallelism, skips, resuming, clean-up.

The runtimes are provisioned while the cells of those that are ready already run. A cell passes three places: one
thread prepares bundles ahead, ``jobs`` threads each wait for one runtime, and the caller's thread judges, stores and
cleans up; so a runtime never waits for the lab's own work.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from lab import process
from lab.classify.judge import judge
from lab.classify.wrappers import disagrees, speaks_for
from lab.codec import settings_digest, to_data
from lab.engine.base import Engine, Job, Prepared
from lab.engine.registry import Engines
from lab.errors import HostError, InputError, LabError, ProvisionError, SourceUnreachable
from lab.model.image import Image
from lab.model.observation import Observation
from lab.model.record import Provenance, Record
from lab.model.runtime import Runtime
from lab.model.scenario import Cell, Resolved, Scenario
from lab.model.settings import Settings
from lab.model.verdict import Errored, Skipped, Verdict
from lab.provision.cache import Cache
from lab.provision.images import pull_image
from lab.provision.pulling import pull_all
from lab.provision.runtimes import verify
from lab.scenario.load import CONTROLS
from lab.scenario.resolve import expectation_of, resolve
from lab.store.runs import RunWriter, now

PATIENCE = 10.0
"""Seconds that a stopped run waits for its own threads."""


WORTH_TELLING = 0.5
"""Seconds from which on the making of an image is told; less is the cache's."""


class Listener(Protocol):
    """Gets told what happens, in the caller's thread."""

    def note(self, line: str) -> None:
        """One line about provisioning."""

    def done(self, record: Record) -> None:
        """A record was stored."""

    def pause(self) -> None:
        """All cells whose runtime is ready are done, while other runtimes are still being provisioned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One cell and the scenario that it belongs to."""

    scenario: Scenario
    cell: Cell


@dataclass(slots=True, kw_only=True)
class Runner:
    """One run.

    ``engines`` stay open between runs. ``deadline`` (seconds for each call of a runtime), where given, goes before what
    the cells say. ``stop`` may be set from a listener to end early.
    """

    cache: Cache
    engines: Engines
    writer: RunWriter
    listener: Listener
    probe_digest: str
    jobs: int
    deadline: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    _digests: dict[int, tuple[Settings, str]] = field(init=False, default_factory=dict)

    def run(self, tasks: Sequence[Task]) -> None:
        """Run every task and store its record; ends early, with what runs ended too, when ``stop`` is set."""
        flow = _Flow(jobs=self.jobs)
        waiting = self._sort(tasks)
        threads = [
            threading.Thread(target=self._provision, args=(waiting, flow), daemon=True),
            threading.Thread(target=self._prepare, args=(flow,), daemon=True),
            *(threading.Thread(target=self._execute, args=(flow,), daemon=True) for _ in range(self.jobs)),
        ]
        for thread in threads:
            thread.start()
        try:
            self._collect(flow)
        finally:
            flow.stopped.set()
            _end(threads, self.engines)
            flow.discard_rest()

    def _sort(self, tasks: Sequence[Task]) -> dict[str, list[_Waiting]]:
        """Store the skips that need no runtime; return the rest by runtime."""
        waiting: dict[str, list[_Waiting]] = defaultdict(list)
        for serial, task in enumerate(tasks):
            resolved = self._resolved(task)
            try:
                engine = self.engines.get(resolved.engine)
            except InputError as error:
                self._store(task, resolved, Skipped(reason=error.brief))
                continue
            reason = engine.skip_reason(resolved, None)
            if reason is not None:
                self._store(task, resolved, Skipped(reason=reason))
                continue
            waiting[resolved.runtime].append(_Waiting(serial=serial, task=task, resolved=resolved, engine=engine))
        return waiting

    def _resolved(self, task: Task) -> Resolved:
        resolved = resolve(task.scenario, task.cell)
        if self.deadline is None:
            return resolved
        return replace(resolved, settings=replace(resolved.settings, deadline=self.deadline))

    def _provision(self, waiting: Mapping[str, list[_Waiting]], flow: _Flow) -> None:
        """Hand over the cells of each runtime as soon as it is ready; runs in a thread of its own."""
        images = sorted({one.resolved.image for several in waiting.values() for one in several})
        engines = sorted({one.resolved.engine for several in waiting.values() for one in several})
        try:
            with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(max(1, len(engines))) as starting:
                made = {name: pool.submit(self._image, name, flow) for name in images}
                opened = {name: starting.submit(self.engines.ready, name, flow.note) for name in engines}
                for name, runtime in pull_all(self.cache, list(waiting), progress=flow.note):
                    if flow.stopped.is_set():
                        return
                    checked = self._checked(runtime)
                    for one in waiting[str(name)]:
                        image, engine = made[one.resolved.image], opened[one.resolved.engine]
                        flow.hand_over(_Ready(waiting=one, runtime=checked, image=image, engine=engine))
        except LabError as error:
            flow.broken = error
        finally:
            flow.to_prepare.put(None)

    def _image(self, name: str, flow: _Flow) -> Image:
        started = time.monotonic()
        image = pull_image(self.cache, name)
        if time.monotonic() - started > WORTH_TELLING:
            flow.note(f"{name}: ready, {image.origin}")
        return image

    def _checked(self, runtime: Runtime | LabError) -> Runtime | LabError:
        """The runtime, after its bytes were compared with what was recorded: nothing is measured with another."""
        try:
            return verify(self.cache, runtime.name) if isinstance(runtime, Runtime) else runtime
        except ProvisionError as error:
            return error

    def _prepare(self, flow: _Flow) -> None:
        """Make bundles ahead of the workers; runs in a thread of its own."""
        for ready in iter(flow.to_prepare.get, None):
            if flow.stopped.is_set():
                continue
            try:
                outcome = _prepared(ready)
            except Exception as error:  # noqa: BLE001  # a fault of the lab must become a record, not a hang
                outcome = Errored(reason=f"the lab failed to prepare the cell: {error!r}")
            if isinstance(outcome, Prepared):
                flow.put_prepared((ready.waiting, outcome))
            else:
                flow.done.put(_Unrun(waiting=ready.waiting, verdict=outcome))
        for _ in range(self.jobs):
            flow.put_prepared(None)

    def _execute(self, flow: _Flow) -> None:
        """Run prepared cells one after the other; runs in ``jobs`` threads."""
        for waiting, prepared in iter(flow.prepared.get, None):
            if flow.stopped.is_set():
                waiting.engine.discard(prepared)
                continue
            started = now()
            try:
                observation = waiting.engine.execute(prepared)
            except Exception as error:  # noqa: BLE001  # a fault of the lab must become a record, not a hang
                observation = Observation(fault=f"the lab failed to run the cell: {error!r}")
            flow.done.put(_Seen(waiting=waiting, prepared=prepared, observation=observation, started=started))
        flow.done.put(None)

    def _collect(self, flow: _Flow) -> None:
        """Judge, store and clean up, until all workers have ended."""
        working = self.jobs
        while working and not self.stop.is_set():
            try:
                item = flow.done.get(timeout=0.2)
            except queue.Empty:
                if flow.idle():
                    self.listener.pause()
                continue
            finally:
                while flow.notes:
                    self.listener.note(flow.notes.pop(0))
            match item:
                case None:
                    working -= 1
                    continue
                case _Unrun():
                    self._store(item.waiting.task, item.waiting.resolved, item.verdict)
                case _Seen():
                    self._finish(item)
            flow.count_done()
        if flow.broken is not None:
            raise flow.broken

    def _finish(self, seen: _Seen) -> None:
        settings, job = seen.waiting.resolved.settings, seen.prepared.job
        try:
            config = f"sha256:{hashlib.sha256(seen.prepared.config.encode()).hexdigest()}"
            self.writer.describe("runtime", job.runtime.sha256, to_data(job.runtime))
            self.writer.describe("image", job.image.digest, to_data(job.image))
            build = seen.waiting.engine.build
            engine = "" if build is None else build.sha256
            self.writer.describe("engine", engine, {} if build is None else to_data(build))
            self.writer.describe("config", config, seen.prepared.config)
            self._store(
                seen.waiting.task,
                seen.waiting.resolved,
                judge(seen.observation, tolerate=settings.tolerate, checks=settings.checks),
                seen=seen,
                provenance=Provenance(
                    runtime=job.runtime.sha256,
                    image=job.image.digest,
                    probe=self.probe_digest,
                    config=config,
                    settings=self._digest(settings),
                    engine=engine,
                ),
            )
        finally:
            seen.waiting.engine.discard(seen.prepared)

    def _digest(self, settings: Settings) -> str:
        """The settings' digest, made once for cells that share an object."""
        known = self._digests.get(id(settings))
        if known is None:
            known = self._digests[id(settings)] = (settings, settings_digest(settings))
        return known[1]

    def _store(
        self,
        task: Task,
        resolved: Resolved,
        verdict: Verdict,
        *,
        seen: _Seen | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        text = speaks_for(seen.observation) if seen else ""
        record = Record(
            cell=task.cell.id,
            scenario=task.scenario.id,
            axes=dict(task.cell.axes),
            verdict=verdict,
            observation=seen.observation if seen else None,
            provenance=provenance or Provenance(),
            expectation=expectation_of(task.scenario, task.cell),
            tolerate=resolved.settings.tolerate,
            checks=resolved.settings.checks,
            speaks_for=text,
            text_differs=bool(text) and disagrees(text, resolved.runtime),
            started=seen.started if seen else now(),
            control=task.scenario.id == CONTROLS,
        )
        self.writer.record(record)
        self.listener.done(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A task that an engine of this run can take, once its runtime and image are there."""

    serial: int
    task: Task
    resolved: Resolved
    engine: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A waiting task with what was provisioned for it, or why that failed."""

    waiting: _Waiting
    runtime: Runtime | LabError
    image: Future[Image]
    engine: Future[Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A task that has been run."""

    waiting: _Waiting
    prepared: Prepared
    observation: Observation
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unrun:
    """A task that cannot be run, with the verdict that says why."""

    waiting: _Waiting
    verdict: Skipped | Errored


class _Flow:
    """The queues between the threads of one run."""

    def __init__(self, jobs: int) -> None:
        self.to_prepare: queue.Queue[_Ready | None] = queue.Queue()
        self.prepared: queue.Queue[tuple[_Waiting, Prepared] | None] = queue.Queue(maxsize=jobs + 1)
        self.done: queue.Queue[_Seen | _Unrun | None] = queue.Queue()
        self.stopped = threading.Event()
        self.broken: LabError | None = None
        self.notes: list[str] = []
        self._handed = 0
        self._done = 0
        self._paused_at = 0

    def note(self, line: str) -> None:
        """Keep a line for the caller's thread to show."""
        self.notes.append(line)

    def hand_over(self, ready: _Ready) -> None:
        """A cell can be prepared now."""
        self._handed += 1
        self.to_prepare.put(ready)

    def count_done(self) -> None:
        """One more of the cells that were handed over is stored."""
        self._done += 1

    def idle(self) -> bool:
        """Whether all handed-over cells are stored; true once for each such moment."""
        if self._done == self._handed and self._done > self._paused_at:
            self._paused_at = self._done
            return True
        return False

    def put_prepared(self, item: tuple[_Waiting, Prepared] | None) -> None:
        """Wait for room, unless the run has been stopped."""
        while True:
            try:
                self.prepared.put(item, timeout=0.2)
            except queue.Full:
                if self.stopped.is_set():
                    if item is not None:
                        item[0].engine.discard(item[1])
                    return
            else:
                return

    def discard_rest(self) -> None:
        """Clean up after cells that were prepared or run, but not stored."""
        while not self.prepared.empty():
            item = self.prepared.get()
            if item is not None:
                item[0].engine.discard(item[1])
        while not self.done.empty():
            seen = self.done.get()
            if isinstance(seen, _Seen):
                seen.waiting.engine.discard(seen.prepared)


def _end(threads: Sequence[threading.Thread], engines: Engines) -> None:
    """End the threads of a stopped run, and what they wait for; a build that starts anew is ended again."""
    until = time.monotonic() + PATIENCE
    while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
        process.end_all()
        engines.interrupt()
        for thread in threads:
            thread.join(0.05)


def _prepared(ready: _Ready) -> Prepared | Skipped | Errored:
    waiting, runtime = ready.waiting, ready.runtime
    try:
        image = ready.image.result()
    except LabError as error:
        return _unprovisioned(error)
    try:
        ready.engine.result()
    except HostError as error:
        return Skipped(reason=f"{waiting.engine.name}: {error.brief}: {error.details}")
    except LabError as error:
        return _unprovisioned(error)
    if isinstance(runtime, LabError):
        return _unprovisioned(runtime)
    reason = waiting.engine.skip_reason(waiting.resolved, runtime)
    if reason is not None:
        return Skipped(reason=reason)
    return waiting.engine.prepare(Job(serial=waiting.serial, resolved=waiting.resolved, runtime=runtime, image=image))


def _unprovisioned(error: LabError) -> Skipped | Errored:
    """A source that cannot be reached skips; anything else is a fault."""
    reason = f"{error.brief}: {error.details}" if error.details else error.brief
    return Skipped(reason=reason) if isinstance(error, SourceUnreachable) else Errored(reason=reason)
