"""Where cells live while they run: a private mount namespace with a tmpfs in it, or, without root, a directory.

As root the process leaves the host's mount namespace once, for good: everything that the lab mounts is seen by the
lab and its children alone, and goes when the last of them ends, however it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from lab import children, process
from lab.engine import mounts
from lab.engine.cgroups import CGROUPS, make_cgroups, remove_cgroups
from lab.engine.trees import Owner
from lab.errors import HostError
from lab.model.image import Image
from lab.model.settings import IdMapping, Settings

PREFIX = "permlab-"
"""Label of everything that a run leaves on the host while it lasts: directories in the temporary directory, cgroups."""

VIEW = "view"
NAMESPACE_DEADLINE = 20.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class ConvertedSettings:
    """Settings as config.json and, for an exec, process.json, with placeholders."""

    settings: Settings
    config: str
    process: str


Likeness = tuple[str, tuple[IdMapping, ...], tuple[IdMapping, ...]]
"""What two root file systems have in common that can stand for each other: the image's tree and the maps of ids."""


@dataclass(frozen=True, slots=True)
class SpareRoot:
    """A bundle's directory whose root file system is as it was made.

    Whatever a container does to its root file system shows in the overlay's upper directory: a new entry, or, for the
    root itself, another status. ``entries`` and ``status`` (mode, uid, gid, links, ctime in ns) are that directory's.
    """

    path: Path
    like: Likeness
    entries: tuple[str, ...]
    status: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, like: Likeness) -> Self:
        """The root as it is now."""
        upper = f"{path}/upper"
        found = os.stat(upper)
        status = (found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_ctime_ns)
        return cls(path, like, tuple(os.listdir(upper)), status)


