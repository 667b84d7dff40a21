"""The site for machines: ``site.json`` and one history for each scenario, as ``docs/publish.md`` describes them.

All ASCII, one run, flip or cell on one line, every path relative to the top of the site.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.flips import Answer
from lab.report.formats import SUFFIXES
from lab.report.site.history import History
from lab.report.site.model import Summary, file_name
from lab.report.site.news import News

FORMAT: Literal[1] = 1
DIFFS = {name: f"diff{SUFFIXES[name]}" for name in DIFF_RENDERERS}
"""What the comparison with the run before it is called in a run's directory, by format."""


def site_json(title: str, runs: Sequence[Summary], found: Sequence[News], past: Sequence[History]) -> str:
    """Title, runs (newest first), new flips (newest first) and where the histories are."""
    return _document(
        {
            "format": FORMAT,
            "title": title,
            "runs": [_run(run) for run in reversed(runs)],
            "flips": [_flip(one) for one in found],
            "histories": [{"scenario": one.scenario, "data": f"{history_place(one)}.json"} for one in past],
        }
    )


def history_json(past: History) -> str:
    """One scenario: its runs, oldest first, and for each cell its spells, oldest first."""
    return _document(
        {
            "format": FORMAT,
            "scenario": past.scenario,
            "question": past.question,
            "runs": [{"id": run.id, "started": run.started, "page": f"{run.place}/index.html"} for run in past.runs],
            "cells": [
                {
                    "id": one.cell,
                    "changed": one.changed,
                    "history": [
                        {
                            "verdict": spell.kind,
                            "cause": spell.cause or None,
                            "phase": spell.phase or None,
                            "runtime": spell.runtime,
                            "image": spell.image,
                            "runs": [run.id for run in spell.runs],
                        }
                        for spell in one.spells
                    ],
                }
                for one in past.cells
            ],
        }
    )


def history_place(past: History) -> str:
    """Where a scenario's history is in the site, without the ending of the file's name."""
    return f"history/{file_name(past.scenario)}"


def _document(data: Mapping[str, object]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_block(value)}" for key, value in data.items()) + "\n}\n"


def _block(value: object) -> str:
    return (
        "[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list) and value else json.dumps(value)
    )


def _run(run: Summary) -> dict[str, Any]:
    return {
        "id": run.id,
        "started": run.started,
        "finished": run.finished,
        "lab_version": run.lab_version,
        "void": run.void,
        "complete": bool(run.finished),
        "scenarios": list(run.questions),
        "host": {"os": run.host.os, "kernel": run.host.kernel, "machine": run.host.machine},
        "summary": {
            "cells": run.counts.cells,
            **run.counts.verdicts,
            "held": run.counts.held,
            "not_held": run.counts.not_held,
        },
        "since": None
        if run.since is None
        else {"run": run.since.run, **run.since.changes, "diff": f"{run.place}/{DIFFS['json']}"},
        "page": f"{run.place}/index.html",
        "report": f"{run.place}/report.json",
    }


def _flip(one: News) -> dict[str, Any]:
    return {
        "id": one.id,
        "updated": one.run.updated,
        "run": one.run.id,
        "scenario": one.scenario,
        "runtime": one.family,
        "engine": one.engine or None,
        "before": one.before,
        "after": one.after,
        "was": _answer(one.was),
        "now": _answer(one.now),
        "cells": list(one.cells),
    }


def _answer(found: Answer) -> dict[str, Any]:
    return {"verdict": found.kind, "cause": found.cause or None}
