"""Cells → records: order, parallelism, skips, resuming, clean-up.

The runtimes are provisioned while the cells of those that are ready already run. Each of ``jobs`` threads runs one cell
at a time, and while its container runs it stores the cell before and prepares the next one: a runtime seldom waits for
the lab's own work, and no cell is handed from thread to thread (with three to a cell, as it once was, half of the lab's
own time went into that).
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import defaultdict, deque
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


TELL_SECONDS = 0.05
"""How long the caller's thread waits before it tells the listener what happened."""

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
    _writing: threading.Lock = field(init=False, default_factory=threading.Lock)

    def run(self, tasks: Sequence[Task]) -> None:
        """Run every task and store its record; ends early, with what runs ended too, when ``stop`` is set."""
        flow = _Flow()
        waiting = self._sort(tasks)
        workers = [threading.Thread(target=_Worker(self, flow).work, daemon=True) for _ in range(self.jobs)]
        threads = [threading.Thread(target=self._provision, args=(waiting, flow), daemon=True), *workers]
        for thread in threads:
            thread.start()
        try:
            while any(worker.is_alive() for worker in workers) and not self.stop.is_set():
                self._tell(flow)
                workers[0].join(TELL_SECONDS)
                workers.append(workers.pop(0))
        finally:
            flow.stopped.set()
            _end(threads, self.engines)
        self._tell(flow)
        if flow.broken is not None:
            raise flow.broken

    def _tell(self, flow: _Flow) -> None:
        """Tell the listener what happened meanwhile, in the caller's thread."""
        while flow.notes:
            self.listener.note(flow.notes.popleft())
        while flow.records and not self.stop.is_set():
            self.listener.done(flow.records.popleft())
        if flow.idle():
            self.listener.pause()

    def _sort(self, tasks: Sequence[Task]) -> dict[str, list[_Waiting]]:
        """Store the skips that need no runtime; return the rest by runtime."""
        waiting: dict[str, list[_Waiting]] = defaultdict(list)
        for serial, task in enumerate(tasks):
            resolved = self._resolved(task)
            try:
                engine = self.engines.get(resolved.engine)
            except InputError as error:
                self.listener.done(self.store(task, resolved, Skipped(reason=error.brief)))
                continue
            reason = engine.skip_reason(resolved, None)
            if reason is not None:
                self.listener.done(self.store(task, resolved, Skipped(reason=reason)))
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
            flow.complete = True
            flow.ready.put(None)

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

    def finish(self, seen: _Seen) -> Record:
        """Judge, store and clean up; safe in several threads at once."""
        settings, job = seen.waiting.resolved.settings, seen.prepared.job
        try:
            config = f"sha256:{hashlib.sha256(seen.prepared.config.encode()).hexdigest()}"
            verdict = judge(seen.observation, tolerate=settings.tolerate, checks=settings.checks)
            build = seen.waiting.engine.build
            provenance = Provenance(
                runtime=job.runtime.sha256,
                image=job.image.digest,
                probe=self.probe_digest,
                config=config,
                settings=self._digest(settings),
                engine="" if build is None else build.sha256,
            )
            with self._writing:
                for kind, digest, what in (
                    ("runtime", provenance.runtime, job.runtime),
                    ("image", provenance.image, job.image),
                    ("engine", provenance.engine, build),
                    ("config", provenance.config, seen.prepared.config),
                ):
                    if not self.writer.knows(kind, digest):
                        self.writer.describe(kind, digest, to_data(what))
            return self.store(seen.waiting.task, seen.waiting.resolved, verdict, seen=seen, provenance=provenance)
        finally:
            seen.waiting.engine.discard(seen.prepared)

    def _digest(self, settings: Settings) -> str:
        """The settings' digest, made once for cells that share an object."""
        known = self._digests.get(id(settings))
        if known is None:
            known = self._digests[id(settings)] = (settings, settings_digest(settings))
        return known[1]

    def store(
        self,
        task: Task,
        resolved: Resolved,
        verdict: Verdict,
        *,
        seen: _Seen | None = None,
        provenance: Provenance | None = None,
    ) -> Record:
        """Make a cell's record and store it."""
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
        with self._writing:
            self.writer.record(record)
        return record


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


