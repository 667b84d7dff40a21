"""The formats that a report can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.report import json_format, markdown, terminal
from lab.report.style import Renderer

RENDERERS: Mapping[str, Renderer] = MappingProxyType(
    {"terminal": terminal.render, "markdown": markdown.render, "json": json_format.render}
)
"""A renderer for each value of ``--format``."""

SUFFIXES: Mapping[str, str] = MappingProxyType({"terminal": ".txt", "markdown": ".md", "json": ".json"})
"""How the name of a file with a report in that format ends."""
