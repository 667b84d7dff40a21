"""The Docker daemon that cells run on: one that the lab starts, or the user's own.

A private daemon is a containerd and a dockerd with all their state (socket, data, runtimes' state) in one directory of
the workspace, in a network namespace of their own, without bridge and without iptables; its containers' cgroups lie
below the run's. A runtime becomes known to it when the first cell that needs it comes (``daemon.json``, SIGHUP).
"""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import docker
import requests
from docker.errors import DockerException
from docker.transport.unixconn import UnixHTTPAdapter

from lab.engine import families
from lab.engine.cgroups import kill_cgroups, processes_in
from lab.engine.daemon import Daemon
from lab.engine.workspace import Workspace
from lab.errors import EngineError
from lab.model.engine import EngineBuild
from lab.model.runtime import Runtime

CALL_TIMEOUT = 60.0
"""Seconds for a call that waits for no container."""

RELOAD_DEADLINE = 15.0
_OLDEST_API = "1.40"
REMAP_ACCOUNT = "permlab-remap"
Transport = (requests.exceptions.RequestException, DockerException)
"""What a call raises when the daemon does not answer."""

_CONTAINERD = """\
version = 2
root = "{place}/containerd/root"
state = "{place}/containerd/state"
disabled_plugins = [
    "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images",
    "io.containerd.internal.v1.opt",  # it would make /opt/containerd
]
[grpc]
address = "{place}/containerd.sock"
"""


class DockerDaemon(Protocol):
    """A daemon that answers."""

    build: EngineBuild
    restarts: int

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def client(self) -> docker.APIClient:
        """A client of this thread's own."""

    def runtime(self, runtime: Runtime) -> str:
        """The daemon's name of a runtime; :class:`HostError` when it does not have it and takes no new ones."""

    def revive(self) -> None:
        """Start it again when it has ended; :class:`EngineError` when that was done before."""

    def ended(self) -> str | None:
        """How it ended, or ``None`` while it runs."""

    def processes(self, container: str) -> tuple[int, ...] | None:
        """The pids in a container's cgroup; ``None`` where there is none, or none any more, or none to be seen."""

    def kill_containers(self) -> None:
        """End every container, without asking the daemon."""

    def stop(self) -> None:
        """End it, or let go of it."""


class _Kept(UnixHTTPAdapter):
    """Keeps its connections: the SDK's own has a pool for every URL, thus a new connection for every container."""

    def get_connection(self, url: bytes | str, proxies: Any = None) -> Any:  # noqa: ANN401, ARG002  # as the SDK has it
        return super().get_connection("", proxies)


@dataclass(slots=True)
class Clients:
    """One client for each thread: a session of requests is not made for several."""

    address: str
    _local: threading.local = field(default_factory=threading.local)

    def get(self) -> docker.APIClient:
        """The client of the thread that asks."""
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None:
            client = docker.APIClient(base_url=self.address, version="auto", timeout=int(CALL_TIMEOUT))
            client.trust_env = False
            if isinstance(kept := client.get_adapter(client.base_url), UnixHTTPAdapter):
                client.mount(client.base_url, _Kept(f"http+unix:/{kept.socket_path}", timeout=int(CALL_TIMEOUT)))
            self._local.client = client
        return client


