"""The report for spreadsheets and data frames: CSV after RFC 4180, one row for each record, columns always the same.

Texts of strangers are escaped as in every format, and what a spreadsheet would take for a formula is neutralised with
an apostrophe (OWASP, "CSV Injection"): at the start of a field, and after a semicolon, which separates fields where
the comma is the decimal sign.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cache

from lab.model.record import Record, Run
from lab.model.verdict import Denied, Errored, Failed, Skipped
from lab.oracle.prediction import Prediction
from lab.oracle.runs import Predictions
from lab.report.escape import escape_text
from lab.report.expectations import held
from lab.report.style import Style
from lab.report.summary import build

COLUMNS = (
    "run",
    "scenario",
    "cell",
    "control",
    "verdict",
    "cause",
    "phase",
    "text",
    "expected",
    "expected_cause",
    "expected_phase",
    "held",
    "speaks_for",
    "text_differs",
    "exit_code",
    "seconds",
    "started",
    "runtime_sha256",
    "image_digest",
    "config_sha256",
    "derived",
    "predicted",
    "predicted_cause",
    "predicted_phase",
    "surprise",
)
"""Columns that every report has, in this order; a column ``axis:NAME`` follows for each axis of the run."""

_SIGNS = frozenset("=+-@＝＋－＠")  # noqa: RUF001  # spreadsheets take full-width signs too
_WORDS = {True: "true", False: "false", None: ""}


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The records in the run's order, controls included, below a line with the columns' names."""
    axes = dict.fromkeys(axis for record in run.records for axis in record.axes)
    predictions = build(run).predictions
    field = cache(_field)  # axes, words and digests come again in every row
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *(field(f"axis:{axis}") for axis in axes)])
    writer.writerows(
        [
            *map(field, _values(run.header.id, record)),
            *map(field, _predicted(record, predictions)),
            *(field(record.axes.get(axis, "")) for axis in axes),
        ]
        for record in run.records
    )
    return text.getvalue()


def _field(text: str) -> str:
    parts = escape_text(text).split(";")
    return ";".join(f"'{part}" if part.lstrip()[:1] in _SIGNS else part for part in parts)


def _values(run: str, record: Record) -> Iterator[str]:
    verdict, wanted, seen, proof = record.verdict, record.expectation, record.observation, record.provenance
    refusal = verdict if isinstance(verdict, Denied | Failed) else None
    yield from (run, record.scenario, record.cell, _WORDS[record.control], verdict.kind)
    yield from (refusal.cause, str(refusal.phase)) if refusal else ("", "")
    yield verdict.reason if isinstance(verdict, Skipped | Errored) else refusal.evidence if refusal else ""
    yield from (wanted.verdict, wanted.cause or "", wanted.phase or "") if wanted else ("", "", "")
    yield from (_WORDS[held(record)], record.speaks_for, _WORDS[record.text_differs])
    yield "" if seen is None or seen.exit_code is None else str(seen.exit_code)
    yield f"{sum(seen.seconds.values()):.4f}" if seen else ""
    yield from (record.started, proof.runtime, proof.image, proof.config, _WORDS[record.derived])


def _predicted(record: Record, predictions: Predictions) -> tuple[str, str, str, str]:
    """Verdict, cause and phase that the oracle predicts, if it does; and what the measurement shows differently."""
    known, surprise = predictions.cells[record.cell], predictions.surprises.get(record.cell, "")
    if not isinstance(known, Prediction):
        return "", "", "", surprise
    return known.kind, known.cause, str(known.phase or ""), surprise
