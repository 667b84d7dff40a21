"""`permlab explain`: what makes a cell fail, and what cures it."""

from __future__ import annotations

from typing import Any

import click

from lab.bisection.bisect import Ending
from lab.cli.cells import answer, measuring, named_cell
from lab.explain.config import config_of
from lab.explain.cures import Cure, cures
from lab.explain.situation import situation
from lab.explain.variant import variant
from lab.explain.why import Tried, explain, near_runtimes, try_cures
from lab.explain.words import Explanation, explanation_data, explanation_markdown, explanation_text
from lab.model.scenario import Task
from lab.provision.cache import default_cache
from lab.provision.images import pull_image
from lab.report.causes import notes
from lab.scenario.resolve import resolve
from lab.store import runs as store

EXIT_CODES = {Ending.FOUND: 0, Ending.AGREE: 1, Ending.UNSTABLE: 1, Ending.UNKNOWN: 3}


@click.command("explain")
@click.argument("cell")
@click.option("--scenario", metavar="NAME", help="A shipped name or a .toml file, where CELL does not begin with it.")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of the cell: is it stable?"
)
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "markdown", "json"]), default="terminal", show_default=True
)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Explain why CELL fails: the smallest set of its settings that makes the failure, and one-change cures.

    CELL is a cell's id, a part of it, or a glob that fits one cell. Its neighbours (one axis changed) and mixes of it
    with one that passes are really run, and so is every cure, as a cell of a stored run of its own: ✔ it passes, ✘ it
    does not, ? it could not be told, and why. The sentence of the specification and the upstream threads of the cause
    stand below.

    \b
    Examples:
      permlab explain umask/distroless-static/runc-1.0.0-rc92/oci
      permlab explain 'chdir-cwd/*user=1000680000:0/cwd=image/caps=docker/*rc93/oci' --format markdown

    \b
    Exit codes:
      0    explained                      1    nothing to explain: the cell passes, or is not stable
      2    bad input                      3    the cell is unknown: it did not run
      130  interrupted
    """
    context.exit(run(**kwargs))


def run(cell: str, *, scenario: str | None, repeat: int, jobs: int | None, form: str) -> int:
    """Explain, print, and return the exit code."""
    task, texts = named_cell(cell, scenario)
    with measuring(texts, jobs=jobs) as bench:
        why = explain(bench, task, times=repeat, tell=bench.note)
        path = bench.session.writer.path
    found = Explanation(cell=task.cell.id, scenario=task.scenario.id, why=why)
    record = why.asked.record
    if why.ending is Ending.FOUND and why.answer is not None and record is not None:
        settings = resolve(task.scenario, task.cell).settings
        stored = store.read(path)
        config = config_of(stored, record, settings, pull_image(default_cache(), task.cell.value("image")))
        offered = cures(situation(stored, record, settings, config))
        checked = any(check.cause == why.answer.cause for check in settings.checks)
        tried, run_id = _tried(task, offered, checked=checked, jobs=jobs)
        found = Explanation(
            cell=task.cell.id,
            scenario=task.scenario.id,
            why=why,
            cures=tried,
            notes=notes().get(why.answer.cause),
            run=run_id,
        )
    text = explanation_markdown(found) if form == "markdown" else explanation_text(found)
    answer(form, text, explanation_data(found))
    return EXIT_CODES[why.ending]


def _tried(task: Task, offered: tuple[Cure, ...], *, checked: bool, jobs: int | None) -> tuple[tuple[Tried, ...], str]:
    """Every cure as a cell of a new run, and that run's id."""
    runtimes = near_runtimes(task.cell.value("runtime"))
    made = variant(task.scenario, task.cell, offered, runtimes, checked=checked)
    with measuring({made.scenario.id: made.text}, jobs=jobs) as bench:
        return try_cures(bench, made, offered, runtimes), bench.session.header.id
