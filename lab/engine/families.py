"""What differs between the runtimes' command lines; the verbs and most flags are those of runc."""

from __future__ import annotations

from collections.abc import Mapping

from lab.model.runtime import Family

GLOBAL_FLAGS: Mapping[Family, tuple[str, ...]] = {
    Family.RUNC: (),
    Family.CRUN: (),
    Family.YOUKI: (),
    # gVisor: a kernel of its own in user space, which needs neither KVM, nor the host's network, nor cgroups
    Family.RUNSC: ("--platform=systrap", "--network=none", "--ignore-cgroups"),
}


def command(family: Family, binary: str, state: str, flags: tuple[str, ...], verb: str) -> tuple[str, ...]:
    """The start of an argv: binary, state directory, flags, verb."""
    return (binary, "--root", state, *GLOBAL_FLAGS[family], *flags, verb)
