"""How the docker engine speaks to a daemon: streams, connections, errors."""

from __future__ import annotations

import http.server
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError

from lab.engine.docker import hold_network
from lab.engine.docker_api import Attached, reason
from lab.engine.docker_daemon import Clients
from lab.errors import EngineError


def test_a_process_that_writes_much_is_read_until_it_ends() -> None:
    """One that nobody reads would block, and never end."""
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen(["/usr/bin/head", "-c", "1000000", "/dev/zero"], stdout=theirs.fileno()) as process:
        streams = Attached(ours, terminal=True)
        assert streams.drain_beside(process.pid, time.monotonic() + 30)
        assert process.wait(5) == 0
        theirs.close()
        assert streams.drain(time.monotonic() + 5)
        assert len(streams.streams()[0]) == 1_000_000


def test_a_process_that_lives_on_with_its_streams_closed_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen(["/bin/sleep", "30"]) as process:
        theirs.close()
        assert not Attached(ours, terminal=True).drain_beside(process.pid, time.monotonic() + 0.05)
        process.kill()


def test_the_daemons_own_words_are_not_taken_for_silence() -> None:
    answer = requests.Response()
    answer.status_code = 500
    refused = APIError("Server Error", response=answer, explanation="signal: segmentation fault")
    assert reason(refused) == "the Docker daemon answered 500: signal: segmentation fault"
    assert reason(ConnectionRefusedError("gone")) == "the Docker daemon does not answer: gone"


class _Refusing:
    """A daemon whose containers do not start, the first time."""

    def __init__(self) -> None:
        self.restarts = 0
        self.client = self
        self.names: set[str] = set()
        self.refusals = 1

    def create_container_from_config(self, _: object, *, name: str) -> dict[str, str]:
        assert name not in self.names, "409: the name is in use"
        self.names.add(name)
        return {"Id": name}

    def start(self, _: str) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            answer = requests.Response()
            answer.status_code = 500
            raise APIError("Server Error", response=answer, explanation="signal: segmentation fault")

    def remove_container(self, name: str, *, force: bool) -> None:
        assert force
        self.names.remove(name)


def test_a_shared_network_that_does_not_start_is_told_once_and_tried_again() -> None:
    daemon: Any = _Refusing()
    with pytest.raises(EngineError, match="does not start: the Docker daemon answered 500: signal: segmentation fault"):
        hold_network(daemon, "network", "image", "run")
    assert hold_network(daemon, "network", "image", "run") == "network"


class _Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers every request with ``{}`` and counts the connections."""

    daemon_threads = True
    connections = 0

    def process_request(self, *arguments: object) -> None:
        self.connections += 1
        super().process_request(*arguments)  # type: ignore[arg-type]  # as socketserver has it


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture(name="daemon")
def _daemon(tmp_path: Path) -> Iterator[_Daemon]:
    with _Daemon(str(tmp_path / "d"), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_calls_for_many_containers_share_a_connection(daemon: _Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docker.APIClient._retrieve_server_version", lambda _: "1.41")
    client = Clients(f"unix://{daemon.server_address!s}").get()
    try:
        for number in range(5):
            assert client.inspect_container(f"c{number}") == {}
    finally:
        client.close()
    assert daemon.connections == 1
