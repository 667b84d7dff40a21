"""Predictions for a stored run, made when it is looked at, from nothing but what is stored with it.

Needed of a run: the text of each scenario (its cells are resolved again), the config.json of each cell, the tree of
each image (``tree`` in what is known of it, see :mod:`lab.oracle.mtree`), and what is known of the runtimes. Cells that
differ only in versions of one era share a prediction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from lab.errors import InputError
from lab.model.record import Record, Run
from lab.model.scenario import Cell, Scenario
from lab.model.settings import Settings
from lab.model.verdict import Denied, Failed, Passed
from lab.oracle import mtree
from lab.oracle.eras import Era, era_of
from lab.oracle.ids import IdMaps
from lab.oracle.predict import Setup, predict, set_up
from lab.oracle.prediction import NoPrediction, Predicted, Prediction
from lab.oracle.tree import Nodes
from lab.oracle.world import mapped_tree
from lab.scenario.load import parse
from lab.scenario.resolve import resolve

_ENGINE = "oci"
_RUNTIME = "runtime"
TREE = "tree"
"""Where what is known of an image has its tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What the model says of each cell of a run, by the cell's id, and which measured cells it does not agree with.

    ``surprises`` maps the id of a cell to what differs: a new change of a runtime, or a fault of the lab.
    """

    cells: Mapping[str, Predicted]
    surprises: Mapping[str, str]

    @property
    def count(self) -> int:
        """The cells that have a prediction."""
        return sum(isinstance(one, Prediction) for one in self.cells.values())


def predict_run(run: Run) -> Predictions:
    """The predictions for every record of a run, controls included."""
    oracle = _Oracle(run)
    cells = {record.cell: oracle.of(record) for record in run.records}
    found = ((record.cell, surprise(record, cells[record.cell])) for record in run.records)
    return Predictions(cells=cells, surprises={cell: text for cell, text in found if text})


def predict_record(run: Run, record: Record) -> Predicted:
    """The prediction for one record of a run."""
    return _Oracle(run).of(record)


def surprise(record: Record, predicted: Predicted) -> str:
    """What the measurement shows differently from the prediction; ``""`` where they agree, or there is but one."""
    verdict = record.verdict
    if isinstance(predicted, NoPrediction) or not isinstance(verdict, Passed | Denied | Failed):
        return ""
    found = (verdict.kind, "", None) if isinstance(verdict, Passed) else (verdict.kind, verdict.cause, verdict.phase)
    if found != (predicted.kind, predicted.cause, predicted.phase):
        return f"predicted {predicted}"
    return _step_surprise(record, predicted)


def _step_surprise(record: Record, predicted: Prediction) -> str:
    """The first step that ended otherwise than predicted. Most cells have no refused step, and are not decoded."""
    output = record.observation.output if record.observation else b""
    if b'"ok":false' not in output and not any(errno for _, errno in predicted.steps):
        return ""
    measured = dict(_step_results(output))
    for number, errno in predicted.steps:
        if measured.get(number, errno) != errno:
            return f"predicted step {number}: {errno or 'ok'}, measured {measured[number] or 'ok'}"
    return ""


def _step_results(output: bytes) -> Iterator[tuple[int, str]]:
    for line in output.splitlines():
        if line.startswith(b'{"step":') and not line.startswith(b'{"step":0,'):
            try:
                fact = json.loads(line)
            except (ValueError, RecursionError):  # a stranger may write anything
                continue
            if isinstance(fact.get("step"), int) and isinstance(fact.get("ok"), bool):
                yield fact["step"], "" if fact["ok"] else str(fact.get("errno", ""))


_Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What stands in a run of a cell, whichever runtime it had: digests, that of its settings perhaps empty."""

    config: str
    image: str
    settings: str


@dataclass(slots=True, kw_only=True)
class _Shared:
    """What cells share that differ in their runtime only: all that comes before it, and a prediction for each era."""

    setup: Setup | NoPrediction
    known: dict[Era, Predicted] = field(default_factory=dict)

    def of(self, era: Era) -> Predicted:
        if isinstance(self.setup, NoPrediction):
            return self.setup
        found = self.known.get(era)
        if found is None:
            found = self.known[era] = predict(self.setup, era)
        return found


