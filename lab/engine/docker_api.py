"""Calls of the Docker Engine API, one by one, each kept as it went.

The Docker SDK makes the requests; how a call went becomes a :class:`~lab.model.observation.Call`
with the HTTP status as its return code (0 for success) and the daemon's message as its stderr.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


@dataclass(slots=True)
class Attached:
    """A container's streams, read from one connection: raw for a terminal, else in frames that name the stream."""

    collector: Collector
    terminal: bool

    def drain(self, until: float, enough: Callable[[bytes], bool] | None = None) -> bool:
        """Read to the end, or until ``enough`` of what came so far; false when the moment ``until`` came first."""
        return self.collector.drain(until, None if enough is None else lambda: enough(self._raw))

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


@contextmanager
def attached(connection: Any, *, terminal: bool) -> Iterator[Attached]:  # noqa: ANN401  # what the SDK gives
    """The streams behind a connection of ``attach`` or ``exec start``; it is closed afterwards."""
    try:
        yield Attached(Collector({"stream": connection.fileno()}, 2 * OUTPUT_LIMIT), terminal)
    finally:
        connection.close()


def as_text(state: Mapping[str, Any]) -> bytes:
    """JSON as a call's answer is kept."""
    return json.dumps(state, sort_keys=True).encode()
