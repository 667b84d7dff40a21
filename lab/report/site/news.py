"""New flips, run by run: what the feed tells. Pure.

A flip is new in the first run that shows it. A later run that asked fewer versions sees the same flip in a wider
place (``rc10 → rc94`` around ``rc92 → rc93``): that is no news. One that asked more versions sees it in a narrower
place: that is.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.report.flips import Answer
from lab.report.matrix import version_place
from lab.report.site.model import Summary, Turn

_IDS = uuid.uuid5(uuid.NAMESPACE_OID, "permlab flips")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One flip as a run showed it first, with all combinations that show it.

    ``id`` depends on nothing but the flip and its cells: the same from site to site, whatever else is published.
    ``cells`` are the cells of ``after``.
    """

    id: str
    run: Summary
    scenario: str
    family: str
    engine: str
    before: str
    after: str
    was: Answer
    now: Answer
    cells: tuple[str, ...]


_Known = dict[tuple[object, ...], list[Turn]]


def news(runs: Iterable[Summary]) -> tuple[News, ...]:
    """The new flips of runs in their order, newest run first; within a run in the order of its matrices."""
    known: _Known = {}
    found: list[list[News]] = []
    for run in runs:
        groups: dict[tuple[object, ...], list[Turn]] = {}
        for turn in run.turns:
            if not any(_inside(earlier, turn) for earlier in known.get(_where(turn), ())):
                groups.setdefault(_what(turn), []).append(turn)
        for turn in run.turns:
            known.setdefault(_where(turn), []).append(turn)
        found.append([_news(run, turns) for turns in groups.values()])
    return tuple(one for some in reversed(found) for one in some)


def _where(turn: Turn) -> tuple[object, ...]:
    return turn.scenario, turn.family, turn.was, turn.now, turn.row


def _what(turn: Turn) -> tuple[object, ...]:
    return turn.scenario, turn.family, turn.engine, turn.was, turn.now, turn.before, turn.after


def _inside(earlier: Turn, turn: Turn) -> bool:
    """Whether the earlier flip lies in the place of this one."""
    start, end = version_place(turn.before), version_place(turn.after)
    return start <= version_place(earlier.before) and version_place(earlier.after) <= end


def _news(run: Summary, turns: Sequence[Turn]) -> News:
    first, cells = turns[0], tuple(turn.cell for turn in turns)
    words = (first.scenario, first.family, first.engine, first.before, first.after, repr(first.was), repr(first.now))
    return News(
        id=f"urn:uuid:{uuid.uuid5(_IDS, repr((words, sorted(cells))))}",
        run=run,
        scenario=first.scenario,
        family=first.family,
        engine=first.engine,
        before=first.before,
        after=first.after,
        was=first.was,
        now=first.now,
        cells=cells,
    )
