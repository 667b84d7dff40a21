"""A cell's settings in the words of the Docker Engine API, or why that API has none for them. Pure.

The words are those of ``POST /containers/create`` and ``POST /containers/{id}/exec`` (Docker Engine API v1.41), spelled
as the API spells them; so a stored request can be sent again with curl. Host paths of fixtures stand in it as
``${fixture:NAME}``, names of volumes as ``${volume:NAME}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lab.engine.words import foreign_words
from lab.model.engine import EngineFamily
from lab.model.engine_settings import DockerWords
from lab.model.settings import Action, Caller, CapabilityPolicy, Linux, Mount, Process, Settings
from lab.oci.spec import holding, process_args

SHARED_NETWORK = "container:${network}"
"""The network mode of a cell that needs no network namespace of its own."""

_OWN_NETWORK = {
    *("bind", "rawsocket", "setmtu", "sysctl", "hostname", "sethostname", "namespaces", "mount", "mountsysfs"),
    *("exec", "spawn"),
}
"""Steps of the probe that see or change what belongs to a network namespace, or that may do anything."""

_ROOT = {"0", "root"}
_PROFILE_KEYS = {"defaultAction", "architectures", "syscalls"}
"""What Docker's seccomp profiles share with runtime-spec's object in every version."""

_PROPAGATION = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_BIND_OPTIONS = {"ro", "rw", "bind", "rbind", *_PROPAGATION}
_MODES = {"pid": "PidMode", "network": "NetworkMode", "ipc": "IpcMode", "uts": "UTSMode", "user": "UsernsMode"}
"""Namespace types that ``HostConfig`` has a word for, which takes ``host``."""

_CALLER = Caller()


def inexpressible(settings: Settings) -> str | None:
    """The first thing that a cell says and Docker has no word for, or ``None``."""
    return foreign_words(settings, EngineFamily.DOCKER) or next(_lacking(settings), None)


def _lacking(settings: Settings) -> Iterator[str]:
    if settings.patch:
        yield "docker has no patch: it writes config.json itself"
    yield from _lacking_linux(settings.linux)
    if settings.caller != _CALLER:
        said = [
            name for name in Caller.__dataclass_fields__ if getattr(settings.caller, name) != getattr(_CALLER, name)
        ]
        yield f"docker has no caller.{said[0]}: its daemon calls the runtime"
    yield from _lacking_process(settings.process, "process")
    if settings.exec is not None:
        yield from _lacking_exec(settings.exec)
    if settings.exec_flags:
        yield "docker has no exec_flags: say exec.user, exec.cwd"
    for mount in settings.mounts:
        yield from _lacking_mount(mount)
    for bind in settings.docker.binds:
        if not bind.startswith("${fixture:"):
            yield f"docker.binds: {bind!r} is no fixture, and the lab gives nothing else of the host away"
    if any(place.startswith("rootfs:") for place in settings.host):
        yield "docker shows no root file system on the host (look at a fixture)"


def _lacking_linux(linux: Linux) -> Iterator[str]:
    if linux.uid_mappings or linux.gid_mappings:
        yield "docker has no id mappings of one container (docker.userns_remap is the daemon's)"
    if linux.devices:
        yield "docker has no linux.devices (say docker.devices)"
    if linux.seccomp is not None and set(linux.seccomp) - _PROFILE_KEYS:
        yield f"docker's seccomp profiles have no {', '.join(sorted(set(linux.seccomp) - _PROFILE_KEYS))}"
    for kind, where in linux.namespaces.items():
        if where != "new" and not (where == "host" and kind in {*_MODES, "cgroup"}):
            yield f"docker has no {where!r} {kind} namespace"
        if where == "new" and kind == "user":
            yield "docker has no user namespace of one container (docker.userns_remap is the daemon's)"


def _lacking_process(process: Process, name: str) -> Iterator[str]:
    if process.umask is not None:
        yield f"docker has no {name}.umask"
    match process.capabilities:
        case CapabilityPolicy.DEFAULT | CapabilityPolicy.DOCKER | CapabilityPolicy.NONE:
            return
        case CapabilityPolicy.ALL if _is_root(process):
            return
        case CapabilityPolicy.ALL | CapabilityPolicy.CRI:
            yield f"docker has no capabilities {str(process.capabilities)!r}: it gives only root effective ones"
        case CapabilityPolicy.ABSENT:
            yield "docker has no way to leave the capabilities out"
        case _:
            yield "docker has no capability sets one by one (say docker.cap_add, docker.cap_drop)"


def _lacking_exec(process: Process) -> Iterator[str]:
    yield from _lacking_process(process, "exec")
    for name in ("additional_gids", "no_new_privileges", "rlimits", "unset_env"):
        if getattr(process, name):
            yield f"docker exec has no {name}"
    if process.capabilities not in {CapabilityPolicy.DEFAULT, CapabilityPolicy.DOCKER}:
        yield f"docker exec has no capabilities {process.capabilities}"


def _lacking_mount(mount: Mount) -> Iterator[str]:
    if mount.uid_mappings or mount.gid_mappings:
        yield "docker has no id-mapped mounts"
    if mount.type not in {"bind", "tmpfs"}:
        yield f"docker has no mount of type {mount.type!r}"
    odd = set(mount.options) - _BIND_OPTIONS
    if mount.type == "bind" and odd:
        yield f"docker has no bind option {', '.join(sorted(odd))}"


def _is_root(process: Process) -> bool:
    return process.user is not None and process.user.partition(":")[0] in _ROOT


def shares_network(settings: Settings) -> bool:
    """Whether nothing that a cell says, and no step of its, could tell a shared network namespace from one of its own.

    A daemon with userns-remap would give such containers a common user namespace, too.
    """
    words, linux = settings.docker, settings.linux
    steps = (*settings.process.steps, *(settings.exec.steps if settings.exec is not None else ()))
    programs = [settings.process.args, settings.exec.args if settings.exec is not None else None]
    own = words.privileged or words.network_mode or words.userns_remap or linux.sysctl or "network" in linux.namespaces
    return not own and programs == [None, None] and not any(step.split()[0] in _OWN_NETWORK for step in steps if step)


def create_request(settings: Settings, *, image: str, runtime: str) -> dict[str, Any]:
    """The body of ``POST /containers/create``; ``image`` is its id, ``runtime`` the daemon's name of the runtime."""
    process = settings.process
    if settings.action is Action.EXEC:
        process = holding(process)
    program, *arguments = process_args(process)
    return {
        "Image": image,
        **({} if shares_network(settings) else {"Hostname": "permlab"}),  # else that of the container with the network
        "User": process.user or "",
        "WorkingDir": process.cwd or "",
        "Entrypoint": [program],
        "Cmd": arguments,
        "Env": _env(process),
        "Tty": process.terminal,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(settings, runtime),
    }


