"""A cell's settings in the words of `podman create` and `podman exec`, or why podman has none for them. Pure.

Host paths of fixtures stand in the words as ``${fixture:NAME}``, the file of a seccomp profile as ``${seccomp}``.
Capabilities that a cell leaves at ``docker`` are podman's own default: what an engine gives is what is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from lab.engine.words import foreign_words
from lab.model.engine import EngineFamily
from lab.model.settings import Action, Caller, CapabilityPolicy, IdMapping, Linux, Mount, Process, Settings, Stdio
from lab.oci.spec import holding, process_args

SECCOMP = "${seccomp}"
"""Where a stored argv names the file with the cell's seccomp profile."""

_HOST_NAMESPACES = {"pid": "--pid", "network": "--network", "ipc": "--ipc", "uts": "--uts", "cgroup": "--cgroupns"}
_PROPAGATION = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_BIND_OPTIONS = {"ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", *_PROPAGATION}
_CALLER_WORDS = {"rootless", "uid", "gid", "subordinate_ids", "stdin", "stdout", "stderr"}


def inexpressible(settings: Settings) -> str | None:
    """The first thing that a cell says and podman has no word for, or ``None``."""
    return foreign_words(settings, EngineFamily.PODMAN) or next(_lacking(settings), None)


def _lacking(settings: Settings) -> Iterator[str]:
    if settings.patch:
        yield "podman has no patch: it writes config.json itself"
    yield from _lacking_caller(settings.caller)
    yield from _lacking_linux(settings.linux)
    yield from _lacking_process(settings.process, "process")
    if settings.exec is not None:
        yield from _lacking_exec(settings.exec)
    if settings.exec_flags:
        yield "the lab gives podman no exec_flags: say exec.user, exec.cwd"
    for mount in settings.mounts:
        yield from _lacking_mount(mount)
    for volume in settings.podman.volumes:
        if not volume.startswith("${fixture:"):
            yield f"podman.volumes: {volume!r} is no fixture, and the lab gives nothing else of the host away"
    if any(place.startswith("rootfs:") for place in settings.host):
        yield "podman shows no root file system on the host (look at a fixture)"


def _lacking_caller(caller: Caller) -> Iterator[str]:
    plain = Caller()
    for name in Caller.__dataclass_fields__:
        if name not in _CALLER_WORDS and getattr(caller, name) != getattr(plain, name):
            yield f"podman has no caller.{name}: conmon calls the runtime"
    if {caller.stdin, caller.stdout, caller.stderr} != {Stdio.PIPE}:
        yield "podman gives its containers pipes of its own"
    if caller.uid and not caller.rootless:
        yield "podman is called by root, or rootless (caller.rootless)"


def _lacking_linux(linux: Linux) -> Iterator[str]:
    if linux.devices:
        yield "podman has no linux.devices (say podman.devices)"
    for name in ("masked_paths", "readonly_paths"):
        if getattr(linux, name) is not None:
            yield f"podman has no linux.{name} as a whole (only --security-opt mask= and unmask=)"
    for kind, where in linux.namespaces.items():
        if where != "new" and not (where == "host" and kind in _HOST_NAMESPACES):
            yield f"podman has no {where!r} {kind} namespace"
        if where == "new" and kind == "user" and not linux.uid_mappings:
            yield "podman has no new user namespace without a map (say podman.userns)"


def _lacking_process(process: Process, name: str) -> Iterator[str]:
    if process.terminal:
        yield f"the lab gives podman no terminal ({name}.terminal)"
    match process.capabilities:
        case CapabilityPolicy.DEFAULT | CapabilityPolicy.DOCKER | CapabilityPolicy.NONE | CapabilityPolicy.ALL:
            return
        case CapabilityPolicy.CRI:
            yield "podman has no capabilities 'cri': what it gives a user who is not root is not effective"
        case CapabilityPolicy.ABSENT:
            yield "podman has no way to leave the capabilities out"
        case _:
            yield "podman has no capability sets one by one (say podman.cap_add, podman.cap_drop)"


def _lacking_exec(process: Process) -> Iterator[str]:
    yield from _lacking_process(process, "exec")
    for name in ("additional_gids", "no_new_privileges", "rlimits", "unset_env", "umask"):
        if getattr(process, name):
            yield f"podman exec has no {name}"
    if process.capabilities not in {CapabilityPolicy.DEFAULT, CapabilityPolicy.DOCKER}:
        yield f"podman exec has no capabilities {process.capabilities}"


