"""The last lines of a pytest run: which stored runs hold what was measured."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.errors import LabError
from lab.store import runs as store


def tell_runs(reporter: pytest.TerminalReporter, ids: Sequence[str]) -> None:
    """Name the runs, and what to do with them."""
    reporter.ensure_newline()
    reporter.section("permlab")
    for run_id in ids:
        reporter.write_line(f"run {run_id}{_void(run_id)}: `permlab show --run {run_id}` shows its matrix")


def _void(run_id: str) -> str:
    try:
        return " is VOID" if store.read(store.find(store.runs_directory(), run_id)).void else ""
    except LabError:
        return ""
