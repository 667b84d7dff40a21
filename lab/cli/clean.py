"""`permlab clean`: remove what a killed run left."""

from __future__ import annotations

import click

from lab.cli.common import tell
from lab.engine.leftovers import find_leftovers, remove
from lab.provision.cache import default_cache


@click.command("clean")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
def command(*, dry_run: bool) -> None:
    """Remove mounts, cgroups, processes and temporary files that killed runs of the lab left.

    Touches only what carries the lab's own label, and nothing of a run that still goes on. Stored runs and
    provisioned runtimes and images stay.

    \b
    Examples:
      permlab clean --dry-run
      permlab clean
    """
    run(dry_run=dry_run)


def run(*, dry_run: bool) -> None:
    """Find, tell, remove."""
    cleaned = 0
    for leftover in find_leftovers():
        parts = [
            f"{len(things)} {what}"
            for things, what in (
                (leftover.directories, "temporary directories"),
                (leftover.cgroups, "cgroups"),
                (leftover.pids, "processes"),
            )
            if things
        ]
        if leftover.alive:
            click.echo(f"run {leftover.run_id} still goes on: left alone")
            continue
        click.echo(f"run {leftover.run_id}: {'would remove ' if dry_run else 'removed '}{', '.join(parts)}")
        cleaned += 1
        if not dry_run:
            remove(leftover)
    stale = default_cache().stale()
    for path in stale:
        click.echo(f"{'would remove' if dry_run else 'removed'} half-made {path}")
    if not dry_run:
        default_cache().remove_stale()
    if not cleaned and not stale:
        tell("nothing to clean")
