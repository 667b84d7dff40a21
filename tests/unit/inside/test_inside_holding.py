from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from lab.inside import holding
from lab.model.scenario import Cell, Resolved
from lab.model.settings import Action, Process, Settings

TOKEN = "86400.0123456789"  # noqa: S105  # a number that marks a process


def resolved(settings: Settings) -> Resolved:
    cell = Cell(id="s/x", scenario="s", axes=())
    return Resolved(cell=cell, image="busybox", runtime="runc@1.1.5", engine="oci", settings=settings)


def waiting(settings: Settings) -> Settings:
    return holding._waiting(resolved(settings), TOKEN).settings  # noqa: SLF001  # the pure part


def test_the_steps_are_carried_out_before_it_waits() -> None:
    process = Process(user="1000:0", cwd="/w", steps=("id", "touch /x"))
    found = waiting(Settings(process=process))
    assert found.process == replace(process, steps=("id", "touch /x", f"sleep {TOKEN}"))


def test_the_probe_stands_in_for_a_program_and_for_exec() -> None:
    found = waiting(Settings(process=Process(args=("/bin/true",)), action=Action.EXEC, exec=Process(user="0:0")))
    assert found.process.args is None
    assert found.process.steps == (f"sleep {TOKEN}",)
    assert (found.action, found.exec) == (Action.RUN, None)


@pytest.mark.parametrize("action", [Action.RUN, Action.CREATE_START])
def test_other_actions_stay(action: Action) -> None:
    assert waiting(Settings(action=action)).action is action


def test_the_deadline_is_no_longer_the_cells() -> None:
    assert waiting(Settings(deadline=1.0)).deadline == holding.LONGEST


def test_a_process_that_is_not_the_probe_does_not_wait() -> None:
    assert not holding._waits(os.getpid())  # noqa: SLF001  # looks at a pid
    assert not holding._waits(2**22)  # noqa: SLF001  # none has this one


def test_every_container_has_a_token_that_the_probe_takes_as_seconds() -> None:
    tokens = {holding.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"\d{1,9}\.\d{1,10}", token) for token in tokens)
