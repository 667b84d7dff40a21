"""`permlab run`: provision, run, judge, store, report."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import click

from lab.cli.common import (
    EXIT_INTERRUPTED,
    EXIT_NOT_HELD,
    RELEASES,
    load_named,
    release_words,
    runtime_words,
    selection,
    style,
    tell,
)
from lab.cli.progress import Progress, interruptible
from lab.errors import InputError, StoreError
from lab.library import begin, plan
from lab.model.record import Record, Run
from lab.model.scenario import Task
from lab.provision.cache import Cache, default_cache
from lab.report.expectations import held
from lab.report.formats import RENDERERS, SUFFIXES
from lab.scenario.load import CONTROLS, parse
from lab.session import Session, open_session, tasks_of
from lab.store import runs as store

EXIT_ENVIRONMENT = 3
NAMED = 3
"""Scenarios that a report's file name lists; a name has 255 bytes at most."""

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
@RELEASES
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For each call of a runtime, before what scenarios say (30 unless they say otherwise).",
)
@click.option(
    "--docker-host",
    metavar="ADDRESS",
    help="Your own Docker daemon for the engine docker (unix://…, or `context`), instead of one that the lab starts.",
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
      permlab run chdir-cwd --release debian-12,debian-13
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
    releases: str | None,
    jobs: int | None,
    deadline: float | None,
    docker_host: str | None,
    resume: str | None,
    fail_fast: bool,
    form: str,
    reports: Path,
) -> int:
    """Run, report, and return the exit code."""
    if deadline is not None and math.isnan(deadline):  # click's range lets it pass
        raise InputError("--deadline takes a number of seconds above 0, not nan")
    cache = default_cache()
    if resume is not None:
        if scenarios:
            raise InputError("--resume takes its scenarios from the stored run", resolution="leave the names out")
        path = store.find(store.runs_directory(), resume)
        header = store.read(path).header
        loaded = tuple(parse(text, id=name, where=f"{name} (stored)") for name, text in header.scenarios.items())
        tasks = tasks_of(loaded, header.runtimes, header.patterns, header.where)
        writer = store.reopen(path)
    else:
        if not scenarios:
            raise InputError("no scenario is named", resolution="try `permlab run chdir-cwd` or `permlab scenarios`")
        chosen = plan(
            load_named(scenarios),
            runtimes=runtime_words(runtimes),
            releases=release_words(releases),
            cells=patterns,
            where=where,
        )
        writer, tasks = begin(chosen, argv=sys.argv[1:])
    with writer:
        ended = _execute(
            cache, tasks, writer, jobs=jobs, deadline=deadline, docker_host=docker_host, fail_fast=fail_fast, form=form
        )
        if ended is Ended.COMPLETE:
            writer.finish()
    return _report(store.read(writer.path), form=form, reports=reports, ended=ended)


def _execute(
    cache: Cache,
    tasks: list[Task],
    writer: store.RunWriter,
    *,
    jobs: int | None,
    deadline: float | None,
    docker_host: str | None,
    fail_fast: bool,
    form: str,
) -> Ended:
    """Run what is not stored yet."""
    progress = Progress(so_far=partial(_show, writer.path) if form == "terminal" else None)
    with (
        interruptible() as interruption,
        open_session(cache, writer, progress, jobs=jobs, deadline=deadline, docker_host=docker_host) as session,
        progress,
    ):
        interruption.reaches(session)
        progress.expect(sum(task.cell.id not in session.records for task in tasks))
        if fail_fast:
            progress.watch = partial(_fail_fast, session, progress)
        with suppress(KeyboardInterrupt):
            session.run(tasks)
    if session.interrupted:
        return Ended.INTERRUPTED
    return Ended.STOPPED if session.stop.is_set() else Ended.COMPLETE


def _fail_fast(session: Session, progress: Progress, record: Record) -> None:
    if held(record) is False:
        progress.note(f"{record.cell}: not as expected; stopping (--fail-fast)")
        session.stop.set()


def _show(path: Path) -> None:
    """The matrix as it is now, while the rest still runs."""
    click.echo(RENDERERS["terminal"](store.read(path), style()), nl=False)
    click.echo("(so far: the other runtimes are still being built)\n")


def _report(run: Run, *, form: str, reports: Path, ended: Ended) -> int:
    click.echo(RENDERERS[form](run, style()), nl=False)
    names = [name for name in run.header.scenarios if name != CONTROLS] or [CONTROLS]
    name = "+".join(names) if len(names) <= NAMED else f"{names[0]}+{len(names) - 1}-more"
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
    return EXIT_INTERRUPTED if ended is Ended.INTERRUPTED else exit_code(run)


def exit_code(run: Run) -> int:
    """Whether all expectations held; an errored cell is a fault of the lab or the host, never one that did not."""
    measured = [record for record in run.records if record.verdict.kind not in {"skipped", "errored"}]
    if measured and (run.void or any(held(record) is False for record in measured)):
        return EXIT_NOT_HELD
    return EXIT_ENVIRONMENT if any(record.verdict.kind == "errored" for record in run.records) else 0
