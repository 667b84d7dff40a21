"""What several verbs share: options, where things are, output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from lab.model.platform_release import PLATFORM_RELEASES
from lab.model.scenario import Scenario
from lab.report.style import Style
from lab.scenario.load import find, load_all

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
EXIT_NOT_HELD = 1
EXIT_INTERRUPTED = 130

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def selection(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose cells: ``--cell``, ``--where``, ``--runtimes``."""
    options: Sequence[Decorator] = (
        click.option(
            "--cell",
            "patterns",
            multiple=True,
            metavar="PATTERN",
            help="Only cells whose id fits: a glob over the whole id, or any part of it. May be repeated.",
        ),
        click.option(
            "--where",
            metavar="EXPRESSION",
            help="""Only cells whose axes fulfil it, e.g. 'user == "1000:0" and runtime in "runc>=1.0.0rc92,<1.1"'.""",
        ),
        click.option(
            "--runtimes",
            metavar="NAMES",
            help="Runtimes instead of the scenario's own, comma-separated: default, all, runc@all, "
            "runc@1.0.0-rc93, or a range such as 'runc>=1.1,<1.2'.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def runtime_words(text: str | None) -> tuple[str, ...]:
    """The words of ``--runtimes``; a comma inside a version range does not separate."""
    if not text:
        return ()
    words: list[str] = []
    for part in text.split(","):
        if words and part.strip()[:1] in "<>=!~":
            words[-1] += f",{part.strip()}"
        else:
            words.append(part.strip())
    return tuple(words)


RELEASES = click.option(
    "--release",
    "releases",
    metavar="NAMES",
    help="Runtimes and engines as these platform releases ship them, instead of the scenario's own, comma-separated: "
    f"{', '.join(PLATFORM_RELEASES)}.",
)


def release_words(text: str | None) -> tuple[str, ...]:
    """The words of ``--release``."""
    return () if text is None else tuple(word.strip() for word in text.split(","))


def load_named(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios that the user's words name."""
    return load_all([find(name) for name in names])


def style() -> Style:
    """How to render for stdout: as wide as the user's terminal, with colour there only; 120 columns elsewhere."""
    if sys.stdout.isatty():
        return Style(width=os.get_terminal_size().columns, colour="NO_COLOR" not in os.environ)
    columns = os.environ.get("COLUMNS", "")
    return Style(width=int(columns) if columns.isdecimal() else 120)


def tell(line: str) -> None:
    """A line for the user, on stderr: stdout belongs to results."""
    click.echo(line, err=True)
