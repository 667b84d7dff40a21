"""A scenario as the text of a file, so that a stored run says what it asked; also for one that a program changed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from lab.codec import SCENARIO_FORMAT, read_text, to_data
from lab.errors import InputError
from lab.model.scenario import Constraint, Expectation, Scenario
from lab.scenario.load import parse


def text_of(scenario: Scenario) -> str:
    """The text of the scenario's file where it still says the same, else a text that does.

    Raises :class:`InputError` for a scenario that no file can say, with all its faults.
    """
    path = Path(scenario.path)
    if scenario.path and path.is_file():
        with contextlib.suppress(InputError):
            text = read_text(path)
            if parse(text, id=scenario.id, where=scenario.path) == scenario:
                return text
    text = tomli_w.dumps(_document(scenario))
    where = f"{scenario.id} (made by a program)"
    if parse(text, id=scenario.id, where=where) != replace(scenario, path=where):
        raise InputError(
            f"scenario {scenario.id} cannot be written as a file",
            details="read back, the text says something else",
            resolution="use the types of lab.Scenario: tuples of strings, plain data as TOML has it",
        )
    return text


def _document(scenario: Scenario) -> dict[str, Any]:
    return {
        "format": SCENARIO_FORMAT,
        "question": scenario.question,
        "pack": scenario.pack,
        "sources": list(scenario.sources),
        "axes": {**to_data(scenario.axes), **to_data(scenario.own_axes)},
        "settings": to_data(scenario.base),
        "exclude": to_data(scenario.exclude),
        "include": to_data(scenario.include),
        "constraint": _said(scenario.constraints),
        "expect": _said(scenario.expect),
    }


def _said(rules: Sequence[Constraint] | Sequence[Expectation]) -> list[Mapping[str, Any]]:
    """Rules without what they leave open: TOML has no null."""
    return [{name: value for name, value in to_data(rule).items() if value is not None} for rule in rules]
