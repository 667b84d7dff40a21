"""Verdicts: what is concluded from an observation. Consumed with ``match`` and ``assert_never``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Phase(StrEnum):
    """Where in a container's life something was refused, in order."""

    ADMISSION = "admission"
    CREATE = "create"
    MOUNT = "mount"
    CHDIR = "chdir"
    EXEC = "exec"
    PROCESS = "process"
    HOST_AFTER = "host-after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The container started, ran to its end, and every check held."""

    kind: Literal["passed"] = "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A permission or an identity stood in the way."""

    cause: str
    phase: Phase
    evidence: str
    kind: Literal["denied"] = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The container failed, but not for a permission that the lab recognises."""

    cause: str
    phase: Phase
    evidence: str
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """This host cannot run the cell; says nothing about the container."""

    reason: str
    kind: Literal["skipped"] = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errored:
    """The lab or an engine broke; says nothing about the container."""

    reason: str
    kind: Literal["errored"] = "errored"


Verdict = Passed | Denied | Failed | Skipped | Errored

VERDICT_KINDS = ("passed", "denied", "failed", "skipped", "errored")
