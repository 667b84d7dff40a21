"""The formats that a diff can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from lab.comparison import Comparison
from lab.report import diff_json, diff_markdown, diff_terminal
from lab.report.style import Style


class DiffRenderer(Protocol):
    """Comparison → text, ending in a newline. Pure."""

    def __call__(self, found: Comparison, style: Style) -> str:
        """The report."""


DIFF_RENDERERS: Mapping[str, DiffRenderer] = MappingProxyType(
    {"terminal": diff_terminal.render, "markdown": diff_markdown.render, "json": diff_json.render}
)
"""A renderer for each value of ``--format`` of `permlab diff` and `permlab upgrade`."""
