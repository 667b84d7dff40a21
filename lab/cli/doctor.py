"""`permlab doctor`: what this host can run, what not, and what would change that."""

from __future__ import annotations

import click
from tabulate import tabulate

from lab.engine.doctor import examine
from lab.engine.engine_doctor import examine_engines
from lab.engine.host import host_facts
from lab.provision.cache import default_cache
from lab.provision.runtimes import installed


@click.command("doctor")
def command() -> None:
    """Tell what this host can run, what not, and what would change that. Changes nothing.

    \b
    Example:
      permlab doctor
    """
    run()


def run() -> None:
    """Print the facts of the host and one line for each ability."""
    facts = host_facts()
    click.echo(
        f"kernel {facts.kernel} {facts.machine}, {facts.os}, {facts.cpus} cpus, uid {facts.uid}\n"
        f"cgroups {facts.cgroups}, LSMs {facts.lsms}, capabilities {facts.capabilities}\n"
        f"cache {default_cache().root}, {len(installed(default_cache()))} runtimes in it\n"
    )
    rows = [
        ("✔" if ability.usable else "✗", ability.name, ability.found, "" if ability.usable else ability.remedy)
        for ability in (*examine(), *examine_engines(default_cache()))
    ]
    click.echo(
        tabulate(rows, headers=("", "ability", "found", "what would change that"), maxcolwidths=[None, 34, 44, 44])
    )
