"""Delta debugging: as much as possible is taken away, as long as the outcome stays. Pure.

The algorithm is Zeller's and Hildebrandt's ``ddmin`` (Simplifying and Isolating Failure-Inducing Input, 2002), level by
level from the outside in, as Misherghi's and Su's hierarchical form of it (HDD, 2006): a directory goes before anybody
asks about its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from lab.repro import cuts
from lab.repro.case import Case

T = TypeVar("T")


def most(parts: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> tuple[T, ...]:
    """As many of ``parts`` as can go at once while ``holds(gone)``; no single further one can go. In the given order.

    ``holds(())`` is taken for granted.
    """
    if not parts or holds(parts):
        return tuple(parts)

    def gone(kept: Sequence[int]) -> list[T]:
        return [part for place, part in enumerate(parts) if place not in kept]

    needed, pieces = list(range(len(parts))), 2
    while len(needed) > 1:
        chunks = _chunks(needed, pieces)
        rests = [[place for place in needed if place not in chunk] for chunk in chunks]
        tried = chunks if pieces == 2 else [*chunks, *rests]  # noqa: PLR2004  # of two halves, the rest is the other half
        smaller = next((kept for kept in tried if holds(gone(kept))), None)
        if smaller is not None:
            pieces = 2 if smaller in chunks else max(pieces - 1, 2)
            needed = smaller
        elif pieces < len(needed):
            pieces = min(pieces * 2, len(needed))
        else:
            break
    return tuple(gone(needed))


def _chunks(items: Sequence[int], number: int) -> list[list[int]]:
    ends = [len(items) * place // number for place in range(number + 1)]
    return [list(items[start:end]) for start, end in pairwise(ends) if start < end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What became of one level: how many parts it had, and how many of them went."""

    name: str
    parts: int
    gone: int


def minimise(
    case: Case,
    holds: Callable[[Case], bool],
    tell: Callable[[Level], None] = lambda _: None,
    levels: Callable[[Case], Iterable[cuts.Level]] = cuts.levels,
) -> Case:
    """The smallest case found for which ``holds``: taking away any one part more changes the outcome.

    Passes are made over all levels until one changes nothing: what was needed may be so no more when something else has
    gone. Ends, because every cut makes the case smaller.
    """
    while True:
        before = case
        for name, parts_of in levels(case):
            parts = parts_of(case)
            gone = most(parts, _holding(case, holds))
            case = cuts.apply(case, gone)
            tell(Level(name=name, parts=len(parts), gone=len(gone)))
        if case == before:
            return case


def _holding(case: Case, holds: Callable[[Case], bool]) -> Callable[[Sequence[cuts.Cut]], bool]:
    return lambda gone: holds(cuts.apply(case, gone))
