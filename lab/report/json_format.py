r"""The report for programs: one JSON document, described in ``docs/report-format.md`` and ``report.schema.json``.

Everything outside ASCII is written as ``\uXXXX``, so that printing the document cannot act on a terminal either. One
cell stands on one line: the file can be read with grep, and two of them with diff.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from lab.codec import to_data
from lab.model.record import Record, Run
from lab.model.verdict import Denied, Errored, Failed, Skipped
from lab.oracle.prediction import Predicted, Prediction
from lab.oracle.runs import Predictions
from lab.report.document import (
    FORMAT,
    CellEntry,
    ControlsEntry,
    Document,
    EngineDifferenceEntry,
    ExpectationEntry,
    HostEntry,
    PredictionEntry,
    ProvenanceEntry,
    RunEntry,
    SummaryEntry,
)
from lab.report.expectations import held
from lab.report.matrix import controls
from lab.report.source import read_source
from lab.report.style import Style
from lab.report.summary import build

_LEFT_OUT = frozenset({"path", "root", "rootfs", "tree"})
"""Facts of runtimes, engines and images that only mean something on the machine that made the run, or to the oracle."""


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The document as text: one line for each top-level key, runtime, image and cell."""
    return document_text(document(run))


def line_text(value: object) -> str:
    """A value, or a dataclass, as JSON on one line."""
    return _ENCODER.encode(value)


def document_text(document: object) -> str:
    """A dataclass as a JSON object: one line for each key, and for each element of a list."""
    lines = [f"{json.dumps(key)}: {_block(value)}" for key, value in _entry(document).items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def document(run: Run) -> Document:
    """The run as the documented types."""
    report = build(run)
    numbers, predictions = report.counts, report.predictions
    cells = [record.cell for record in run.records if not record.control]
    return Document(
        format=FORMAT,
        run=_run(run),
        void=run.void,
        complete=bool(run.finished),
        summary=SummaryEntry(
            cells=numbers.cells,
            passed=numbers.verdicts["passed"],
            denied=numbers.verdicts["denied"],
            failed=numbers.verdicts["failed"],
            skipped=numbers.verdicts["skipped"],
            errored=numbers.verdicts["errored"],
            held=numbers.held,
            not_held=numbers.not_held,
            controls=ControlsEntry(
                total=numbers.controls,
                not_held=tuple(record.cell for record in controls(run) if held(record) is False),
            ),
            derived=numbers.derived,
            predicted=sum(isinstance(predictions.cells[cell], Prediction) for cell in cells),
            surprises=sum(cell in predictions.surprises for cell in cells),
        ),
        runtimes=described(run.runtimes),
        images=described(run.images),
        engines=described(run.engines),
        engine_differences=tuple(
            EngineDifferenceEntry(
                engine=one.engine,
                base=one.base,
                here=one.here,
                there=one.there,
                reason=one.reason,
                source=one.source,
                cells=tuple(record.cell for record in one.records),
            )
            for one in report.engines
        ),
        cells=tuple(_cell(record, predictions) for record in run.records),
    )


def _block(value: object) -> str:
    if isinstance(value, list | tuple) and value:
        return "[\n" + ",\n".join(map(line_text, value)) + "\n]"
    return line_text(value)


def _entry(value: object) -> dict[str, Any]:
    """One dataclass as an object, its values as they are: ``asdict`` would copy every one of them first."""
    if not is_dataclass(value):
        raise TypeError(type(value).__name__)
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # fields() would make a new list of them


_ENCODER = json.JSONEncoder(default=_entry)


def described(known: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Any]]:
    """What is known of runtimes or images by digest, as plain data, without the paths of the machine that ran them."""
    return {
        digest: {key: to_data(value) for key, value in facts.items() if key not in _LEFT_OUT}
        for digest, facts in known.items()
    }


def _run(run: Run) -> RunEntry:
    header, host = run.header, run.header.host
    return RunEntry(
        id=header.id,
        lab_version=header.lab_version,
        started=header.started,
        finished=run.finished,
        argv=header.argv,
        host=HostEntry(
            kernel=host.kernel,
            machine=host.machine,
            cgroups=host.cgroups,
            lsms=host.lsms,
            uid=host.uid,
            capabilities=host.capabilities,
            os=host.os,
            cpus=host.cpus,
        ),
        scenarios={scenario: read_source(text).question for scenario, text in header.scenarios.items()},
    )


def _prediction(predicted: Predicted, surprise: str) -> PredictionEntry:
    known = predicted if isinstance(predicted, Prediction) else None
    return PredictionEntry(
        verdict=known.kind if known else None,
        cause=known.cause or None if known else None,
        phase=str(known.phase) if known and known.phase else None,
        reason="" if isinstance(predicted, Prediction) else predicted.reason,
        era=known.era if known else "",
        steps={str(number): errno for number, errno in known.steps} if known else {},
        surprise=surprise,
    )


def _cell(record: Record, predictions: Predictions) -> CellEntry:
    verdict, wanted, seen = record.verdict, record.expectation, record.observation
    refusal = verdict if isinstance(verdict, Denied | Failed) else None
    return CellEntry(
        id=record.cell,
        scenario=record.scenario,
        axes=record.axes,
        control=record.control,
        verdict=verdict.kind,
        cause=refusal.cause if refusal else None,
        phase=str(refusal.phase) if refusal else None,
        evidence=refusal.evidence if refusal else None,
        reason=verdict.reason if isinstance(verdict, Skipped | Errored) else None,
        expectation=None
        if wanted is None
        else ExpectationEntry(
            verdict=wanted.verdict, cause=wanted.cause, phase=wanted.phase, when=wanted.when, source=wanted.source
        ),
        held=held(record),
        derived=record.derived,
        speaks_for=record.speaks_for,
        text_differs=record.text_differs,
        exit_code=seen.exit_code if seen else None,
        seconds=seen.seconds if seen else {},
        started=record.started,
        provenance=ProvenanceEntry(
            runtime=record.provenance.runtime,
            image=record.provenance.image,
            probe=record.provenance.probe,
            config=record.provenance.config,
            engine=record.provenance.engine,
        ),
        prediction=_prediction(predictions.cells[record.cell], predictions.surprises.get(record.cell, "")),
    )
