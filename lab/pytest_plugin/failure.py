"""What a failed cell says: texts for the terminal, for JUnit's XML, and for a line of the summary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from lab.model.record import Record
from lab.model.verdict import Denied, Failed
from lab.report.escape import cut, escape_text
from lab.report.words import again_command, found_words, repro_command, reproducible, show_command, wanted_words

_EVIDENCE = 2_000
"""Characters of evidence that are shown; `permlab show` has all of it."""


class LabFault(Exception):
    """The lab could not tell anything about a cell. ``brief`` is one line, ``text`` all that there is to say."""

    def __init__(self, brief: str, text: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.text = text or brief


class NotAsExpected(LabFault):
    """A cell did not show what its scenario expects."""


def as_report(text: str, *, brief: str, path: Path) -> ReprExceptionInfo:
    """A text as pytest reports a failure: by itself, and in one line for the summary.

    It is a traceback of one entry without a stack, which is what pytest-xdist can carry from a worker.
    """
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback([ReprEntryNative([text.rstrip("\n") + "\n"])], None, style="native"),
        reprcrash=ReprFileLocation(os.fspath(path), 1, escape_text(brief)),
    )


def not_as_expected(record: Record, *, run: str, scenario: str) -> NotAsExpected:
    """What a record says whose expectation does not hold; ``scenario`` is its file as the user names it."""
    found = found_words(record.verdict)
    wanted = "nothing" if record.expectation is None else wanted_words(record.expectation)
    brief = f"expected {wanted}, found {found}"
    lines = (
        f"{name:<10}{line}".rstrip()
        for name, line in (*_facts(record, wanted, found), *commands(record, run, scenario))
    )
    return NotAsExpected(brief, "\n".join(lines))


def _facts(record: Record, wanted: str, found: str) -> Iterator[tuple[str, str]]:
    verdict = record.verdict
    yield "expected", wanted
    yield "found", found
    if isinstance(verdict, Denied | Failed):
        evidence = escape_text(verdict.evidence, lines=True).splitlines()
        yield from zip(("evidence", *[""] * len(evidence)), (cut(line, _EVIDENCE) for line in evidence), strict=False)
        yield "phase", escape_text(verdict.phase)
        cause = escape_text(verdict.cause)
        yield "cause", f"{cause}, see docs/causes.md#{cause}"
    if record.expectation is not None and record.expectation.source:
        yield "source", escape_text(record.expectation.source)


def commands(record: Record, run: str, scenario: str) -> Iterator[tuple[str, str]]:
    """Commands to paste."""
    yield "", ""
    yield "show", f"{show_command(record)} --run {run}"
    yield "again", again_command(replace(record, scenario=scenario))
    if reproducible(record):
        yield "repro", f"{repro_command(record)} --run {run}"
