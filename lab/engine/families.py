"""What differs between the runtimes' command lines; the verbs and most flags are those of runc."""

from __future__ import annotations

from lab.model.runtime import Family, RuntimeName
from lab.scenario.versions import key

_SYSTRAP_SINCE = "20230101"
"""gVisor's releases from here on know ``systrap``; Debian 12's of December 2022 does not (``unknown platform``)."""


def global_flags(name: RuntimeName) -> tuple[str, ...]:
    """Flags that stand before every verb.

    gVisor is a kernel of its own in user space; these make it need neither KVM, nor the host's network, nor cgroups.
    """
    if name.family is not Family.RUNSC:
        return ()
    platform = "systrap" if key(name.version) >= key(_SYSTRAP_SINCE) else "ptrace"
    return (f"--platform={platform}", "--network=none", "--ignore-cgroups")


def command(name: RuntimeName, binary: str, state: str, flags: tuple[str, ...], verb: str) -> tuple[str, ...]:
    """The start of an argv: binary, state directory, flags, verb."""
    return (binary, "--root", state, *global_flags(name), *flags, verb)
