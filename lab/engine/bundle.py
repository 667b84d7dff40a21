"""Makes one cell's bundle: a writable root file system, fixtures, config.json; for an engine the fixtures alone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from lab.engine import host, mounts
from lab.engine.trees import Owner, apply_edits, as_named, lstat_in_root, read_text
from lab.engine.workspace import ConvertedSettings, Likeness, SpareRoot, Workspace, mapped_owner
from lab.errors import HostError
from lab.model.image import Image
from lab.model.observation import HostFact
from lab.model.settings import Action, Edit, EditKind, Fixture, Linux, Settings
from lab.oci.capabilities import full_name
from lab.oci.spec import CGROUP, HELD, PROBE, USER_NAMESPACE, Context, build_config, build_process, mapped_linux
from lab.provision.rootfs import copy_tree, remove_tree

_ACCOUNTS = {"/etc/passwd", "/etc/group"}
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character-device",
    stat.S_IFBLK: "block-device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
ROOTLESS_UID = 1001
"""The ordinary user of rootless cells when the lab runs as root and the cell names none."""


@dataclass(kw_only=True)
class Bundle:
    """One cell's files. ``stored`` is config.json with its placeholders, ``exec_stored`` the exec's process.json.

    ``root`` describes a root file system that another cell may have when this one leaves it as it was.
    """

    path: Path
    identifier: str
    caller: tuple[int, int]
    cgroup: str
    stored: str = ""
    exec_stored: str = ""
    fixtures: dict[str, Path] = field(default_factory=dict)
    mounted: list[Path] = field(default_factory=list)
    root: SpareRoot | None = None

    @cached_property
    def rootfs(self) -> Path:
        """The root file system as the runtime will see it."""
        return self.path / "rootfs"

    @property
    def seccomp(self) -> Path:
        """Where the cell's own seccomp profile stands, for an engine that reads one from a file."""
        return self.path / "seccomp.json"

    @property
    def user_namespace(self) -> Path:
        """Where the user namespace stands that the lab holds for the cell, if it asks for one."""
        return self.path / "userns"

    def fill(self, text: str) -> str:
        """A stored text with this cell's own paths in the place of its placeholders."""
        text = text.replace(CGROUP, self.cgroup).replace(USER_NAMESPACE, f"{self.path}/userns")
        for name, path in self.fixtures.items():
            text = text.replace(f"${{fixture:{name}}}", str(path))
        return text


def make_bundle(workspace: Workspace, serial: int, image: Image, probe_layer: Path, settings: Settings) -> Bundle:
    """Everything on disk that the runtime needs.

    Raises :class:`lab.oci.users.UserNotFound`, :class:`~lab.errors.InputError` (a patch), and
    :class:`~lab.errors.HostError` (an edit or mount that this host refuses).
    """
    uid, gid = caller_of(settings)
    bundle = Bundle(
        path=workspace.new_cell(),
        identifier=f"permlab-{workspace.run_id}-{serial}",
        caller=(uid, gid),
        cgroup=f"{workspace.cgroup}/{serial}",
    )
    linux = mapped_linux(settings, Context(rootless=(uid, gid) if uid else None))
    probe = probe_layer / ".permlab" / "probe"
    with _whole(bundle):
        if not (plain := _is_plain(workspace, bundle, settings)) or not _take_spare(workspace, bundle, image, linux):
            os.mkdir(bundle.path)
            owner = _make_rootfs(workspace, bundle, image, probe_layer, linux)
            apply_edits(bundle.rootfs, settings.rootfs, probe, owner)
            if plain:
                bundle.root = SpareRoot.of(bundle.path, _likeness(image, linux))
        _make_fixtures(workspace, bundle, settings, probe)
        if linux.namespaces.get("user") == HELD:
            workspace.hold_user_namespace(linux.uid_mappings, linux.gid_mappings, bundle.user_namespace)
            bundle.mounted.append(bundle.user_namespace)
        _write_config(workspace, bundle, image, settings)
    return bundle


