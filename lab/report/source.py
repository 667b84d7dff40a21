"""What a report needs from the text of a scenario file: its question, and the order of its axis values.

Runs keep the texts of their scenarios, so that this works when the files have gone. A text that does not read any
more (a newer format, a damaged line) costs the report its question, not its matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.codec import decode_toml
from lab.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A scenario's question, and for each axis its values in the order in which the author wrote them."""

    question: str = ""
    order: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def rank(self, axis: str, value: str | None) -> tuple[int, int, str]:
        """The sort key of an axis value: as written, then unknown values (shorter first, so 9 stands before 10)."""
        if value is None:
            return (0, 0, "")
        known = self.order.get(axis, {})
        return (1, known[value], "") if value in known else (2 + len(known), len(value), value)


def read_source(text: str) -> Source:
    """The source of a stored scenario text; an empty one where the text cannot be read."""
    try:
        data = decode_toml(text, "a stored scenario")
    except InputError:
        return Source()
    axes, question = data.get("axes"), data.get("question")
    return Source(
        question=question if isinstance(question, str) else "",
        order={
            name: {str(value): place for place, value in enumerate(values)}
            for name, values in (axes.items() if isinstance(axes, dict) else ())
            if isinstance(values, list | dict)
        },
    )
