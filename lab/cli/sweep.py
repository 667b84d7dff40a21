"""`permlab sweep`: every version, and every flip."""

from __future__ import annotations

from typing import Any

import click

from lab.bisection.axis import RUNTIME, Line, line, open_id, ordered_values, runtime_values
from lab.bisection.sweep import sweep
from lab.bisection.words import sweep_data, sweep_text
from lab.cli.cells import answer, measuring, named_cells
from lab.cli.common import runtime_words
from lab.model.scenario import Task
from lab.provision.catalogue import load_catalogue
from lab.scenario.versions import expand_runtimes

EXIT_UNKNOWN = 3


@click.command("sweep")
@click.argument("cell")
@click.option("--axis", default=RUNTIME, show_default=True, help="The axis to sweep: runtime, engine, or any other.")
@click.option("--runtimes", metavar="NAMES", help="Sweep these (as for `run`) instead of every version of the runtime.")
@click.option("--scenario", metavar="NAME", help="A shipped name or a .toml file, where CELL does not begin with it.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Runs of each cell.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Ask every version of a runtime (or engine) for the cells that fit CELL, and list all flips.

    CELL is a cell's id, a part of it, or a glob; what it says of the axis only chooses the family. Records of stored
    runs are taken where binary, image, probe and settings are the same; the rest is run. Skipped and errored cells are
    unknown: they are told, and make no flip.

    \b
    Examples:
      permlab sweep 'chdir-cwd/*user=1000:0/cwd=image/caps=docker/*runc-1.0.0-rc93/oci'
      permlab sweep 'umask/*runc-1.1.0*' --format json
      permlab sweep 'user=1000:0/cwd=image/caps=cri' --scenario chdir-cwd --runtimes 'runc>=1.0.0rc90,<1.1'
      permlab sweep 'chdir-cwd/*caps=docker/*runc-1.0.0-rc93/oci' --axis user

    \b
    Exit codes:
      0    every line has an answer          2    bad input
      3    a line has none: nothing ran      130  interrupted
    """
    context.exit(run(**kwargs))


def run(
    cell: str, *, axis: str, runtimes: str | None, scenario: str | None, repeat: int, jobs: int | None, form: str
) -> int:
    """Sweep, print, and return the exit code."""
    named = named_cells(cell, scenario)
    lines = _lines(named.tasks, axis, runtime_words(runtimes) if axis == RUNTIME else ())
    with measuring(named.texts, jobs=jobs) as bench:
        found = sweep(bench, lines, times=repeat)
    answer(form, sweep_text(found), sweep_data(found))
    return 0 if all(one.spans for one in found) else EXIT_UNKNOWN


def _lines(tasks: tuple[Task, ...], axis: str, words: tuple[str, ...]) -> tuple[Line, ...]:
    """One line for each combination of the other axes."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(open_id(task.cell, axis), []).append(task)
    lines = []
    for group in groups.values():
        values = ordered_values(group[0], axis)
        if axis == RUNTIME:
            chosen = expand_runtimes(words, load_catalogue()) if words else ()
            values = chosen or runtime_values(task.cell.value(axis) for task in group)
        lines.append(line(group[0], axis, values))
    return tuple(lines)
