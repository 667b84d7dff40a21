"""`permlab run`: provision, run, judge, store, report."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import click
from tqdm import tqdm

from lab.cli.common import (
    EXIT_INTERRUPTED,
    EXIT_NOT_HELD,
    check_where,
    load_named,
    runs_directory,
    runtime_words,
    selection,
    style,
    tell,
)
from lab.codec import read_text
from lab.engine.host import host_facts
from lab.engine.oci import OciEngine
from lab.engine.workspace import open_workspace
from lab.errors import InputError, StoreError
from lab.model.record import Record, Run, RunHeader
from lab.model.scenario import Scenario
from lab.provision.cache import Cache, default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.probe import probe
from lab.report.expectations import held
from lab.report.formats import RENDERERS, SUFFIXES
from lab.runner import Runner, Task
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS, find, parse
from lab.store import runs as store

EXIT_ENVIRONMENT = 3
WRITTEN = ("markdown", "json")
"""The formats that every run writes into its reports directory."""


class Ended(StrEnum):
    """How a run came to its end."""

    COMPLETE = "complete"
    STOPPED = "stopped at the first expectation that does not hold"
    INTERRUPTED = "interrupted"


@click.command("run")
@click.argument("scenarios", nargs=-1)
@selection
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For each call of a runtime, before what scenarios say (30 unless they say otherwise).",
)
@click.option("--resume", metavar="RUN", help="Continue a stored run that did not come to its end (an id, or last).")
@click.option("--fail-fast", is_flag=True, help="Stop at the first expectation that does not hold.")
@click.option(
    "--format", "form", type=click.Choice(sorted(RENDERERS)), default="terminal", show_default=True, help="Of stdout."
)
@click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where to write the Markdown and JSON reports.",
)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Run every cell of SCENARIOS in a real container and print the comparison matrix.

    A scenario is named (`permlab scenarios` lists the shipped ones) or given as a .toml file. What is missing
    (runtimes, images, the probe) is provisioned into the lab's own cache first; nothing is installed on the host.

    \b
    Examples:
      permlab run chdir-cwd
      permlab run chdir-cwd --runtimes 'runc>=1.0.0rc92,<1.1' --where 'caps == "cri"'
      permlab run my-scenario.toml -j 2 --format json > result.json
      permlab run --resume last
    """
    context.exit(run(**kwargs))


def run(
    scenarios: tuple[str, ...],
    *,
    patterns: tuple[str, ...],
    where: str | None,
    runtimes: str | None,
    jobs: int | None,
    deadline: float | None,
    resume: str | None,
    fail_fast: bool,
    form: str,
    reports: Path,
) -> int:
    """Run, report, and return the exit code."""
    cache = default_cache()
    words = runtime_words(runtimes)
    if resume is not None:
        if scenarios:
            raise InputError("--resume takes its scenarios from the stored run", resolution="leave the names out")
        path = store.find(runs_directory(), resume)
        header = store.read(path).header
        loaded = tuple(parse(text, id=name, where=f"{name} (stored)") for name, text in header.scenarios.items())
        tasks = plan(loaded, header.runtimes, header.patterns, header.where)
        writer = store.reopen(path)
    else:
        if not scenarios:
            raise InputError("no scenario is named", resolution="try `permlab run chdir-cwd` or `permlab scenarios`")
        texts = {path.stem: read_text(path) for path in (find(name) for name in (*scenarios, CONTROLS))}
        header = _header(texts, words, patterns, where)
        tasks = plan((*load_named(scenarios), *_controls(scenarios)), words, patterns, where)
        if not tasks:
            raise InputError("no cell is selected", resolution="see what there is with `permlab plan SCENARIO`")
        writer = store.create(runs_directory(), header)
    with writer:
        ended = _execute(cache, tasks, writer, jobs=jobs, deadline=deadline, fail_fast=fail_fast, form=form)
        if ended is Ended.COMPLETE:
            writer.finish()
    return _report(store.read(writer.path), form=form, reports=reports, ended=ended)


def plan(
    scenarios: Sequence[Scenario], words: tuple[str, ...], patterns: tuple[str, ...], where: str | None
) -> list[Task]:
    """The cells to run, controls first: for every runtime that a chosen cell uses, its control cells."""
    check_where(where, scenarios)
    releases = tuple(load_catalogue())
    asked = [scenario for scenario in scenarios if scenario.id != CONTROLS]
    tasks = [
        Task(scenario=scenario, cell=cell)
        for scenario in asked or scenarios
        for cell in select(expand(scenario, releases, words).cells, patterns, where)
    ]
    controls = [scenario for scenario in scenarios if scenario.id == CONTROLS and asked]
    used = tuple(dict.fromkeys(task.cell.value("runtime") for task in tasks))
    before = [
        Task(scenario=scenario, cell=cell)
        for scenario in controls
        for cell in (expand(scenario, releases, used).cells if used else ())
    ]
    return [*before, *tasks]


