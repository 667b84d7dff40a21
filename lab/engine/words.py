"""What cells say to one engine only, and what the engines have in common in saying no."""

from __future__ import annotations

from dataclasses import fields

from lab.model.engine import EngineFamily
from lab.model.settings import Settings


def foreign_words(settings: Settings, own: EngineFamily) -> str | None:
    """Why an engine cannot run a cell that says words of another engine, or ``None``."""
    for family in EngineFamily:
        words = getattr(settings, family, None)
        if family is own or words is None:
            continue
        said = [f.name for f in fields(words) if getattr(words, f.name) != getattr(type(words)(), f.name)]
        if said:
            return f"{own} has no {', '.join(f'{family}.{name}' for name in said)}"
    return None
