"""A cell's settings in the words of the Kubernetes CRI, or why it has none for them. Pure.

The words are those of ``CreateContainerRequest.config`` and ``RunPodSandboxRequest.config`` in their JSON form, as
`crictl create` takes them. Host paths of fixtures stand in them as ``${fixture:NAME}``, the file of a seccomp profile
as ``${seccomp}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.engine.words import foreign_words
from lab.model.engine import EngineFamily
from lab.model.settings import Action, Caller, CapabilityPolicy, Linux, Mount, Process, Settings
from lab.oci.spec import process_args

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
_CALLER = Caller()


def inexpressible(settings: Settings) -> str | None:
    """The first thing that a cell says and the CRI has no word for, or ``None``."""
    return foreign_words(settings, EngineFamily.CRI) or next(_lacking(settings), None)


def _lacking(settings: Settings) -> Iterator[str]:
    if settings.patch:
        yield "cri has no patch: containerd writes config.json itself"
    if settings.caller != _CALLER:
        said = [
            name for name in Caller.__dataclass_fields__ if getattr(settings.caller, name) != getattr(_CALLER, name)
        ]
        yield f"cri has no caller.{said[0]}: containerd's shim calls the runtime"
    if settings.action is Action.EXEC:
        yield "cri has no exec with a process of its own (ExecSync takes a command only)"
    yield from _lacking_process(settings.process)
    yield from _lacking_linux(settings.linux)
    for mount in settings.mounts:
        yield from _lacking_mount(mount)
    if any(place.startswith("rootfs:") for place in settings.host):
        yield "cri shows no root file system on the host (look at a fixture)"


def _lacking_process(process: Process) -> Iterator[str]:
    if process.umask is not None:
        yield "cri has no process.umask"
    if process.rlimits:
        yield "cri has no process.rlimits"
    if process.unset_env:
        yield "cri has no process.unset_env"
    if process.terminal:
        yield "the lab gives cri no terminal (process.terminal)"
    user, _, group = (process.user or "").partition(":")
    if group and not group.isdigit():
        yield f"cri has no group by name ({group!r}): runAsGroup is a number"
    match process.capabilities:
        case CapabilityPolicy.CRI | CapabilityPolicy.NONE | CapabilityPolicy.ALL:
            return
        case CapabilityPolicy.DOCKER if user in _ROOT:
            return
        case CapabilityPolicy.DOCKER:
            yield "cri has no capabilities 'docker': it gives every user effective ones (say caps = 'cri')"
        case CapabilityPolicy.ABSENT:
            yield "cri has no way to leave the capabilities out"
        case _:
            yield "cri has no capability sets one by one (say cri.cap_add, cri.cap_drop)"


def _lacking_linux(linux: Linux) -> Iterator[str]:
    if linux.uid_mappings or linux.gid_mappings or linux.namespaces.get("user") not in {None, "host"}:
        yield "the lab gives cri no user namespace: its pods have the host's network, and Kubernetes allows only one"
    if linux.devices:
        yield "the lab gives cri no linux.devices"
    for name in ("masked_paths", "readonly_paths"):
        if getattr(linux, name) == ():
            yield f"cri has no empty linux.{name}: an empty list means containerd's own"
    for kind, where in linux.namespaces.items():
        if where != "new" and not (where == "host" and kind in {"pid", "ipc", "network", "user"}):
            yield f"cri has no {where!r} {kind} namespace"


def _lacking_mount(mount: Mount) -> Iterator[str]:
    if mount.uid_mappings or mount.gid_mappings:
        yield "the lab gives cri no id-mapped mounts"
    if mount.type != "bind":
        yield f"cri has no mount of type {mount.type!r}"
    odd = set(mount.options) - _BIND_OPTIONS
    if mount.type == "bind" and odd:
        yield f"cri has no bind option {', '.join(sorted(odd))} (its mounts are rbind)"


def namespaces(settings: Settings) -> dict[str, str]:
    """``NamespaceOption``: the pod's network is the host's, pids are the container's own unless the cell says so."""
    said = settings.linux.namespaces
    return {
        "network": "NODE",
        "pid": "NODE" if said.get("pid") == "host" else "CONTAINER",
        "ipc": "NODE" if said.get("ipc") == "host" else "POD",
    }


def sandbox_words(settings: Settings) -> dict[str, Any]:
    """What a cell asks of its pod's sandbox: cells that ask for the same share one."""
    return {
        "securityContext": {"namespaceOptions": namespaces(settings), "privileged": settings.cri.privileged},
        "sysctls": dict(settings.linux.sysctl),
    }


def container_words(settings: Settings, *, image: str) -> dict[str, Any]:
    """``ContainerConfig``; ``image`` is the image's id."""
    process = settings.process
    program, *arguments = process_args(process)
    return {
        "image": {"image": image},
        "command": [program],
        "args": arguments,
        "workingDir": process.cwd or "",
        "envs": [{"key": name, "value": value} for name, value in process.env.items()],
        "mounts": [_mount(mount) for mount in settings.mounts],
        "linux": {"securityContext": _security(settings)},
    }


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
        "maskedPaths": list(linux.masked_paths or ()),
        "readonlyPaths": list(linux.readonly_paths or ()),
        "seccomp": {"profileType": "Unconfined"},
    }
    if words.seccomp is not None:
        context["seccomp"] = {"profileType": words.seccomp}
    if linux.seccomp is not None:
        context["seccomp"] = {"profileType": "Localhost", "localhostRef": SECCOMP}
    return context | _user(process)


def _user(process: Process) -> dict[str, Any]:
    """``runAsUser`` for a number, ``runAsUsername`` for a name; nothing where the image's ``User`` stays."""
    user, _, group = (process.user or "").partition(":")
    words: dict[str, Any] = {}
    if user:
        words = {"runAsUser": {"value": int(user)}} if user.isdigit() else {"runAsUsername": user}
    if group:
        words["runAsGroup"] = {"value": int(group)}
    return words


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "containerPath": mount.destination,
        "hostPath": f"${{fixture:{mount.fixture}}}" if mount.fixture is not None else mount.source or "",
        "readonly": "ro" in mount.options,
        "propagation": next((_PROPAGATION[o] for o in mount.options if o in _PROPAGATION), "PROPAGATION_PRIVATE"),
    }


def admission(settings: Settings, image_user: str) -> str | None:
    """Why a kubelet would not start the container, in its own words, or ``None``.

    ``runAsNonRoot`` is the kubelet's rule, not containerd's (kubernetes, pkg/kubelet/kuberuntime/security_context.go,
    ``verifyRunAsNonRoot``): a runAsUser of 0, and an image whose user is 0, none, or only a name.
    """
    if not settings.cri.run_as_non_root:
        return None
    said = (settings.process.user or "").partition(":")[0]
    if said.isdigit():
        return "container's runAsUser breaks non-root policy" if int(said) == 0 else None
    user = said or image_user.partition(":")[0]
    if user in {"", "0"}:
        return "container has runAsNonRoot and image will run as root"
    if user.isdigit():
        return None
    return f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
