"""Texts of a run, each kept once: what makes a page of 10,000 cells small.

Ten thousand probes print nearly the same line: only inode numbers, namespaces and times differ. So a text is kept
without its long numbers, and a cell refers to it by its place and the numbers that belong into the gaps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Reference = int | tuple[int, ...]
"""The place of a text, or (place, number…) for one with gaps."""

GAP = "\0"
"""Stands for a number in a text with gaps. A text that holds it itself is kept as it is."""

LONGEST = 16_000
"""Characters of one text that are kept; the stored run has all that the lab kept."""
ROOM = 24_000_000
"""Characters of all texts together; what comes later is cut to :data:`SHORT`, so that a browser can open the page."""
SHORT = 200

_NUMBER = re.compile(r"([1-9](?<![\w.].)[0-9]{4,13})(?![\w.])")
"""14 digits are exact in a script's numbers; a number that starts with 0 would lose it. What stands before it is looked
at from behind its first digit: a pattern that starts with a digit is searched for twice as fast."""


@dataclass(slots=True)
class Texts:
    """Collects texts; ``kept`` is the table that references point into. The empty text is at place 0."""

    kept: list[str] = field(default_factory=lambda: [""])
    _places: dict[str, int] = field(default_factory=lambda: {"": 0})
    _seen: dict[str | bytes, Reference] = field(default_factory=dict)
    _size: int = 0

    def add(self, text: str | bytes) -> Reference:
        """The reference of a text, raw as it was seen: whoever shows it escapes it.

        Bytes that are no UTF-8 become lone surrogates (``surrogateescape``). The middle of a long text is left out.
        """
        found = self._seen.get(text)
        if found is None:
            found = self._seen[text] = self._add(text)
        return found

    def _add(self, text: str | bytes) -> Reference:
        shown = text if isinstance(text, str) else text.decode(errors="surrogateescape")
        shown = shorten(shown, LONGEST if self._size < ROOM else SHORT)
        if GAP in shown:
            return self._place(shown)
        found = _NUMBER.split(shown)
        place = self._place(GAP.join(found[::2]))
        return (place, *map(int, found[1::2])) if len(found) > 1 else place

    def _place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.kept)
            self.kept.append(text)
            self._size += len(text)
        return place


def shorten(text: str, longest: int) -> str:
    """The text without its middle when it is long: the end says why a program stopped."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
