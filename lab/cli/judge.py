"""`permlab judge`: judge a stored run again, with today's rules, without a container."""

from __future__ import annotations

from typing import Any

import click

from lab.classify.again import run_judged_again
from lab.cli.common import EXIT_NOT_HELD, style
from lab.model.record import Record
from lab.report.formats import RENDERERS
from lab.store.runs import find, read, runs_directory


@click.command("judge")
@click.argument("run_word", metavar="RUN", default="last")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(RENDERERS)),
    help="Print the whole report, judged anew, so.",
)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Judge the observations of a stored run again and show which verdicts change.

    The stored run is never edited. Exit code 1 when a verdict differs from the stored one.

    \b
    Examples:
      permlab judge last
      permlab judge 20261122-1730 --format json
    """
    context.exit(run(**kwargs))


def run(run_word: str, *, form: str | None) -> int:
    """Judge again; the exit code tells whether something changed."""
    stored = read(find(runs_directory(), run_word))
    judged = run_judged_again(stored)
    if form:
        click.echo(RENDERERS[form](judged.latest, style()), nl=False)
    changed = [
        (old, new) for old, new in zip(stored.records, judged.records, strict=True) if old.verdict != new.verdict
    ]
    if not form:
        for old, new in changed:
            click.echo(f"{old.cell}\n  was {_words(old)}\n  is  {_words(new)}")
        click.echo(f"{len(stored.records)} records judged again, {len(changed)} verdicts differ")
    return EXIT_NOT_HELD if changed else 0


def _words(record: Record) -> str:
    verdict = record.verdict
    return " ".join(
        str(part) for part in (verdict.kind, getattr(verdict, "cause", ""), getattr(verdict, "phase", "")) if part
    )
