"""Builds config.json of runtime-spec 1.0 from an image's config and a cell's settings.

What differs from cell to cell without meaning (the cgroup's name, the host paths of fixtures and of a namespace that
the lab holds) stands in the config as a placeholder, ``${cgroup}``, ``${fixture:NAME}`` and ``${userns}``: so equal
cells have equal configs, whatever run they belong to.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jsonpatch

from lab.errors import InputError
from lab.model.image import ImageConfig
from lab.model.settings import Action, IdMapping, Linux, Mount, Process, Settings
from lab.oci.capabilities import full_name, sets_for
from lab.oci.users import ProcessUser, resolve_user

PROBE = "/.permlab/probe"
"""Where the probe stands inside every container."""

CGROUP = "${cgroup}"
USER_NAMESPACE = "${userns}"
HELD = "held"
"""The value of ``linux.namespaces.user`` that joins a namespace which the lab makes for the cell."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OCI_VERSION = "1.0.2"

MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""moby's and containerd's defaults (``oci/defaults.go``), as far as every kernel has them."""

NEW_BY_DEFAULT = ("pid", "network", "ipc", "uts", "mount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the conversion needs to know besides image and settings.

    ``passwd`` and ``group`` are the account files of the root file system as the container will see them;
    ``caller_capabilities`` what the caller of the runtime has. ``rootless`` is the (uid, gid) of an ordinary user who
    calls the runtime, ``None`` for root.
    """

    passwd: str = ""
    group: str = ""
    caller_capabilities: tuple[str, ...] = ()
    rootless: tuple[int, int] | None = None


def build_config(image: ImageConfig, settings: Settings, context: Context) -> dict[str, Any]:
    """The finished config.json, patched, with placeholders still in it.

    Raises :class:`lab.oci.users.UserNotFound` for a name that the image does not have, and
    :class:`~lab.errors.InputError` for a patch that does not apply.
    """
    linux = mapped_linux(settings, context)
    process = settings.process
    if settings.action is Action.EXEC:
        process = holding(process)
    config = {
        "ociVersion": OCI_VERSION,
        "process": build_process(process, image, settings, context),
        "root": {"path": "rootfs", "readonly": settings.readonly_root},
        "hostname": "permlab",
        "mounts": [*_base_mounts(linux), *(_mount(mount) for mount in settings.mounts)],
        "linux": _linux(linux, context),
    }
    return apply_patch(config, settings.patch)


def mapped_linux(settings: Settings, context: Context) -> Linux:
    """``linux`` with the maps that a rootless caller gets when the cell names none: itself, then its own range."""
    if context.rootless is None or settings.linux.uid_mappings:
        return settings.linux
    uid, gid = context.rootless
    extra: tuple[IdMapping, ...] = ()
    if settings.caller.subordinate_ids is not None:
        first, size = settings.caller.subordinate_ids
        extra = (IdMapping(container_id=1, host_id=first, size=size),)
    return replace(
        settings.linux,
        uid_mappings=(IdMapping(container_id=0, host_id=uid, size=1), *extra),
        gid_mappings=(IdMapping(container_id=0, host_id=gid, size=1), *extra),
    )


def holding(process: Process) -> Process:
    """A process that, after its own steps, stays until it is told to end, so that something can exec beside it."""
    return process if process.args is not None else replace(process, steps=(*process.steps, "hold"))


def build_process(process: Process, image: ImageConfig, settings: Settings, context: Context) -> dict[str, Any]:
    """``process`` of runtime-spec, for the container or for an exec."""
    user = process_user(process, image, settings, context)
    config: dict[str, Any] = {
        "terminal": process.terminal,
        "user": _user(user, process),
        "args": process_args(process),
        "env": _env(process, image),
        "cwd": process.cwd or settings.image_workdir or image.working_dir or "/",
        "noNewPrivileges": process.no_new_privileges,
    }
    sets = sets_for(process.capabilities, user.uid, context.caller_capabilities)
    if sets is not None:
        config["capabilities"] = {
            "bounding": [full_name(name) for name in sets.bounding],
            "effective": [full_name(name) for name in sets.effective],
            "permitted": [full_name(name) for name in sets.permitted],
            "inheritable": [full_name(name) for name in sets.inheritable],
            "ambient": [full_name(name) for name in sets.ambient],
        }
    if process.rlimits:
        config["rlimits"] = [{"type": r.type, "soft": r.soft, "hard": r.hard} for r in process.rlimits]
    return config


