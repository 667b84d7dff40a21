"""Sweeps and bisections as text for people and as data for programs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lab.bisection.asking import Asked
from lab.bisection.sweep import Swept, Turn
from lab.report.escape import cut, escape_text
from lab.report.flips import Answer, Span, answer_words, family, range_words, version_words
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
        yield f"unknown: {_listed(values)} — {cut(escape_text(reason), _REASON)}"


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
    yield from (f"  {text}" for text in why_lines(one.unknown))
    yield from (f"  {text}" for text in unstable_lines(one.unstable))


def _where(span: Span) -> str:
    name = family(span.values[0])
    return escape_text(f"{name}, {range_words(span)}" if name else range_words(span))


def _said(value: str) -> str:
    return escape_text(value.replace("@", " ", 1) if family(value) else value)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(escape_text(version_words(value)) for value in values)
