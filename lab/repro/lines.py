"""The same case through an engine, as a command line, where the engine has words for all of it. Pure.

A config.json says less than an engine does by itself: where it has no seccomp profile or no capabilities, the line
takes the engine's own away. ``tests/integration/test_repro_engines.py`` runs such lines.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.model.settings import Action
from lab.oci.capabilities import DOCKER_DEFAULT
from lab.repro.case import Case
from lab.repro.tree import ROOTFS

_OWN = {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"}  # noqa: S108  # the container's
"""Mounts that every engine makes by itself."""
IMAGE = "repro"
_USUAL = frozenset(DOCKER_DEFAULT)
"""What Docker and containerd leave a container when nothing is said."""
_LOGS = "/tmp/repro-logs"  # noqa: S108  # on the reader's machine
_POD, _NODE = 0, 2
"""Of the CRI's ``NamespaceMode``: a network of the pod's own needs a CNI plugin, the host's needs nothing."""
_UNCONFINED = 1
"""Of the CRI's ``SecurityProfile.ProfileType``, which crictl takes as a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one engine is told, or why it cannot be told the same."""

    engine: str
    text: str
    reasons: tuple[str, ...]


def through(case: Case) -> tuple[Line, ...]:
    """The case for Docker, podman and crictl."""
    shared = tuple(_reasons(case))
    makers = {"Docker": (docker, _of_docker), "podman": (podman, _of_podman), "crictl": (crictl, _of_cri)}
    return tuple(
        Line(engine=engine, text=make(case), reasons=(*shared, *reasons(case)))
        for engine, (make, reasons) in makers.items()
    )


def _reasons(case: Case) -> Iterator[str]:
    call, config = case.call, case.config
    if call.action is not Action.RUN:
        yield f"the runtime is called to {call.action}"
    if call.owner != (0, 0) or call.dropped:
        yield "the runtime is called by someone else than root with all capabilities"
    if call.flags or call.verb_flags:
        yield f"the runtime gets flags: {shlex.join((*call.flags, *call.verb_flags))}"
    if call.streams or call.fds:
        yield "the runtime gets streams or descriptors that are no pipes"
    mounts = [mount["destination"] for mount in config.get("mounts", ()) if mount["destination"] not in _OWN]
    if mounts:
        yield f"it has mounts of its own: {', '.join(mounts)}"
    linux = config.get("linux", {})
    yield from (
        f"config.json has linux.{key}" for key in ("uidMappings", "gidMappings", "seccomp", "devices") if linux.get(key)
    )
    joined = [one["type"] for one in linux.get("namespaces", ()) if one.get("path") or one["type"] in {"user", "time"}]
    if joined:
        yield f"it has namespaces of another kind: {', '.join(joined)}"
    if config["process"]["user"].get("umask") is not None:
        yield "it sets a umask"


def _of_docker(case: Case) -> Iterator[str]:
    """Docker gives root all that is in the bounding set, and other users none of it."""
    process = case.config["process"]
    bounding, effective = _set(process, "bounding"), _set(process, "effective")
    if process["user"]["uid"] and effective:
        yield "a user other than root has effective capabilities (the CRI gives them)"
    elif not process["user"]["uid"] and effective != bounding:
        yield "root lacks capabilities that are in its bounding set"
    if _set(process, "ambient"):
        yield "there are ambient capabilities"
    if process["cwd"] != "/" and not any(entry.path == f"{ROOTFS}{process['cwd']}" for entry in case.tree):
        yield "the working directory is not there as such, and the engine looks at it before the runtime does"


def _of_podman(case: Case) -> Iterator[str]:
    """As Docker, but what is added for a user other than root becomes ambient (specgen, ``security_linux.go``)."""
    yield from _of_docker(case)
    process = case.config["process"]
    if process["user"]["uid"] and _set(process, "bounding") not in {frozenset(), _USUAL}:
        yield "a user other than root has capabilities in the bounding set, and podman makes added ones ambient"


def _of_cri(case: Case) -> Iterator[str]:
    """The CRI gives every user all that is in the bounding set."""
    process = case.config["process"]
    if _set(process, "effective") != _set(process, "bounding"):
        yield "capabilities are in the bounding set only, and the CRI makes them effective"
    if _set(process, "ambient"):
        yield "there are ambient capabilities"
    if process.get("rlimits"):
        yield "the CRI has no resource limits"


