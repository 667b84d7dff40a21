"""Sweeps and bisections as text for people and as data for programs. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.bisection.asking import Asked
from lab.bisection.bisect import Bisected, Ending
from lab.bisection.mixes import Mix, Mixed
from lab.bisection.sweep import Swept, Turn
from lab.report.escape import cut, escape_text
from lab.report.flips import Answer, Span, answer_words, family, gap_words, range_words, version_words
from lab.report.words import counted

FORMAT = 1
"""Of the JSON documents: keys are only ever added within one format."""
_REASON = 200
"""Characters of a reason that are shown."""
_SIGNS = {"passed": "✔", "denied": "✗", "failed": "✗"}


def sweep_text(found: Sequence[Swept]) -> str:
    """For each line of cells: every span, the flip before it and what is known of it, and what is unknown."""
    return "\n".join("\n".join(_swept(one)) + "\n" for one in found)


def sweep_data(found: Sequence[Swept]) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "format": FORMAT,
        "sweep": [
            {
                "cells": one.line.id,
                "scenario": one.line.scenario.id,
                "axis": one.line.axis,
                "values": [asked_data(asked) for asked in one.asked],
                "spans": [
                    {
                        "range": range_words(span),
                        "family": family(span.values[0]),
                        **answer_data(span.answer),
                        "values": list(span.values),
                        "unknown": {
                            "before": list(span.before),
                            "inside": list(span.inside),
                            "after": list(span.after),
                        },
                    }
                    for span in one.spans
                ],
                "flips": [turn_data(turn) for turn in one.turns],
            }
            for one in found
        ],
    }


def bisect_text(found: Bisected) -> str:
    """Both ends, the flip between them, and what to do where there is none."""
    return "\n".join(_bisected(found)) + "\n"


def bisect_data(found: Bisected) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "format": FORMAT,
        "cells": found.line.id,
        "scenario": found.line.scenario.id,
        "axis": found.line.axis,
        "result": str(found.ending),
        "low": asked_data(found.low) if found.low else None,
        "high": asked_data(found.high) if found.high else None,
        "passed_over": [asked_data(one) for one in found.passed_over],
        "flip": turn_data(found.turn) if found.turn else None,
        "other_answers": [asked_data(one) for one in found.others],
        "asked": [asked_data(one) for one in found.asked],
        "values": len(found.line.values),
    }


def mixed_text(found: Mixed) -> str:
    """Both cells, what differs, and the fewest of these settings that make the difference."""
    return "\n".join(_mixed(found)) + "\n"


def mixed_data(found: Mixed) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "format": FORMAT,
        "result": str(found.ending),
        "good": asked_data(found.good),
        "bad": asked_data(found.bad),
        "differing": [{"axis": axis, "good": good, "bad": bad} for axis, good, bad in found.differing],
        "smallest": [mix_data(mix) for mix in found.smallest],
        "mixes": [mix_data(mix) for mix in found.mixes],
    }


def mix_data(mix: Mix) -> dict[str, Any]:
    """A mix of two cells as plain data."""
    return {"axes": list(mix.axes), **asked_data(mix.asked)}


def turn_data(turn: Turn) -> dict[str, Any]:
    """A flip as plain data."""
    return {
        "before": turn.before,
        "after": turn.after,
        "was": answer_data(turn.was),
        "now": answer_data(turn.now),
        "unknown": list(turn.unknown),
        "known_changes": [
            {"since": f"{change.family}@{change.since}", "what": change.what, "links": list(change.links)}
            for change in turn.changes
        ],
        "release_notes": turn.notes,
        "patched": list(turn.patched),
    }


def asked_data(asked: Asked) -> dict[str, Any]:
    """A cell and its answer as plain data; ``times`` tells how often it was asked."""
    return {
        "value": asked.value,
        "cell": asked.cell,
        **answer_data(asked.answer),
        "stable": asked.stable,
        "reason": asked.why_unknown,
        "times": len(asked.records),
        "reused_from": asked.records[0].reused_from if asked.records else "",
    }


def answer_data(found: Answer | None) -> dict[str, str | None]:
    """An answer as plain data; nulls where it is unknown."""
    return {"verdict": found.kind if found else None, "cause": found.cause or None if found else None}


def signed(found: Answer) -> str:
    """``✔ passed``, ``✗ denied: cwd-not-searchable``."""
    return f"{_SIGNS[found.kind]} {escape_text(answer_words(found))}"


def turn_lines(turn: Turn) -> Iterator[str]:
    """A flip: its place, the known changes behind it, where the release tells what it changed."""
    yield f"flip: {_said(turn.before)} → {_said(turn.after)}"
    if turn.unknown:
        yield f"  somewhere in there: {_listed(turn.unknown)} could not be told"
    if turn.patched:
        yield f"  {_listed(turn.patched)}: built by a distribution, with patches of its own"
    for change in turn.changes:
        yield f"  {change.family} {change.since} {change.what}"
        yield from (f"    {link}" for link in change.links)
    if turn.notes:
        yield f"  release notes: {turn.notes}"


def why_lines(unknown: Sequence[Asked]) -> Iterator[str]:
    """What is unknown, grouped by its reason."""
    reasons = Counter(one.why_unknown for one in unknown)
    for reason in reasons:
        values = [one.value for one in unknown if one.why_unknown == reason]
        yield f"unknown: {_listed(values)} — {one_line(reason)}"


def one_line(reason: str) -> str:
    """Why something is unknown, in one line of bounded length."""
    return cut(escape_text("; ".join(reason.splitlines())), _REASON)


def unstable_lines(unstable: Sequence[Asked]) -> Iterator[str]:
    """What answered in more than one way."""
    for one in unstable:
        told = ", then ".join(answer_words(found) for found in one.answers)
        yield f"not stable: {escape_text(one.value)} answered {escape_text(told)} in {len(one.records)} runs"


def _swept(one: Swept) -> Iterator[str]:
    yield escape_text(one.line.id)
    known = sum(len(span.values) for span in one.spans)
    reused = sum(bool(asked.records and asked.records[0].reused_from) for asked in one.asked)
    taken = f", {reused} of them from stored runs" if reused else ""
    what = "version" if one.line.axis in {"runtime", "engine"} else "value"
    yield f"  {counted(len(one.asked), what)}, {known} told{taken}; {counted(len(one.turns), 'flip')}"
    turns = iter(one.turns)
    for span in one.spans:
        if not span.first:
            yield from (f"      {text}" for text in turn_lines(next(turns)))
        yield f"  {signed(span.answer)} {_where(span)}"
    yield from (f"  {escape_text(text)}" for text in gap_words(one.spans))
    yield from (f"  {text}" for text in why_lines(one.unknown))
    yield from (f"  {text}" for text in unstable_lines(one.unstable))


def _bisected(found: Bisected) -> Iterator[str]:
    yield escape_text(found.line.id)
    yield from (f"  {text}" for text in why_lines(found.passed_over))
    for end in (found.low, found.high):
        if end is not None and end.answer is not None:
            yield f"  {signed(end.answer)} in {_said(end.value)} ({_times(end)})"
    match found.ending:
        case Ending.FOUND if found.turn is not None:
            yield from (f"  {text}" for text in turn_lines(found.turn))
            if found.turn.unknown:
                unknown = [one for one in found.asked if one.value in found.turn.unknown]
                yield from (f"    {text}" for text in why_lines(unknown))
            yield f"  asked: {', '.join(_said(one.value) for one in found.asked)}"
            for one in found.others:
                yield f"  {_said(one.value)} gives another answer than both ends: there are more flips"
            yield f"  → this is one flip; `{_sweep_command(found)}` finds whether there are more"
        case Ending.AGREE:
            yield "  both ends agree, so that halving finds nothing; history may flip and flip back between them"
            yield f"  → `{_sweep_command(found)}` asks every one"
        case Ending.UNSTABLE:
            yield from (f"  {text}" for text in unstable_lines([one for one in found.asked if not one.stable]))
            yield "  → a cell that answers in more than one way cannot be bisected: look for what differs between runs"
        case Ending.UNKNOWN | Ending.FOUND:
            yield "  fewer than two of these could be told, so that there is nothing to bisect"


def _mixed(found: Mixed) -> Iterator[str]:
    for name, end in (("good", found.good), ("bad", found.bad)):
        said = signed(end.answer) if end.answer else f"? {one_line(end.why_unknown)}"
        yield f"{name}  {escape_text(end.cell)}\n      {said} ({_times(end)})"
    named = {axis: (good, bad) for axis, good, bad in found.differing}
    width = max(map(len, named))
    yield f"\n{counted(len(named), 'setting')} differ{'s' * (len(named) == 1)}:"
    yield from (
        f"  {axis:{width}}  {escape_text(good or '(empty)')} → {escape_text(bad or '(empty)')}"
        for axis, (good, bad) in named.items()
    )
    yield ""
    match found.ending:
        case Ending.FOUND:
            yield from _culprits(found, named)
        case Ending.AGREE:
            yield "both cells give the same answer: no setting makes a difference"
        case Ending.UNSTABLE:
            yield from unstable_lines([end for end in (found.good, found.bad) if not end.stable])
        case Ending.UNKNOWN:
            yield "a cell could not be told, so that there is nothing to compare"


def _culprits(found: Mixed, named: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    several = f"; any of these {len(found.smallest)} sets alone does it" if len(found.smallest) > 1 else ""
    yield f"the fewest settings that make the difference{several}:"
    for mix in found.smallest:
        values = " + ".join(f"{axis}={named[axis][1]}" for axis in mix.axes)
        yield f"  {escape_text(values)} ({_times(mix.asked)})"
    size = len(found.smallest[0].axes)
    if size > 1:
        yield f"  none of the {sum(len(mix.axes) < size for mix in found.mixes)} mixes with fewer does"
    unknown = [mix for mix in found.unknown if len(mix.axes) <= size]
    for mix in unknown:
        yield f"  unknown: {escape_text(' + '.join(mix.axes))} — {one_line(mix.asked.why_unknown)}"


def _times(one: Asked) -> str:
    """How often a cell was run, and whether a stored record was among them."""
    stored = ", one of them stored" if one.records and one.records[0].reused_from else ""
    return f"{counted(len(one.records), 'run')}{stored}"


def _sweep_command(found: Bisected) -> str:
    axis = "" if found.line.axis == "runtime" else f" --axis {found.line.axis}"
    return escape_text(f"permlab sweep {shlex.quote(found.asked[0].cell or found.line.id)}{axis}")


def _where(span: Span) -> str:
    name = family(span.values[0])
    return escape_text(f"{name}, {range_words(span)}" if name else range_words(span))


def _said(value: str) -> str:
    return escape_text(value.replace("@", " ", 1) if family(value) else value)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(escape_text(version_words(value)) for value in values)
