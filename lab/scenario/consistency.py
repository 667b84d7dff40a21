"""What settings say that cannot be meant: names of fixtures that are none, words that no shell could split. Pure."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from lab.model.settings import Action, Process, Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Every contradiction in a cell's settings: its path and what was expected."""
    known = f"(there are: {', '.join(settings.fixtures) or 'none'})"
    for path, name in _fixture_names(settings):
        if name not in settings.fixtures:
            yield f"settings.{path}: no fixture {name!r} {known}"
    for index, place in enumerate(settings.host):
        if not place.startswith(("fixture:", "rootfs:/")):
            yield f"settings.host[{index}]: expected fixture:NAME/path or rootfs:/path, not {place!r}"
    for number in settings.caller.fds:
        if not number.isdecimal():
            yield f"settings.caller.fds.{number}: expected the number of a descriptor"
    if settings.action is Action.EXEC and settings.exec is None:
        yield "settings.exec: expected the process that is to exec, as the action is exec"
    if not (math.isfinite(settings.deadline) and settings.deadline > 0):
        yield f"settings.deadline: expected a number of seconds above 0, not {settings.deadline}"
    yield from _steps("process", settings.process)
    if settings.exec is not None:
        yield from _steps("exec", settings.exec)


def _fixture_names(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every place that names a fixture, and the name."""
    for index, mount in enumerate(settings.mounts):
        if mount.fixture is not None:
            yield f"mounts[{index}].fixture", mount.fixture
    for index, place in enumerate(settings.host):
        kind, _, rest = place.partition(":")
        if kind == "fixture":
            yield f"host[{index}]", rest.partition("/")[0]
    for number, name in settings.caller.fds.items():
        yield f"caller.fds.{number}", name
    if settings.caller.stdio_fixture is not None:
        yield "caller.stdio_fixture", settings.caller.stdio_fixture


def _steps(path: str, process: Process) -> Iterator[str]:
    for index, step in enumerate(process.steps):
        try:
            shlex.split(step)
        except ValueError as error:
            yield f"settings.{path}.steps[{index}]: {error} in {step!r}"
