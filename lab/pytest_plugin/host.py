"""Users' own tests in cells: the mark ``permlab`` chooses them, and ``host`` is the container of each.

``host`` is a host of pytest-testinfra, which has a fixture of this name for other connections: a test with the mark
gets its values as parameters, so that fixture is not asked, and a test without the mark is left alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lab.errors import InputError, LabError
from lab.inside.backend import CellBackend, host_of
from lab.inside.holding import NotRunning, hold
from lab.library import load, plan
from lab.model.record import Record
from lab.model.scenario import Task
from lab.model.verdict import Denied, Errored, Failed, Skipped, Verdict
from lab.provision.toolbox import toolbox
from lab.pytest_plugin.bench import Bench, open_bench
from lab.pytest_plugin.choice import Choice, activate
from lab.pytest_plugin.collecting import CellItem, marks_of
from lab.pytest_plugin.failure import LabFault, as_report
from lab.report.escape import escape_text
from lab.report.expectations import held
from lab.report.words import again_command, found_words, repro_command, reproducible, show_command
from lab.scenario.expand import fits
from lab.scenario.load import shipped_directory
from lab.scenario.resolve import expectation_of
from lab.scenario.write import text_of

NAME = "host"
_THEIRS = "_testinfra_host"
"""The fixture of pytest-testinfra that is parametrised over its own connections."""

_WORDS = ("scenario", "runtime", "engine", "cell", "where")


@dataclass(slots=True)
class Chosen:
    """The value of ``host`` in one test: a task, and the backend that is bound to its container."""

    task: Task
    backend: CellBackend


@dataclass(slots=True)
class Holder:
    """The one container that is held now, for the tests of one module, and what it refused to become."""

    key: tuple[str, str] | None = None
    backend: CellBackend | None = None
    ended: NotRunning | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    def let_go(self) -> None:
        """End the container."""
        if self.backend is not None:
            self.backend.bind(None)
        self.key = self.backend = self.ended = None
        self.closing.close()


HOLDER: pytest.StashKey[Holder] = pytest.StashKey()
HOSTS: pytest.StashKey[dict[tuple[str, str], tuple[Task, Host]]] = pytest.StashKey()
"""The one host of each cell (its scenario's path, its id): pytest runs tests together that have the same one."""


def parametrize(metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
    """Let a test run once in each cell that its mark chooses."""
    if NAME not in metafunc.fixturenames:
        pytest.fail(
            f"{metafunc.definition.nodeid}: a test with the mark permlab takes the argument `host`", pytrace=False
        )
    tasks, fault = _tasks_or_fault(mark, activate(metafunc.config), metafunc.definition.path.parent)
    if fault:
        pytest.fail(f"{metafunc.definition.nodeid}: {fault}", pytrace=False)
    metafunc.config.pluginmanager.import_plugin(__name__)  # for the hooks below
    if _THEIRS in metafunc.fixturenames:
        metafunc.fixturenames.remove(_THEIRS)  # before its plugin parametrises it: no other connection is asked
    known = metafunc.config.stash.setdefault(HOSTS, {})
    hosts = [known.setdefault((task.scenario.path, task.cell.id), (task, host_of(task.cell.id)))[1] for task in tasks]
    values = [
        pytest.param(host, id=task.cell.id, marks=tuple(marks_of(task)))
        for task, host in zip(tasks, hosts, strict=True)
    ]
    metafunc.parametrize(NAME, values, scope="module")


def _tasks_or_fault(mark: pytest.Mark, choice: Choice, beside: Path) -> tuple[list[Task], str]:
    try:
        return _tasks(mark, choice, beside), ""
    except LabError as error:
        return [], str(error)


def _tasks(mark: pytest.Mark, choice: Choice, beside: Path) -> list[Task]:
    """The cells that the mark chooses; the options --runtime and --engine go before its own words.

    A scenario's file is looked for in ``beside``, the directory of the test's own file, before anywhere else.
    """
    words: dict[str, Any] = {**dict(zip(_WORDS, mark.args, strict=False)), **mark.kwargs}
    unknown = sorted(set(words) - set(_WORDS))
    if len(mark.args) > 1 or unknown or not words.get("scenario"):
        raise InputError(
            f"the mark permlab takes {', '.join(_WORDS)}",
            details=f"it does not know {', '.join(unknown)}" if unknown else "scenario must be given",
            resolution='for example @pytest.mark.permlab("chdir-cwd", runtime="runc@1.1.5", where=\'caps == "cri"\')',
        )
    chosen = plan(
        [load(beside / name if (beside / name).is_file() else name) for name in _several(words["scenario"])],
        runtimes=choice.runtimes or _several(words.get("runtime", ())),
        cells=_several(words.get("cell", ())),
        where=words.get("where"),
    )
    engines = choice.engines or tuple(_several(words.get("engine", ())))
    tasks = [
        Task(scenario=one.scenario, cell=cell)
        for one in chosen.scenarios
        for cell in one.cells
        if not engines or fits(engines, cell.value("engine"))
    ]
    if not tasks and not (choice.runtimes or choice.engines):
        raise InputError("no cell is selected", resolution="see what there is with `permlab plan SCENARIO --ids`")
    return tasks


def _several(words: str | Sequence[str]) -> Sequence[str]:
    return (words,) if isinstance(words, str) else words


def _chosen(item: pytest.Item) -> Chosen | None:
    """What an item's ``host`` stands for; ``None`` where it is none of ours."""
    callspec = getattr(item, "callspec", None)
    backend = getattr(callspec.params.get(NAME), "backend", None) if callspec is not None else None
    if not isinstance(backend, CellBackend):
        return None
    return next(Chosen(task, backend) for task, host in item.config.stash[HOSTS].values() if host.backend is backend)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold the container of the test's cell; a test of the same module and cell before it has left it running."""
    chosen = _chosen(item)
    if chosen is None:
        return
    if activate(item.config).runs:
        pytest.skip("--permlab-run judges what is stored: no container is started")
    holder = item.config.stash.setdefault(HOLDER, Holder())
    key = _key(item)
    if holder.key != key:
        holder.let_go()
        holder.key, holder.backend = key, chosen.backend
        _hold(item, chosen, holder)
    verdict = holder.ended.verdict if holder.ended is not None else None
    if isinstance(verdict, Skipped):
        pytest.skip(escape_text(verdict.reason))
    if isinstance(verdict, Errored):
        raise _not_running(chosen.task, verdict)


def _key(item: pytest.Item) -> tuple[str, str] | None:
    """What tests of one container have in common: their module and their cell."""
    chosen = _chosen(item)
    return None if chosen is None else (item.nodeid.partition("::")[0], chosen.task.cell.id)


def _hold(item: pytest.Item, chosen: Chosen, holder: Holder) -> None:
    try:
        bench = _bench(item)
        bench.supply([one.task for one in map(_chosen, item.session.items) if one is not None])
        _trust(bench, chosen.task)
        tools = toolbox(bench.session.cache)
        with bench.interruptible():
            held = holder.closing.enter_context(hold(bench.session, chosen.task))
    except NotRunning as ended:
        holder.ended = ended
    except LabError as error:
        holder.ended = NotRunning(Errored(reason=str(error)))
    else:
        chosen.backend.bind(held, tools)


def _trust(bench: Bench, task: Task) -> None:
    """Refuse a runtime whose control cells do not show what they must."""
    broken = bench.broken_controls(task)
    if broken:
        look = f"{show_command(broken[0])} --run {bench.session.header.id}"
        runtime = task.cell.value("runtime")
        raise NotRunning(Errored(reason=f"void: a control cell of {runtime} did not show what it must: {look}"))


def _bench(item: pytest.Item) -> Bench:
    items = item.session.items
    files = {one.task.scenario.id: one.scenario_file.text for one in items if isinstance(one, CellItem)}
    ours = {one.task.scenario.id: one.task.scenario for one in map(_chosen, items) if one is not None}
    return open_bench(item.config, {name: text_of(scenario) for name, scenario in ours.items()} | files)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail the test of a cell whose container was refused: that is a finding, not an error."""
    chosen = _chosen(item)
    holder = item.config.stash.get(HOLDER, None)
    if chosen is None or holder is None:
        return
    if holder.ended is not None:
        raise _not_running(chosen.task, holder.ended.verdict)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report why there is no container to look into without a traceback; where the lab failed, as an error.

    pytest calls an error what fails in the setup of a test.
    """
    report = yield
    value = call.excinfo.value if call.excinfo is not None and _chosen(item) is not None else None
    if isinstance(value, LabFault):
        report.longrepr = as_report(value.text, brief=value.brief, path=item.path)
    elif isinstance(value, LabError):
        report.longrepr = as_report(str(value), brief=value.brief, path=item.path)
        report.when = "setup"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Let the container go when the next test wants another one, after the fixtures of this one have ended."""
    try:
        yield
    finally:
        key = _key(item)
        if key is not None and (nextitem is None or _key(nextitem) != key):
            item.config.stash.setdefault(HOLDER, Holder()).let_go()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let go what an interrupted test left, before the lab is closed."""
    holder = session.config.stash.get(HOLDER, None)
    if holder is not None:
        holder.let_go()


def _not_running(task: Task, verdict: Verdict) -> LabFault:
    """Why there is no container to look into, with the commands that show it."""
    path = Path(task.scenario.path)
    record = Record(
        cell=task.cell.id,
        scenario=task.scenario.id if path.parent == shipped_directory() else str(path),
        axes=dict(task.cell.axes),
        verdict=verdict,
        expectation=expectation_of(task.scenario, task.cell),
    )
    brief = f"the container does not run: {found_words(verdict)}"
    return LabFault(brief, "\n".join([brief, *(f"{name:<10}{line}".rstrip() for name, line in _facts(record))]))


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    verdict = record.verdict
    if isinstance(verdict, Denied | Failed):
        evidence = escape_text(verdict.evidence, lines=True).splitlines()
        yield from zip(("evidence", *[""] * len(evidence)), evidence, strict=False)
        yield "cause", f"{escape_text(verdict.cause)}, see docs/causes.md#{escape_text(verdict.cause)}"
    if record.expectation is not None and held(record):
        yield "expected", "yes, by its scenario: leave the cell out with `where`, or mark the test xfail"
    yield "", ""
    yield "again", again_command(record)
    if reproducible(record):
        yield "then", repro_command(record)
