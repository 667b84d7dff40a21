"""A private containerd with its CRI plugin: started, asked, ended.

containerd reads its runtime handlers when it starts and takes no others later. So it starts with handlers of which each
names a place in the workspace, and a handler is given to a runtime, by a link, when the first cell of it comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from lab import process
from lab.engine.cgroups import kill_cgroups, processes_in
from lab.engine.cri_api import cri_pb2 as api
from lab.engine.daemon import Daemon
from lab.engine.once import Once
from lab.engine.workspace import Workspace
from lab.errors import EngineError
from lab.model.engine import EngineBuild
from lab.model.runtime import Runtime
from lab.provision.layers import LayeredImage, write_docker_archive
from lab.scenario.versions import key

M = TypeVar("M", bound=Message)

HANDLERS = 96
"""Runtimes that one containerd can be given; there are fewer releases in the catalogue."""

_LOOK = 0.02

CALL_TIMEOUT = 60.0
"""Seconds for a call; none waits for a container."""

PAUSE = "permlab.invalid/pause:1"
"""The image of a pod's sandbox: the lab's probe, which holds."""

_HEAD = """\
version = {version}
root = "{place}/root"
state = "{place}/state"
disabled_plugins = [
    "io.containerd.internal.v1.opt",  # it would make /opt/containerd
    "io.containerd.nri.v1.nri",
]
[grpc]
address = "{place}/c.sock"
"""

# CAP_SYS_RESOURCE may be missing: oom_score_adj is then left as it is.
_OLD = """\
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_tcp_service = true
stream_server_address = "0.0.0.0"
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{place}/cni"
bin_dir = "{place}/plugins"
"""
_NEW = """\
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
conf_dir = "{place}/cni"
bin_dirs = ["{place}/plugins"]
[plugins."io.containerd.grpc.v1.cri"]
disable_tcp_service = true
stream_server_address = "0.0.0.0"
"""
_NETWORK = '{"cniVersion": "0.3.1", "name": "permlab", "plugins": [{"type": "permlab"}]}'
_PLUGIN = """\
#!/bin/sh
# A CNI plugin that makes nothing: a cell needs no network, and containerd takes no pod of its own network without an
# address (192.0.2.0/24 is for documentation, RFC 5737).
case "$CNI_COMMAND" in
ADD)
    echo '{ "cniVersion": "0.3.1", "interfaces": [{ "name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'" }],'
    echo '  "ips": [{ "version": "4", "interface": 0, "address": "192.0.2.2/24" }], "dns": {} }'
    ;;
VERSION)
    echo '{ "cniVersion": "0.3.1", "supportedVersions": ["0.3.0", "0.3.1", "0.4.0"] }'
    ;;
