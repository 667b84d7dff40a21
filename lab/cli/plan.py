"""`permlab plan`: what would run, without running it."""

from __future__ import annotations

import json
from typing import Any

import click

from lab.cli.common import RELEASES, load_named, release_words, runtime_words, selection
from lab.library import plan


@click.command("plan")
@click.argument("scenarios", nargs=-1, required=True)
@selection
@RELEASES
@click.option("--ids", is_flag=True, help="Print the ids of the cells and nothing else, one a line.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the plan.")
def command(**kwargs: Any) -> None:
    """Show what `permlab run` would run: axes, number of cells, and why other combinations are left out.

    \b
    Examples:
      permlab plan chdir-cwd
      permlab plan chdir-cwd --runtimes 'runc>=1.0.0rc92,<1.1' --ids
    """
    run(**kwargs)


def run(
    scenarios: tuple[str, ...],
    *,
    patterns: tuple[str, ...],
    where: str | None,
    runtimes: str | None,
    releases: str | None,
    ids: bool,
    form: str,
) -> None:
    """Expand and print; nothing is provisioned and nothing is started."""
    found = plan(
        load_named(scenarios),
        runtimes=runtime_words(runtimes),
        releases=release_words(releases),
        cells=patterns,
        where=where,
    )
    if ids:
        click.echo("\n".join(cell.id for cell in found.cells))
        return
    if form == "json":
        click.echo(
            json.dumps(
                [
                    {
                        "scenario": planned.scenario.id,
                        "question": planned.scenario.question,
                        "axes": planned.axes,
                        "cells": [cell.id for cell in planned.cells],
                        "left_out": planned.left_out,
                    }
                    for planned in found.scenarios
                ],
                indent=1,
            )
        )
        return
    for planned in found.scenarios:
        click.echo(f"{planned.scenario.id}: {planned.scenario.question}\n")
        for axis, values in planned.axes.items():
            click.echo(f"  {axis:<16}{', '.join(values)}")
        click.echo(f"\n  {len(planned.cells)} cells")
        for reason, count in planned.left_out.items():
            click.echo(f"  {count} left out — {reason}")
        click.echo()
