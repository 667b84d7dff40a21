"""The user's own Docker daemon, asked for by its address: used as it is, and left as it was.

Only runtimes that are registered there can be used, told by their bytes and not by their names; of what the lab makes
there, all bears its label, and only that is removed.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import docker

from lab.engine.docker_api import TRANSPORT
from lab.engine.docker_daemon import Clients
from lab.engine.docker_images import LABEL
from lab.errors import HostError
from lab.model.engine import EngineBuild, EngineName
from lab.model.runtime import Runtime
from lab.provision.cache import sha256_file


@dataclass(kw_only=True)
class UserDaemon:
    """A daemon that the lab did not start. ``label`` is the run's id."""

    address: str
    label: str
    build: EngineBuild
    restarts: int = 0
    clients: Clients
    _names: dict[str, str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def client(self) -> docker.APIClient:
        """A client of this thread's own."""
        return self.clients.get()

    def runtime(self, runtime: Runtime) -> str:
        """The daemon's name of the runtime with these bytes; raises :class:`HostError` when it has none."""
        with self._lock:
            if self._names is None:
                self._names = dict(self._registered())
        if runtime.sha256 not in self._names:
            raise HostError(
                f"the Docker daemon at {self.address} has no runtime with the bytes of {runtime.name}",
                resolution="register it in daemon.json, or add the daemon's own: permlab runtimes add NAME FILE",
            )
        return self._names[runtime.sha256]

    def _registered(self) -> list[tuple[str, str]]:
        """(sha256, name) of every runtime of the daemon whose file can be read from here."""
        found = []
        for name, words in self.client.info()["Runtimes"].items():
            path = shutil.which(str(words.get("path") or ""))
            if path is not None:
                found.append((sha256_file(Path(path)), str(name)))
        return found

    def revive(self) -> None:
        """Nothing: whoever started it looks after it."""

    def ended(self) -> str | None:
        """Not known: a call that fails tells."""

    def processes(self, container: str) -> None:
        """Not seen: they may be in another pid namespace, or on another host."""

    def kill_containers(self) -> None:
        """Kill the run's containers, by their label."""
        with contextlib.suppress(*TRANSPORT):
            for container in self.client.containers(filters={"label": f"{LABEL}={self.label}"}):
                self.client.kill(container["Id"])

    def stop(self) -> None:
        """Remove what bears the run's label: containers first, then images."""
        with contextlib.suppress(*TRANSPORT):
            mine = {"label": f"{LABEL}={self.label}"}
            for container in self.client.containers(all=True, filters=mine):
                self.client.remove_container(container["Id"], force=True, v=True)
            for image in self.client.images(filters=mine, all=True):
                self.client.remove_image(image["Id"], force=True)


def user_daemon(name: EngineName, address: str, label: str) -> UserDaemon:
    """The daemon at ``address``, or, for ``context``, the one that the ``docker`` command would speak to.

    Raises :class:`HostError` when it does not answer.
    """
    try:
        if address == "context":
            address = str(docker.context.ContextAPI.get_current_context().Host)
        clients = Clients(address)
        version = clients.get().version()
    except (*TRANSPORT, AttributeError) as error:
        raise HostError(
            f"no Docker daemon answers at {address}",
            details=str(error),
            resolution="give its address, such as unix:///var/run/docker.sock, or leave --docker-host out",
        ) from error
    build = EngineBuild(
        name=name,
        root="",
        reported=f"Docker {version['Version']}, API {version['ApiVersion']}",
        origin=f"the user's daemon at {address}",
        programs={},
        packages={str(part["Name"]): str(part["Version"]) for part in version.get("Components", ())},
        digests={},
    )
    return UserDaemon(address=address, label=label, build=build, clients=clients)
