"""Observations: the raw facts of one cell's run. Nothing here is a judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Fact = Mapping[str, object]
"""One JSON object: a line that the probe printed."""


DERIVED = "derived from the rule, not measured"
"""What a refusal begins with that the lab has worked out from an admission rule: no platform has said it here."""


class Reached(StrEnum):
    """How far the container was seen to come."""

    NOTHING = "nothing"
    CREATED = "created"
    STARTED = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a runtime or engine, and how it ended. ``returncode`` is -N for a death by signal N.

    ``stdout`` holds only what the runtime itself said; the container's stdout is ``Observation.output``.
    """

    verb: str
    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFact:
    """What ``lstat`` says of one path on the host; ``type`` is ``""`` where the path does not exist."""

    path: str
    type: str = ""
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that was seen of one cell.

    ``output`` is what the container's process wrote to its stdout (for the ``exec`` action: the exec'd process), with
    the probe's facts as JSON lines; ``lab.codec.decode_facts`` reads them. ``exit_code`` is the process's, where it
    started. ``refusal`` is the text of a refusal before any runtime was called: the conversion of image and cell to a
    runtime spec, or an admission rule. ``fault`` is set when the lab itself or the runtime's machinery broke in a
    way that says nothing about the container: a deadline, a missing binary, a mount of the lab's own that failed.
    """

    calls: tuple[Call, ...] = ()
    reached: Reached = Reached.NOTHING
    exit_code: int | None = None
    output: bytes = b""
    host_before: tuple[HostFact, ...] = ()
    host_after: tuple[HostFact, ...] = ()
    refusal: str | None = None
    fault: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
