"""The same case through an engine, as a command line, where the engine has words for all of it. Pure.

These lines are written from config.json; no engine was asked.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from lab.model.settings import Action
from lab.repro.case import Case

_OWN = {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"}  # noqa: S108  # the container's
"""Mounts that every engine makes by itself."""
IMAGE = "repro"


def inexpressible(case: Case) -> tuple[str, ...]:
    """Why no engine's command line says what the case says; empty when one does."""
    return tuple(_reasons(case))


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
    effective = config["process"].get("capabilities", {}).get("effective")
    if effective and config["process"]["user"]["uid"]:
        yield "a user other than root has effective capabilities, which Docker and podman never give (the CRI does)"
    if config["process"]["user"].get("umask") is not None:
        yield "it sets a umask"


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
    """``crictl run`` with its two files."""
    process = case.config["process"]
    user = process["user"]
    context: dict[str, Any] = {"run_as_user": {"value": user["uid"]}, "run_as_group": {"value": user["gid"]}}
    if user.get("additionalGids"):
        context["supplemental_groups"] = user["additionalGids"]
    if process.get("noNewPrivileges"):
        context["no_new_privs"] = True
    if case.config["root"].get("readonly"):
        context["readonly_rootfs"] = True
    if "capabilities" in process:
        names = [name.removeprefix("CAP_") for name in process["capabilities"].get("bounding", ())]
        context["capabilities"] = {"drop_capabilities": ["ALL"], "add_capabilities": names}
    container = {
        "metadata": {"name": IMAGE},
        "image": {"image": f"docker.io/library/{IMAGE}:latest"},
        "command": process["args"],
        "working_dir": process["cwd"],
        "envs": [dict(zip(("key", "value"), one.split("=", 1), strict=False)) for one in process.get("env", ())],
        "linux": {"security_context": context},
    }
    pod = {"metadata": {"name": IMAGE, "namespace": "default", "uid": IMAGE, "attempt": 1}, "linux": {}}
    return (
        f"docker save {IMAGE} | ctr -n k8s.io images import -\n"
        f"echo {shlex.quote(json.dumps(pod))} >pod.json\n"
        f"echo {shlex.quote(json.dumps(container))} >container.json\n"
        "crictl run --no-pull --runtime HANDLER container.json pod.json"
    )


def _flags(case: Case) -> str:
    process, linux = case.config["process"], case.config.get("linux", {})
    user = process["user"]
    words = ["--user", f"{user['uid']}:{user['gid']}", "--workdir", process["cwd"]]
    words += [word for gid in user.get("additionalGids", ()) for word in ("--group-add", str(gid))]
    words += [word for one in process.get("env", ()) for word in ("--env", one)]
    words += [word for name, value in linux.get("sysctl", {}).items() for word in ("--sysctl", f"{name}={value}")]
    words += [word for one in process.get("rlimits", ()) for word in ("--ulimit", _ulimit(one))]
    if case.config["root"].get("readonly"):
        words.append("--read-only")
    if process.get("noNewPrivileges"):
        words += ["--security-opt", "no-new-privileges"]
    if "capabilities" in process:
        words += ["--cap-drop", "ALL"]
        words += [word for name in process["capabilities"].get("bounding", ()) for word in ("--cap-add", name)]
    return shlex.join([*words, "--entrypoint", process["args"][0]])


def _ulimit(limit: Mapping[str, Any]) -> str:
    return f"{limit['type'].removeprefix('RLIMIT_').lower()}={limit['soft']}:{limit['hard']}"


def _args(case: Case) -> str:
    return shlex.join(case.config["process"]["args"][1:])
