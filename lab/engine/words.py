"""What cells say to one engine only, and what the engines have in common in saying no."""

from __future__ import annotations

from dataclasses import fields

from lab.model.engine import EngineFamily
from lab.model.settings import Settings

_SILENT = {family: getattr(Settings(), family) for family in EngineFamily if hasattr(Settings(), family)}
"""The words of each engine that has some, as they are in a cell that says none."""


def foreign_words(settings: Settings, own: EngineFamily) -> str | None:
    """Why an engine cannot run a cell that says words of another engine, or ``None``."""
    for family, silent in _SILENT.items():
        words = getattr(settings, family)
        if family is own or words == silent:
            continue
        said = [f.name for f in fields(words) if getattr(words, f.name) != getattr(silent, f.name)]
        return f"{own} has no {', '.join(f'{family}.{name}' for name in said)}"
    return None
