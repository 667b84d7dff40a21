"""What cells need, and the cells themselves as soon as it is there: runtimes, images, engines.

All of it is provisioned at once, in threads; a cell is handed over when nothing that it needs is still being made, so
that whoever takes it never waits.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from lab.engine.base import Engine, Job, Prepared
from lab.engine.registry import Engines
from lab.errors import HostError, LabError, ProvisionError, SourceUnreachable
from lab.model.image import Image
from lab.model.record import Record
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved, Task
from lab.model.verdict import Errored, Skipped
from lab.provision.cache import Cache
from lab.provision.images import pull_image
from lab.provision.pulling import pull_all
from lab.provision.runtimes import verify

T = TypeVar("T")

WORTH_TELLING = 0.5
"""Seconds from which on the making of an image is told; less is the cache's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task that an engine of this run can take, once its runtime and image are there."""

    serial: int
    task: Task
    resolved: Resolved
    engine: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A waiting task with what was provisioned for it, or why that failed."""

    waiting: Waiting
    runtime: Runtime | LabError
    image: Future[Image]
    engine: Future[Engine]


class Flow:
    """What the threads of one run tell each other.

    ``complete`` tells that every cell has been handed over; ``ready`` ends with ``None``. ``ended`` is set
    whenever a worker ends.
    """

    def __init__(self) -> None:
        self.ready: queue.SimpleQueue[Ready | None] = queue.SimpleQueue()
        self.records: deque[Record] = deque()
        self.notes: deque[str] = deque()
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self.broken: BaseException | None = None
        self.complete = False
        self._handed = 0
        self._done = 0
        self._paused_at = 0
        self._counting = threading.Lock()

    def note(self, line: str) -> None:
        """Keep a line for the caller's thread to show."""
        self.notes.append(line)

    def hand_over(self, ready: Ready) -> None:
        """A cell can be prepared now."""
        with self._counting:
            self._handed += 1
        self.ready.put(ready)

    def close(self) -> None:
        """Every cell has been handed over."""
        self.complete = True
        self.ready.put(None)

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


def supply(cache: Cache, engines: Engines, waiting: Mapping[str, list[Waiting]], flow: Flow) -> None:
    """Hand over the cells of each runtime (its name maps to them) as soon as they can be run."""
    every = [one for several in waiting.values() for one in several]
    images, words = ({one.resolved.image for one in every}, {one.resolved.engine for one in every})
    try:
        with ThreadPoolExecutor(1) as making, ThreadPoolExecutor(max(1, len(words))) as starting:
            made = {name: making.submit(_image, cache, name, flow) for name in sorted(images)}
            opened = {name: starting.submit(engines.ready, name, flow.note) for name in sorted(words)}
            for name, runtime in pull_all(cache, list(waiting), progress=flow.note):
                if flow.stopped.is_set():
                    return
                checked = _checked(cache, runtime)
                for one in waiting[str(name)]:
                    image, engine = made[one.resolved.image], opened[one.resolved.engine]
                    ready = Ready(waiting=one, runtime=checked, image=image, engine=engine)
                    _when_done(image, engine, partial(flow.hand_over, ready))
    except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
        flow.fail(error)
    finally:
        flow.close()


def ready_now(cache: Cache, engines: Engines, waiting: Waiting, note: Callable[[str], None]) -> Ready:
    """One task with what is provisioned for it here and now, in the caller's thread."""
    image, engine = Future[Image](), Future[Engine]()
    _settle(image, lambda: pull_image(cache, waiting.resolved.image))
    _settle(engine, lambda: engines.ready(waiting.resolved.engine, note))
    runtime = next(runtime for _, runtime in pull_all(cache, [waiting.resolved.runtime], progress=note))
    return Ready(waiting=waiting, runtime=_checked(cache, runtime), image=image, engine=engine)


def _settle(future: Future[T], make: Callable[[], T]) -> None:
    try:
        future.set_result(make())
    except LabError as error:
        future.set_exception(error)


def _when_done(one: Future[Any], other: Future[Any], call: Callable[[], None]) -> None:
    """Call when both have ended, however."""
    one.add_done_callback(lambda _: other.add_done_callback(lambda _: call()))


def _image(cache: Cache, name: str, flow: Flow) -> Image:
    started = time.monotonic()
    image = pull_image(cache, name)
    if time.monotonic() - started > WORTH_TELLING:
        flow.note(f"{name}: ready, {image.origin}")
    return image


def _checked(cache: Cache, runtime: Runtime | LabError) -> Runtime | LabError:
    """The runtime, after its bytes were compared with what was recorded: nothing is measured with another."""
    try:
        return verify(cache, runtime.name) if isinstance(runtime, Runtime) else runtime
    except ProvisionError as error:
        return error


def prepare(ready: Ready) -> Prepared | Skipped | Errored:
    """The cell made ready by its engine, or the verdict that it gets instead."""
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