def exec_request(process: Process) -> dict[str, Any]:
    """The body of ``POST /containers/{id}/exec``."""
    return {
        "Cmd": process_args(process),
        "User": process.user or "",
        "WorkingDir": process.cwd or "",
        "Env": _env(process),
        "Tty": process.terminal,
        "AttachStdout": True,
        "AttachStderr": True,
    }


def _env(process: Process) -> list[str]:
    """Variables; one without ``=`` is taken away (moby, ``container.ReplaceOrAppendEnvValues``)."""
    return [*(f"{name}={value}" for name, value in process.env.items()), *process.unset_env]


def _host_config(settings: Settings, runtime: str) -> dict[str, Any]:
    process, linux, words = settings.process, settings.linux, settings.docker
    config: dict[str, Any] = {
        "Runtime": runtime,
        "NetworkMode": SHARED_NETWORK if shares_network(settings) else words.network_mode or "none",
        "ReadonlyRootfs": settings.readonly_root,
        "Privileged": words.privileged,
        "CapAdd": [*words.cap_add, *(["ALL"] if process.capabilities is CapabilityPolicy.ALL else [])],
        "CapDrop": [*words.cap_drop, *(["ALL"] if process.capabilities is CapabilityPolicy.NONE else [])],
        "GroupAdd": [*words.group_add, *map(str, process.additional_gids)],
        "SecurityOpt": _security(settings),
        "Ulimits": [
            {"Name": limit.type.removeprefix("RLIMIT_").lower(), "Soft": limit.soft, "Hard": limit.hard}
            for limit in process.rlimits
        ],
        "Sysctls": dict(linux.sysctl),
        "Mounts": [_mount(mount) for mount in settings.mounts if mount.type == "bind"],
        "Binds": [*words.binds, *(f"${{volume:{name}}}:{rest}" for name, rest in _volumes(words))],
        "Tmpfs": {
            **{mount.destination: ",".join(mount.options) for mount in settings.mounts if mount.type == "tmpfs"},
            **words.tmpfs,
        },
        "Devices": [_device(text) for text in words.devices],
        "DeviceCgroupRules": list(words.device_cgroup_rules),
    }
    for kind, where in linux.namespaces.items():
        if kind == "cgroup":
            config["CgroupnsMode"] = "private" if where == "new" else "host"
        elif where == "host":
            config[_MODES[kind]] = "host"
    for key, paths in (("MaskedPaths", linux.masked_paths), ("ReadonlyPaths", linux.readonly_paths)):
        if paths is not None:
            config[key] = list(paths)
    said = {
        "Init": words.init,
        "UsernsMode": words.userns_mode,
        "IpcMode": words.ipc_mode,
        "PidMode": words.pid_mode,
        "CgroupnsMode": words.cgroupns_mode,
    }
    return config | {key: value for key, value in said.items() if value is not None}


def _security(settings: Settings) -> list[str]:
    options = list(settings.docker.security_opt)
    if settings.process.no_new_privileges:
        options.append("no-new-privileges")
    if settings.linux.seccomp is not None:
        options.append(f"seccomp={json.dumps(settings.linux.seccomp, sort_keys=True)}")
    return options


def _mount(mount: Mount) -> dict[str, Any]:
    """The API's ``Mounts``, not its ``Binds``: these make what is missing on the host."""
    made: dict[str, Any] = {
        "Type": "bind",
        "Source": f"${{fixture:{mount.fixture}}}" if mount.fixture is not None else mount.source or "",
        "Target": mount.destination,
        "ReadOnly": "ro" in mount.options,
    }
    options: dict[str, Any] = {"Propagation": next((o for o in mount.options if o in _PROPAGATION), "rprivate")}
    if "bind" in mount.options:
        options["NonRecursive"] = True
    return made | {"BindOptions": options}


def _device(text: str) -> dict[str, str]:
    host, _, rest = text.partition(":")
    inside, _, access = rest.partition(":")
    return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": access or "rwm"}


def _volumes(words: DockerWords) -> Iterator[tuple[str, str]]:
    """(name, rest) of each ``name:destination[:options]``."""
    for text in words.volumes:
        name, _, rest = text.partition(":")
        yield name, rest


def volume_names(words: DockerWords) -> tuple[str, ...]:
    """The volumes that a cell names, each once."""
    return tuple(dict.fromkeys(name for name, _ in _volumes(words)))
