"""A cell's settings in the words of the Kubernetes CRI, or why it has none for them. Pure.

The words are those of ``CreateContainerRequest.config`` and ``RunPodSandboxRequest.config`` in their JSON form, as
`crictl create` takes them. Host paths of fixtures stand in them as ``${fixture:NAME}``, the file of a seccomp profile
as ``${seccomp}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from lab.engine.words import foreign_words
from lab.model.engine import EngineFamily
from lab.model.settings import Action, Caller, CapabilityPolicy, IdMapping, Linux, Mount, Process, Settings
from lab.oci.spec import MASKED, READ_ONLY, holding, process_args
from lab.scenario.versions import key

SECCOMP = "${seccomp}"
"""Where a stored request names the file with the cell's seccomp profile."""

_ROOT = {"0", "root"}
_PROPAGATION = {
    "private": "PROPAGATION_PRIVATE",
    "rprivate": "PROPAGATION_PRIVATE",
    "rslave": "PROPAGATION_HOST_TO_CONTAINER",
    "rshared": "PROPAGATION_BIDIRECTIONAL",
}
_BIND_OPTIONS = {"ro", "rw", "rbind", *_PROPAGATION}
_MAX_UID = 2**31 - 1
_CALLER = Caller()
_PROCESS = Process()
_PROFILE_PATHS = {
    "RuntimeDefault": "runtime/default",
    "Unconfined": "unconfined",
    "Localhost": f"localhost/{SECCOMP}",
}
"""The seccomp profile as containerd 1.4 takes it: a kubelet says it both ways (Kubernetes 1.20 to 1.2x)."""


def inexpressible(settings: Settings) -> str | None:
    """The first thing that a cell says and the CRI has no word for, or ``None``."""
    return foreign_words(settings, EngineFamily.CRI) or next(_lacking(settings), None)


def unknown_to(version: str, settings: Settings) -> str | None:
    """The first thing that a cell says and a containerd of this version passes over, or ``None``."""
    linux = settings.linux
    if (linux.uid_mappings or linux.gid_mappings) and key(version) < key("1.7"):
        return f"containerd {version} has no user namespaces: before 1.7 it passes over what a pod says of them"
    for name in ("masked_paths", "readonly_paths"):
        if getattr(linux, name) == () and key(version) < key("1.5"):
            return f"containerd {version} takes an empty linux.{name} as its own list"
    return None


def _lacking(settings: Settings) -> Iterator[str]:
    if settings.patch:
        yield "cri has no patch: containerd writes config.json itself"
    if settings.caller != _CALLER:
        said = [
            name for name in Caller.__dataclass_fields__ if getattr(settings.caller, name) != getattr(_CALLER, name)
        ]
        yield f"cri has no caller.{said[0]}: containerd's shim calls the runtime"
    if settings.exec is not None:
        yield from _lacking_exec(settings.exec)
    if settings.exec_flags:
        yield "cri has no exec_flags (ExecSync takes a command only)"
    yield from _lacking_process(settings.process)
    yield from _lacking_linux(settings.linux)
    for mount in settings.mounts:
        yield from _lacking_mount(mount)
    if any(place.startswith("rootfs:") for place in settings.host):
        yield "cri shows no root file system on the host (look at a fixture)"


def _lacking_process(process: Process) -> Iterator[str]:
    if process.umask is not None:
        yield "cri has no process.umask: its messages have no field for it"
    if process.rlimits:
        yield "cri has no process.rlimits: its messages have no field for them"
    if process.unset_env:
        yield "cri has no process.unset_env: its envs only add"
    user, _, group = (process.user or "").partition(":")
    if group and not group.isdigit():
        yield f"cri has no group by name ({group!r}): runAsGroup is a number"
    match process.capabilities:
        case CapabilityPolicy.DEFAULT | CapabilityPolicy.CRI | CapabilityPolicy.NONE | CapabilityPolicy.ALL:
            return
        case CapabilityPolicy.DOCKER if user in _ROOT:
            return
        case CapabilityPolicy.DOCKER:
            yield "cri has no capabilities 'docker': it gives every user effective ones (say caps = 'cri')"
        case CapabilityPolicy.ABSENT:
            yield "cri has no way to leave the capabilities out"
        case _:
            yield "cri has no capability sets one by one (say cri.cap_add, cri.cap_drop)"