def _set(process: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(process.get("capabilities", {}).get(name) or ())


def docker(case: Case) -> str:
    """``docker import`` and ``docker run``."""
    return (
        f"tar -C DIR/rootfs --numeric-owner -c . | docker import - {IMAGE}\n"
        f"docker run --rm --runtime NAME --network none {_flags(case)} {IMAGE} {_args(case)}"
    ).rstrip()


def podman(case: Case) -> str:
    """``podman run --rootfs``."""
    line = f"podman --runtime RUNTIME run --rm --network none {_flags(case)} --rootfs DIR/rootfs {_args(case)}"
    return line.rstrip()


def crictl(case: Case) -> str:
    """``crictl run`` with its two files, and what the container wrote."""
    process, linux = case.config["process"], case.config.get("linux", {})
    container = {
        "metadata": {"name": IMAGE},
        "image": {"image": f"docker.io/library/{IMAGE}:latest"},
        "command": process["args"],
        "working_dir": process["cwd"],
        "envs": [dict(zip(("key", "value"), one.split("=", 1), strict=False)) for one in process.get("env", ())],
        "log_path": f"{IMAGE}.log",
        "linux": {"security_context": _context(case)},
    }
    pod = {
        "metadata": {"name": IMAGE, "namespace": "default", "uid": IMAGE, "attempt": 1},
        "log_directory": _LOGS,
        "linux": {
            "security_context": {"namespace_options": {"network": _POD if linux.get("sysctl") else _NODE}},
            "sysctls": dict(linux.get("sysctl", {})),
        },
    }
    return (
        f"docker save {IMAGE} | ctr -n k8s.io images import -\n"
        f"echo {shlex.quote(json.dumps(pod))} >pod.json\n"
        f"echo {shlex.quote(json.dumps(container))} >container.json\n"
        "crictl run --no-pull --runtime HANDLER container.json pod.json\n"
        f"cat {_LOGS}/{IMAGE}.log"
    )


def _context(case: Case) -> dict[str, Any]:
    """The container's ``LinuxContainerSecurityContext``."""
    process = case.config["process"]
    user, bounding = process["user"], _set(process, "bounding")
    context: dict[str, Any] = {
        "run_as_user": {"value": user["uid"]},
        "run_as_group": {"value": user["gid"]},
        "seccomp": {"profile_type": _UNCONFINED},
    }
    if user.get("additionalGids"):
        context["supplemental_groups"] = user["additionalGids"]
    if process.get("noNewPrivileges"):
        context["no_new_privs"] = True
    if case.config["root"].get("readonly"):
        context["readonly_rootfs"] = True
    if bounding != _USUAL:
        names = sorted(name.removeprefix("CAP_") for name in bounding)
        context["capabilities"] = {"drop_capabilities": ["ALL"], "add_capabilities": names}
    return context


def _flags(case: Case) -> str:
    process, linux = case.config["process"], case.config.get("linux", {})
    user, bounding = process["user"], _set(process, "bounding")
    words = ["--user", f"{user['uid']}:{user['gid']}", "--workdir", process["cwd"]]
    words += [word for gid in user.get("additionalGids", ()) for word in ("--group-add", str(gid))]
    words += [word for one in process.get("env", ()) for word in ("--env", one)]
    words += [word for name, value in linux.get("sysctl", {}).items() for word in ("--sysctl", f"{name}={value}")]
    words += [word for one in process.get("rlimits", ()) for word in ("--ulimit", _ulimit(one))]
    if case.config["root"].get("readonly"):
        words.append("--read-only")
    words += ["--security-opt", "seccomp=unconfined"]
    if process.get("noNewPrivileges"):
        words += ["--security-opt", "no-new-privileges"]
    if bounding != _USUAL:
        words += ["--cap-drop", "ALL"]
        words += [word for name in sorted(bounding) for word in ("--cap-add", name)]
    return shlex.join([*words, "--entrypoint", process["args"][0]])


def _ulimit(limit: Mapping[str, Any]) -> str:
    return f"{limit['type'].removeprefix('RLIMIT_').lower()}={limit['soft']}:{limit['hard']}"


def _args(case: Case) -> str:
    return shlex.join(case.config["process"]["args"][1:])
