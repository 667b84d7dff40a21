"""`permlab show`: one record in full, or a stored run's report in any format."""

from __future__ import annotations

import sys

import click

from lab.cli.common import style
from lab.errors import InputError
from lab.model.record import Record, Run
from lab.report.cell import show
from lab.report.formats import PICTURES, RENDERERS
from lab.scenario.expand import id_fits
from lab.store.runs import find, read, runs_directory

MOST = 10


@click.command("show")
@click.argument("cell", required=False)
@click.option("--run", "run_word", default="last", show_default=True, metavar="RUN", help="A stored run's id, or last.")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted([*RENDERERS, *PICTURES])),
    help="Of the run's report, without CELL (default: terminal).",
)
def command(**kwargs: str) -> None:
    """Print one record: config, command to paste, texts, facts, verdict and why. Without CELL: the run's report.

    CELL is a cell's id, a part of it, or a glob.

    \b
    Examples:
      permlab show 'user=1000:0/caps=docker/runc-1.0.0-rc93/oci'
      permlab show '*runc-1.0.0-rc93*' --run 20261122
      permlab show --format csv > last.csv
    """
    run(**kwargs)


def run(cell: str | None, *, run_word: str, form: str | None) -> None:
    """Print the record, or the run's report where no cell is named."""
    if cell and form:
        raise InputError(
            "--format is for the report of a whole run", resolution="leave CELL out, or leave --format out"
        )
    found = read(find(runs_directory(), run_word)).latest
    if cell:
        click.echo(show(found, the_record(found, cell)), nl=False)
    elif form is not None and form in PICTURES:
        if sys.stdout.isatty():
            raise InputError(f"{form} is nothing for a terminal", resolution=f"add > FILE.{form}")
        click.echo(PICTURES[form](found), nl=False)
    else:
        click.echo(RENDERERS[form or "terminal"](found, style()), nl=False)


def fitting_records(found: Run, cell: str) -> tuple[Record, ...]:
    """The records whose cell the user may mean: the one with this id, else all that it is a part of, or a glob for."""
    records = found.latest.records
    exact = tuple(record for record in records if record.cell == cell)
    return exact or tuple(record for record in records if id_fits(cell, record.cell))


def the_record(found: Run, cell: str) -> Record:
    """The record that the user means; raises :class:`InputError` that lists several that fit."""
    fitting = fitting_records(found, cell)
    if not fitting:
        raise InputError(
            f"no cell of run {found.header.id} fits {cell!r}",
            resolution="see the cells with `permlab plan SCENARIO --ids`",
        )
    if len(fitting) > 1:
        some = "\n".join(record.cell for record in fitting[:MOST])
        more = f"\n… and {len(fitting) - MOST} more" if len(fitting) > MOST else ""
        raise InputError(f"{len(fitting)} cells fit {cell!r}", details=some + more, resolution="name one of them")
    return fitting[0]
