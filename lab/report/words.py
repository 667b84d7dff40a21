"""The words and signs that all renderers share."""

from __future__ import annotations

import shlex
from typing import assert_never

from lab.model.record import Record
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped, Verdict
from lab.oracle.prediction import NoPrediction, Predicted
from lab.report.escape import escape_text
from lab.report.matrix import Column, Outcome

MISSING = "·"
UNMET = "!"
SURPRISE = "≠"
DERIVED = " (derived)"
"""Behind the sign of a cell whose answer was worked out from a rule, not measured."""
ALL_FROM = 3
"""A row that stands for all values of an axis says so, instead of naming them, from this many values on."""
NAMED = 12
"""So many values of one axis are named in a row."""


def sign(outcome: Outcome | None) -> str:
    """What stands in a cell of the matrix: ``✔``, ``✗ cwd-not-searchable``, ``skip``, ``ERR``.

    In front of it ``!`` when the expectation did not hold, ``≠`` when the oracle predicted something else; behind it
    ``(derived)`` where the answer was worked out from a rule, not measured.
    """
    if outcome is None:
        return MISSING
    texts = {
        "passed": "✔",
        "denied": f"✗ {escape_text(outcome.cause)}",
        "failed": f"✗ {escape_text(outcome.cause)} (failed)",
        "skipped": "skip",
        "errored": "ERR",
    }
    marks = UNMET * outcome.unmet + SURPRISE * outcome.surprise
    text = texts[outcome.kind] + DERIVED * outcome.derived
    return f"{marks} {text}" if marks else text


def found_words(verdict: Verdict) -> str:
    """A verdict in words: ``denied: cwd-not-searchable (phase chdir)``."""
    match verdict:
        case Passed():
            return "passed"
        case Denied() | Failed():
            return f"{verdict.kind}: {escape_text(verdict.cause)} (phase {verdict.phase})"
        case Skipped() | Errored():
            return f"{verdict.kind}: {escape_text(verdict.reason)}"
        case _:
            assert_never(verdict)


def wanted_words(wanted: Expectation) -> str:
    """An expectation in the same words."""
    text = wanted.verdict if wanted.cause is None else f"{wanted.verdict}: {escape_text(wanted.cause)}"
    where = "" if wanted.phase is None else f" (phase {escape_text(wanted.phase)})"
    return f"{text}{where}{', intermittent' if wanted.intermittent else ''}"


def predicted_words(predicted: Predicted) -> str:
    """A prediction in the same words, or why there is none."""
    if isinstance(predicted, NoPrediction):
        return f"no prediction: {escape_text(predicted.reason)}"
    return escape_text(str(predicted))


def value_words(value: str | None) -> str:
    """An axis value; a dash for cells that do not have the axis."""
    return "—" if value is None else escape_text(value) or "(empty)"


def values_words(values: tuple[str | None, ...], known: tuple[str | None, ...]) -> str:
    """The values that a row stands for: named, or ``any of N`` when they are all of three or more.

    Of very many only the first are named, and how many there are.
    """
    if len(values) >= ALL_FROM and len(values) == len(known):
        return f"any of {len(values)}"
    named = ", ".join(value_words(value) for value in values[:NAMED])
    return named if len(values) <= NAMED else f"{named}, … ({len(values)} of {len(known)})"


def column_head(column: Column) -> str:
    """Runtime, engine and versions, each on lines of its own."""
    versions = escape_text(column.range).replace(" … ", " …\n").replace(", ", ",\n")
    return "\n".join(filter(None, (escape_text(column.family), escape_text(column.engine), versions)))


def show_command(record: Record) -> str:
    """The command that prints one record, ready to paste."""
    return f"permlab show {escape_text(shlex.quote(record.cell))}"


def again_command(record: Record) -> str:
    """The command that runs one cell again, ready to paste."""
    words = ["permlab", "run", record.scenario]
    runtime = record.axes.get("runtime")
    if runtime:
        words += ["--runtimes", runtime]  # it need not be among the scenario's own
    return " ".join(escape_text(shlex.quote(word)) for word in (*words, "--cell", record.cell))


def reproducible(record: Record) -> bool:
    """Whether a record is of a kind that `permlab repro` makes a folder of."""
    return record.verdict.kind not in {"skipped", "errored"} and record.axes.get("engine") == "oci"


def repro_command(record: Record) -> str:
    """The command that makes one cell a folder to show without the lab, ready to paste."""
    return f"permlab repro {escape_text(shlex.quote(record.cell))}"


def counted(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
