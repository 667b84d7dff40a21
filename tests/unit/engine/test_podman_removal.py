"""Ended containers of podman are removed several at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.engine.podman_home import REMOVED_TOGETHER, PodmanHome
from lab.process import Completed


class Home(PodmanHome):
    """A podman that is never called: ``answers`` are the return codes of its calls, ``asked`` their words."""

    answers: list[int]
    asked: list[tuple[str, ...]]

    def argv(self, _: object, *words: str) -> tuple[str, ...]:
        return words

    def call(self, argv: tuple[str, ...], **_: object) -> Completed:
        self.asked.append(argv)
        code = self.answers.pop(0) if self.answers else 0
        return Completed(argv=argv, returncode=code, stdout=b"", stderr=b"busy" if code else b"", seconds=0.0)


@pytest.fixture(name="home")
def _home() -> Home:
    nothing: Any = None
    made = Home(build=nothing, workspace=nothing, layers=nothing, caller=nothing, place=Path())
    made.answers, made.asked = [], []
    return made


def remove(home: Home, *names: str, at_once: bool = False) -> list[str | None]:
    nothing: Any = None
    return [home.remove(name, nothing, at_once=at_once) for name in names]


def test_one_call_removes_several(home: Home) -> None:
    names = [f"c{number}" for number in range(REMOVED_TOGETHER)]
    assert remove(home, *names, "late") == [None] * (REMOVED_TOGETHER + 1)
    assert home.asked == [("rm", "--force", "--ignore", *names)]


def test_at_once_takes_those_along_that_wait(home: Home) -> None:
    remove(home, "a")
    assert remove(home, "b", at_once=True) == [None]
    assert home.asked == [("rm", "--force", "--ignore", "a", "b")]


def test_what_is_not_removed_is_told_and_tried_again(home: Home) -> None:
    home.answers = [125]
    assert remove(home, "a", at_once=True) == ["busy"]
    assert remove(home, "b", at_once=True) == [None]
    assert [words[3:] for words in home.asked] == [("a",), ("a", "b")]
