"""The five capability sets that a policy stands for."""

from __future__ import annotations

from typing import assert_never

from lab.model.settings import CapabilityPolicy, CapabilitySets

DOCKER_DEFAULT = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""The 14 default capabilities of Docker and of containerd's CRI plugin."""

BY_NUMBER = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
)
"""Capability names in kernel order (include/uapi/linux/capability.h), as far as runc 1.0.0-rc9 knows them."""


def names(mask: int) -> tuple[str, ...]:
    """The capabilities of a kernel bit mask (``CapBnd`` of /proc/PID/status) that every runtime version knows."""
    return tuple(f"CAP_{name}" for bit, name in enumerate(BY_NUMBER) if mask >> bit & 1)


def sets_for(policy: CapabilityPolicy | CapabilitySets, uid: int, caller: tuple[str, ...]) -> CapabilitySets | None:
    """The sets of a policy for a process of ``uid``; ``caller`` is what the caller of the runtime has.

    ``None`` means no ``process.capabilities`` at all.
    """
    if isinstance(policy, CapabilitySets):
        return policy
    match policy:
        case CapabilityPolicy.DEFAULT | CapabilityPolicy.DOCKER:
            held = DOCKER_DEFAULT if uid == 0 else ()
            return CapabilitySets(bounding=DOCKER_DEFAULT, effective=held, permitted=held)
        case CapabilityPolicy.CRI:
            return CapabilitySets(bounding=DOCKER_DEFAULT, effective=DOCKER_DEFAULT, permitted=DOCKER_DEFAULT)
        case CapabilityPolicy.NONE:
            return CapabilitySets()
        case CapabilityPolicy.ALL:
            return CapabilitySets(bounding=caller, effective=caller, permitted=caller)
        case CapabilityPolicy.ABSENT:
            return None
        case _:
            assert_never(policy)


def full_name(name: str) -> str:
    """``CAP_CHOWN`` for ``CHOWN``, ``cap_chown`` or ``CAP_CHOWN``."""
    upper = name.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"
