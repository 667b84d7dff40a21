"""A cell's container held: it does what the cell says, then waits, until whoever holds it lets go."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab import children
from lab.classify.judge import judge
from lab.engine.base import Engine, Prepared
from lab.errors import InputError
from lab.model.observation import Observation
from lab.model.runtime import Family
from lab.model.scenario import Resolved, Task
from lab.model.settings import Action
from lab.model.verdict import Errored, Failed, Phase, Skipped, Verdict
from lab.oci.spec import PROBE
from lab.scenario.resolve import resolve
from lab.session import Session
from lab.supply import Waiting, prepare, ready_now

LONGEST = 86_400.0
"""Seconds that a container is held at most."""

LOOKS = 0.01
"""Seconds between two looks for a container's process."""

STARTS = 60.0
"""Seconds that a container has to start in, its steps included."""

ENDS = 30.0
"""Seconds that a container has to end in, and its engine to remove it."""

_SERIALS = itertools.count(1_000_000)
"""Numbers that no cell has which the session runs itself."""


class NotRunning(Exception):
    """The container did not come to the point where it waits; ``verdict`` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.kind)
        self.verdict = verdict


@dataclass(slots=True, kw_only=True)
class Held:
    """A running container. ``pid`` is its first process, as the lab's PID namespace counts."""

    task: Task
    pid: int


@contextmanager
def hold(session: Session, task: Task) -> Iterator[Held]:
    """Start a cell's container and keep it while the block lasts; it is gone afterwards.

    Its process is the probe, as in every cell of the lab: it carries out the cell's steps, then waits. Where the cell
    gives arguments of its own, or a second process (``exec``), the probe stands in for them. Raises
    :class:`NotRunning` where there is no container to look into.
    """
    token = new_token()
    resolved = _waiting(resolve(task.scenario, task.cell), token)
    held = _Holding(*_prepared(session, task, resolved))
    held.thread.start()
    try:
        yield Held(task=task, pid=_first_process(held, resolved, token))
    finally:
        held.let_go(token)


def new_token() -> str:
    """Seconds to wait that no other container waits: what its process is found by, from outside, on any engine."""
    return f"{LONGEST:.0f}.{secrets.randbelow(10**10):010d}"


def _waiting(resolved: Resolved, token: str) -> Resolved:
    """The cell with a last step that waits; the step's argument is a number that no other process has."""
    settings = resolved.settings
    steps = () if settings.process.args is not None else settings.process.steps
    process = replace(settings.process, args=None, steps=(*steps, f"sleep {token}"))
    action = Action.RUN if settings.action is Action.EXEC else settings.action
    return replace(
        resolved, settings=replace(settings, process=process, action=action, exec=None, checks=(), deadline=LONGEST)
    )


def _prepared(session: Session, task: Task, resolved: Resolved) -> tuple[Engine, Prepared]:
    """The cell made ready; raises :class:`NotRunning` where it is skipped, or the lab fails."""
    if not session.engines.context.workspace.privileged:
        raise NotRunning(Skipped(reason="needs root: the lab enters a container's namespaces"))
    if resolved.runtime.partition("@")[0] == Family.RUNSC:
        raise NotRunning(Skipped(reason="runsc keeps its processes in a kernel of its own: there is none to enter"))
    try:
        engine = session.engines.get(resolved.engine)
    except InputError as error:
        raise NotRunning(Skipped(reason=error.brief)) from error
    reason = engine.skip_reason(resolved, None)
    if reason is not None:
        raise NotRunning(Skipped(reason=reason))
    waiting = Waiting(serial=next(_SERIALS), task=task, resolved=resolved, engine=engine)
    outcome = prepare(ready_now(session.cache, session.engines, waiting, session.listener.note))
    if not isinstance(outcome, Prepared):
        raise NotRunning(outcome)
    return engine, outcome


@dataclass(slots=True)
class _Holding:
    """The thread that waits for the container, as an engine's ``execute`` does."""

    engine: Engine
    prepared: Prepared
    observation: Observation | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._execute, daemon=True)

    def _execute(self) -> None:
        try:
            seen = self.engine.execute(self.prepared, lambda: None)
            self.observation = self.prepared.complete(seen)
        except Exception as error:  # noqa: BLE001  # a fault of the lab must be told, not end a thread unheard
            self.observation = Observation(fault=f"the lab failed to run the cell: {error!r}")

    def let_go(self, token: str) -> None:
        """End the container and remove what is left of it."""
        until = time.monotonic() + ENDS
        while self.thread.is_alive() and time.monotonic() < until:
            for pid in children.saying(token):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.thread.join(LOOKS)
        self.engine.discard(self.prepared)


def _first_process(held: _Holding, resolved: Resolved, token: str) -> int:
    """The pid of the process that waits; raises :class:`NotRunning` with the verdict where none comes."""
    until = time.monotonic() + STARTS
    while held.thread.is_alive() and time.monotonic() < until:
        for pid in children.saying(token):
            if _waits(pid):
                return pid
        held.thread.join(LOOKS)
    if held.observation is None:
        raise NotRunning(Errored(reason="the container does not come to its last step"))
    verdict = judge(held.observation, tolerate=resolved.settings.tolerate)
    if verdict.kind == "passed":
        verdict = Failed(cause="unrecognised", phase=Phase.PROCESS, evidence="the container ended by itself")
    raise NotRunning(verdict)


def _waits(pid: int) -> bool:
    """Whether a process is the probe in a step that waits: it is in sigtimedwait(2), by what proc(5) tells of it.

    Where the kernel does not tell (``0``), a process that sleeps counts.
    """
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
        where = Path(f"/proc/{pid}/wchan").read_text()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return program == PROBE.encode() and ("sigtimedwait" in where or (where == "0" and state == "S"))