def _lacking_mount(mount: Mount) -> Iterator[str]:
    if mount.uid_mappings or mount.gid_mappings:
        yield "podman has no maps of one mount in the words of a scenario (say podman.volumes with idmap)"
    if mount.type not in {"bind", "tmpfs"}:
        yield f"podman has no mount of type {mount.type!r}"
    odd = set(mount.options) - _BIND_OPTIONS
    if mount.type == "bind" and odd:
        yield f"podman has no bind option {', '.join(sorted(odd))}"


def create_words(settings: Settings, *, image: str, name: str, cgroup_parent: str | None) -> tuple[str, ...]:
    """What stands after `podman create`. ``image`` is an id; without ``cgroup_parent`` cgroups are left alone."""
    process = settings.process if settings.action is not Action.EXEC else holding(settings.process)
    program, *arguments = process_args(process)
    words = settings.podman
    return (
        f"--name={name}",
        "--log-driver=none",
        *([f"--cgroup-parent={cgroup_parent}"] if cgroup_parent is not None else []),
        *_process_words(process),
        *(["--read-only"] if settings.readonly_root else []),
        *_linux_words(settings.linux, words.userns),
        *(word for mount in settings.mounts for word in _mount_words(mount)),
        *(f"--volume={volume}" for volume in words.volumes),
        *(f"--tmpfs={place}:{options}".rstrip(":") for place, options in words.tmpfs.items()),
        *(f"--device={device}" for device in words.devices),
        *(f"--cap-add={name}" for name in words.cap_add),
        *(f"--cap-drop={name}" for name in words.cap_drop),
        *(f"--group-add={name}" for name in words.group_add),
        *(f"--security-opt={option}" for option in words.security_opt),
        *(["--init"] if words.init else []),
        *(["--privileged"] if words.privileged else []),
        f"--entrypoint={json.dumps([program])}",
        image,
        *arguments,
    )


def limit_words(process: Process, usual: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """The usual (soft, hard) limits of those that a container does not name: podman forgets them where it names any."""
    named = {limit.type.removeprefix("RLIMIT_").lower() for limit in process.rlimits}
    return tuple(
        f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in usual.items() if named and name not in named
    )


def exec_words(process: Process, name: str) -> tuple[str, ...]:
    """What stands after `podman exec`."""
    return (
        *([f"--user={process.user}"] if process.user is not None else []),
        *([f"--workdir={process.cwd}"] if process.cwd is not None else []),
        *(f"--env={key}={value}" for key, value in process.env.items()),
        name,
        *process_args(process),
    )


def _process_words(process: Process) -> Iterator[str]:
    if process.user is not None:
        yield f"--user={process.user}"
    if process.cwd is not None:
        yield f"--workdir={process.cwd}"
    if process.umask is not None:
        yield f"--umask={process.umask:04o}"
    yield from (f"--group-add={gid}" for gid in process.additional_gids)
    yield from (f"--env={key}={value}" for key, value in process.env.items())
    yield from (f"--unsetenv={key}" for key in process.unset_env)
    if process.capabilities is CapabilityPolicy.NONE:
        yield "--cap-drop=all"
    if process.capabilities is CapabilityPolicy.ALL:
        yield "--cap-add=all"
    if process.no_new_privileges:
        yield "--security-opt=no-new-privileges"
    for limit in process.rlimits:
        yield f"--ulimit={limit.type.removeprefix('RLIMIT_').lower()}={limit.soft}:{limit.hard}"


def _linux_words(linux: Linux, userns: str | None) -> Iterator[str]:
    if linux.namespaces.get("network") != "host":
        yield "--network=none"
    for kind, where in linux.namespaces.items():
        if kind in _HOST_NAMESPACES and where == "host":
            yield f"{_HOST_NAMESPACES[kind]}=host"
        if kind == "cgroup" and where == "new":
            yield "--cgroupns=private"
    if userns is not None:
        yield f"--userns={userns}"
    yield from (f"--uidmap={_map(line)}" for line in linux.uid_mappings)
    yield from (f"--gidmap={_map(line)}" for line in linux.gid_mappings)
    yield from (f"--sysctl={key}={value}" for key, value in linux.sysctl.items())
    if linux.seccomp is not None:
        yield f"--security-opt=seccomp={SECCOMP}"


def _map(line: IdMapping) -> str:
    return f"{line.container_id}:{line.host_id}:{line.size}"


def _mount_words(mount: Mount) -> Iterator[str]:
    options = ",".join(mount.options)
    if mount.type == "tmpfs":
        yield f"--tmpfs={mount.destination}:{options}".rstrip(":")
        return
    source = f"${{fixture:{mount.fixture}}}" if mount.fixture is not None else mount.source or ""
    yield f"--volume={source}:{mount.destination}:{options}".rstrip(":")