@dataclass(kw_only=True)
class Workspace:
    """The place of one run.

    ``privileged`` tells that it has its own mount namespace (root). ``outer`` is the root that a lab in a chroot came
    from (see :func:`lab.engine.mounts.private_namespace`). ``configs`` keeps what settings were converted to, by the
    settings' identity (they are kept, too), image and caller. ``beacon`` tells others that the run goes on.
    ``umask`` is the lab's own, where it is known.
    """

    run_id: str
    root: Path
    privileged: bool
    outer: int | None = None
    beacon: socket.socket | None = None
    umask: int | None = None
    configs: dict[tuple[int, Image, tuple[int, int]], ConvertedSettings] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _spare: dict[Likeness, list[SpareRoot]] = field(default_factory=dict)
    _maps: dict[str, Path] = field(default_factory=dict)
    _states: dict[tuple[int, int], Path] = field(default_factory=dict)
    _own: list[Path] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cgroup(self) -> str:
        """The parent of all cgroups of this run, as ``linux.cgroupsPath`` writes it."""
        return f"/{PREFIX}{self.run_id}"

    @property
    def tools(self) -> Path:
        """Where programs stand that only some of the run's callers may find."""
        return self.root / "bin"

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """What every runtime of this run gets as its environment; the mark is how ``permlab clean`` finds it."""
        return {**process.small_environment(), "PERMLAB_RUN": self.run_id, "XDG_RUNTIME_DIR": str(self.root / "xdg")}

    def lower(self, tree: Path, uid_maps: tuple[IdMapping, ...], gid_maps: tuple[IdMapping, ...]) -> Path:
        """``tree`` with its owners mapped (an id-mapped mount, made once for each pair); ``tree`` itself for no map."""
        if not uid_maps:
            return tree
        name = hashlib.sha256(f"{tree}{uid_maps}{gid_maps}".encode()).hexdigest()[:16]
        with self._lock:
            if name not in self._maps:
                target = self.root / "mapped" / name
                target.mkdir(parents=True, exist_ok=True)
                with _user_namespace(uid_maps, gid_maps, self.root) as fd:
                    try:
                        mounts.id_mapped_copy(tree, target, fd)
                    except OSError as error:
                        raise HostError(
                            "this host has no id-mapped mounts for the cache's file system",
                            details=str(error),
                            resolution="use Linux 5.19 or later with the cache on ext4, xfs, btrfs or tmpfs",
                        ) from error
                self._maps[name] = target
            return self._maps[name]

    def hold_user_namespace(
        self, uid_maps: tuple[IdMapping, ...], gid_maps: tuple[IdMapping, ...], target: Path
    ) -> None:
        """Make a user namespace with these maps and keep it, without any process in it, as a mount on ``target``."""
        target.touch()
        with _user_namespace(uid_maps, gid_maps, self.root) as fd:
            mounts.bind(Path(f"/proc/self/fd/{fd}"), target)

    def own_run_directory(self) -> None:
        """Let what is written below ``/run`` from now on go to the workspace; what the host has there stays in sight.

        containerd's shims, conmon and the runtimes' own defaults write there, whatever state directory they are given.
        """
        self._own_directory(Path("/run"))

    def own_state_directory(self, cache: Path) -> None:
        """The same for ``/var/lib``, where podman keeps what it learns of blobs, unless the lab's cache is there."""
        place = Path("/var/lib")
        if place not in cache.resolve().parents:
            self._own_directory(place)

    def _own_directory(self, place: Path) -> None:
        name = "-".join(place.parts[1:])
        with self._lock:
            upper, work = self.root / name, self.root / f"{name}-work"
            if self.privileged and place.is_dir() and not upper.exists():
                upper.mkdir()
                work.mkdir()
                mounts.overlay((place,), upper, work, place)
                self._own.append(place)

    def add_account(self, file: str, line: str) -> None:
        """Add a line, once, to a private account file (``passwd``, ``group``, ``subuid``, ``subgid``).

        The file keeps its inode, because it is bound over the host's, and is never half-written. Raises
        :class:`HostError` where the host has no such file that a private copy could stand in for.
        """
        path = self.root / "accounts" / file
        if not path.is_file():
            raise HostError(f"this host has no /etc/{file} that a private copy could stand in for")
        with self._lock:
            text = path.read_text()
            if line not in text.splitlines():
                with path.open("a") as stream:
                    stream.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")

    def new_cell(self) -> Path:
        """A path for a bundle that no other has or had: a kept root file system stays where its first cell was."""
        return Path(f"{self.root}/cells/{next(self._numbers)}")

    def spare_root(self, like: Likeness) -> SpareRoot | None:
        """A root file system that a cell left as it was, taken out; ``None`` where there is none."""
        with self._lock:
            spare = self._spare.get(like)
            return spare.pop() if spare else None

    def keep_root(self, root: SpareRoot) -> None:
        """Keep a root file system for another cell."""
        with self._lock:
            self._spare.setdefault(root.like, []).append(root)

    def state_of(self, caller: tuple[int, int]) -> Path:
        """The state directory of the runtimes that one (uid, gid) calls."""
        if caller not in self._states:
            path = self.root / "state" / str(caller[0])
            path.mkdir(parents=True, exist_ok=True)
            if self.privileged:
                os.chown(path, *caller)
            self._states[caller] = path
        return self._states[caller]

    def close(self) -> None:
        """Remove everything of this run; safe to call twice."""
        if self.privileged:
            remove_cgroups(self.cgroup)
            # the process may live on (a library's, pytest's): by a mount of this run `permlab clean` would know it
            for place in (*self._own, self.root):
                with contextlib.suppress(OSError):
                    mounts.unmount(place)
            if self.outer is not None:
                mounts.leave_view(self.root / VIEW, self.outer)
                self.outer = None
        shutil.rmtree(self.root, ignore_errors=True)
        if self.beacon is not None:
            self.beacon.close()


