"""One container on a Docker daemon: create, attach, start, wait, inspect, remove, each a call of its own.

The daemon takes a fifth of a container's time to clean up after its processes have ended, and tells of their end only
then. So what comes after start is apart: it can wait until the next container has been started.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import docker
import requests

from lab.engine.bundle import Bundle
from lab.engine.docker_api import TRANSPORT, Attached, CallFailed, CallLog, as_text, reason
from lab.engine.docker_daemon import CALL_TIMEOUT, DockerDaemon
from lab.engine.docker_images import LABEL
from lab.engine.docker_words import volume_names
from lab.engine.seen import Seen
from lab.errors import EngineError, LabError
from lab.model.observation import Reached
from lab.model.settings import Action, Settings

_HOLDS = b'"hold"'
_LOOK_AFTER = 1.0
"""Seconds between two looks after the daemon while a container runs."""

_GRACE = 5.0
"""Seconds for what must come at once: the end of a stream after a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerCell:
    """A prepared cell: its directory and fixtures, its daemon, and the requests with placeholders still in them."""

    bundle: Bundle
    daemon: DockerDaemon
    create: dict[str, Any]
    exec: dict[str, Any] | None


@dataclass(slots=True, kw_only=True)
class Container:
    """One cell's container and the calls that are made of it.

    ``label`` is the run's id, which all bears that is made; ``network`` the container whose network it shares.
    ``over`` tells that its processes have ended, ``refused`` that the daemon refused a call, ``lost`` that something
    else failed: then nothing more is asked of the daemon.
    """

    cell: DockerCell
    settings: Settings
    log: CallLog
    label: str
    network: str = ""
    identifier: str = ""
    over: bool = False
    refused: bool = False
    lost: bool = False
    seen: Seen = field(init=False)
    _streams: Attached | None = None
    _until: float = 0.0
    _restarts: int = 0

    def __post_init__(self) -> None:
        self.seen = Seen(calls=self.log.calls)

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Keep what ends the block early: a refusal stands among the calls, all else is the cell's fault."""
        try:
            yield
        except CallFailed:
            self.refused = True
        except (LabError, *TRANSPORT) as error:
            self.lost = True
            self.seen.fault = self.cell.daemon.ended() or (
                error.brief if isinstance(error, LabError) else reason(error)
            )

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Create, attach, start, and wait until its processes have ended, where they can be seen.

        Raises :class:`CallFailed` as soon as the daemon refuses, :class:`EngineError` and transport errors.
        """
        name, client = self.cell.bundle.identifier, self.log.client
        self._restarts = self.cell.daemon.restarts
        body = json.loads(self._filled(json.dumps(self.cell.create))) | {"Labels": {LABEL: self.label}}
        for volume in volume_names(self.settings.docker):
            self._make_volume(f"{name}-{volume}")
        made = self.log.call(
            "create", "POST /containers/create", lambda c: c.create_container_from_config(body, name=name)
        )
        self.identifier = str(made["Id"])
        connection = client.attach_socket(self.identifier, {"stdout": 1, "stderr": 1, "stream": 1})
        self._streams = Attached(connection, terminal=self.settings.process.terminal)
        self.log.call("start", "POST /containers/{id}/start", lambda c: c.start(self.identifier))
        self.seen.reached = Reached.STARTED
        visible = self.cell.daemon.processes(self.identifier) is not None
        meanwhile()
        self._until = time.monotonic() + self.settings.deadline
        if self.settings.action is Action.EXEC:
            self._exec_beside(self._streams)
        else:
            self.over = visible and self._awaited(self._streams)

    def finish(self) -> None:
        """See how it ended and what it wrote, have the daemon's account of it, and remove it."""
        with self.noting():
            if not self.lost and self.seen.reached is Reached.STARTED and self.settings.action is not Action.EXEC:
                self._wait()
        self._keep()
        self.close()
        with self.noting():
            if not self.lost:
                self._trust()
                self._look()
                self._remove()

    def close(self) -> None:
        """Let go of its streams."""
        if self._streams is not None:
            self._streams.close()

    def _trust(self) -> None:
        """Raise :class:`EngineError` where the daemon ended: what that does to containers is no finding."""
        if self.refused or self.seen.exit_code:
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if self.cell.daemon.restarts != self._restarts:
                raise EngineError("the Docker daemon ended while the cell ran")

    def _make_volume(self, name: str) -> None:
        labels = {LABEL: self.label}
        self.log.call("volume", "POST /volumes/create", lambda c: c.create_volume(name, labels=labels))

    def _filled(self, text: str) -> str:
        text = text.replace("${network}", self.network)
        for volume in volume_names(self.settings.docker):
            text = text.replace(f"${{volume:{volume}}}", f"{self.cell.bundle.identifier}-{volume}")
        return self.cell.bundle.fill(text)

    def _awaited(self, streams: Attached) -> bool:
        """Whether its processes end by themselves, in time; what they write is read."""
        while pids := self.cell.daemon.processes(self.identifier):
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if time.monotonic() >= self._until:
                return False
            streams.drain_beside(pids[0], min(self._until, time.monotonic() + _LOOK_AFTER))
        return True

    def _wait(self) -> None:
        """Read until the container's streams end, then ask how it ended; one that does not end is killed."""
        if self.over:
            self._until = time.monotonic() + CALL_TIMEOUT
        if not self._drained() or not self._ended(self._until):
            self.seen.fault = f"the container did not end within its deadline of {self.settings.deadline:g} s"
            self._kill()
            self._drain(time.monotonic() + _GRACE)
            self._ended(time.monotonic() + _GRACE)

    def _drain(self, until: float) -> bool:
        return self._streams is None or self._streams.drain(until)

    def _drained(self) -> bool:
        """Whether the streams ended in time; a daemon that ends meanwhile would leave them open."""
        while not self._drain(min(self._until, time.monotonic() + _LOOK_AFTER)):
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if time.monotonic() >= self._until:
                return False
        return True

    def _ended(self, until: float) -> bool:
        """Whether the container has ended; a process may close its streams and live on."""
        patience = max(1, math.ceil(until - time.monotonic()))
        try:
            answer = self.log.call(
                "wait", "POST /containers/{id}/wait", lambda c: c.wait(self.identifier, timeout=patience)
            )
        except requests.exceptions.RequestException:
            return False
        self.seen.exit_code = int(answer["StatusCode"])
        return True

    def _exec_beside(self, streams: Attached) -> None:
        """Run the second process once the first one holds."""
        until = self._until
        if not streams.drain(until, lambda raw: _HOLDS in raw) or _HOLDS not in streams.streams()[0]:
            self.seen.fault = "the container to exec into ended"
            return
        body = self.cell.exec or {}
        made = self.log.call(
            "exec-create", "POST /containers/{id}/exec", lambda c: _make_exec(c, self.identifier, body)
        )
        connection = self.log.call(
            "exec", "POST /exec/{id}/start", lambda c: c.exec_start(made["Id"], tty=bool(body["Tty"]), socket=True)
        )
        with contextlib.closing(Attached(connection, terminal=bool(body["Tty"]))) as beside:
            if not beside.drain(until):
                self.seen.fault = f"`exec` did not end within its deadline of {self.settings.deadline:g} s"
            output, said = beside.streams()
        state = self.log.client.exec_inspect(made["Id"])
        self.seen.exit_code = state["ExitCode"]
        self.seen.output = output
        failed = int(state["ExitCode"] or 0) if b'"op":"start"' not in output else 0
        self.log.note(stderr=said or (output if failed else b""), returncode=failed)
        self._kill()

    def _keep(self) -> None:
        """What the container wrote: its stderr is kept beside the call that started it."""
        if self._streams is None or self.seen.reached is not Reached.STARTED:
            return
        output, said = self._streams.streams()
        if self.settings.action is not Action.EXEC:
            self.seen.output = output
        for index, call in enumerate(self.log.calls):
            if call.verb == "start":
                self.log.calls[index] = replace(call, stderr=call.stderr or said, truncated=self._streams.truncated)

    def _kill(self) -> None:
        with contextlib.suppress(*TRANSPORT):
            self.log.client.kill(self.identifier)

    def _look(self) -> None:
        """The daemon's own account of the container's end."""
        if self.identifier:
            with contextlib.suppress(CallFailed):
                found = self.log.call(
                    "inspect", "GET /containers/{id}/json", lambda c: c.inspect_container(self.identifier)
                )
                self.log.note(stdout=as_text(found["State"]))

    def _remove(self) -> None:
        """Remove the container and its volumes; where the daemon refuses, that is the lab's fault, not the cell's."""
        if not self.identifier:
            return
        try:
            self.log.call(
                "remove",
                "DELETE /containers/{id}",
                lambda c: c.remove_container(self.identifier, v=True, force=True),
            )
            for volume in volume_names(self.settings.docker):
                self.log.client.remove_volume(f"{self.cell.bundle.identifier}-{volume}", force=True)
        except CallFailed:
            self.seen.fault = self.seen.fault or f"the container cannot be removed: {self.log.calls[-1].stderr!r}"


def _make_exec(client: docker.APIClient, container: str, body: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    return client.exec_create(
        container,
        body["Cmd"],
        user=body["User"],
        workdir=body["WorkingDir"] or None,
        environment=body["Env"],
        tty=body["Tty"],
    )
