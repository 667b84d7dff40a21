"""Calls of the Docker Engine API, one by one, each kept as it went.

The Docker SDK makes the requests; how a call went becomes a :class:`~lab.model.observation.Call`
with the HTTP status as its return code (0 for success) and the daemon's message as its stderr.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException

from lab.model.observation import Call
from lab.process import OUTPUT_LIMIT, Collector

HEADER = 8
_STDERR = 2
TRANSPORT = (requests.exceptions.RequestException, DockerException, OSError)
"""What a call raises when the daemon does not answer."""


class CallFailed(Exception):
    """The daemon refused a call; the call stands in the log."""


@dataclass(slots=True)
class CallLog:
    """The calls of one cell, in order."""

    client: docker.APIClient
    calls: list[Call] = field(default_factory=list)

    def call(self, verb: str, path: str, request: Callable[[docker.APIClient], Any]) -> Any:  # noqa: ANN401  # JSON
        """Make a call and keep it; raises :class:`CallFailed` when the daemon refuses, transport errors as they are."""
        started = time.monotonic()
        status, said, answer = 0, b"", None
        try:
            answer = request(self.client)
        except APIError as error:
            status, said = error.status_code or 500, str(error.explanation or error).encode()
        kept = Call(
            verb=verb,
            argv=(path,),
            returncode=status,
            stdout=b"",
            stderr=said,
            seconds=time.monotonic() - started,
        )
        self.calls.append(kept)
        if status:
            raise CallFailed
        return answer

    def note(self, **changes: Any) -> None:
        """Complete what is kept of the last call."""
        self.calls[-1] = replace(self.calls[-1], **changes)


class Attached:
    """A container's streams, read from one connection: raw for a terminal, else in frames that name the stream.

    ``connection`` is what the SDK gives for ``attach`` or ``exec start``.
    """

    def __init__(self, connection: Any, *, terminal: bool) -> None:  # noqa: ANN401  # what the SDK gives
        self.terminal = terminal
        self.collector = Collector({"stream": connection.fileno()}, 2 * OUTPUT_LIMIT)
        self._connection = connection

    def close(self) -> None:
        """Close the connection; what was read stays."""
        self._connection.close()

    def drain(self, until: float, enough: Callable[[bytes], bool] | None = None) -> bool:
        """Read to the end, or until ``enough`` of what came so far; false when the moment ``until`` came first."""
        return self.collector.drain(until, None if enough is None else lambda: enough(self._raw))

    def drain_beside(self, pid: int, until: float) -> bool:
        """Read until a process, which need not be a child, has ended; false when the moment ``until`` came first."""
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return self.collector.drain(until, beside=ended)
        finally:
            os.close(ended)

    @property
    def _raw(self) -> bytes:
        return self.collector.bytes_of("stream")

    @property
    def truncated(self) -> bool:
        """Whether there was more than is kept."""
        return self.collector.truncated

    def streams(self) -> tuple[bytes, bytes]:
        """The container's stdout and stderr so far."""
        if self.terminal:
            return self._raw.replace(b"\r\n", b"\n"), b""
        kept = {False: bytearray(), True: bytearray()}
        for kind, content in frames(self._raw):
            kept[kind == _STDERR] += content
        return bytes(kept[False][:OUTPUT_LIMIT]), bytes(kept[True][:OUTPUT_LIMIT])


def frames(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(stream, content) of each frame: one byte stream, three zero, four length (API, "Stream format")."""
    at = 0
    while at + HEADER <= len(raw):
        size = int.from_bytes(raw[at + 4 : at + HEADER], "big")
        yield raw[at], raw[at + HEADER : at + HEADER + size]
        at += HEADER + size


def as_text(state: Mapping[str, Any]) -> bytes:
    """JSON as a call's answer is kept."""
    return json.dumps(state, sort_keys=True).encode()


def reason(error: BaseException) -> str:
    """Why a call made outside of a cell's log failed: the daemon's own words, where it answered."""
    if isinstance(error, APIError):
        return f"the Docker daemon answered {error.status_code}: {error.explanation}"
    return f"the Docker daemon does not answer: {error}"