def _controls(scenarios: tuple[str, ...]) -> tuple[Scenario, ...]:
    return () if CONTROLS in {find(name).stem for name in scenarios} else load_named((CONTROLS,))


def _header(texts: dict[str, str], words: tuple[str, ...], patterns: tuple[str, ...], where: str | None) -> RunHeader:
    return RunHeader(
        id=store.new_run_id(),
        lab_version=metadata.version("permlab"),
        started=store.now(),
        host=host_facts(),
        argv=("permlab", *sys.argv[1:]),
        scenarios=texts,
        runtimes=words,
        patterns=patterns,
        where=where,
    )


def _execute(
    cache: Cache,
    tasks: list[Task],
    writer: store.RunWriter,
    *,
    jobs: int | None,
    deadline: float | None,
    fail_fast: bool,
    form: str,
) -> Ended:
    """Run what is not stored yet."""
    stored = store.read(writer.path)
    known = {record.cell for record in stored.records}
    todo = [task for task in tasks if task.cell.id not in known]
    program = probe(cache)
    workspace = open_workspace(writer.path.stem)
    engine = OciEngine(workspace=workspace, probe_layer=Path(program.layer), cache=cache)
    progress = _Progress(writer=writer, total=len(todo), form=form)
    runner = Runner(
        cache=cache,
        engines={engine.name: engine},
        writer=writer,
        listener=progress,
        probe_digest=program.sha256,
        jobs=jobs or len(os.sched_getaffinity(0)),
        deadline=deadline,
    )
    if fail_fast:
        progress.stop = runner.stop.set
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        runner.run(todo)
    except KeyboardInterrupt:
        return Ended.INTERRUPTED
    finally:
        progress.close()
        signal.signal(signal.SIGTERM, previous)
        engine.close()
    return Ended.STOPPED if runner.stop.is_set() else Ended.COMPLETE


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Tells the user what goes on, on stderr; shows the matrix so far, once, while slow builds still run."""

    writer: store.RunWriter
    total: int
    form: str
    stop: Callable[[], None] | None = None
    bar: tqdm[Any] = field(init=False)
    shown: bool = False

    def __post_init__(self) -> None:
        tqdm.monitor_interval = 0  # no thread of its own beside the lab's
        interval = 0.5 if sys.stderr.isatty() else 10.0  # a log needs a line now and then, not an animation
        self.bar = tqdm(total=self.total, unit="cell", file=sys.stderr, dynamic_ncols=True, mininterval=interval)

    def note(self, line: str) -> None:
        """A line above the bar."""
        self.bar.write(line, file=sys.stderr)

    def done(self, record: Record) -> None:
        """One more cell."""
        self.bar.update()
        if self.stop is not None and held(record) is False:
            self.note(f"{record.cell}: not as expected; stopping (--fail-fast)")
            self.stop()

    def pause(self) -> None:
        """The matrix so far, when at least half of it is there."""
        if self.shown or self.form != "terminal" or self.bar.n * 2 < self.total:
            return
        self.shown = True
        run = store.read(self.writer.path)
        with tqdm.external_write_mode(file=sys.stderr):
            click.echo(RENDERERS["terminal"](run, style()), nl=False)
            click.echo("(so far: the other runtimes are still being built)\n")

    def close(self) -> None:
        """End the bar."""
        self.bar.close()


def _report(run: Run, *, form: str, reports: Path, ended: Ended) -> int:
    click.echo(RENDERERS[form](run, style()), nl=False)
    name = "+".join(name for name in run.header.scenarios if name != CONTROLS) or CONTROLS
    try:
        reports.mkdir(parents=True, exist_ok=True)
        for kind in WRITTEN:
            (reports / f"{name}{SUFFIXES[kind]}").write_text(RENDERERS[kind](run, style()), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the reports cannot be written to {reports}", details=str(error), resolution="choose --reports DIR"
        ) from error
    tell(f"run {run.header.id} is stored; reports: {reports / name}.md, .json")
    if ended is not Ended.COMPLETE:
        tell(f"{ended}; continue with `permlab run --resume {run.header.id}`")
    if ended is Ended.INTERRUPTED:
        return EXIT_INTERRUPTED
    kinds = {record.verdict.kind for record in run.records}
    measured = kinds - {"skipped", "errored"}
    if measured and (run.void or any(held(record) is False for record in run.records)):
        return EXIT_NOT_HELD
    return EXIT_ENVIRONMENT if "errored" in kinds else 0
