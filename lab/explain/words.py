"""Explanations as text for people, as Markdown, and as data for programs. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.bisection.asking import Asked
from lab.bisection.bisect import Ending
from lab.bisection.words import FORMAT, answer_data, asked_data, mix_data, one_line
from lab.explain.why import Neighbour, Tried, Why
from lab.model.verdict import Denied, Failed
from lab.report.causes import Notes
from lab.report.escape import cut, escape_text
from lab.report.flips import answer_words
from lab.report.markdown import code_span, escape_markdown
from lab.report.words import counted

_EVIDENCE = 300
"""Characters of a text that are shown."""
_WIDTH = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that was found of one cell. ``run`` is the id of the stored run that holds the cells of the cures."""

    cell: str
    scenario: str
    why: Why
    cures: tuple[Tried, ...] = ()
    notes: Notes | None = None
    run: str = ""


def explanation_text(found: Explanation) -> str:
    """The explanation for a terminal."""
    return "\n".join(_text(found)) + "\n"


def explanation_markdown(found: Explanation) -> str:
    """The explanation for an issue or a pull request."""
    return "\n".join(_markdown(found)) + "\n"


def explanation_data(found: Explanation) -> dict[str, Any]:
    """The explanation as plain data."""
    why, notes = found.why, found.notes
    verdict = why.asked.record.verdict if why.asked.record else None
    refused = verdict if isinstance(verdict, Denied | Failed) else None
    return {
        "format": FORMAT,
        "cell": found.cell,
        "scenario": found.scenario,
        "result": str(why.ending),
        **answer_data(why.answer),
        "phase": str(refused.phase) if refused else None,
        "evidence": refused.evidence if refused else None,
        "reason": why.asked.why_unknown,
        "times": len(why.asked.records),
        "needs": [mix_data(mix) | {"values": _values(found, mix.axes)} for mix in why.mixed.smallest]
        if why.mixed
        else [],
        "compared_with": asked_data(why.mixed.good) if why.mixed else None,
        "neighbours": [{"axis": one.axis, **asked_data(one.asked)} for one in why.neighbours],
        "cures": [
            {"cure": one.name, "words": one.words, "how": one.how, "cured": one.cured, **asked_data(one.asked)}
            for one in found.cures
        ],
        "cures_run": found.run,
        "meaning": notes.meaning if notes else "",
        "spec": notes.spec if notes else "",
        "threads": [address for _, address in notes.threads] if notes else [],
    }


def _text(found: Explanation) -> Iterator[str]:
    yield escape_text(found.cell)
    yield from (f"  {line}" for line in _head(found))
    if found.why.ending is not Ending.FOUND:
        return
    yield "\nwhat makes it fail"
    yield from (f"  {line}" for line in _needs(found))
    yield "\none value changed (✔ passes, ✗ does not, ? unknown)"
    yield from (f"  {line}" for line in _neighbours(found.why.neighbours))
    yield "\none-change cures, each really run"
    for one in found.cures:
        yield f"  {_sign(one)} {escape_text(one.words)}{_outcome(found, one)}"
        if one.how:
            yield f"      {escape_text(one.how)}"
    if found.notes:
        yield f"\n{escape_text(found.why.answer.cause) if found.why.answer else ''}"
        for label, text in (("means", found.notes.meaning), ("spec", found.notes.spec), ("cure", found.notes.cure)):
            if text:
                yield from _wrapped(f"{label}: {_plain(text)}")
        for _, address in found.notes.threads:
            yield f"  {address}"
    yield f"\nthe cells of the cures: `permlab show CELL --run {found.run}`"


def _markdown(found: Explanation) -> Iterator[str]:
    yield f"### {code_span(found.cell)}\n"
    yield "\n".join(f"{escape_markdown(line)}  " for line in _head(found))
    if found.why.ending is not Ending.FOUND:
        return
    yield "\n**What makes it fail**\n"
    yield "\n".join(f"{'  ' * line.startswith(' ')}- {escape_markdown(line.strip())}" for line in _needs(found))
    yield "\n**One value changed**\n"
    yield "\n".join(f"- {escape_markdown(line)}" for line in _neighbours(found.why.neighbours))
    yield "\n**One-change cures, each really run**\n"
    yield "| | change | where it is set | outcome |\n|---|---|---|---|"
    for one in found.cures:
        outcome = _outcome(found, one).removeprefix(" — ") or "passed"
        places = (_sign(one), *(escape_markdown(text) for text in (one.words, one.how, outcome)))
        yield f"| {' | '.join(places)} |"
    if found.notes:
        yield f"\n**Spec:** {found.notes.spec}\n"
        if found.notes.threads:
            yield "**Threads:** " + ", ".join(f"[{words}]({address})" for words, address in found.notes.threads)


