"""Where one caller's podman lives: its storage, its state and its configuration, all inside the workspace.

Nothing of the host's own podman is read or written: the environment names the configuration files, ``HOME`` is the
lab's, and storage and state are named on every command line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lab import process
from lab.engine import families
from lab.engine.cgroups import in_cgroup
from lab.engine.docker_images import LABEL, Layers
from lab.engine.once import Once
from lab.engine.workspace import Workspace
from lab.errors import EngineError, HostError
from lab.model.engine import EngineBuild
from lab.model.image import Image, ImageConfig
from lab.model.runtime import Family, Runtime
from lab.model.settings import Edit
from lab.provision.layers import layered, write_docker_archive
from lab.scenario.versions import matches

LOAD_DEADLINE = 120.0
RUN_ROOT_LENGTH = 50
"""Characters of a run root's path (containers/podman, ``libpod/runtime.go``: sockets below it have a limit)."""

REMOVE_DEADLINE = 60.0
REMOVE_TRIES = 10
REMOVE_PAUSE = 0.2
REMOVED_TOGETHER = 8
"""Containers that one call removes: the call itself takes longer than all of them."""

_OLD_SECCOMP = "runc>=1.0.0rc92,<=1.0.0rc94"
"""Versions that know neither ``defaultErrnoRet`` nor that two rules may name one system call."""


AUTO_ACCOUNT = "permlab-containers"
"""Whose subordinate ids ``--userns=auto`` takes; podman's own word, ``containers``, may have a range of the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls a podman: root's is rootful, every other one rootless.

    ``ids`` is a rootless caller's subordinate range (first, size). ``auto`` sets the cells of ``--userns=auto`` apart:
    podman gives them ids that no other container of the same storage has, so that what one gets depends on the others.
    """

    uid: int
    gid: int
    ids: tuple[int, int] | None = None
    auto: bool = False

    @property
    def slug(self) -> str:
        """A directory name."""
        return "-".join((*map(str, (self.uid, self.gid, *(self.ids or ()))), *(["auto"] if self.auto else [])))


def cgroups_of(workspace: Workspace, slug: str) -> tuple[str, str]:
    """The cgroups of one podman: its containers', and that of its calls and of what they leave."""
    return f"{workspace.cgroup}/{slug}", f"{workspace.cgroup}/{slug}-calls"


def run_root_fits(workspace: Workspace) -> None:
    """Raises :class:`HostError` where the path of a run root would be too long for podman."""
    if len(str(workspace.root / "r00")) > RUN_ROOT_LENGTH:
        raise HostError(
            f"podman's run root may have {RUN_ROOT_LENGTH} characters, and one in {workspace.root} has more",
            resolution="set TMPDIR to a directory with a short name",
        )