def make_engine_bundle(
    workspace: Workspace, probe_layer: Path, settings: Settings, caller: tuple[int, int] = (0, 0)
) -> Bundle:
    """What is on disk of a cell whose engine makes the root file system and config.json: fixtures, a seccomp profile.

    Raises :class:`~lab.errors.HostError`. No other cell of the workspace has the identifier, or had it.
    """
    path = workspace.new_cell()
    bundle = Bundle(path=path, identifier=f"permlab-{workspace.run_id}-{path.name}", caller=caller, cgroup="")
    with _whole(bundle):
        os.mkdir(bundle.path)
        _make_fixtures(workspace, bundle, settings, probe_layer / ".permlab" / "probe")
        if settings.linux.seccomp is not None:
            _write(str(bundle.seccomp), json.dumps(settings.linux.seccomp))
    return bundle


@contextlib.contextmanager
def _whole(bundle: Bundle) -> Iterator[None]:
    """Leave nothing of a bundle that cannot be made; what the host refuses becomes :class:`HostError`."""
    try:
        yield
    except OSError as error:
        remove_bundle(bundle)
        raise HostError("the cell's bundle cannot be made", details=str(error)) from error
    except Exception:
        remove_bundle(bundle)
        raise


def _make_fixtures(workspace: Workspace, bundle: Bundle, settings: Settings, probe: Path) -> None:
    for name, fixture in settings.fixtures.items():
        bundle.fixtures[name] = make_fixture(workspace, bundle, name, fixture, probe)


def _is_plain(workspace: Workspace, bundle: Bundle, settings: Settings) -> bool:
    """Whether nothing but the image makes the cell's root file system, and nothing of the cell can outlive it."""
    return (
        workspace.privileged
        and bundle.caller == (0, 0)
        and settings.action is Action.RUN
        and not (settings.rootfs or settings.fixtures or settings.patch)
        and settings.linux.namespaces.get("pid", "new") == "new"
    )


def _likeness(image: Image, linux: Linux) -> Likeness:
    return image.rootfs, linux.uid_mappings, linux.gid_mappings


def _take_spare(workspace: Workspace, bundle: Bundle, image: Image, linux: Linux) -> bool:
    """Give the bundle a root file system that another cell left as it was; false where there is none."""
    root = workspace.spare_root(_likeness(image, linux))
    if root is None:
        return False
    bundle.root, bundle.path = root, root.path
    bundle.mounted.append(bundle.rootfs)
    return True


