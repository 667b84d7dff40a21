"""The report for GitHub: tables, and a legend.

Texts of strangers (evidence, reasons) stand in code spans, where GitHub makes no markup, link or mention of anything;
the author's own words (axes, question) have their markup characters written as entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tabulate import tabulate

from lab.model.record import Run
from lab.report.escape import cut, escape_text
from lab.report.expectations import held
from lab.report.matrix import Matrix, Outcome
from lab.report.style import Style
from lab.report.summary import Report, build
from lab.report.words import (
    ALL_FROM,
    MISSING,
    SURPRISE,
    UNMET,
    counted,
    found_words,
    show_command,
    sign,
    value_words,
    values_words,
    wanted_words,
)

_SHOWN = 50
_COMMANDS = 5
_EVIDENCE = 300
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~&$]|(?<!\w)_|_(?!\w)|(?<=:)//|(?<=www)\.")


def escape_markdown(text: str) -> str:
    """Plain text that stays plain on GitHub, also inside a table: markup characters become entities.

    Entities, not backslashes: CommonMark never takes an entity for structure, wherever it stands.
    """
    return _MARKUP.sub(lambda found: "".join(f"&#{ord(one)};" for one in found[0]), escape_text(text))


def code_span(text: str) -> str:
    """Text as a code span, with a fence that is longer than any run of backticks inside. Not for table cells."""
    shown = escape_text(text) or " "
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The whole report."""
    report = build(run)
    blocks = [
        *_head(report),
        *(block for table in report.matrices for block in _matrix(table)),
        _controls(report),
        _legend(report),
        _unmet(report),
        _surprises(report),
        _engines(report),
        _notes(report),
        _run_facts(report),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(report: Report) -> Iterator[str]:
    numbers = report.counts
    parts = ", ".join(f"{number:,} {kind}" for kind, number in numbers.verdicts.items() if number)
    text = f"**{counted(numbers.cells, 'cell')}**" + (f": {parts}" if parts else "")
    if numbers.controls and not numbers.cells:
        text = f"**{counted(numbers.controls, 'control cell')}**, nothing else"
    if numbers.held or numbers.not_held:
        text += f" · expectations: {numbers.held:,} held, {numbers.not_held:,} not"
    text += "".join(f" · {told}" for told in (report.derived, report.predicted) if told)
    for record in report.broken[:_COMMANDS] if report.run.void else ():
        wanted = "" if record.expectation is None else f"expected {code_span(wanted_words(record.expectation))}, "
        found = code_span(cut(found_words(record.verdict), _EVIDENCE))
        yield f"> **run is VOID**: control cell {code_span(record.cell)}: {wanted}found {found}"
    if not report.run.finished:
        yield f"> **partial**: the run has not come to its end; {MISSING} stands for cells not recorded."
    yield text


def _matrix(table: Matrix) -> Iterator[str]:
    yield f"## {escape_markdown(table.scenario)}"
    yield escape_markdown(table.question)
    lines = [f"- {escape_markdown(name)}: {escape_markdown(value_words(value))}" for name, value in table.fixed]
    for place, (name, known) in enumerate(table.axes):
        if len(known) >= ALL_FROM and any(row.values[place] == known for row in table.rows):
            values = ", ".join(escape_markdown(value_words(value)) for value in known)
            lines.append(f"- any {escape_markdown(name)}: {values}")
    yield "\n".join(lines)
    head = [escape_markdown(text) for text in (*(n for n, _ in table.axes), *(c.label for c in table.columns))]
    body = [
        [
            *(
                escape_markdown(values_words(values, known))
                for values, (_, known) in zip(row.values, table.axes, strict=True)
            ),
            *(escape_markdown(sign(outcome)) for outcome in row.outcomes),
        ]
        for row in table.rows
    ]
    yield tabulate(body, headers=head, tablefmt="github", disable_numparse=True)
    yield "\n".join(
        f"- {escape_markdown(column.label)}: {escape_markdown(', '.join(column.versions))}"
        for column in table.columns
        if " … " in column.range
    )


def _controls(report: Report) -> str:
    if not report.controls:
        return ""
    lines = ["## Controls", ""]
    for record in report.controls:
        mark = {True: "as expected", False: f"**{UNMET} not as expected**", None: "says nothing"}[held(record)]
        lines.append(f"- {code_span(record.cell)}: {code_span(cut(found_words(record.verdict), _EVIDENCE))}, {mark}")
    return "\n".join(lines)


def _legend(report: Report) -> str:
    lines = []
    for entry in report.causes:
        text = escape_markdown(sign(Outcome(entry.kind, entry.cause, entry.phase, derived=entry.derived)))
        evidence = code_span(cut(escape_text(entry.evidence), _EVIDENCE)) if entry.evidence else "(no text)"
        told = f"{entry.kind} in phase {escape_markdown(entry.phase)}, {counted(entry.count, 'cell')}"
        lines.append(f"- {text}: {told}, for example {evidence}")
    for reason in report.reasons[:_SHOWN]:
        told = code_span(cut(escape_text(reason.reason), _EVIDENCE))
        lines.append(f"- {sign(Outcome(reason.kind))}: {counted(reason.count, 'cell')}, {told}")
    lines += _more(len(report.reasons), "reason")
    if any(table.gaps for table in report.matrices):
        lines.append(f"- {MISSING}: no such cell, or it was not run")
    return "\n".join(["## Legend", "", *lines]) if lines else ""


def _unmet(report: Report) -> str:
    total = sum(len(entry.records) for entry in report.missed)
    lines = [f"## {UNMET} {counted(total, 'expectation')} not met", ""] if total else []
    for entry in report.missed[:_SHOWN]:
        source = f" ({code_span(entry.source)})" if entry.source else ""
        said = f"expected {code_span(entry.wanted)}, found {code_span(cut(entry.found, _EVIDENCE))}{source}"
        lines.append(f"- {counted(len(entry.records), 'cell')}: {said}")
        lines += [f"  - {code_span(show_command(record))}" for record in entry.records[:_COMMANDS]]
        rest = len(entry.records) - _COMMANDS
        lines += [f"  - … and {counted(rest, 'cell')} more"] if rest > 0 else []
    return "\n".join([*lines, *_more(len(report.missed), "kind")])


def _surprises(report: Report) -> str:
    total = len(report.predictions.surprises)
    title = f"## {SURPRISE} {counted(total, 'surprise')}: a new change of a runtime, or a fault of the lab"
    lines = [title, ""] if total else []
    for entry in report.surprises[:_SHOWN]:
        said = f"{code_span(entry.predicted)}, found {code_span(cut(entry.found, _EVIDENCE))}"
        lines.append(f"- {counted(len(entry.records), 'cell')}: {said}")
        lines += [f"  - {code_span(show_command(record))}" for record in entry.records[:_COMMANDS]]
        rest = len(entry.records) - _COMMANDS
        lines += [f"  - … and {counted(rest, 'cell')} more"] if rest > 0 else []
    return "\n".join([*lines, *_more(len(report.surprises), "kind")])


def _engines(report: Report) -> str:
    lines = ["## Engines that differ on equal cells", ""] if report.engines else []
    for one in report.engines[:_SHOWN]:
        source = f" ([source]({one.source}))" if one.source else ""
        words = f"{code_span(one.engine)}: {one.here}, {code_span(one.base)}: {one.there}"
        lines.append(f"- {words}, {counted(len(one.records), 'cell')}: {one.reason}{source}")
        lines += [] if one.source else [f"  - {code_span(show_command(record))}" for record in one.records[:_COMMANDS]]
    return "\n".join([*lines, *_more(len(report.engines), "kind")])


def _notes(report: Report) -> str:
    return "\n".join(
        f"- in {counted(count, 'cell')}, {escape_markdown(runtime)} writes errors as {escape_markdown(speaks)} does"
        for (runtime, speaks), count in report.differing[:_SHOWN]
    )


def _more(total: int, noun: str) -> list[str]:
    rest = total - _SHOWN
    return [f"- … and {counted(rest, f'more {noun}')} (all of them: `--format json`)"] if rest > 0 else []


def _run_facts(report: Report) -> str:
    header, host = report.run.header, report.run.header.host
    facts = (
        f"run {header.id}",
        f"permlab {header.lab_version}",
        header.started,
        host.os,
        f"kernel {host.kernel}",
        host.machine,
        f"cgroups {host.cgroups}",
        f"uid {host.uid}",
    )
    return "---\n\n" + " · ".join(escape_markdown(fact) for fact in facts)
