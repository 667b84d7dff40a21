"""Causes, rules, corpus and documentation hold together."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab.classify.causes import CAUSES, Shown
from lab.classify.judge import judge
from lab.classify.programs import PROGRAM_RULES
from lab.classify.runtime_texts import TEXT_RULES
from lab.classify.steps import STEP_RULES
from lab.classify.texts import match_text
from lab.classify.wrappers import WRAPPERS, disagrees, speaks_for
from lab.model.verdict import Denied, Failed, Phase

TESTS = Path(__file__).parents[2]
CORPUS = TESTS / "recorded"
DOCUMENT = (TESTS.parent / "docs" / "causes.md").read_text()

ENGINE = "written by podman or by Docker's command line; facts.md and seed-scenarios.md"
NO_IMAGE = "the program is in no image of the lab yet; text measured in seed-scenarios.md"
NOT_RECORDED: dict[str, str] = {
    "layer-id": "the daemon's answer to an image, before any call for a container",
    "subuid": ENGINE,
    "podman-init": ENGINE,
    "userns-mode": ENGINE,
    "docker-flag": ENGINE,
    "seccomp-load": "runc loads a filter while it is still privileged: not seen refused with the runtimes at hand",
    "git-owner": NO_IMAGE,
    "ssh-account": NO_IMAGE,
    "sudo-account": NO_IMAGE,
    "python-account": NO_IMAGE,
    "in-use": NO_IMAGE,
    "only-root": NO_IMAGE,
    "fuse-open": NO_IMAGE,
    "fuse-mount": NO_IMAGE,
    "perl-gone": NO_IMAGE,
    "library-denied": "the libraries of the lab's images are readable to all",
}
"""Rules over texts that no recorded text hits, each with its reason."""


def recorder() -> ModuleType:
    found = importlib.util.spec_from_file_location("permlab_record", TESTS / "record.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


RECORD = recorder()
ENTRIES: list[tuple[str, dict[str, Any]]] = [
    (path.stem, entry)
    for path in sorted(CORPUS.glob("*.json"))
    if path.name != "runtimes.json"
    for entry in json.loads(path.read_text())["texts"]
]


def hit_rules() -> set[str]:
    names = set()
    for _, entry in ENTRIES:
        raw = RECORD.stored_bytes(entry)
        if matched := match_text(raw, marked_only=False):
            names.add(matched[0].name)
        names |= {rule.name for rule in PROGRAM_RULES if rule.pattern.search(raw.decode())}
    return names


HIT = hit_rules()


def test_the_corpus_is_there() -> None:
    assert len(ENTRIES) > 500
    families = {name.partition("@")[0] for _, entry in ENTRIES for name in entry["runtimes"]}
    assert families == {"runc", "crun", "youki", "runsc"}


@pytest.mark.parametrize(
    ("cell", "entry"), ENTRIES, ids=[f"{cell}-{entry['runtimes'][0]}-{n}" for n, (cell, entry) in enumerate(ENTRIES)]
)
def test_a_recorded_text_gives_the_cause_that_its_file_states(cell: str, entry: dict[str, Any]) -> None:
    verdict = judge(RECORD.stored_observation(entry))
    assert isinstance(verdict, Denied | Failed), cell
    assert (verdict.cause, str(verdict.phase)) == (entry["cause"], entry["phase"])
    assert verdict.kind == CAUSES[verdict.cause].verdict


@pytest.mark.parametrize(
    ("cell", "entry"), ENTRIES, ids=[f"{c}-{e['runtimes'][0]}-{n}" for n, (c, e) in enumerate(ENTRIES)]
)
def test_a_recorded_text_speaks_for_the_runtimes_that_wrote_it(cell: str, entry: dict[str, Any]) -> None:
    versions = speaks_for(RECORD.stored_observation(entry))
    assert [name for name in entry["runtimes"] if disagrees(versions, name)] == [], cell


def test_stated_causes_are_those_of_the_plan() -> None:
    cells = {cell.name: cell for cell in RECORD.read_cells()}
    assert {cell for cell, _ in ENTRIES} <= set(cells)
    for name, entry in ENTRIES:
        for runtime in entry["runtimes"]:
            assert cells[name].stated(runtime) == (entry["cause"], entry["phase"]), (name, runtime)


def test_every_recorded_runtime_has_its_provenance() -> None:
    known = json.loads((CORPUS / "runtimes.json").read_text())
    for _, entry in ENTRIES:
        for name in entry["runtimes"]:
            assert re.fullmatch(r"[0-9a-f]{64}", known[name]["sha256"])
            assert known[name]["reported"]
            assert known[name]["origin"]


def test_every_rule_over_texts_is_hit_by_a_recorded_text_or_says_why_not() -> None:
    names = [rule.name for rule in (*TEXT_RULES, *PROGRAM_RULES)]
    assert len(names) == len(set(names))
    assert set(names) - HIT == set(NOT_RECORDED)


def test_every_wrapper_is_hit_by_a_recorded_text_or_says_why_not() -> None:
    said = {speaks_for(RECORD.stored_observation(entry)) for _, entry in ENTRIES}
    another_distributors_build = "runc==1.0.0rc93"
    assert {wrapper.versions for wrapper in WRAPPERS} - said <= {another_distributors_build}


def test_rules_name_known_causes() -> None:
    named = {rule.cause for rule in (*TEXT_RULES, *PROGRAM_RULES)}
    named |= {rule.cause for rule in STEP_RULES if isinstance(rule.cause, str)}
    assert named <= set(CAUSES)


def test_every_cause_from_texts_has_a_rule_and_a_recorded_text_or_says_why_not() -> None:
    ruled = {rule.cause for rule in (*TEXT_RULES, *PROGRAM_RULES)} | {"unrecognised"}
    recorded = {entry["cause"] for _, entry in ENTRIES}
    excused = {rule.cause for rule in (*TEXT_RULES, *PROGRAM_RULES) if rule.name in NOT_RECORDED}
    for cause in CAUSES.values():
        assert (Shown.TEXT in cause.shown) == (cause.name in ruled), cause.name
        if Shown.TEXT in cause.shown:
            assert cause.name in recorded | excused, cause.name


def sections() -> dict[str, str]:
    parts = re.split(r"^### ", DOCUMENT, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].strip(): part.split("\n## ", 1)[0] for part in parts}


def test_every_cause_has_its_section_in_the_same_order() -> None:
    assert list(sections()) == list(CAUSES)


@pytest.mark.parametrize("name", CAUSES)
def test_a_section_says_what_it_means_and_what_cures_it(name: str) -> None:
    text = sections()[name]
    assert CAUSES[name].meaning in text
    assert f"*{CAUSES[name].verdict}*" in text
    assert "**Cure:**" in text


def test_the_texts_in_the_documentation_are_those_of_the_corpus() -> None:
    assert RECORD.with_texts(DOCUMENT) == DOCUMENT, "run: python tests/record.py --docs"


def test_phases_of_cells_are_phases() -> None:
    assert {entry["phase"] for _, entry in ENTRIES} <= {str(phase) for phase in Phase}