@dataclass(slots=True)
class _Oracle:
    """Predicts cell by cell, and remembers what cells share."""

    run: Run
    _scenarios: dict[str, Scenario | None] = field(default_factory=dict)
    _stored: dict[_Key, _Stored] = field(default_factory=dict)
    _shared: dict[_Key, _Shared] = field(default_factory=dict)
    _equal: dict[tuple[str, _Stored], _Shared] = field(default_factory=dict)
    _eras: dict[tuple[str, str], Era | str] = field(default_factory=dict)
    _host: int = 0

    def __post_init__(self) -> None:
        try:
            self._host = int(self.run.header.host.capabilities, 16)
        except ValueError:
            self._host = 0
        for record in self.run.records:
            if record.provenance.config and record.provenance.image and (key := _key(record)) not in self._stored:
                known = record.provenance
                self._stored[key] = _Stored(config=known.config, image=known.image, settings=known.settings)

    def of(self, record: Record) -> Predicted:
        """The prediction for one record."""
        if record.axes.get("engine") != _ENGINE:
            return NoPrediction(reason=f"the engine {record.axes.get('engine', '')}")
        if self.run.header.host.uid:
            return NoPrediction(reason="a lab that is not root")
        era = self._era(record)
        if isinstance(era, str):
            return NoPrediction(reason=era)
        key = _key(record)
        stored = self._stored.get(key)  # a skipped cell has the config of its neighbours with other runtimes
        if stored is None:
            return NoPrediction(reason="no cell of this kind has been prepared")
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = self._share(record, stored)
        return shared.of(era)

    def _share(self, record: Record, stored: _Stored) -> _Shared:
        """Combinations whose settings, config and image are all equal are one to the model, whatever their axes say."""
        if not stored.settings:
            return _Shared(setup=self._set_up(record, stored))
        key = (record.scenario, stored)
        if key not in self._equal:
            self._equal[key] = _Shared(setup=self._set_up(record, stored))
        return self._equal[key]

    def _set_up(self, record: Record, stored: _Stored) -> Setup | NoPrediction:
        settings = self._resolved(record)
        if settings is None:
            return NoPrediction(reason="the stored scenario does not read any more")
        config = _json(self.run.configs.get(stored.config, ""))
        tree = self.run.images.get(stored.image, {}).get(TREE)
        if config is None or not isinstance(tree, str) or not tree:
            return NoPrediction(reason="the run was stored without the image's tree, or without the config")
        return set_up(config, settings, partial(_image, tree), self._host)

    def _era(self, record: Record) -> Era | str:
        key = (record.axes.get(_RUNTIME, ""), record.provenance.runtime)
        if key not in self._eras:
            self._eras[key] = era_of(key[0], self.run.runtimes.get(key[1], {}))
        return self._eras[key]

    def _resolved(self, record: Record) -> Settings | None:
        scenario = self._scenario(record.scenario)
        cell = Cell(record.cell, record.scenario, tuple(record.axes.items()))
        try:
            return None if scenario is None else resolve(scenario, cell).settings
        except (InputError, LookupError):
            return None

    def _scenario(self, name: str) -> Scenario | None:
        if name not in self._scenarios:
            try:
                self._scenarios[name] = parse(
                    self.run.header.scenarios.get(name, ""), id=name, where=f"{name} (stored)"
                )
            except InputError:
                self._scenarios[name] = None
        return self._scenarios[name]


def _key(record: Record) -> _Key:
    return record.scenario, tuple([pair for pair in record.axes.items() if pair[0] != _RUNTIME])


def _json(text: str) -> Any:  # noqa: ANN401  # JSON as it is stored
    try:
        return json.loads(text)
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _image(tree: str, maps: IdMaps) -> Nodes:
    return mapped_tree(_decoded(tree), maps)


@lru_cache(maxsize=32)
def _decoded(tree: str) -> Nodes:
    return mtree.decode(tree)