def _lacking_exec(process: Process) -> Iterator[str]:
    said = [f.name for f in fields(process) if f.name not in {"args", "steps"}]
    said = [name for name in said if getattr(process, name) != getattr(_PROCESS, name)]
    if said:
        yield f"cri has no exec.{said[0]}: ExecSync takes a command only, the rest is as the container's own process"


def _lacking_linux(linux: Linux) -> Iterator[str]:
    if linux.devices:
        yield "the lab gives cri no linux.devices"
    mapped = bool(linux.uid_mappings or linux.gid_mappings)
    for kind, where in linux.namespaces.items():
        if kind == "user" and (where == "new") > mapped:
            yield "cri has no user namespace without maps"
        if where != "new" and not (where == "host" and kind in {"pid", "ipc", "network", "user"}):
            yield f"cri has no {where!r} {kind} namespace"


def _lacking_mount(mount: Mount) -> Iterator[str]:
    if mount.type != "bind":
        yield f"cri has no mount of type {mount.type!r}: its mounts are paths of the node"
    odd = set(mount.options) - _BIND_OPTIONS
    if mount.type == "bind" and odd:
        yield f"cri has no bind option {', '.join(sorted(odd))} (its mounts are rbind)"


def own_network(settings: Settings) -> bool:
    """Whether the cell's pod has a network of its own: a kubelet gives none with a user namespace the node's."""
    linux = settings.linux
    return bool(linux.uid_mappings or linux.gid_mappings) or linux.namespaces.get("network") == "new"


def namespaces(settings: Settings) -> dict[str, Any]:
    """``NamespaceOption``: the pod's network is the node's unless the cell says so, pids are the container's own."""
    linux = settings.linux
    words: dict[str, Any] = {
        "network": "POD" if own_network(settings) else "NODE",
        "pid": "NODE" if linux.namespaces.get("pid") == "host" else "CONTAINER",
        "ipc": "NODE" if linux.namespaces.get("ipc") == "host" else "POD",
    }
    if linux.uid_mappings or linux.gid_mappings:
        maps = {"uids": _maps(linux.uid_mappings), "gids": _maps(linux.gid_mappings)}
        words["usernsOptions"] = {"mode": "POD", **maps}
    return words


def _maps(lines: tuple[IdMapping, ...]) -> list[dict[str, int]]:
    return [{"hostId": line.host_id, "containerId": line.container_id, "length": line.size} for line in lines]


def sandbox_words(settings: Settings) -> dict[str, Any]:
    """What a cell asks of its pod's sandbox: cells that ask for the same share one."""
    return {
        "securityContext": {"namespaceOptions": namespaces(settings), "privileged": settings.cri.privileged},
        "sysctls": dict(settings.linux.sysctl),
    }


def container_words(settings: Settings, *, image: str, image_user: str) -> dict[str, Any]:
    """``ContainerConfig``; ``image`` is the image's id, ``image_user`` its ``User``."""
    process = settings.process
    if settings.action is Action.EXEC:
        process = holding(process)
    program, *arguments = process_args(process)
    return {
        "image": {"image": image},
        "command": [program],
        "args": arguments,
        "workingDir": process.cwd or "",
        "envs": [{"key": name, "value": value} for name, value in process.env.items()],
        "mounts": [_mount(mount) for mount in settings.mounts],
        "tty": process.terminal,
        "linux": {"securityContext": _security(settings) | _user(process, image_user)},
    }


