"""Every value of an ordered axis, and all flips along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.bisection.asking import Asked, Lab, ask
from lab.bisection.axis import Line
from lab.provision.changes import Change, load_changes
from lab.report.flips import Answer, Span, family, flips
from lab.scenario.versions import name_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A flip: the last value of one answer, the first of another, and what the lab knows of changes between them.

    ``unknown`` are values between the two. ``notes`` is the address of the release's own notes, empty where none is
    known, and where both are builds of one version. ``patched`` are those of the two that a distribution built: what
    differs may be its own patches, not upstream's change.
    """

    before: str
    after: str
    was: Answer
    now: Answer
    unknown: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: str = ""
    patched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A line of cells and its answers, spans and flips. ``unstable`` are those that answered in more than one way."""

    line: Line
    asked: tuple[Asked, ...]
    spans: tuple[Span, ...]
    turns: tuple[Turn, ...]

    @property
    def unstable(self) -> tuple[Asked, ...]:
        """What answered in more than one way when it was asked more than once."""
        return tuple(one for one in self.asked if not one.stable)

    @property
    def unknown(self) -> tuple[Asked, ...]:
        """What has no answer, for another reason than that it has several."""
        return tuple(one for one in self.asked if one.stable and one.answer is None)


def sweep(lab: Lab, lines: Sequence[Line], *, times: int = 1) -> tuple[Swept, ...]:
    """Ask for every cell of every line, all at once."""
    tasks = [task for line in lines for task in line.tasks]
    values = [value for line in lines for value in line.values]
    asked = iter(ask(lab, tasks, values, times=times))
    return tuple(swept(line, [next(asked) for _ in line.tasks]) for line in lines)


def swept(line: Line, asked: Sequence[Asked]) -> Swept:
    """What the answers of a line say. Pure."""
    spans = flips([(one.value, one.record.verdict if one.record and one.stable else None) for one in asked])
    turns = tuple(turn(line, left, right) for left, right in pairwise(spans) if not right.first)
    return Swept(line=line, asked=tuple(asked), spans=spans, turns=turns)


def turn(line: Line, left: Span, right: Span) -> Turn:
    """The flip between two neighbouring spans."""
    return known_turn(
        line, before=left.values[-1], after=right.values[0], was=left.answer, now=right.answer, unknown=right.before
    )


def known_turn(line: Line, *, before: str, after: str, was: Answer, now: Answer, unknown: tuple[str, ...] = ()) -> Turn:
    """A flip with what the lab knows of the changes between its two values."""
    changes = load_changes()
    causes = frozenset({was.cause, now.cause} - {""})
    newer = max(before, after, key=name_key) if family(after) else ""
    one_version = before.partition("+")[0] == after.partition("+")[0]
    return Turn(
        before=before,
        after=after,
        was=was,
        now=now,
        unknown=unknown,
        changes=changes.between(before, after, causes=causes, scenario=line.scenario.id),
        notes="" if one_version else changes.release_notes(newer),
        patched=tuple(value for value in (before, after) if family(value) and "+" in value),
    )
