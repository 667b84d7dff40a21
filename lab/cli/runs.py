"""`permlab runs`: the stored runs."""

from __future__ import annotations

from collections import Counter

import click
from tabulate import tabulate

from lab.errors import StoreError
from lab.store.runs import read, runs_directory, stored


@click.command("runs")
def command() -> None:
    """List the stored runs, oldest first.

    \b
    Example:
      permlab runs
    """
    run()


def run() -> None:
    """Print one line for each stored run."""
    rows: list[tuple[str | int, ...]] = []
    for path in stored(runs_directory()):
        try:
            found = read(path)
        except StoreError as error:
            rows.append((path.stem, "", "", "", f"cannot be read: {error.brief}"))
            continue
        counts = Counter(record.verdict.kind for record in found.records)
        rows.append(
            (
                found.header.id,
                ", ".join(name for name in found.header.scenarios),
                len(found.records),
                ", ".join(f"{count} {kind}" for kind, count in counts.items()),
                "void" if found.void else "finished" if found.finished else "unfinished",
            )
        )
    if not rows:
        click.echo(f"no stored runs in {runs_directory()}")
        return
    click.echo(tabulate(rows, headers=("run", "scenarios", "cells", "verdicts", "state"), tablefmt="simple"))