def exec_words(process: Process) -> dict[str, Any]:
    """``ExecSyncRequest`` without the container's id."""
    return {"cmd": process_args(process)}


def _security(settings: Settings) -> dict[str, Any]:
    process, linux, words = settings.process, settings.linux, settings.cri
    context: dict[str, Any] = {
        "capabilities": {
            "addCapabilities": [*words.cap_add, *(["ALL"] if process.capabilities is CapabilityPolicy.ALL else [])],
            "dropCapabilities": [*words.cap_drop, *(["ALL"] if process.capabilities is CapabilityPolicy.NONE else [])],
        },
        "privileged": words.privileged,
        "namespaceOptions": namespaces(settings),
        "readonlyRootfs": settings.readonly_root,
        "supplementalGroups": [*process.additional_gids, *words.supplemental_groups],
        "noNewPrivs": process.no_new_privileges,
        "maskedPaths": list(MASKED if linux.masked_paths is None else linux.masked_paths),
        "readonlyPaths": list(READ_ONLY if linux.readonly_paths is None else linux.readonly_paths),
    }
    profile = "Localhost" if linux.seccomp is not None else words.seccomp or "Unconfined"
    context["seccomp"] = {"profileType": profile} | ({"localhostRef": SECCOMP} if profile == "Localhost" else {})
    context["seccompProfilePath"] = _PROFILE_PATHS[profile]
    return context


def _user(process: Process, image_user: str) -> dict[str, Any]:
    """``runAsUser`` for a number, ``runAsUsername`` for a name.

    Where the cell leaves the image's ``User``, a kubelet fills in its user, and never its group (kubernetes,
    pkg/kubelet/kuberuntime: ``getImageUser``, ``determineEffectiveSecurityContext``); an image without one means root.
    """
    user, _, group = (process.user or image_user.partition(":")[0] or "0").partition(":")
    words: dict[str, Any] = {"runAsUser": {"value": int(user)}} if user.isdigit() else {"runAsUsername": user}
    if group:
        words["runAsGroup"] = {"value": int(group)}
    return words


def _mount(mount: Mount) -> dict[str, Any]:
    words: dict[str, Any] = {
        "containerPath": mount.destination,
        "hostPath": f"${{fixture:{mount.fixture}}}" if mount.fixture is not None else mount.source or "",
        "readonly": "ro" in mount.options,
        "propagation": next((_PROPAGATION[o] for o in mount.options if o in _PROPAGATION), "PROPAGATION_PRIVATE"),
    }
    if mount.uid_mappings or mount.gid_mappings:
        words |= {"uidMappings": _maps(mount.uid_mappings), "gidMappings": _maps(mount.gid_mappings)}
    return words


def admission(settings: Settings, image_user: str) -> str | None:
    """Why a kubelet would not start the container, in its own words, or ``None``.

    ``runAsNonRoot`` is the kubelet's rule, not containerd's (kubernetes, ``verifyRunAsNonRoot`` in
    pkg/kubelet/kuberuntime/security_context_others.go): a runAsUser of 0, and an image whose user is 0, none, a number
    above 2³¹ - 1, or only a name, be it ``root``. The pod's and the container's names, which end these texts, are left
    out. A pod has no word for a user by name (``runAsUserName`` is for Windows): a cell's stands for the image's.
    """
    if not settings.cri.run_as_non_root:
        return None
    said = (settings.process.user or "").partition(":")[0]
    if said.isdigit():
        return "container's runAsUser breaks non-root policy" if int(said) == 0 else None
    user = said or image_user.partition(":")[0]
    if not user or (user.isdigit() and int(user) == 0):
        return "container has runAsNonRoot and image will run as root"
    if user.isdigit():
        wrong = f"container has runAsNonRoot and image has an invalid user id ({int(user)}). (Must be 1-({_MAX_UID}))"
        return wrong if int(user) > _MAX_UID else None
    return f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