@dataclass(kw_only=True)
class PodmanHome:
    """The podman of one caller, in the directory ``place``. Whoever needs it ``alone`` takes the lock."""

    build: EngineBuild
    workspace: Workspace
    layers: Layers
    caller: Caller
    place: Path
    alone: threading.Lock = field(default_factory=threading.Lock)
    _ended: list[str] = field(default_factory=list)
    _ending: threading.Lock = field(default_factory=threading.Lock)
    _images: Once[str] = field(default_factory=Once)

    @property
    def rootless(self) -> bool:
        """Whether this podman is an ordinary user's."""
        return self.caller.uid != 0

    @property
    def containers(self) -> str | None:
        """The parent of its containers' cgroups; an ordinary user's stay in that of the call."""
        return None if self.rootless else cgroups_of(self.workspace, self.place.parent.name)[0]

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The run's own environment, with podman's configuration and helpers before the host's."""
        own = self.workspace.environment
        return {
            **own,
            "PATH": f"{self.build.path}:{self.workspace.tools}:{own['PATH']}",
            "HOME": str(self.place / "home"),
            "CONTAINERS_CONF": str(self.place / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.place / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.place / "registries.conf"),
            "TMPDIR": str(self.place / "tmp"),
            "XDG_RUNTIME_DIR": str(self.place / "xdg"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }

    def set_up(self) -> None:
        """Make its directories and configuration, owned by the caller."""
        containers = self.place / "home" / ".config" / "containers"
        for made in (containers, *(self.place / name for name in ("storage", "tmp", "xdg", "profiles"))):
            made.mkdir(parents=True, exist_ok=True)
        os.chown(self._run_root, self.caller.uid, self.caller.gid)
        (self.place / "xdg").chmod(0o700)
        accept = {"default": [{"type": "insecureAcceptAnything"}]}  # nothing is pulled: the lab loads its own archives
        (containers / "policy.json").write_text(json.dumps(accept))
        (self.place / "containers.conf").write_text(self._containers_conf())
        places = f'graphroot = "{self.place}/storage"\nrunroot = "{self._run_root}"\n'  # 4.3 wants them here, too
        auto = "" if self.rootless else f'[storage.options]\nroot-auto-userns-user = "{AUTO_ACCOUNT}"\n'
        (self.place / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{places}{auto}')
        (self.place / "registries.conf").write_text("")
        if self._profile is not None:
            profile = json.loads(self._profile.read_text())
            (self.place / "profiles" / "old.json").write_text(json.dumps(without_errno_rules(profile)))
        for directory, _, names in os.walk(self.place):
            for path in (directory, *(os.path.join(directory, name) for name in names)):
                os.chown(path, self.caller.uid, self.caller.gid)

    @cached_property
    def _run_root(self) -> Path:
        """A new directory with a short path."""
        for number in itertools.count():
            path = self.workspace.root / f"r{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path
        raise AssertionError  # itertools.count does not end

    @property
    def _profile(self) -> Path | None:
        """The seccomp profile of its packages; a podman without one (3.0) has it built in."""
        path = self.build.tree / "usr" / "share" / "containers" / "seccomp.json"
        return path if path.is_file() else None

    def _containers_conf(self) -> str:
        """Limits as they are, because a host whose root lacks CAP_SYS_RESOURCE cannot raise them again.

        Locks are files: those in shared memory have one name (``/dev/shm/libpod_lock``) for all podmans of a host.
        No ``static_dir``: conmon's `podman container cleanup` takes the one below ``--root``, and when it does not find
        the container there, nobody learns that it ended (the caller waits 20 s).
        """
        limits = ",".join(f'"{name}={soft}:{hard}"' for name, (soft, hard) in container_limits().items())
        return f"""\
[containers]
default_ulimits = [{limits}]
{"" if self._profile is None else f'seccomp_profile = "{self._profile}"'}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
conmon_path = ["{self.build.program("conmon")}"]
helper_binaries_dir = ["{self.build.path}"]
init_path = "{self.build.program("catatonit")}"
tmp_dir = "{self.place}/xdg/libpod"
[network]
network_config_dir = "{self.place}/networks"
"""

    def argv(self, runtime: Runtime, *words: str) -> tuple[str, ...]:
        """A call of this podman; it wants a runtime even where it starts nothing."""
        flags = (f"--runtime-flag={flag.lstrip('-')}" for flag in families.global_flags(runtime.name))
        return (
            str(self.build.program("podman")),
            f"--root={self.place}/storage",
            f"--runroot={self._run_root}",
            f"--runtime={runtime.path}",
            *flags,
            *words,
        )

    def command(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command that starts a call: as the caller, in the cgroup of this podman's calls, below tini.

        podman waits up to 20 s for the process id of a conmon that has ended to be gone: tini waits for conmon, in the
        place of the lab, which is a subreaper. The cgroup holds what a call leaves, also when podman does not end.
        """
        uid, gid = self.caller.uid, self.caller.gid
        drop = ("setpriv", f"--reuid={uid}", f"--regid={gid}", f"--groups={gid}") if self.rootless else ()
        own = (*drop, str(self.build.program("tini-static")), "-s", "--", *argv)
        return in_cgroup(cgroups_of(self.workspace, self.place.parent.name)[1], own)

    def call(
        self,
        argv: tuple[str, ...],
        *,
        deadline: float,
        on_deadline: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> process.Completed:
        """Make a call as the caller; what comes back names ``argv`` alone as the command."""
        done = process.run(
            self.command(argv),
            deadline=deadline,
            env=self.environment,
            cwd=self.place,
            on_deadline=on_deadline,
            meanwhile=meanwhile,
        )
        return replace(done, argv=argv)

    def remove(self, name: str, runtime: Runtime, *, at_once: bool) -> str | None:
        """Remove an ended container, with others; what podman says where it does not, else ``None``.

        One that is not removed is tried again with the next ones, and goes with the storage at the latest. podman's own
        `container cleanup`, which conmon starts, may still hold a mount (EBUSY): then it is asked again.
        """
        with self._ending:
            self._ended.append(name)
            names = tuple(self._ended) if at_once or len(self._ended) >= REMOVED_TOGETHER else ()
            del self._ended[: len(names)]
        if not names:
            return None
        for _ in range(REMOVE_TRIES):
            done = self.call(self.argv(runtime, "rm", "--force", "--ignore", *names), deadline=REMOVE_DEADLINE)
            if done.ok:
                return None
            if "resource busy" not in done.tail():
                break
            time.sleep(REMOVE_PAUSE)
        with self._ending:
            self._ended += names
        return done.tail()

    def begin(self, argv: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
        """Start a call that goes on while others are made; what it writes goes to ``log``."""
        return process.spawn(self.command(argv), env=self.environment, log=log)

    def image(self, image: Image, config: ImageConfig, edits: tuple[Edit, ...], runtime: Runtime) -> str:
        """The id of an image in this storage, loaded when it is not there yet; raises :class:`EngineError`."""
        return self._images.get((image.digest, config, edits), lambda: self._load(image, config, edits, runtime))

    def _load(self, image: Image, config: ImageConfig, edits: tuple[Edit, ...], runtime: Runtime) -> str:
        made = layered(self.layers.of(image, edits), config, {LABEL: self.workspace.run_id})
        archive = self.place / "tmp" / f"{made.id.removeprefix('sha256:')}.tar"
        with archive.open("wb") as out:
            write_docker_archive(made, out)
        # podman 3 looks for root's policy in /etc alone, and where there is none loads nothing and says nothing
        policy = f"--signature-policy={self.place}/home/.config/containers/policy.json"
        done = self.call(self.argv(runtime, "load", policy, f"--input={archive}"), deadline=LOAD_DEADLINE)
        archive.unlink()
        if not done.ok:
            raise EngineError("podman cannot load the lab's image", details=done.tail())
        return made.id.removeprefix("sha256:")

    def end(self) -> None:
        """End the pause process, which holds a rootless podman's user namespace between calls."""
        for path in self.place.glob("**/pause.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)

    def seccomp(self, runtime: Runtime) -> Path | None:
        """The profile that a runtime needs in the place of podman's own, or ``None``."""
        old = runtime.name.family is Family.RUNC and matches(_OLD_SECCOMP, str(runtime.name))
        return self.place / "profiles" / "old.json" if old and self._profile is not None else None


def container_limits() -> dict[str, tuple[int, int]]:
    """The (soft, hard) limits of containers, of those that podman sets by default.

    The lab's own, but no more processes than the kernel has numbers for: podman lowers its own limit to that.
    """
    numbers = int(Path("/proc/sys/kernel/pid_max").read_text())
    processes = min(limit if limit >= 0 else numbers for limit in (*resource.getrlimit(resource.RLIMIT_NPROC), numbers))
    return {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "nproc": (processes, processes)}


def without_errno_rules(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A seccomp profile as Docker's was before ``defaultErrnoRet``: what is not allowed ends with EPERM."""
    kept = {key: value for key, value in profile.items() if key not in {"defaultErrnoRet", "defaultErrno"}}
    rules = [rule for rule in profile.get("syscalls", []) if rule.get("action") != "SCMP_ACT_ERRNO"]
    return kept | {"syscalls": rules}
