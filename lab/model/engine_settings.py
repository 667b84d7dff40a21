"""What a cell can say to one engine only, in the words of that engine's own interface.

A cell that says a word of an engine and runs on another one is skipped: nothing that a cell says is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerWords:
    """Words of the Docker Engine API (``POST /containers/create``, mostly its ``HostConfig``), in snake case.

    ``security_opt`` as on the command line (``seccomp=unconfined``, ``label=disable``). ``binds`` are
    ``source:destination[:options]`` with ``${fixture:NAME}`` for a fixture's host path; ``volumes`` are the same with
    the name of a volume, made for the cell, in the place of the source. ``tmpfs`` maps a destination to its options.
    ``devices`` are ``host:container:rwm``. ``network_mode``, unless said otherwise, is ``container:`` of one that the
    lab keeps for this, or ``none`` where a step looks at the network or the host name: a cell needs no network, and
    making a namespace for one costs more than the rest. ``userns_remap`` is the daemon's option of this name, not the
    container's: (first id, size) of the range that every container of that daemon is mapped to; ``userns_mode`` =
    ``host`` takes one container out of it.
    """

    init: bool | None = None
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    userns_mode: str | None = None
    userns_remap: tuple[int, int] | None = None
    network_mode: str | None = None
    ipc_mode: str | None = None
    pid_mode: str | None = None
    cgroupns_mode: str | None = None
    binds: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanWords:
    """Words of `podman create`, as on its command line.

    ``userns`` is ``keep-id``, ``auto``, ``nomap`` or ``host`` (with their options). ``volumes`` are
    ``${fixture:NAME}:destination[:options]``, whose options include podman's own ``U`` (chown the source) and
    ``idmap``. ``tmpfs`` maps a destination to its options. A map of ids is ``linux.uid_mappings``, a rootless podman
    ``caller.rootless``.
    """

    init: bool = False
    privileged: bool = False
    userns: str | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CriWords:
    """Words of the Kubernetes CRI and of the kubelet's pod that become such words.

    ``cap_add`` and ``cap_drop`` are names without ``CAP_``, or ``ALL``. ``supplemental_groups`` are the pod's (a
    kubelet adds ``fsGroup`` to them). ``seccomp`` is a profile's type; without one, and without ``linux.seccomp``, it
    is ``Unconfined``, as for a pod that names none. ``run_as_non_root`` is a rule that a kubelet applies before it asks
    containerd: what it says is derived from the rule, not measured.
    """

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    supplemental_groups: tuple[int, ...] = ()
    seccomp: Literal["RuntimeDefault", "Unconfined"] | None = None
    run_as_non_root: bool = False