def _own_umask() -> int | None:
    """This process's umask, without setting it (proc(5), ``Umask``); ``None`` where the kernel does not tell."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), None)


def light_beacon(run_id: str) -> socket.socket:
    """An abstract socket with the run's name: the kernel lists it while its owner lives, however that ends.

    Unlike a file with a pid it is seen from every mount and pid namespace (unix(7), abstract sockets).
    """
    beacon = socket.socket(socket.AF_UNIX)
    beacon.bind(f"\0{PREFIX}{run_id}")
    return beacon


def burning_beacons() -> frozenset[str]:
    """The ids of the runs whose labs live."""
    words = Path("/proc/net/unix").read_text().split()
    return frozenset(word.removeprefix(f"@{PREFIX}") for word in words if word.startswith(f"@{PREFIX}"))


def mapped_owner(uid_maps: tuple[IdMapping, ...], gid_maps: tuple[IdMapping, ...]) -> Owner:
    """Host ids for container ids; an id outside the maps keeps its number (nobody inside will own it)."""

    def through(number: int, maps: tuple[IdMapping, ...]) -> int:
        for line in maps:
            if line.container_id <= number < line.container_id + line.size:
                return line.host_id + number - line.container_id
        return number

    return lambda uid, gid: (through(uid, uid_maps), through(gid, gid_maps))


def open_workspace(run_id: str) -> Workspace:
    """Make the place of a run; raises :class:`HostError` where the host does not allow it, and leaves nothing then."""
    children.keep_descriptors()
    beacon = light_beacon(run_id)
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{run_id}-"))
    workspace = Workspace(run_id=run_id, root=root, privileged=os.geteuid() == 0, beacon=beacon, umask=_own_umask())
    try:
        root.chmod(0o755)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if workspace.privileged:
            workspace.outer = _make_private(root)
            make_cgroups(workspace.cgroup)
        for name in ("cells", "state", "xdg"):
            (root / name).mkdir()
    except BaseException:  # ^C, too
        workspace.close()
        raise
    return workspace


def _make_private(root: Path) -> int | None:
    try:
        return _mount_privately(root)
    except OSError as error:
        raise HostError(
            "this host does not let root make a private mount namespace",
            details=str(error),
            resolution="run the lab where CAP_SYS_ADMIN is held (in a container: --privileged)",
        ) from error


def _mount_privately(root: Path) -> int | None:
    outer = mounts.private_namespace(root / VIEW)
    unified = CGROUPS / "unified"
    if unified.is_dir() and os.path.ismount(unified):
        mounts.unmount(unified)  # crun refuses a hybrid cgroup tree; limits stay on the v1 controllers
        # crun makes directories in what is left, which must not be the host's own tmpfs below
        mounts.mount("permlab", unified, "tmpfs", 0, "mode=0755")
    mounts.mount("permlab", root, "tmpfs", 0, "mode=0755")
    # engines open /dev/null for their containers, and some runtimes hand a container's streams to its user
    null = root / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    null.chmod(0o666)
    mounts.bind(null, Path(os.devnull))
    accounts = root / "accounts"
    accounts.mkdir()
    for name in ("passwd", "group", "subuid", "subgid"):
        original = Path("/etc") / name
        if original.is_file():
            shutil.copy(original, accounts / name)
            mounts.bind(accounts / name, original)
    return outer


@contextlib.contextmanager
def _user_namespace(uid_maps: tuple[IdMapping, ...], gid_maps: tuple[IdMapping, ...], place: Path) -> Iterator[int]:
    """An open fd of a user namespace with these maps; the process that made it is gone afterwards."""
    with tempfile.NamedTemporaryFile(dir=place) as log:
        child = process.spawn(["unshare", "--user", "sleep", "60"], log=Path(log.name))
    try:
        own = os.readlink("/proc/self/ns/user")
        until = time.monotonic() + NAMESPACE_DEADLINE
        while os.readlink(f"/proc/{child.pid}/ns/user") == own:
            if child.poll() is not None or time.monotonic() > until:
                raise HostError("this host does not let root make a user namespace", resolution="see `permlab doctor`")
            time.sleep(0.002)
        for name, maps in (("uid_map", uid_maps), ("gid_map", gid_maps)):
            lines = (f"{line.container_id} {line.host_id} {line.size}\n" for line in maps)
            Path(f"/proc/{child.pid}/{name}").write_text("".join(lines))
        fd = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        process.end_group(child, grace=0.1)
