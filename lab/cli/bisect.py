"""`permlab bisect`: one flip by halving, or the settings that make two cells differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lab.bisection.axis import ENGINE, RUNTIME, Line, line, open_id, ordered_values
from lab.bisection.bisect import Ending, bisect
from lab.bisection.mixes import mix
from lab.bisection.words import bisect_data, bisect_text, mixed_data, mixed_text
from lab.cli.cells import answer, measuring, named_cell, named_cells
from lab.errors import InputError
from lab.model.scenario import Task
from lab.provision.cache import default_cache
from lab.provision.runtimes import find
from lab.scenario.versions import name_key

EXIT_CODES = {Ending.FOUND: 0, Ending.AGREE: 1, Ending.UNSTABLE: 1, Ending.UNKNOWN: 3}


@click.command("bisect")
@click.argument("cells", nargs=-1, required=True, metavar="CELL...")
@click.option("--from", "start", metavar="VALUE", help="One end of the axis (default: its first value).")
@click.option("--to", "end", metavar="VALUE", help="The other end (default: its last value).")
@click.option("--axis", default=RUNTIME, show_default=True, help="Any axis; a scenario's own has its author's order.")
@click.option("--axes", is_flag=True, help="Two cells, good and bad: which of their settings make the difference?")
@click.option("--scenario", metavar="NAME", help="A shipped name or a .toml file, where CELL does not begin with it.")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each cell: is it stable?"
)
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True)
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Find where a cell's answer changes between two versions, or why two cells differ.

    Both ends are verified first, and every cell is run several times: one that is not stable ends the search. What
    counts is the verdict with its cause, not an exit code. Skipped and errored cells are unknown: their nearest
    neighbours are asked instead, and where only unknown ones are left, the range is told.

    With --axes two cells of one scenario are given, first the good one: mixes of both are run, and the fewest settings
    of the bad one that give its answer are told.

    \b
    Examples:
      permlab bisect 'chdir-cwd/*user=1000:0/cwd=image/caps=docker/*' --from runc@1.0.0-rc92 --to runc@1.0.0-rc93
      permlab bisect 'umask/*runc-1.1.0*'
      permlab bisect 'chdir-cwd/*caps=docker/*runc-1.0.0-rc93/oci' --axis user --from 0:0 --to 1000:0
      permlab bisect --axes chdir-cwd/…/user=0:0/… chdir-cwd/…/user=1000:0/…

    \b
    Exit codes:
      0    found                          1    no flip: the ends agree, or a cell is not stable
      2    bad input                      3    too much is unknown: nothing ran
      130  interrupted
    """
    context.exit(run(**kwargs))


def run(
    cells: tuple[str, ...],
    *,
    start: str | None,
    end: str | None,
    axis: str,
    axes: bool,
    scenario: str | None,
    repeat: int,
    jobs: int | None,
    form: str,
) -> int:
    """Search, print, and return the exit code."""
    if axes:
        return _over_axes(cells, scenario=scenario, repeat=repeat, jobs=jobs, form=form)
    if len(cells) != 1:
        raise InputError(f"{len(cells)} cells are given", resolution="give one, or two with --axes")
    task, texts = _line_cell(cells[0], scenario, axis, start or end or "")
    along = _line(task, axis, start, end)
    low = along.values.index(_value(task, axis, start)) if start else 0
    high = along.values.index(_value(task, axis, end)) if end else len(along.values) - 1
    if low == high:
        raise InputError(f"both ends are {along.values[low]}", resolution="choose two with --from and --to")
    with measuring(texts, jobs=jobs) as bench:
        found = bisect(bench, along, low, high, times=repeat, tell=bench.note)
    answer(form, bisect_text(found), bisect_data(found))
    return EXIT_CODES[found.ending]


def _over_axes(cells: tuple[str, ...], *, scenario: str | None, repeat: int, jobs: int | None, form: str) -> int:
    if len(cells) != 2:  # noqa: PLR2004  # good and bad
        raise InputError(f"--axes compares two cells, not {len(cells)}", resolution="give the good one, then the bad")
    (good, texts), (bad, others) = (named_cell(cell, scenario) for cell in cells)
    with measuring({**texts, **others}, jobs=jobs) as bench:
        found = mix(bench, good, bad, times=repeat, tell=bench.note)
    answer(form, mixed_text(found), mixed_data(found))
    return EXIT_CODES[found.ending]


def _line_cell(word: str, scenario: str | None, axis: str, value: str) -> tuple[Task, Mapping[str, str]]:
    """A cell of the one line that a word names; of several families, that of ``value``."""
    named = named_cells(word, scenario)
    family = value.partition("@")[0] if "@" in value else None
    tasks = [task for task in named.tasks if family is None or _family(task, axis) == family]
    lines = {(open_id(task.cell, axis), _family(task, axis)): task for task in tasks}
    if family is not None and not tasks:
        raise InputError(f"no cell that fits {word!r} has a {axis} {family}", resolution="choose other ends")
    if len(lines) > 1:
        listed = "\n".join(f"{place} ({name})" if name else place for place, name in lines)
        raise InputError(
            f"{word!r} names {len(lines)} lines of cells along {axis}",
            details=listed,
            resolution="name one of them; --from and --to choose the runtime",
        )
    return tasks[0], named.texts


def _family(task: Task, axis: str) -> str:
    """What versions of an axis belong together; empty for an axis that has none."""
    return task.cell.value(axis).partition("@")[0] if axis in {RUNTIME, ENGINE} else ""


def _line(task: Task, axis: str, start: str | None, end: str | None) -> Line:
    """The line of a task, with its ends on it."""
    known = ordered_values(task, axis)
    ends = [_value(task, axis, value) for value in (start, end) if value]
    missing = [value for value in ends if value not in known]
    strange = [value for value in missing if axis != RUNTIME or not _added(value, known[0])]
    if strange:
        raise InputError(
            f"{strange[0]!r} is no value of this axis", details=f"in order: {', '.join(known)}", resolution="choose one"
        )
    values = sorted({*known, *missing}, key=name_key) if missing else known  # a binary that the user added
    return line(task, axis, values)


def _added(value: str, other: str) -> bool:
    """Whether a value is a runtime that the user added, of the other's family."""
    return value.partition("@")[0] == other.partition("@")[0] and find(default_cache(), value) is not None


def _value(task: Task, axis: str, value: str) -> str:
    """An end as the axis writes it: a bare version gets the family of the cell."""
    return f"{task.cell.value(axis).partition('@')[0]}@{value}" if axis == RUNTIME and "@" not in value else value
