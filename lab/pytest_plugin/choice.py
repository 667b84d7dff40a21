"""What the user chose with the plugin's options, looked at before anything is collected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from lab.cli.common import runtime_words
from lab.errors import LabError
from lab.model.record import Record
from lab.model.scenario import Cell
from lab.provision.catalogue import load_catalogue
from lab.scenario.expand import fits
from lab.scenario.versions import expand_runtimes, matches, parse_engine
from lab.store import runs as store

_RANGE = re.compile(r"\s*[<>=!~]")

MARKS = (
    "oci: cells that the lab gives to a runtime itself",
    "docker: cells of a Docker daemon",
    "podman: cells of podman",
    "cri: cells of containerd over the Kubernetes CRI",
    "rootless: cells whose runtime or engine is called by an ordinary user",
    "engine(name, version): cells by their engine, e.g. -m \"engine(name='docker')\"",
    "runtime(family, version, build): cells by their runtime, e.g. -m \"runtime(family='runc')\"",
    "pack(name): cells of scenarios of one theme, e.g. -m \"pack(name='chdir')\"",
    "axis(...): cells by the values of their axes, e.g. -m \"axis(user='1000:0', caps='cri')\"",
)
"""What a cell's item is marked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A stored run: ``records`` maps the id of a cell to its latest record."""

    id: str
    records: Mapping[str, Record]
    controls: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """``runtimes`` go before a scenario's own, ``engines`` keep cells, ``runs`` are judged instead of running any."""

    runtimes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    runs: tuple[StoredRun, ...] = ()

    def keeps(self, cell: Cell) -> bool:
        """Whether a cell is of a chosen engine."""
        return not self.engines or fits(self.engines, cell.value("engine"))


CHOICE: pytest.StashKey[Choice] = pytest.StashKey()


def activate(config: pytest.Config) -> Choice:
    """Make the rest of the plugin work, once, and return what the user chose.

    Raises :class:`pytest.UsageError` for options that mean nothing.
    """
    if CHOICE not in config.stash:
        for line in MARKS:
            config.addinivalue_line("markers", line)
        try:
            config.stash[CHOICE] = _choice(config)
        except LabError as error:
            raise pytest.UsageError(str(error)) from None
        config.pluginmanager.import_plugin("lab.pytest_plugin.hooks")
    return config.stash[CHOICE]


def _choice(config: pytest.Config) -> Choice:
    runtimes = tuple(word for text in config.getoption("permlab_runtime") for word in runtime_words(text))
    expand_runtimes(runtimes, load_catalogue())  # a word that stands for nothing is told now
    engines = tuple(config.getoption("permlab_engine"))
    for word in engines:
        _check_engine(word)
    return Choice(runtimes=runtimes, engines=engines, runs=tuple(map(_run, config.getoption("permlab_run"))))


def _check_engine(word: str) -> None:
    """Refuse what is neither an engine's word nor a range of its versions."""
    family = _RANGE.split(word)[0]
    parse_engine(word if family == word else family)
    matches(word, "")


def _run(word: str) -> StoredRun:
    found = store.read(store.find(store.runs_directory(), "last" if word == "latest" else word))
    records = {record.cell: record for record in found.records}
    controls = tuple(record for record in records.values() if record.control)
    return StoredRun(id=found.header.id, records=records, controls=controls)
