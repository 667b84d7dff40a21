"""`permlab diff`: what changed between two runs, or between two values of an axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from lab.cli.common import EXIT_NOT_HELD, style
from lab.comparison import Answer, Comparison, cells
from lab.errors import InputError
from lab.library import compare, values_of
from lab.model.record import Run
from lab.report.diff_formats import DIFF_RENDERERS
from lab.store.runs import find, read, runs_directory

EXITS = {Answer.NO_REGRESSIONS: 0, Answer.REGRESSIONS: EXIT_NOT_HELD, Answer.UNKNOWN: 3}
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(sorted(DIFF_RENDERERS)),
    default="terminal",
    show_default=True,
    help="Markdown is fit for a comment on a pull request.",
)


@click.command("diff")
@click.argument("left", metavar="A")
@click.argument("right", metavar="[B]", required=False)
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=X,Y",
    help="Compare two values of this axis, as the runs write them: X in A with Y in B, or both in A. Repeated: "
    "cells that have every X with those that have every Y.",
)
@FORMAT
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Show what changed between two stored runs, or between two values of an axis: regressions first.

    A and B are stored runs: an id, the start of one, or last. Only cells that are equal on every other axis are
    compared, by verdict, cause and phase; the rest is listed with the reason. Skipped and errored cells are unknown.

    \b
    Examples:
      permlab diff 20261122-1730 last
      permlab diff last --axis runtime=runc@1.0.0-rc92,runc@1.0.0-rc93
      permlab diff last --axis user=65532:65532,1000:0 --format markdown > comment.md

    \b
    Exit codes:
      0    no regressions                    1    regressions
      2    bad input                         3    cannot be told: a run is void, nothing is comparable,
                                                  or a cell that passed in A errored in B
    """
    context.exit(run(**kwargs))


def run(left: str, right: str | None, *, axes: tuple[str, ...], form: str) -> int:
    """Compare, print, and return the exit code."""
    if right is None and not axes:
        raise InputError(
            "a diff needs two runs, or one run and --axis",
            resolution=f"try `permlab diff {left} --axis runtime=X,Y`; `permlab runs` lists the runs",
        )
    before = read(find(runs_directory(), left))
    after = before if right is None else read(find(runs_directory(), right))
    values = {name: (one, other) for name, one, other in (split_axis(axis, before, after) for axis in axes)}
    return show(compare(before, after, axes=values), form)


def show(found: Comparison, form: str) -> int:
    """Print a comparison; the exit code says what came of it."""
    click.echo(DIFF_RENDERERS[form](found, style()), nl=False)
    return EXITS[found.answer]


def split_axis(text: str, left: Run, right: Run) -> tuple[str, str, str]:
    """``NAME=X,Y`` as the axis, a value that ``left`` has and one that ``right`` has; raises :class:`InputError`.

    A value may have commas in it: of all places to part X from Y, the one where both are values is taken.
    """
    name, equals, values = text.partition("=")
    known, others = values_of(left, name), values_of(right, name)
    if not equals or not known or not others:
        axes = dict.fromkeys(axis for run in (left, right) for record in cells(run) for axis in record.axes)
        raise InputError(
            f"--axis {text!r} names no axis of the cells" if equals else f"--axis {text!r} is not NAME=X,Y",
            details=f"axes: {', '.join(axes)}",
        )
    parts = values.split(",")
    splits = [(",".join(parts[:place]), ",".join(parts[place:])) for place in range(1, len(parts))]
    for one, other in splits:
        if one in known and other in others:
            return name, one, other
    details = _listed(known) if left is right else f"{_listed(known, 'in A')}\n{_listed(others, 'in B')}"
    raise InputError(f"--axis {text!r} does not name two values that the cells have", details=details)


def _listed(values: Iterable[str], where: str = "there") -> str:
    return f"values {where}: {', '.join(values)}"