def release_bundle(workspace: Workspace, bundle: Bundle) -> None:
    """Keep the root file system for another cell where this one left it as it was; else remove everything."""
    root = bundle.root
    if root is not None:
        for name in ("config.json", "pid"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{bundle.path}/{name}")
        if set(os.listdir(bundle.path)) == {"rootfs", "upper", "work"} and root == SpareRoot.of(root.path, root.like):
            workspace.keep_root(root)
            return
    remove_bundle(bundle)


def caller_of(settings: Settings) -> tuple[int, int]:
    """The (uid, gid) that calls the runtime, in host ids."""
    caller = settings.caller
    if not caller.rootless:
        return caller.uid, caller.gid
    if os.geteuid():
        return os.geteuid(), os.getegid()
    return (caller.uid, caller.gid or caller.uid) if caller.uid else (ROOTLESS_UID, ROOTLESS_UID)


def remove_bundle(bundle: Bundle) -> None:
    """Unmount and remove everything that :func:`make_bundle` made."""
    for target in reversed(bundle.mounted):
        mounts.unmount(target)
    bundle.mounted.clear()
    if bundle.path.is_dir():
        remove_tree(bundle.path) if os.geteuid() else _remove_tree(str(bundle.path))


def _remove_tree(path: str) -> None:
    """Remove a small tree; quicker than shutil.rmtree, whose care against races a private tmpfs does not need."""
    try:
        os.rmdir(path)  # most directories of a bundle are empty
    except OSError:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(path)


def _make_rootfs(workspace: Workspace, bundle: Bundle, image: Image, probe_layer: Path, linux: Linux) -> Owner:
    """A writable root file system over the image; returns how edits of it must translate owners."""
    tree = Path(image.rootfs)
    if not workspace.privileged:
        copy_tree(tree, bundle.rootfs)
        probe = Edit(path=PROBE, kind=EditKind.FILE, mode=0o755, program="probe")
        apply_edits(bundle.rootfs, (probe,), probe_layer / ".permlab" / "probe", _kept)
        return _kept
    owner = mapped_owner(linux.uid_mappings, linux.gid_mappings) if linux.uid_mappings else as_named
    lower = workspace.lower(tree, linux.uid_mappings, linux.gid_mappings)
    upper, work = f"{bundle.path}/upper", f"{bundle.path}/work"
    for directory in (bundle.rootfs, upper, work):
        os.mkdir(directory)
    uid, gid, mode = _top_of(image.rootfs)
    os.chown(upper, *owner(uid, gid))  # an overlay's own root is its upper directory
    os.chmod(upper, mode)
    mounts.overlay((probe_layer, lower), upper, work, bundle.rootfs)
    bundle.mounted.append(bundle.rootfs)
    return owner


def _kept(_uid: int, _gid: int) -> tuple[int, int]:
    """The owner that a file made by an ordinary user has anyway (chown(2) leaves -1 as it is)."""
    return -1, -1


@cache
def _top_of(tree: str) -> tuple[int, int, int]:
    found = os.stat(tree)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def make_fixture(workspace: Workspace, bundle: Bundle, name: str, fixture: Fixture, probe: Path) -> Path:
    """A fresh host directory (or file) with its owner, mode and content; returns the path that mounts bind."""
    parent = bundle.path / "fixtures" / name
    parent.mkdir(parents=True)
    kind = EditKind.FILE if fixture.file else EditKind.DIRECTORY
    top = Edit(path="/data", kind=kind, uid=fixture.uid, gid=fixture.gid, mode=fixture.mode, content=fixture.content)
    owner = as_named if workspace.privileged else _kept
    apply_edits(parent, (top,), probe, owner)
    path = parent / "data"
    apply_edits(path, fixture.entries, probe, owner) if fixture.entries else None
    if fixture.mount_options:
        mounts.bind(path, path, fixture.mount_options)
        bundle.mounted.append(path)
    os.chown(parent, *owner(fixture.parent_uid, fixture.parent_gid))
    parent.chmod(fixture.parent_mode)
    return path


def _write_config(workspace: Workspace, bundle: Bundle, image: Image, settings: Settings) -> None:
    if any(edit.path in _ACCOUNTS for edit in settings.rootfs):
        converted = _convert(bundle, image, settings, _accounts(str(bundle.rootfs)))
    else:
        key = (id(settings), image, bundle.caller)  # images of one root file system differ in their config
        converted = workspace.configs.get(key) or _convert(bundle, image, settings, _image_accounts(image.rootfs))
        workspace.configs[key] = converted
    bundle.stored, bundle.exec_stored = converted.config, converted.process
    _write(f"{bundle.path}/config.json", bundle.fill(bundle.stored))
    if bundle.exec_stored:
        _write(f"{bundle.path}/process.json", bundle.fill(bundle.exec_stored))


def _write(path: str, text: str) -> None:
    """A new file with ``text``, in two system calls."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        data = text.encode()
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)


def _convert(bundle: Bundle, image: Image, settings: Settings, accounts: tuple[str, str]) -> ConvertedSettings:
    dropped = {full_name(name) for name in settings.caller.drop_capabilities}
    context = Context(
        passwd=accounts[0],
        group=accounts[1],
        caller_capabilities=tuple(name for name in host.capabilities() if name not in dropped),
        rootless=bundle.caller if bundle.caller[0] else None,
    )
    beside = build_process(settings.exec, image.config, settings, context) if settings.exec is not None else None
    return ConvertedSettings(
        settings=settings,
        config=json.dumps(build_config(image.config, settings, context)),
        process=json.dumps(beside) if beside is not None else "",
    )


def _accounts(tree: str) -> tuple[str, str]:
    return read_text(Path(tree), "/etc/passwd"), read_text(Path(tree), "/etc/group")


_image_accounts = cache(_accounts)


def look(bundle: Bundle, places: tuple[str, ...]) -> tuple[HostFact, ...]:
    """What the host shows of each place (``fixture:NAME/path`` or ``rootfs:/path``)."""
    return tuple(_look_at(bundle, place) for place in places)


def _look_at(bundle: Bundle, place: str) -> HostFact:
    kind, _, rest = place.partition(":")
    name, _, inner = rest.partition("/")
    root = bundle.rootfs if kind == "rootfs" else bundle.fixtures[name]
    found = lstat_in_root(root, inner) if root.is_dir() else root.lstat()
    if found is None:
        return HostFact(path=place)
    return HostFact(
        path=place,
        type=_TYPES.get(stat.S_IFMT(found.st_mode), "other"),
        uid=found.st_uid,
        gid=found.st_gid,
        mode=stat.S_IMODE(found.st_mode),
        size=found.st_size,
    )