esac
"""
"""Stands in for the network's plugin and for containerd's ``loopback`` (CNI specification 0.3.1)."""

_DEFAULT = """\
[plugins."{plugin}".containerd]
default_runtime_name = "r0"
"""
_HANDLER = """\
[plugins."{plugin}".containerd.runtimes.{name}]
runtime_type = "io.containerd.runc.v2"
[plugins."{plugin}".containerd.runtimes.{name}.options]
BinaryName = "{place}/handlers/{name}"
"""


def configuration(version: str, place: Path) -> str:
    """The config.toml: format 2 up to containerd 1.7, format 3 from 2.0 on."""
    new = key(version) >= key("2.0")
    words = {"place": place, "pause": PAUSE, "version": 3 if new else 2}
    plugin = "io.containerd.cri.v1.runtime" if new else "io.containerd.grpc.v1.cri"
    handlers = (_HANDLER.format(plugin=plugin, place=place, name=f"r{number}") for number in range(HANDLERS))
    top = _HEAD + (_NEW if new else _OLD) + _DEFAULT
    return top.format(plugin=plugin, **words) + "".join(handlers)


@dataclass(kw_only=True)
class Containerd:
    """One containerd of the run's own."""

    build: EngineBuild
    workspace: Workspace
    restarts: int = 0
    _handlers: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sandboxes: Once[str] = field(default_factory=Once)
    _remapping: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def place(self) -> Path:
        """The directory with all its state; its name is short, because a socket's path has 108 bytes (unix(7))."""
        place = self.workspace.root / self.build.name.slug.partition("+")[0]
        place.mkdir()
        return place

    @property
    def cgroup(self) -> str:
        """The parent of its containers' cgroups."""
        return f"{self.workspace.cgroup}/{self.place.name}"

    @property
    def logs(self) -> Path:
        """Where the logs of containers are."""
        return self.place / "logs"

    @property
    def version(self) -> str:
        """The version of containerd."""
        return self.build.name.version or ""

    @property
    def _api(self) -> str:
        """The CRI's own version: containerd 1.4 and 1.5 know the one before v1, whose messages are the same."""
        return "v1" if key(self.version) >= key("1.6") else "v1alpha2"

    @cached_property
    def environment(self) -> dict[str, str]:
        """Helpers are found by name: those of the build first. Temporary files stay inside the workspace."""
        own = self.workspace.environment
        return {**own, "PATH": f"{self.build.path}:{own['PATH']}", "TMPDIR": str(self.place / "tmp")}

    @cached_property
    def _daemon(self) -> Daemon:
        return Daemon(
            argv=(
                *("unshare", "--net", str(self.build.program("containerd"))),
                *("--config", str(self.place / "config.toml")),
            ),
            env=self.environment,
            log=self.place / "containerd.log",
            ready=self._answers,
            cgroup=f"{self.cgroup}-containerd",
        )

    @cached_property
    def channel(self) -> grpc.Channel:
        """The connection; several threads may use it."""
        backoff = [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        return grpc.insecure_channel(f"unix:{self.place}/c.sock", options=[("grpc.enable_http_proxy", 0), *backoff])

    def _answers(self) -> bool:
        if not (self.place / "c.sock").exists():
            return False
        try:
            self.call("Version", {}, api.VersionRequest, api.VersionResponse, timeout=2)
        except grpc.RpcError:
            return False
        return True

    def call(
        self, method: str, request: dict[str, Any], kind: type[Message], answer: type[M], timeout: float = CALL_TIMEOUT
    ) -> M:
        """One call of the RuntimeService or ImageService; raises ``grpc.RpcError``."""
        service = "ImageService" if method == "ImageStatus" else "RuntimeService"
        ask: grpc.UnaryUnaryMultiCallable[Message, M] = self.channel.unary_unary(
            f"/runtime.{self._api}.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return ask(ParseDict(request, kind()), timeout=timeout)

    def start(self) -> None:
        """Start it, with the image of its sandboxes still missing; raises :class:`EngineError`."""
        self.workspace.own_run_directory()
        for name in ("tmp", "cni", "plugins", "handlers", "logs"):
            (self.place / name).mkdir()
        (self.place / "cni" / "permlab.conflist").write_text(_NETWORK)
        for name in ("permlab", "loopback"):
            plugin = self.place / "plugins" / name
            plugin.write_text(_PLUGIN)
            plugin.chmod(0o755)
        (self.place / "config.toml").write_text(configuration(self.version, self.place))
        self._daemon.start()

    def handler(self, runtime: Runtime) -> str:
        """The handler of a runtime, given to it when it has none yet."""
        with self._lock:
            if runtime.sha256 not in self._handlers:
                name = f"r{len(self._handlers)}"
                if len(self._handlers) == HANDLERS:
                    raise EngineError(f"one run gives containerd at most {HANDLERS} runtimes")
                (self.place / "handlers" / name).symlink_to(runtime.path)
                self._handlers[runtime.sha256] = name
            return self._handlers[runtime.sha256]

    def sandbox(self, handler: str, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id and config of a pod's sandbox: one for all cells of a handler that ask for the same.

        Raises ``grpc.RpcError`` when it is refused.
        """
        name = f"{handler}-{hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:8]}"
        config = {
            "metadata": {"name": name, "uid": f"{name}-{self.restarts}", "namespace": "permlab"},
            "logDirectory": str(self.logs),
            "hostname": "permlab" if words["securityContext"]["namespaceOptions"]["network"] == "POD" else "",
            "linux": {**words, "cgroupParent": self.cgroup},
        }
        return self._sandboxes.get((name, self.restarts), lambda: self._run_sandbox(handler, config)), config

    def _run_sandbox(self, handler: str, config: dict[str, Any]) -> str:
        request = {"config": config, "runtimeHandler": handler}
        with self.remapping(config["linux"]):
            made = self.call("RunPodSandbox", request, api.RunPodSandboxRequest, api.RunPodSandboxResponse)
        return made.pod_sandbox_id

    def remapping(self, words: dict[str, Any]) -> contextlib.AbstractContextManager[object]:
        """Held while a pod with the sandbox words is given a root file system: one call at a time, where it matters.

        containerd 1.7 copies an image for a user namespace under a name that does not depend on the container, and two
        calls at once end with ``already exists``.
        """
        mapped = "usernsOptions" in words["securityContext"]["namespaceOptions"]
        return self._remapping if mapped and key(self.version) < key("2.0") else contextlib.nullcontext()

    def load(self, image: LayeredImage, name: str) -> str:
        """Import an image under a name and wait until the CRI knows it; its id."""
        file = self.place / "tmp" / f"{image.id[-16:]}.tar"
        with file.open("wb") as out:
            write_docker_archive(image, out, tag=name)
        argv = (str(self.build.program("ctr")), "--address", str(self.place / "c.sock"), "--namespace", "k8s.io")
        done = process.run(
            (*argv, "images", "import", "--local", str(file))
            if key(self.version) >= key("2.0")
            else (*argv, "images", "import", str(file)),
            deadline=CALL_TIMEOUT,
            env=self.environment,
        )
        file.unlink()
        if not done.ok:
            raise EngineError("containerd does not take an image of the lab", details=done.tail())
        until = time.monotonic() + CALL_TIMEOUT
        request = {"image": {"image": name}}
        while not (
            found := self.call("ImageStatus", request, api.ImageStatusRequest, api.ImageStatusResponse)
        ).image.id:
            if time.monotonic() > until:
                raise EngineError("containerd's CRI plugin does not see an image of the lab", details=name)
            time.sleep(0.005)
        return found.image.id

    def revive(self) -> None:
        """Start it again when it has ended, once."""
        with self._lock:
            if self._daemon.alive:
                return
            if self.restarts:
                raise EngineError("containerd has ended twice", details=self._daemon.ending() or "")
            kill_cgroups(self.cgroup)
            self._daemon.stop()  # the shims
            (self.place / "c.sock").unlink(missing_ok=True)
            self._daemon.start()
            self.restarts += 1

    def ended(self, patience: float = 0.0) -> str | None:
        """How it ended, or ``None`` while it runs; asked for ``patience`` seconds.

        A killed process lets go of its socket before it can be seen to have ended.
        """
        until = time.monotonic() + patience
        while (ending := self._daemon.ending()) is None and time.monotonic() < until:
            time.sleep(_LOOK)
        return ending

    def processes(self, container: str) -> tuple[int, ...] | None:
        """The pids in a container's cgroup; ``None`` where there is none, or none any more."""
        return processes_in(self.cgroup, container)

    def kill_containers(self) -> None:
        """SIGKILL to everything below its containers' cgroup."""
        kill_cgroups(self.cgroup)

    def stop(self) -> None:
        """End containers, shims, containerd; what they mounted goes with the workspace's namespace."""
        self.kill_containers()
        self._daemon.stop()
        self.channel.close()
