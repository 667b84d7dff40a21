"""Cells → records: order, parallelism, skips, resuming, clean-up.

The runtimes are provisioned while the cells of those that are ready already run. Each of ``jobs`` threads runs one cell
at a time, and while its container runs it stores the cell before and prepares the next one: a runtime seldom waits for
the lab's own work, and no cell is handed from thread to thread (with three to a cell, as it once was, half of the lab's
own time went into that).
"""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lab import process
from lab.classify.judge import judge
from lab.classify.wrappers import disagrees, speaks_for
from lab.codec import settings_digest, to_data
from lab.engine.base import Prepared
from lab.engine.registry import Engines
from lab.errors import InputError
from lab.model.observation import Observation
from lab.model.record import Provenance, Record
from lab.model.scenario import Resolved, Task
from lab.model.settings import Settings
from lab.model.verdict import Errored, Skipped, Verdict
from lab.provision.cache import Cache
from lab.scenario.load import CONTROLS
from lab.scenario.resolve import expectation_of, resolve
from lab.store.runs import RunWriter, now
from lab.supply import Flow, Ready, Waiting, prepare, supply

PATIENCE = 10.0
"""Seconds that a stopped run waits for its own threads."""

_SERIALS = itertools.count()
"""Numbers of cells, each once: a session runs several times, and an engine may remove a container after its cell."""

TELL_SECONDS = 0.05
"""How long the caller's thread waits before it tells the listener what happened."""


class Listener(Protocol):
    """Gets told what happens, in the caller's thread."""

    def note(self, line: str) -> None:
        """One line about provisioning."""

    def done(self, record: Record) -> None:
        """A record was stored."""

    def pause(self) -> None:
        """All cells whose runtime is ready are done, while other runtimes are still being provisioned."""


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
        flow = Flow()
        waiting = self._sort(tasks)
        workers = [threading.Thread(target=_Worker(self, flow).work, daemon=True) for _ in range(self.jobs)]
        threads = [
            threading.Thread(target=supply, args=(self.cache, self.engines, waiting, flow), daemon=True),
            *workers,
        ]
        for thread in threads:
            thread.start()
        try:
            while any(worker.is_alive() for worker in workers) and not self.stop.is_set():
                self._tell(flow)
                flow.ended.wait(TELL_SECONDS)  # not join: interrupted, it takes a thread for ended (CPython 3.11)
                flow.ended.clear()
        finally:
            flow.stopped.set()
            _end(threads, self.engines)
        self._tell(flow)
        if flow.broken is not None:
            raise flow.broken

    def _tell(self, flow: Flow) -> None:
        """Tell the listener what happened meanwhile, in the caller's thread."""
        while flow.notes:
            self.listener.note(flow.notes.popleft())
        while flow.records and not self.stop.is_set():
            self.listener.done(flow.records.popleft())
        if flow.idle():
            self.listener.pause()

    def _sort(self, tasks: Sequence[Task]) -> dict[str, list[Waiting]]:
        """Store the skips that need no runtime; return the rest by runtime."""
        waiting: dict[str, list[Waiting]] = defaultdict(list)
        for task in tasks:
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
            waiting[resolved.runtime].append(
                Waiting(serial=next(_SERIALS), task=task, resolved=resolved, engine=engine)
            )
        return waiting

    def _resolved(self, task: Task) -> Resolved:
        resolved = resolve(task.scenario, task.cell)
        if self.deadline is None:
            return resolved
        return replace(resolved, settings=replace(resolved.settings, deadline=self.deadline))

    def finish(self, seen: _Seen) -> Record:
        """Complete, judge, store and clean up; safe in several threads at once."""
        settings, job = seen.waiting.resolved.settings, seen.prepared.job
        try:
            seen = replace(seen, observation=seen.prepared.complete(seen.observation))
            config = f"sha256:{hashlib.sha256(seen.prepared.config.encode()).hexdigest()}"
            verdict = judge(seen.observation, tolerate=settings.tolerate, checks=settings.checks)
            build = seen.waiting.engine.build
            provenance = Provenance(
                runtime=job.runtime.sha256,
                image=job.image.id,
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
class _Seen:
    """A task that has been run."""

    waiting: Waiting
    prepared: Prepared
    observation: Observation
    started: str


class _Worker:
    """One thread's cells: ``seen`` ran last and is not stored yet, ``next`` is ready to run."""

    def __init__(self, runner: Runner, flow: Flow) -> None:
        self.runner, self.flow = runner, flow
        self.seen: _Seen | None = None
        self.next: tuple[Waiting, Prepared] | None = None

    def work(self) -> None:
        """Run cells one after the other until there are no more, or the run is stopped."""
        try:
            self._work()
        finally:
            self.flow.ended.set()

    def _work(self) -> None:
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

    def _prepare(self, ready: Ready) -> None:
        try:
            outcome = prepare(ready)
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
        time.sleep(TELL_SECONDS)
