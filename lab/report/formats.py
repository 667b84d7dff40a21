"""The formats that a report can have, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lab.model.record import Run
from lab.report import badge, csv_format, json_format, junit, markdown, picture, png, statements, terminal
from lab.report.html import render as html
from lab.report.style import Renderer

RENDERERS: Mapping[str, Renderer] = MappingProxyType(
    {
        "terminal": terminal.render,
        "markdown": markdown.render,
        "json": json_format.render,
        "csv": csv_format.render,
        "junit": junit.render,
        "statements": statements.render,
        "svg": picture.render,
        "badge": badge.render,
        "html": html.render,
    }
)
"""A renderer for each value of ``--format``."""

PICTURES: Mapping[str, Callable[[Run], bytes]] = MappingProxyType({"png": png.render})
"""Formats whose files are no text; for ``show --format`` and ``publish``, not for a terminal."""

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        "terminal": ".txt",
        "markdown": ".md",
        "json": ".json",
        "csv": ".csv",
        "junit": ".junit.xml",
        "statements": ".statements.json",
        "svg": ".svg",
        "badge": ".badge.svg",
        "html": ".html",
        "png": ".png",
    }
)
"""How the name of a file with a report in that format ends."""
