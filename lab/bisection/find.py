"""Halving an ordered axis between a place where something does not hold yet and one where it does. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The flip lies between two places: ``before`` it does not hold, ``after`` it does.

    ``unknown`` are the places between them, none of which could be told: the flip may lie on either side of each.
    """

    before: int
    after: int
    unknown: tuple[int, ...] = ()


def find_flip(
    low: int, high: int, holds: Callable[[int], bool | None], tell: Callable[[int, int], None] = lambda *_: None
) -> Flip:
    """The flip between two places of an axis; it is known not to hold at ``low`` and to hold at ``high``.

    ``holds`` is asked for places strictly between, each at most once; ``None`` means unknown, and then the nearest
    neighbour of the middle is asked instead. ``tell`` hears each place before it is asked, with the number of steps
    that are left then, itself included, unless more turn out to be unknown. ``low`` may be the larger number.

    Where history flips more than once, one flip is found: an adjacent pair (but for the unknown) of which the first
    does not hold and the second does.
    """
    step = 1 if high > low else -1
    unknown: set[int] = set()
    while True:
        open_places = [place for place in range(low + step, high, step) if place not in unknown]
        if not open_places:
            return Flip(before=low, after=high, unknown=tuple(range(low + step, high, step)))
        middle = _nearest(open_places, (low + high) / 2)
        tell(middle, steps_left(len(open_places)))
        answer = holds(middle)
        if answer is None:
            unknown.add(middle)
        elif answer:
            high = middle
        else:
            low = middle


def steps_left(places: int) -> int:
    """The most questions that halving needs for so many places, each of which can be told."""
    return places.bit_length()


def _nearest(places: list[int], middle: float) -> int:
    return min(places, key=lambda place: (abs(place - middle), place))
