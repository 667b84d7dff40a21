"""What a renderer is told apart from the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lab.model.record import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """``width`` in characters, for the terminal; ``colour`` switches ANSI colours on (never on by itself)."""

    width: int = 100
    colour: bool = False


class Renderer(Protocol):
    """Run → text, ending in a newline. Pure."""

    def __call__(self, run: Run, style: Style) -> str:
        """The report."""
