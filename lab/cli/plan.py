"""`permlab plan`: what would run, without running it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from lab.cli.common import check_where, load_named, runtime_words, selection
from lab.provision.catalogue import load_catalogue
from lab.scenario.expand import axes_of, expand, select


@click.command("plan")
@click.argument("scenarios", nargs=-1, required=True)
@selection
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
    ids: bool,
    form: str,
) -> None:
    """Expand and print; nothing is provisioned and nothing is started."""
    releases = tuple(load_catalogue())
    words = runtime_words(runtimes)
    plans = []
    loaded = load_named(scenarios)
    check_where(where, loaded)
    for scenario in loaded:
        expanded = expand(scenario, releases, words)
        chosen = select(expanded.cells, patterns, where)
        left_out = Counter(dict(expanded.left_out))
        if len(chosen) != len(expanded.cells):
            left_out["not selected by --cell or --where"] = len(expanded.cells) - len(chosen)
        plans.append((scenario, axes_of(scenario, releases, words), chosen, left_out))
    if ids:
        for _, _, cells, _ in plans:
            click.echo("\n".join(cell.id for cell in cells))
        return
    if form == "json":
        click.echo(
            json.dumps(
                [
                    {
                        "scenario": scenario.id,
                        "question": scenario.question,
                        "axes": axes,
                        "cells": [cell.id for cell in cells],
                        "left_out": dict(left_out),
                    }
                    for scenario, axes, cells, left_out in plans
                ],
                indent=1,
            )
        )
        return
    for scenario, axes, cells, left_out in plans:
        click.echo(f"{scenario.id}: {scenario.question}\n")
        for axis, values in axes.items():
            click.echo(f"  {axis:<16}{', '.join(values)}")
        click.echo(f"\n  {len(cells)} cells")
        for reason, count in left_out.items():
            click.echo(f"  {count} left out — {reason}")
        click.echo()
