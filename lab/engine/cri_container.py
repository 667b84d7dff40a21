"""One container over the CRI: sandbox, create, start, status, remove, each a call of its own.

containerd takes a third of a container's time to clean up after its processes have ended, and tells of their end only
then. So what comes after start is apart: it can wait until the next container has been started.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson

from lab import children
from lab.engine.bundle import Bundle
from lab.engine.cri_api import cri_pb2 as api
from lab.engine.cri_daemon import CALL_TIMEOUT, Containerd, M
from lab.engine.cri_words import SECCOMP
from lab.engine.seen import Seen
from lab.errors import EngineError, LabError
from lab.model.observation import Call, Reached
from lab.model.settings import Settings
from lab.process import OUTPUT_LIMIT

_PAUSES = (0.002, 0.004, 0.008, 0.016)
_LOOK_AFTER = 1.0
"""Seconds between two looks after containerd while a container runs."""

_GRACE = 5.0
PATIENCE = 2.0
"""Seconds in which a containerd that does not answer may be seen to have ended."""

_HOLDS = b'"hold"'
_SILENCE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class CallRefused(Exception):
    """containerd refused a call; the call stands among those that were seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriCell:
    """A prepared cell: its directory and fixtures, its containerd, and the requests with placeholders in them."""

    bundle: Bundle
    daemon: Containerd
    handler: str
    sandbox: dict[str, Any]
    container: dict[str, Any]
    exec: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class CriContainer:
    """One cell's container and the calls that are made of it.

    ``over`` tells that its processes have ended, ``refused`` that containerd refused a call, ``lost`` that something
    else failed: then nothing more is asked.
    """

    cell: CriCell
    settings: Settings
    identifier: str = ""
    over: bool = False
    refused: bool = False
    lost: bool = False
    seen: Seen = field(default_factory=Seen)
    _until: float = 0.0
    _restarts: int = 0

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Keep what ends the block early: a refusal stands among the calls, all else is the cell's fault."""
        try:
            yield
        except CallRefused:
            self.refused = True
        except LabError as error:
            self.lost, self.seen.fault = True, error.brief
        except grpc.RpcError as error:
            self.lost = True
            self.seen.fault = self.cell.daemon.ended(PATIENCE) or f"containerd does not answer: {error.code()}"

    @property
    def _log(self) -> Path:
        return self.cell.daemon.logs / f"{self.cell.bundle.identifier}.log"

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Create, start, and wait until its processes have ended, where they can be seen.

        Raises :class:`CallRefused` as soon as containerd refuses, :class:`EngineError` and ``grpc.RpcError``.
        """
        daemon, name = self.cell.daemon, self.cell.bundle.identifier
        self._restarts = daemon.restarts
        sandbox, config = self._kept("sandbox", "RunPodSandbox", lambda: daemon.sandbox(*self._sandbox))
        text = self.cell.bundle.fill(json.dumps(self.cell.container))
        container = json.loads(text.replace(SECCOMP, str(self.cell.bundle.seccomp)))
        request = {
            "podSandboxId": sandbox,
            "config": {**container, "metadata": {"name": name}, "logPath": self._log.name},
            "sandboxConfig": config,
        }
        with daemon.remapping(self.cell.sandbox):
            made = self._call(
                "create", "CreateContainer", request, api.CreateContainerRequest, api.CreateContainerResponse
            )
        self.identifier = made.container_id
        self.seen.reached = Reached.CREATED
        own = {"containerId": self.identifier}
        self._call("start", "StartContainer", own, api.StartContainerRequest, api.Empty)
        self.seen.reached = Reached.STARTED
        visible = self.cell.daemon.processes(self.identifier) is not None
        meanwhile()
        self._until = time.monotonic() + self.settings.deadline
        if self.cell.exec is None:
            self.over = visible and self._awaited()
        else:
            self._exec_beside(own, self.cell.exec)

    def finish(self) -> None:
        """See how it ended and what it wrote, and remove it."""
        with self.noting():
            if not self.lost and self.seen.reached is Reached.STARTED and self.cell.exec is None:
                self._wait({"containerId": self.identifier})
        with self.noting():
            if not self.lost:
                self._trust()
                self._remove()

    def _trust(self) -> None:
        """Raise :class:`EngineError` where containerd ended: what that does to containers is no finding."""
        if self.refused or self.seen.exit_code:
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if self.cell.daemon.restarts != self._restarts:
                raise EngineError("containerd ended while the cell ran")

    def _awaited(self) -> bool:
        """Whether its processes end by themselves, in time."""
        while pids := self.cell.daemon.processes(self.identifier):
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if time.monotonic() >= self._until:
                return False
            children.has_ended(pids[0], min(self._until, time.monotonic() + _LOOK_AFTER))
        return True

    @property
    def _sandbox(self) -> tuple[str, dict[str, Any]]:
        return self.cell.handler, self.cell.sandbox

    def _call(self, verb: str, method: str, request: dict[str, Any], kind: type[Any], answer: type[M]) -> M:
        got: M = self._kept(verb, method, lambda: self.cell.daemon.call(method, request, kind, answer))
        return got

    def _kept(self, verb: str, method: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401  # any call's answer
        """Make a call and keep it: its gRPC code as the return code (0 is OK), its message as stderr.

        Raises :class:`CallRefused`, and ``grpc.RpcError`` when containerd does not answer.
        """
        started = time.monotonic()
        status, said, answer = 0, "", None
        try:
            answer = ask()
        except grpc.RpcError as error:
            if error.code() in _SILENCE:  # containerd says nothing of the container
                raise
            status, said = int(error.code().value[0]), str(error.details())
        self.seen.calls.append(
            Call(
                verb=verb,
                argv=(f"RuntimeService/{method}",),
                returncode=status,
                stdout=b"",
                stderr=said.encode(),
                seconds=time.monotonic() - started,
            )
        )
        if status:
            raise CallRefused
        return answer

    def _status(self, own: dict[str, str]) -> api.ContainerStatus:
        return self.cell.daemon.call(
            "ContainerStatus", own, api.ContainerStatusRequest, api.ContainerStatusResponse
        ).status

    def _wait(self, own: dict[str, str]) -> None:
        """Ask until the container has ended; one that does not end in time is killed."""
        until, killed = time.monotonic() + CALL_TIMEOUT if self.over else self._until, False
        pauses = iter(_PAUSES)
        while (status := self._status(own)).state not in {api.CONTAINER_EXITED, api.CONTAINER_UNKNOWN}:
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if time.monotonic() > until:
                if killed:
                    return
                self.seen.fault = f"the container did not end within its deadline of {self.settings.deadline:g} s"
                until, killed = time.monotonic() + _GRACE, True
                self._stop(own)
            time.sleep(next(pauses, _PAUSES[-1]))
        self.seen.exit_code = status.exit_code
        self.seen.calls.append(
            Call(
                verb="status",
                argv=("RuntimeService/ContainerStatus",),
                returncode=0,
                stdout=MessageToJson(status, indent=None).encode(),
                stderr=b"",
                seconds=0.0,
            )
        )
        self.seen.output, said, truncated = read_log(self._log)
        for index, call in enumerate(self.seen.calls):
            if call.verb == "start":
                self.seen.calls[index] = replace(call, stderr=said, truncated=truncated)

    def _exec_beside(self, own: dict[str, str], words: dict[str, Any]) -> None:
        """Run the second process once the first one holds; what the first one wrote is not the cell's."""
        until = self._until
        while _HOLDS not in read_log(self._log)[0]:
            if ending := self.cell.daemon.ended():
                raise EngineError(ending)
            if time.monotonic() > until or self._status(own).state != api.CONTAINER_RUNNING:
                self.seen.fault = "the container to exec into ended"
                return
            time.sleep(_PAUSES[-1])
        request = {"containerId": self.identifier, **words, "timeout": math.ceil(self.settings.deadline)}
        try:
            done = self._call("exec-sync", "ExecSync", request, api.ExecSyncRequest, api.ExecSyncResponse)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            self.seen.fault = f"`exec` did not end within its deadline of {self.settings.deadline:g} s"
        else:
            self.seen.exit_code, self.seen.output = done.exit_code, done.stdout[:OUTPUT_LIMIT]
            self.seen.calls[-1] = replace(self.seen.calls[-1], stderr=done.stderr[:OUTPUT_LIMIT])
        self._stop(own)

    def _stop(self, own: dict[str, str]) -> None:
        with contextlib.suppress(grpc.RpcError):
            self.cell.daemon.call("StopContainer", {**own, "timeout": 0}, api.StopContainerRequest, api.Empty)

    def _remove(self) -> None:
        """Remove the container; where containerd refuses, that is the lab's fault, not the cell's."""
        if self.identifier:
            try:
                self._call(
                    "remove", "RemoveContainer", {"containerId": self.identifier}, api.RemoveContainerRequest, api.Empty
                )
            except CallRefused:
                self.seen.fault = self.seen.fault or f"the container cannot be removed: {self.seen.calls[-1].stderr!r}"
        self._log.unlink(missing_ok=True)


def read_log(path: Path) -> tuple[bytes, bytes, bool]:
    """A container's stdout and stderr from its CRI log, and whether there was more than is kept.

    A line is ``TIME STREAM TAG CONTENT``; the tag ``P`` says that the line goes on (kubernetes,
    pkg/kubelet/kuberuntime/logs).
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return b"", b"", False
    streams = {b"stdout": bytearray(), b"stderr": bytearray()}
    for line in lines:
        parts = line.split(b" ", 3)
        if len(parts) == len(("time", "stream", "tag", "content")) and parts[1] in streams:
            streams[parts[1]] += parts[3] if parts[2].startswith(b"P") else parts[3] + b"\n"
    out, said = (bytes(streams[name]) for name in (b"stdout", b"stderr"))
    return out[:OUTPUT_LIMIT], said[:OUTPUT_LIMIT], max(len(out), len(said)) > OUTPUT_LIMIT
