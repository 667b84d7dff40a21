"""Programs run in a held container, as its process is, with the toolbox at hand."""

from __future__ import annotations

from dataclasses import dataclass

from lab import process
from lab.errors import EngineError
from lab.inside.holding import Held
from lab.provision.toolbox import PLACE, Toolbox

FAULT = 125
"""Exit code of the entering program where it could not enter (``lab/inside/enter.c``)."""

OUTPUT_LIMIT = 16 << 20
"""Bytes of each stream; more is refused, because a test must not judge by half an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a program in a container did: its exit code (128 + N for signal N) and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def run_inside(held: Held, toolbox: Toolbox, command: str, *, deadline: float) -> Ran:
    """Run a command of the toolbox's shell in a container.

    It has the namespaces, root, working directory, user, groups, umask, capabilities and environment of the container's
    process, and the toolbox before its own ``PATH``. Raises :class:`EngineError` where the container cannot be entered,
    the command does not end within ``deadline`` seconds, or it writes more than is kept.
    """
    argv = (toolbox.enter, str(held.pid), toolbox.root, str(PLACE), str(PLACE / "bin" / "sh"), "-c", command)
    done = process.run(argv, deadline=deadline, output_limit=OUTPUT_LIMIT)
    said = done.stderr.decode("utf-8", "replace")
    if done.timed_out:
        raise EngineError(f"the command did not end within {deadline:g} s", details=command)
    if done.returncode == FAULT and said.startswith("enter: "):
        raise EngineError(f"the container of {held.task.cell.id} cannot be entered", details=said.strip())
    if done.truncated:
        raise EngineError(f"the command wrote more than {OUTPUT_LIMIT:,} bytes", details=command)
    return Ran(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