def process_user(process: Process, image: ImageConfig, settings: Settings, context: Context) -> ProcessUser:
    """Whom a process runs as: the runtime's override, else the scenario's image user, else the image's own."""
    text = next((t for t in (process.user, settings.image_user) if t is not None), image.user)
    return resolve_user(text, context.passwd, context.group)


def process_args(process: Process) -> list[str]:
    """``process.args``: what the cell gives, else the probe with its steps."""
    if process.args is not None:
        return list(process.args)
    return [PROBE, *(word for step in process.steps for word in shlex.split(step))]


def _user(user: ProcessUser, process: Process) -> dict[str, Any]:
    gids = list(dict.fromkeys((*user.additional_gids, *process.additional_gids)))
    config: dict[str, Any] = {"uid": user.uid, "gid": user.gid}
    if gids:
        config["additionalGids"] = gids
    if process.umask is not None:
        config["umask"] = process.umask
    return config


def _env(process: Process, image: ImageConfig) -> list[str]:
    env = dict(entry.partition("=")[::2] for entry in image.env)
    env.setdefault("PATH", DEFAULT_PATH)
    env |= process.env
    return [f"{name}={value}" for name, value in env.items() if name not in process.unset_env]


def _base_mounts(linux: Linux) -> list[dict[str, Any]]:
    """The mounts that engines give every container; in a user namespace, only options whose ids the map has."""
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    tty = 5
    if not linux.gid_mappings or _mapped(tty, linux.gid_mappings):
        pts.append(f"gid={tty}")
    host_network = linux.namespaces.get("network", "new") != "new"
    sysfs = (
        {
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
        }
        if host_network and linux.uid_mappings
        else {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
    )
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts},
        {
            "destination": "/dev/shm",  # noqa: S108  # the container's, as every engine mounts it
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        sysfs,
    ]


def _mapped(number: int, maps: tuple[IdMapping, ...]) -> bool:
    return any(line.container_id <= number < line.container_id + line.size for line in maps)


def _mount(mount: Mount) -> dict[str, Any]:
    source = f"${{fixture:{mount.fixture}}}" if mount.fixture is not None else mount.source
    options = list(mount.options)
    if mount.type == "bind" and not {"bind", "rbind"} & set(options):
        options.insert(0, "rbind")
    config: dict[str, Any] = {"destination": mount.destination, "type": mount.type, "options": options}
    config["source"] = mount.type if source is None else source
    if mount.uid_mappings:
        config["uidMappings"] = _mappings(mount.uid_mappings)
    if mount.gid_mappings:
        config["gidMappings"] = _mappings(mount.gid_mappings)
    return config


def _mappings(maps: tuple[IdMapping, ...]) -> list[dict[str, int]]:
    return [{"containerID": line.container_id, "hostID": line.host_id, "size": line.size} for line in maps]


def _linux(linux: Linux, context: Context) -> dict[str, Any]:
    wanted = {**dict.fromkeys(NEW_BY_DEFAULT, "new"), **linux.namespaces}
    if linux.uid_mappings:
        wanted.setdefault("user", "new")
    held = wanted.get("user") == HELD
    config: dict[str, Any] = {
        "namespaces": [
            {"type": kind} if where == "new" else {"type": kind, "path": USER_NAMESPACE if where == HELD else where}
            for kind, where in wanted.items()
            if where != "host"
        ],
        "maskedPaths": list(MASKED if linux.masked_paths is None else linux.masked_paths),
        "readonlyPaths": list(READ_ONLY if linux.readonly_paths is None else linux.readonly_paths),
    }
    if context.rootless is None:
        config["cgroupsPath"] = CGROUP
        config["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    if linux.uid_mappings and not held:
        config["uidMappings"] = _mappings(linux.uid_mappings)
    if linux.gid_mappings and not held:
        config["gidMappings"] = _mappings(linux.gid_mappings)
    if linux.sysctl:
        config["sysctl"] = dict(linux.sysctl)
    if linux.seccomp is not None:
        config["seccomp"] = linux.seccomp
    if linux.devices:
        config["devices"] = [dict(device) for device in linux.devices]
    return config


def apply_patch(config: dict[str, Any], patch: tuple[Mapping[str, object], ...]) -> dict[str, Any]:
    """``config`` after an RFC 6902 patch; raises :class:`InputError` when the patch does not apply."""
    if not patch:
        return config
    try:
        patched: dict[str, Any] = jsonpatch.apply_patch(config, [dict(operation) for operation in patch])
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise InputError("the cell's patch does not apply to its config.json", details=str(error)) from error
    return patched
