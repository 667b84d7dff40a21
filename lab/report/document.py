"""The JSON report as types: ``report.schema.json`` is generated from them, and ``docs/report-format.md`` explains them.

Keys are only ever added within one ``FORMAT``; a key that changes its meaning or goes away raises it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

FORMAT: Literal[1] = 1

VerdictWord = Literal["passed", "denied", "failed", "skipped", "errored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationEntry:
    """What the scenario expected of a cell, and where that comes from."""

    verdict: Literal["passed", "denied", "failed"]
    cause: str | None
    phase: str | None
    when: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionEntry:
    """What the oracle says of a cell; never a measurement.

    ``verdict`` is ``null`` where it says nothing, for ``reason``. ``era`` names the runtime's order of calls, ``steps``
    maps the number of each step of the probe to its errno (``""``: carried out). ``surprise`` says what the measurement
    shows otherwise, ``""`` where nothing.
    """

    verdict: Literal["passed", "denied", "failed"] | None
    cause: str | None
    phase: str | None
    reason: str
    era: str
    steps: Mapping[str, str]
    surprise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceEntry:
    """Digests of what was run: runtime binary, image, probe, stored config.json, and the engine's build."""

    runtime: str
    image: str
    probe: str
    config: str
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEntry:
    """One cell. Texts stand as they were seen: escape them before you show them.

    ``derived`` tells that the verdict was worked out from an admission rule: nothing was run.
    """

    id: str
    scenario: str
    axes: Mapping[str, str]
    control: bool
    verdict: VerdictWord
    cause: str | None
    phase: str | None
    evidence: str | None
    reason: str | None
    expectation: ExpectationEntry | None
    held: bool | None
    derived: bool
    speaks_for: str
    text_differs: bool
    exit_code: int | None
    seconds: Mapping[str, float]
    started: str
    provenance: ProvenanceEntry
    prediction: PredictionEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """The machine that the run was made on."""

    kernel: str
    machine: str
    cgroups: str
    lsms: str
    uid: int
    capabilities: str
    os: str
    cpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """The run. ``finished`` is ``""`` when it did not come to its end; ``scenarios`` maps ids to questions."""

    id: str
    lab_version: str
    started: str
    finished: str
    argv: tuple[str, ...]
    host: HostEntry
    scenarios: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsEntry:
    """Counts of the control cells; ``not_held`` names those that did not show what they must."""

    total: int
    not_held: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryEntry:
    """Counts over all cells but the controls.

    ``derived`` of them were worked out from an admission rule, not measured. ``predicted`` cells have a prediction, and
    ``surprises`` of these show something else.
    """

    cells: int
    passed: int
    denied: int
    failed: int
    skipped: int
    errored: int
    held: int
    not_held: int
    controls: ControlsEntry
    derived: int
    predicted: int
    surprises: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDifferenceEntry:
    """Cells that ``engine`` answers otherwise than ``base`` does, all else equal.

    ``here`` and ``there`` are the two answers; ``reason`` and ``source`` the policy of the engine that explains it;
    ``source`` is empty when the lab knows none.
    """

    engine: str
    base: str
    here: str
    there: str
    reason: str
    source: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole report.

    ``runtimes``, ``images`` and ``engines`` map the digests of provenances to what is known of them.
    """

    format: Literal[1]
    run: RunEntry
    void: bool
    complete: bool
    summary: SummaryEntry
    runtimes: Mapping[str, Mapping[str, Any]]
    images: Mapping[str, Mapping[str, Any]]
    engines: Mapping[str, Mapping[str, Any]]
    engine_differences: tuple[EngineDifferenceEntry, ...]
    cells: tuple[CellEntry, ...]


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the JSON report.

    Open on purpose: a reader that validates must not break when a key is added.
    """
    schema = TypeAdapter(Document).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "permlab report"}


def schema_text() -> str:
    """The schema as ``lab/report/report.schema.json`` holds it."""
    return json.dumps(report_schema(), indent=2) + "\n"
