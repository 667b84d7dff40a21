"""`permlab scenarios`: the shipped scenarios, and the JSON Schema of scenario files."""

from __future__ import annotations

import json

import click

from lab.codec import scenario_schema
from lab.scenario.load import load, shipped_directory


@click.command("scenarios")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of scenario files instead.")
def command(*, schema: bool) -> None:
    """List the shipped scenarios, their packs (themes), and the question that each answers.

    \b
    Examples:
      permlab scenarios
      permlab scenarios --schema > scenario.schema.json
    """
    run(schema=schema)


def run(*, schema: bool) -> None:
    """Print the list, or the schema."""
    if schema:
        click.echo(json.dumps(scenario_schema(), indent=1, sort_keys=True))
        return
    for path in sorted(shipped_directory().glob("*.toml")):
        scenario = load(path)
        click.echo(f"{path.stem:<28}{scenario.pack:<14}{scenario.question}")
