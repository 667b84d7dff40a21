"""Where pytest meets the plugin: its options and hooks, and nothing of the lab before somebody asks for it.

Every pytest of an environment that has permlab imports this module (entry point ``pytest11``), most of them for tests
that have nothing to do with it. So it imports nothing but pytest, adds no fixture, no header and no mark but its own
(``permlab``) until a scenario file is collected, and leaves the options ``--runtime`` and ``--engine`` to whoever else
has them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator
from pathlib import Path

import pytest

GROUP = "permlab"
SHORT = ("--runtime", "--engine")
"""Options that also have a longer name (``--permlab-runtime``), which nobody else has."""

SCHEMA = b"scenario.schema.json"
"""The end of what a scenario file names in its ``#:schema`` line."""
RUNS: pytest.StashKey[list[str]] = pytest.StashKey()
"""The ids of the runs that this process writes."""
_HEAD = 2048
"""Bytes of a file that are searched for one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that can clash with nobody's."""
    for name in SHORT:
        _add(parser, f"--permlab-{name.removeprefix('--')}", f"As {name}, which another plugin may have taken.")
    parser.getgroup(GROUP).addoption(
        "--permlab-run",
        action="append",
        default=[],
        metavar="RUN",
        help="Run nothing: judge what a stored run holds (an id, the start of one, or latest). May be repeated.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None]:
    """Add the short options when everybody else has added theirs: a conftest.py may have an ``--engine`` of its own."""
    yield
    texts = {
        "--runtime": "Runtimes instead of a scenario's own, as `permlab run --runtimes`: a name such as "
        "runc@1.0.0-rc93, a range, default or all; commas between several. May be repeated.",
        "--engine": "Only cells of an engine (docker), a version of it (docker@20.10.5) or a range. May be repeated.",
    }
    groups = parser._groups  # noqa: SLF001  # pytest has no other way to ask what options there are
    taken = {name for group in groups for option in group.options for name in option.names()}
    for name, text in texts.items():
        if name not in taken:
            _add(parser, name, text)


def _add(parser: pytest.Parser, name: str, text: str) -> None:
    words = name.removeprefix("--").removeprefix("permlab-")
    parser.getgroup(GROUP).addoption(
        name,
        dest=f"permlab_{words}",
        action="append",
        default=[],
        metavar={"runtime": "SPEC", "engine": "NAME"}[words],
        help=text,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Look at the plugin's options, where there are any: a bad one ends pytest before it collects."""
    config.addinivalue_line("markers", PERMLAB_MARK)
    asked = (config.getoption(f"permlab_{name}", default=[]) for name in ("runtime", "engine", "run"))
    if any(asked) or config.getoption("markers", default=False):
        from lab.pytest_plugin.choice import activate  # noqa: PLC0415  # see the module's text

        activate(config)


PERMLAB_MARK = (
    "permlab(scenario, runtime, ...): run this test once in each chosen cell, with the cell's container as `host`"
)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with the mark ``permlab`` its cells."""
    mark = metafunc.definition.get_closest_marker("permlab")
    if mark is None:
        return
    if importlib.util.find_spec("testinfra") is None:
        pytest.fail("the mark permlab needs pytest-testinfra: pip install 'permlab[testinfra]'", pytrace=False)
    from lab.pytest_plugin.host import parametrize  # noqa: PLC0415  # see the module's text

    parametrize(metafunc, mark)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenario files: those that name the schema, and those that are named on the command line."""
    if file_path.suffix != ".toml":
        return None
    named = parent.session.isinitpath(file_path)
    if not named and not _names_schema(file_path):
        return None
    from lab.pytest_plugin.collecting import scenario_file  # noqa: PLC0415  # see the module's text

    return scenario_file(file_path, parent, certain=not named)


def _names_schema(path: Path) -> bool:
    """Whether a line near a file's top is ``#:schema`` with an address that ends as that of scenario files."""
    try:
        with path.open("rb") as stream:
            lines = stream.read(_HEAD).splitlines()
    except OSError:
        return False
    return any(line.startswith(b"#:schema ") and line.rstrip().endswith(SCHEMA) for line in lines)


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, object] | None:
    """Say in ``-v`` what a cell that passed showed, where that is no success of its container."""
    shown = _property(report, "permlab-shown")
    if not shown or report.when != "call" or not report.passed or hasattr(report, "wasxfail"):
        return None
    return "passed", ".", (f"PASSED ({shown})", {"green": True})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell which runs hold what was measured, and how to look at it."""
    reports = (report for reports in terminalreporter.stats.values() for report in reports)
    of_workers = (_property(report, "permlab-run") for report in reports)  # known by their reports only
    found = {*terminalreporter.config.stash.get(RUNS, []), *of_workers} - {""}
    if found:
        from lab.pytest_plugin.summary import tell_runs  # noqa: PLC0415  # see the module's text

        tell_runs(terminalreporter, sorted(found))


def _property(report: object, name: str) -> str:
    """What a report's properties say of a name; other people's properties may be of any kind."""
    pairs = getattr(report, "user_properties", None) or ()
    return next(
        (str(pair[1]) for pair in pairs if isinstance(pair, list | tuple) and pair[:1] in ((name,), [name])), ""
    )