@dataclass(kw_only=True)
class PrivateDaemon:
    """A daemon of the run's own. ``remap`` is its ``userns-remap``: (first id, size)."""

    build: EngineBuild
    workspace: Workspace
    remap: tuple[int, int] | None = None
    restarts: int = 0
    _runtimes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def place(self) -> Path:
        """The directory with all its state; its name is short, because a socket's path has 108 bytes (unix(7))."""
        for number in itertools.count(1):
            place = self.workspace.root / f"docker-{number}"
            try:
                place.mkdir()
            except FileExistsError:
                continue
            return place
        raise AssertionError

    @property
    def cgroup(self) -> str:
        """The parent of its containers' cgroups."""
        return f"{self.workspace.cgroup}/{self.place.name}"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix://{self.place}/docker.sock"

    @cached_property
    def _clients(self) -> Clients:
        return Clients(self.address)

    @property
    def client(self) -> docker.APIClient:
        """A client of this thread's own."""
        return self._clients.get()

    @cached_property
    def _environment(self) -> dict[str, str]:
        """Helpers are found by name: those of the build first. Temporary files stay inside the workspace."""
        own = self.workspace.environment
        return {**own, "PATH": f"{self.build.path}:{own['PATH']}", "TMPDIR": str(self.place / "tmp")}

    @cached_property
    def _containerd(self) -> Daemon:
        # its shims end as orphans: tini collects them, else they would be the lab's own zombies
        collector = (str(self.build.path / "docker-init"), "-s", "--")
        argv = (*collector, str(self.build.program("containerd")), "--config", str(self.place / "containerd.toml"))
        return self._daemon(argv, "containerd", (self.place / "containerd.sock").exists)

    @cached_property
    def _dockerd(self) -> Daemon:
        return self._daemon(self._dockerd_argv(), "dockerd", self._answers)

    def _daemon(self, argv: tuple[str, ...], name: str, ready: Callable[[], bool]) -> Daemon:
        alone = ("unshare", "--net", *argv)
        return Daemon(
            argv=alone,
            env=self._environment,
            log=self.place / f"{name}.log",
            ready=ready,
            cgroup=f"{self.cgroup}-{name}",
        )

    def _dockerd_argv(self) -> tuple[str, ...]:
        place = self.place
        argv = [
            str(self.build.program("dockerd")),
            f"--config-file={place}/daemon.json",
            f"--containerd={place}/containerd.sock",
            f"--data-root={place}/data",
            f"--exec-root={place}/exec",
            f"--pidfile={place}/dockerd.pid",
            f"--host={self.address}",
            f"--cgroup-parent={self.cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--storage-driver=overlay2",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--userland-proxy=false",
        ]
        if self._old:
            argv.append("--oom-score-adjust=0")  # its default, -500, takes CAP_SYS_RESOURCE; later ones leave it alone
        if self.remap is not None:
            argv.append(f"--userns-remap={REMAP_ACCOUNT}-{self.remap[0]}")
        return tuple(argv)

    @property
    def _old(self) -> bool:
        """Whether it is a Docker 20.10."""
        return (self.build.name.version or "").startswith("20.")

    def _answers(self) -> bool:
        if not (self.place / "docker.sock").exists():
            return False
        try:
            asked = docker.APIClient(base_url=self.address, version=_OLDEST_API, timeout=2)
            try:
                return bool(asked.ping())
            finally:
                asked.close()
        except Transport:
            return False

    def start(self) -> None:
        """Start both processes; raises :class:`EngineError`, and :class:`HostError` where accounts have no copies."""
        self.workspace.own_run_directory()
        (self.place / "tmp").mkdir(exist_ok=True)
        (self.place / "containerd.toml").write_text(_CONTAINERD.format(place=self.place))
        if self.remap is not None:
            self._make_account(self.remap)
        self._write_runtimes()
        self._containerd.start()
        self._dockerd.start()

    def _make_account(self, ids: tuple[int, int]) -> None:
        """The account whose subordinate ids the daemon maps to, in the lab's private copies of the account files."""
        name = f"{REMAP_ACCOUNT}-{ids[0]}"
        lines = {
            "passwd": f"{name}:x:{ids[0]}:{ids[0]}::/:/usr/sbin/nologin",
            "group": f"{name}:x:{ids[0]}:",
            "subuid": f"{name}:{ids[0]}:{ids[1]}",
            "subgid": f"{name}:{ids[0]}:{ids[1]}",
        }
        for file, line in lines.items():
            self.workspace.add_account(file, line)

    def runtime(self, runtime: Runtime) -> str:
        """The daemon's name of a runtime, which it learns when it has not had it yet."""
        name = runtime.name.slug.replace("+", "-")
        with self._lock:
            if name not in self._runtimes:
                self._runtimes[name] = {"path": runtime.path}
                if flags := families.global_flags(runtime.name):
                    self._runtimes[name]["runtimeArgs"] = list(flags)
                self._write_runtimes()
                self._reload(name)
        return name

    def _write_runtimes(self) -> None:
        written = self.place / "daemon.json.new"
        config: dict[str, Any] = {"runtimes": self._runtimes}
        if self._old:
            config["deprecated-key-path"] = str(self.place / "key.json")  # else it goes to /etc/docker
        written.write_text(json.dumps(config))
        written.rename(self.place / "daemon.json")

    def _reload(self, name: str) -> None:
        self._dockerd.signal(signal.SIGHUP)
        until = time.monotonic() + RELOAD_DEADLINE
        while name not in self.client.info()["Runtimes"]:
            if time.monotonic() > until:
                raise EngineError(f"dockerd does not take the runtime {name}", details=self._dockerd.tail())
            time.sleep(0.005)

    def revive(self) -> None:
        """Start again what has ended, once."""
        with self._lock:
            if self._dockerd.alive and self._containerd.alive:
                return
            if self.restarts:
                raise EngineError("the Docker daemon has ended twice", details=self.ended() or "")
            self.restarts += 1
            self.kill_containers()
            if not self._containerd.alive:
                self._dockerd.stop()
                (self.place / "containerd.sock").unlink(missing_ok=True)
                self._containerd.start()
            for stale in ("docker.sock", "dockerd.pid"):
                (self.place / stale).unlink(missing_ok=True)
            self._dockerd.start()

    def ended(self) -> str | None:
        """How it ended, or ``None`` while it runs."""
        return self._dockerd.ending() or self._containerd.ending()

    def processes(self, container: str) -> tuple[int, ...] | None:
        """The pids in a container's cgroup; ``None`` where there is none: runsc makes none (``--ignore-cgroups``)."""
        return processes_in(self.cgroup, container)

    def kill_containers(self) -> None:
        """SIGKILL to everything below its containers' cgroup."""
        kill_cgroups(self.cgroup)

    def stop(self) -> None:
        """End containers, dockerd, containerd; what they mounted goes with the workspace's namespace."""
        self.kill_containers()
        self._dockerd.stop()
        self._containerd.stop()
