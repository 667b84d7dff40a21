"""What can be seen of this host, for skips, for `permlab doctor` and for a run's header."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from lab.model.record import HostFacts
from lab.oci.capabilities import BY_NUMBER, names


def bounding_mask() -> int:
    """The capability bounding set of this process as a bit mask."""
    return _status_mask("CapBnd")


def effective_mask() -> int:
    """The effective capabilities of this process as a bit mask."""
    return _status_mask("CapEff")


def _status_mask(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1], 16)
    return 0


@cache
def capabilities() -> tuple[str, ...]:
    """The capabilities that a runtime called by this process would have, as far as the lab knows their names."""
    return names(effective_mask() & bounding_mask())


def missing_capabilities() -> tuple[str, ...]:
    """Known capabilities that this process does not have."""
    held = set(capabilities())
    return tuple(f"CAP_{name}" for name in BY_NUMBER if f"CAP_{name}" not in held)


@cache
def cgroup_layout() -> str:
    """``v2``, ``hybrid`` (v1 controllers beside an empty v2 tree), ``v1`` or ``none``."""
    kinds = [
        (fields[4], fields[fields.index("-") + 1])
        for fields in (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
        if fields[4].startswith("/sys/fs/cgroup")
    ]
    if ("/sys/fs/cgroup", "cgroup2") in kinds:
        return "v2"
    if any(kind == "cgroup2" for _, kind in kinds):
        return "hybrid"
    return "v1" if any(kind == "cgroup" for _, kind in kinds) else "none"


@cache
def user_namespaces() -> str | None:
    """Why an ordinary user cannot make a user namespace here, or ``None``."""
    for path, refused in (
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        try:
            if Path(path).read_text().strip() == refused:
                return f"{path} is {refused}"
        except OSError:
            continue
    return None


def host_facts() -> HostFacts:
    """The machine as a run's header records it."""
    try:
        lsms = Path("/sys/kernel/security/lsm").read_text().strip()
    except OSError:
        lsms = "unknown"
    try:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        release = ""
    return HostFacts(
        kernel=platform.release(),
        machine=platform.machine(),
        cgroups=cgroup_layout(),
        lsms=lsms,
        uid=os.geteuid(),
        capabilities=f"{effective_mask():016x}",
        os=release,
        cpus=len(os.sched_getaffinity(0)),
    )


def searchable(path: Path) -> bool:
    """Whether every user may search all directories above a file."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
