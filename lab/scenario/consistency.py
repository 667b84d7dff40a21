"""What the settings of one cell say that cannot be meant together: fixtures that are none, an exec of nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lab.model.settings import Action, Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Every contradiction in a cell's settings: its path and what was expected."""
    for fault in missing_fixtures(settings, settings.fixtures):
        yield f"settings.{fault}"
    if settings.action is Action.EXEC and settings.exec is None:
        yield "settings.exec: expected the process that is to exec, as the action is exec"


def missing_fixtures(settings: Settings, known: Collection[str]) -> Iterator[str]:
    """Every place that names a fixture which is none of the known ones."""
    for path, name in _fixture_names(settings):
        if name not in known:
            yield f"{path}: no fixture {name!r} (there are: {', '.join(known) or 'none'})"


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
