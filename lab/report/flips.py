"""Flips: where along an ordered axis a cell's answer changes. Pure.

The sequence holds one answer for each value of the axis, in its order (versions: see ``lab.scenario.versions``).
History is not monotone, so all flips are listed. Answers are compared by verdict and cause, never by exit codes or
texts. What was skipped, errored or not run is unknown: it makes no flip and hides none, it widens the place where the
flip lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped, Verdict


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """What is compared: the kind of the verdict and its cause, which is empty for ``passed``."""

    kind: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Neighbours on the axis that gave one answer.

    ``values`` gave it, in order. ``inside`` are unknown values between them; ``before`` and ``after`` unknown ones
    between this span and the next one on that side (or the end of the axis): they may belong to either. ``first`` and
    ``last`` tell whether no known value of the same family stands before, or after.
    """

    answer: Answer
    values: tuple[str, ...]
    inside: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    first: bool = False
    last: bool = False


def answer(verdict: Verdict | None) -> Answer | None:
    """What a verdict says of the container; ``None`` where it says nothing, or where there is none."""
    match verdict:
        case Passed():
            return Answer(verdict.kind)
        case Denied() | Failed():
            return Answer(verdict.kind, verdict.cause)
        case Skipped() | Errored() | None:
            return None


def flips(sequence: Sequence[tuple[str, Verdict | None]]) -> tuple[Span, ...]:
    """The spans of equal answers, in order; between two of one family lies a flip.

    ``sequence`` holds (axis value, verdict), with ``None`` where nothing was run. Values of different families
    (``runc@…``, ``crun@…``) never share a span. Without any known answer there is no span.
    """
    spans: list[Span] = []
    for _, members in groupby(sequence, key=lambda item: family(item[0])):
        spans += _spans([(value, answer(verdict)) for value, verdict in members])
    return tuple(spans)


def family(value: str) -> str:
    """The family of an axis value such as ``runc@1.1.0``; empty for a value that has none."""
    return value.partition("@")[0] if "@" in value else ""


def version_words(value: str) -> str:
    """An axis value as it is said inside its family: the version of ``runc@1.1.0``, any other value as it is."""
    return value.partition("@")[2] or value


def range_words(span: Span) -> str:
    """Where a span lies: ``in 1.0.0-rc93 only``, ``up to 1.0.0-rc9``, ``from 1.0.0-rc94 on``, ``in all 63``."""
    start, end = version_words(span.values[0]), version_words(span.values[-1])
    if span.first and span.last:
        return f"in all {len(span.values)} ({start} … {end})" if len(span.values) > 1 else f"in {start}"
    if span.first:
        return f"up to {end}"
    if span.last:
        return f"from {start} on"
    builds = {version_words(value).partition("+")[2] for value in span.values} - {""}
    if len({value.partition("+")[0] for value in span.values}) == 1 and len(builds) < len(span.values):
        return f"in {start.partition('+')[0]} only" + (
            f" (and as built by {', '.join(sorted(builds))})" if builds else ""
        )
    return f"in {start} only" if len(span.values) == 1 else f"from {start} to {end}"


def gap_words(spans: Sequence[Span]) -> tuple[str, ...]:
    """One line for each gap of unknown values, telling what it leaves open."""
    lines = []
    for span in spans:
        if span.before:
            where = (
                f"what came before {version_words(span.values[0])} is not known"
                if span.first
                else f"the flip to {answer_words(span.answer)} may lie there"
            )
            lines.append(f"{_named(span.before)}: unknown; {where}")
        if span.inside:
            lines.append(f"{_named(span.inside)}: unknown, with {answer_words(span.answer)} on both sides")
        if span.after and span.last:
            lines.append(
                f"{_named(span.after)}: unknown; what came after {version_words(span.values[-1])} is not known"
            )
    return tuple(lines)


def answer_words(found: Answer) -> str:
    """``passed``, or ``denied: cwd-not-searchable``."""
    return f"{found.kind}: {found.cause}" if found.cause else found.kind


def _named(values: Iterable[str]) -> str:
    return ", ".join(version_words(value) for value in values)


def _spans(sequence: list[tuple[str, Answer | None]]) -> list[Span]:
    """The spans of one family."""
    runs: list[tuple[Answer, list[str], list[str], list[str]]] = []
    waiting: list[str] = []
    for value, found in sequence:
        if found is None:
            waiting.append(value)
        elif runs and runs[-1][0] == found:
            runs[-1][1].append(value)
            runs[-1][2].extend(waiting)
            waiting = []
        else:
            runs.append((found, [value], [], waiting))
            waiting = []
    return [
        Span(
            answer=found,
            values=tuple(values),
            inside=tuple(inside),
            before=tuple(before),
            after=tuple(runs[place + 1][3] if place + 1 < len(runs) else waiting),
            first=place == 0,
            last=place == len(runs) - 1,
        )
        for place, (found, values, inside, before) in enumerate(runs)
    ]