class _Flow:
    """What the threads of one run tell each other.

    ``complete`` tells that every cell has been handed over; ``ready`` ends with ``None``.
    """

    def __init__(self) -> None:
        self.ready: queue.SimpleQueue[_Ready | None] = queue.SimpleQueue()
        self.records: deque[Record] = deque()
        self.notes: deque[str] = deque()
        self.stopped = threading.Event()
        self.broken: BaseException | None = None
        self.complete = False
        self._handed = 0
        self._done = 0
        self._paused_at = 0
        self._counting = threading.Lock()

    def note(self, line: str) -> None:
        """Keep a line for the caller's thread to show."""
        self.notes.append(line)

    def hand_over(self, ready: _Ready) -> None:
        """A cell can be prepared now."""
        self._handed += 1
        self.ready.put(ready)

    def done(self, record: Record) -> None:
        """One more of the cells that were handed over is stored."""
        with self._counting:
            self._done += 1
        self.records.append(record)

    def fail(self, error: BaseException) -> None:
        """The run cannot go on."""
        self.broken = error
        self.stopped.set()

    def idle(self) -> bool:
        """Whether all handed-over cells are stored while more are to come; true once for each such moment."""
        if not self.complete and self._done == self._handed and self._done > self._paused_at:
            self._paused_at = self._done
            return True
        return False


class _Worker:
    """One thread's cells: ``seen`` ran last and is not stored yet, ``next`` is ready to run."""

    def __init__(self, runner: Runner, flow: _Flow) -> None:
        self.runner, self.flow = runner, flow
        self.seen: _Seen | None = None
        self.next: tuple[_Waiting, Prepared] | None = None

    def work(self) -> None:
        """Run cells one after the other until there are no more, or the run is stopped."""
        while not self.flow.stopped.is_set():
            if self.next is None:
                self._turn(block=True)
            if self.next is None:
                break
            (waiting, prepared), self.next = self.next, None
            started = now()
            try:
                observation = waiting.engine.execute(prepared, self._turn)
            except Exception as error:  # noqa: BLE001  # a fault of the lab must become a record, not a hang
                observation = Observation(fault=f"the lab failed to run the cell: {error!r}")
            self._store_last()
            self.seen = _Seen(waiting=waiting, prepared=prepared, observation=observation, started=started)
        if self.flow.stopped.is_set():
            self._clean_up()

    def _turn(self, *, block: bool = False) -> None:
        """Store the cell before and prepare the next one, if there is one yet; with ``block``, wait for one."""
        self._store_last()
        try:
            while self.next is None and not self.flow.stopped.is_set():
                ready = self.flow.ready.get(block=block)
                if ready is None:
                    self.flow.ready.put(None)  # for the other workers
                    return
                self._prepare(ready)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            self.flow.fail(error)

    def _prepare(self, ready: _Ready) -> None:
        try:
            outcome = _prepared(ready)
        except Exception as error:  # noqa: BLE001  # a fault of the lab must become a record, not a hang
            outcome = Errored(reason=f"the lab failed to prepare the cell: {error!r}")
        if isinstance(outcome, Prepared):
            self.next = ready.waiting, outcome
        else:
            self.flow.done(self.runner.store(ready.waiting.task, ready.waiting.resolved, outcome))

    def _store_last(self) -> None:
        seen, self.seen = self.seen, None
        if seen is None:
            return
        try:
            self.flow.done(self.runner.finish(seen))
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            self.flow.fail(error)

    def _clean_up(self) -> None:
        """Leave nothing of cells that were prepared or run, but not stored."""
        if self.seen is not None:
            self.seen.waiting.engine.discard(self.seen.prepared)
        if self.next is not None:
            self.next[0].engine.discard(self.next[1])


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
