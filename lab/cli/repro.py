"""`permlab repro`: one cell as a folder that shows its outcome without the lab."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from lab.cli.cells import measuring, named_cell
from lab.cli.common import tell
from lab.cli.progress import interruptible
from lab.cli.show import fitting_records, the_record
from lab.errors import InputError, StoreError
from lab.model.record import Record, Run
from lab.provision.cache import default_cache
from lab.report.words import counted, found_words
from lab.repro.folder import new_folder
from lab.repro.making import origin_of
from lab.repro.reproduce import MOST_RUNS, open_trials, reproduce, write_folder
from lab.store.runs import find, read, runs_directory, stored

EXIT_UNSTEADY = 1


@click.command("repro")
@click.argument("cell")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where to (default: ./repro-CELL)."
)
@click.option(
    "--run", "run_word", metavar="RUN", help="A stored run's id, or last (default: the latest that has CELL)."
)
@click.option("--no-minimise", "whole", is_flag=True, help="Leave the cell as it is: take nothing away.")
@click.option(
    "--most", type=click.IntRange(min=1), default=MOST_RUNS, show_default=True, help="Runs that taking away may use."
)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Make CELL a folder that reproduces its outcome without permlab, with everything gone that it does not need.

    CELL is a cell's id, a part of it, or a glob, in a stored run; a cell that no stored run has is measured now. The
    folder has config.json, a script for the root file system (or an archive), run.sh for the bare runtime, the text to
    expect, digests, and a README to paste into an upstream issue. A failing cell is made smaller as long as verdict,
    cause and phase stay, by really running it; a cell that passed stays whole.

    \b
    Examples:
      permlab repro '*user=1000:0/cwd=image/caps=docker/*runc-1.0.0-rc93/oci'
      permlab repro umask/distroless-static/runc-1.0.0-rc92/oci --out /tmp/umask
      cd /tmp/umask && sudo ./run.sh --check /usr/bin/runc

    \b
    Exit codes:
      0    written, and its check says "reproduced"
      1    written, but the text is not the same each time: the check says "not reproduced"
      2    bad input, or the cell is not expressible as a folder
      3    the environment; or the script does not show what the record says
    """
    context.exit(run(**kwargs))


def run(cell: str, *, out: Path | None, run_word: str | None, whole: bool, most: int) -> int:
    """Make the folder, say what is in it, and return the exit code."""
    found, record = _record(cell, run_word)
    origin = origin_of(default_cache(), found, record)
    folder = new_folder(out or Path(f"repro-{_slug(record)}"))
    tell(f"{record.cell}: {found_words(record.verdict)}")
    with interruptible() as interruption, open_trials(most) as trials:
        interruption.reaches(trials)
        made = reproduce(origin, trials, minimal=not whole, tell=tell)
        steady = write_folder(made, folder, trials.environment)
    size = f"{len(made.case.tree):,} files and directories" if len(made.case.tree) > 1 else "an empty root file system"
    click.echo(f"{folder}: {found_words(made.outcome.verdict)}; {size}; {counted(made.runs, 'run')}")
    click.echo(f"sudo {folder / 'run.sh'} --check RUNTIME")
    if not steady:
        tell('the text is not the same each time: run.sh --check says "not reproduced"')
    return 0 if steady else EXIT_UNSTEADY


def _record(cell: str, run_word: str | None) -> tuple[Run, Record]:
    """The record that the user means: of a named run, of the latest that has one, or measured now."""
    if run_word is not None:
        found = read(find(runs_directory(), run_word))
        return found, the_record(found, cell)
    for path in reversed(stored(runs_directory())):
        try:
            found = read(path)
        except (StoreError, InputError):
            continue  # damaged, or of a newer format
        if fitting_records(found, cell):
            return found, the_record(found, cell)
    task, texts = named_cell(cell)
    with measuring(texts, jobs=1) as bench:
        bench.measure([task])
        path = bench.session.writer.path
    found = read(path)
    return found, the_record(found, task.cell.id)


def _slug(record: Record) -> str:
    return re.sub(r"[^A-Za-z0-9.=-]+", "-", record.cell).strip("-")
