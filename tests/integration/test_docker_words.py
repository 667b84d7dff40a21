"""Every word that a cell can say to Docker alone shows in its container."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from lab_session import RUNC, Lab, require_engine, user_cache

from lab.model.engine_settings import DockerWords
from lab.scenario.load import load, shipped_directory

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

ELSEWHERE = {"privileged", "userns_remap"}
"""Shown by docker-userns-remap; this test's host may lack a capability that `privileged` gives."""


def test_every_word_shows_in_the_container(tmp_path: Path, demanded: set[str]) -> None:
    require_engine("docker", demanded)
    scenario = load(shipped_directory() / "docker-words.toml")
    said: set[str] = set()
    for fragment in scenario.own_axes["word"].values():
        words = fragment.get("docker", {})
        assert isinstance(words, dict)
        said |= words.keys()
    assert said | ELSEWHERE == {field.name for field in fields(DockerWords)} | ELSEWHERE
    lab = Lab(place=tmp_path, cache=user_cache())
    done = lab.call("run", "docker-words", "--runtimes", RUNC)
    assert done.ok, done.tail()
    shown = {record.axes["word"]: record.verdict.kind for record in lab.last().records if not record.control}
    assert shown == dict.fromkeys(scenario.own_axes["word"], "passed")
    assert not lab.left()
