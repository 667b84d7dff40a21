"""`permlab show`: one record in full."""

from __future__ import annotations

import click

from lab.cli.common import runs_directory
from lab.errors import InputError
from lab.report.cell import show
from lab.scenario.expand import id_fits
from lab.store.runs import find, read

MOST = 10


@click.command("show")
@click.argument("cell")
@click.option("--run", "run_word", default="last", show_default=True, metavar="RUN", help="A stored run's id, or last.")
def command(**kwargs: str) -> None:
    """Print one record: config, command to paste, texts, facts, verdict and why.

    CELL is a cell's id, a part of it, or a glob.

    \b
    Examples:
      permlab show 'user=1000:0/caps=docker/runc-1.0.0-rc93/oci'
      permlab show '*runc-1.0.0-rc93*' --run 20261122
    """
    run(**kwargs)


def run(cell: str, *, run_word: str) -> None:
    """Find the record and print it; several that fit are listed."""
    found = read(find(runs_directory(), run_word))
    exact = [record for record in found.records if record.cell == cell]
    fitting = exact or [record for record in found.records if id_fits(cell, record.cell)]
    if not fitting:
        raise InputError(
            f"no cell of run {found.header.id} fits {cell!r}",
            resolution="see the cells with `permlab plan SCENARIO --ids`",
        )
    if len(fitting) > 1:
        some = "\n".join(record.cell for record in fitting[:MOST])
        more = f"\n… and {len(fitting) - MOST} more" if len(fitting) > MOST else ""
        raise InputError(f"{len(fitting)} cells fit {cell!r}", details=some + more, resolution="name one of them")
    click.echo(show(found, fitting[0]), nl=False)