def _head(found: Explanation) -> Iterator[str]:
    why = found.why
    match why.ending:
        case Ending.FOUND if why.answer is not None:
            verdict = why.asked.record.verdict if why.asked.record else None
            phase = f" (phase {verdict.phase})" if isinstance(verdict, Denied | Failed) else ""
            yield f"✗ {escape_text(answer_words(why.answer))}{phase}, in {counted(len(why.asked.records), 'run')}"
            if isinstance(verdict, Denied | Failed):
                yield cut(escape_text(verdict.evidence), _EVIDENCE)
        case Ending.AGREE:
            yield f"✔ passed in {counted(len(why.asked.records), 'run')}: there is nothing to explain"
        case Ending.UNSTABLE:
            told = ", then ".join(answer_words(one) for one in why.asked.answers)
            yield f"not stable: {escape_text(told)} in {counted(len(why.asked.records), 'run')}; no cause can be found"
        case _:
            yield f"? {one_line(why.asked.why_unknown)}"


def _needs(found: Explanation) -> Iterator[str]:
    mixed = found.why.mixed
    if mixed is None:
        yield "no neighbour passes: no single setting of the scenario is behind it; see the cures"
        return
    if not mixed.smallest:
        yield f"the comparison did not come to an end: {mixed.ending}"
        return
    size = len(mixed.smallest[0].axes)
    yield "the smallest set of settings that fails:" if len(mixed.smallest) == 1 else "each of these sets fails alone:"
    for mix in mixed.smallest:
        yield "  " + escape_text(" + ".join(f"{axis}={value or '(empty)'}" for axis, value in _pairs(found, mix.axes)))
    away = [axis for axis, _, _ in mixed.differing if all(axis not in mix.axes for mix in mixed.smallest)]
    if away:
        yield f"without effect: {escape_text(', '.join(f'{axis}={value}' for axis, value in _pairs(found, away)))}"
    fewer = [mix for mix in mixed.mixes if len(mix.axes) < size]
    unknown = [mix for mix in fewer if mix.asked.answer is None]
    smaller = f"; {counted(len(fewer), 'smaller set')} tried" if fewer else ""
    yield f"found against {escape_text(mixed.good.cell)}, which passes{smaller}"
    if unknown:
        yield f"of these {len(unknown)} could not be told: {one_line(unknown[0].asked.why_unknown)}"


def _pairs(found: Explanation, axes: Sequence[str]) -> Iterator[tuple[str, str]]:
    values = {axis: bad for axis, _, bad in found.why.mixed.differing} if found.why.mixed else {}
    return ((axis, values.get(axis, "")) for axis in axes)


def _values(found: Explanation, axes: Sequence[str]) -> dict[str, str]:
    return dict(_pairs(found, axes))


def _neighbours(neighbours: Sequence[Neighbour]) -> Iterator[str]:
    axes: dict[str, list[Neighbour]] = {}
    for one in neighbours:
        axes.setdefault(one.axis, []).append(one)
    width = max(map(len, axes), default=0)
    for axis, some in axes.items():
        told = ", ".join(f"{escape_text(one.value or '(empty)')} {_mark(one.asked)}" for one in some)
        yield f"{axis:{width}}  {told}"


def _mark(asked: Asked) -> str:
    if asked.answer is None:
        return "?"
    return "✔" if asked.answer.kind == "passed" else "✗"


def _sign(one: Tried) -> str:
    return {True: "✔", False: "✘", None: "?"}[one.cured]


def _outcome(found: Explanation, one: Tried) -> str:
    """What stands behind a cure that does not cure: another failure than before, or why it is not known."""
    if one.asked.answer is None:
        return f" — {one_line(one.asked.why_unknown)}"
    if one.cured:
        return ""
    same = one.asked.answer == found.why.answer
    return " — fails as before" if same else f" — {escape_text(answer_words(one.asked.answer))}"


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(escape_text(text), _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _plain(text: str) -> str:
    """Markdown without its emphasis and code marks."""
    return text.replace("**", "").replace("`", "")
