"""One flip along an ordered axis, found by halving, after both ends were verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lab.bisection.asking import Asked, Lab, ask
from lab.bisection.axis import Line
from lab.bisection.find import find_flip
from lab.bisection.sweep import Turn, known_turn
from lab.report.flips import Answer, answer_words


class Ending(StrEnum):
    """What a search came to. ``not-stable`` and ``unknown`` say nothing about where the answer changes."""

    FOUND = "found"
    AGREE = "ends-agree"
    UNSTABLE = "not-stable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisected:
    """``low`` and ``high`` are the ends as they were taken: the known places nearest to the ones that were named.

    ``passed_over`` are the unknown places outside of them. ``asked`` is all that was asked, in the order of asking;
    ``turn`` is the flip, where one was found.
    """

    line: Line
    ending: Ending
    asked: tuple[Asked, ...]
    low: Asked | None = None
    high: Asked | None = None
    passed_over: tuple[Asked, ...] = ()
    turn: Turn | None = None

    @property
    def others(self) -> tuple[Asked, ...]:
        """What answered neither as the one end nor as the other: a sign that there are more flips."""
        ends = {one.answer for one in (self.low, self.high) if one is not None}
        return tuple(one for one in self.asked if one.answer is not None and one.answer not in ends)


Tell = Callable[[str], None]
"""Gets told how a search goes on, line by line."""


def bisect(lab: Lab, line: Line, low: int, high: int, *, times: int, tell: Tell = lambda _: None) -> Bisected:
    """Find where the answer of place ``high`` of a line begins, coming from place ``low``.

    What counts is verdict and cause. Every place that is asked is asked ``times`` times; the first one whose answers
    differ ends the search. Unknown places are passed over for their nearest neighbours, at the ends too.
    """
    search = _Search(lab=lab, line=line, times=times, tell=tell)
    try:
        return search.run(low, high)
    except _Unstable:
        return Bisected(line=line, ending=Ending.UNSTABLE, asked=tuple(search.seen.values()))


class _Unstable(Exception):
    """A place answered in more than one way."""


@dataclass(slots=True, kw_only=True)
class _Search:
    lab: Lab
    line: Line
    times: int
    tell: Tell
    seen: dict[int, Asked] = field(default_factory=dict)

    def run(self, low: int, high: int) -> Bisected:
        step = 1 if high > low else -1
        first = self._known_end(range(low, high + step, step))
        last = self._known_end(range(high, low - step, -step))
        passed_over = tuple(one for one in self.seen.values() if one.answer is None)
        if first is None or last is None or first == last:
            return Bisected(
                line=self.line, ending=Ending.UNKNOWN, asked=tuple(self.seen.values()), passed_over=passed_over
            )
        turn = None
        bad = self.answer(last)
        if self.answer(first) != bad:
            turn = self._turn(first, last, bad)
        return Bisected(
            line=self.line,
            ending=Ending.AGREE if turn is None else Ending.FOUND,
            asked=tuple(self.seen.values()),
            low=self.seen[first],
            high=self.seen[last],
            passed_over=passed_over,
            turn=turn,
        )

    def answer(self, place: int) -> Answer | None:
        """The answer of a place, asked for when it is not known yet."""
        if place not in self.seen:
            task, value = self.line.tasks[place], self.line.values[place]
            (asked,) = ask(self.lab, [task], [value], times=self.times)
            self.seen[place] = asked
            said = answer_words(asked.answer) if asked.answer else f"unknown, {asked.why_unknown}".partition("\n")[0]
            self.tell(f"{value}: {said}")
            if not asked.stable:
                raise _Unstable
        return self.seen[place].answer

    def _known_end(self, places: Iterable[int]) -> int | None:
        return next((place for place in places if self.answer(place) is not None), None)

    def _turn(self, first: int, last: int, bad: Answer | None) -> Turn:
        def holds(place: int) -> bool | None:
            found = self.answer(place)
            return None if found is None else found == bad

        def step(place: int, left: int) -> None:
            self.tell(f"{self.line.values[place]} comes next; at most {left} step{'s' * (left > 1)} left")

        flip = find_flip(first, last, holds, step)
        return known_turn(
            self.line,
            before=self.line.values[flip.before],
            after=self.line.values[flip.after],
            was=self.seen[flip.before].answers[0],
            now=self.seen[flip.after].answers[0],
            unknown=tuple(self.line.values[place] for place in flip.unknown),
        )
