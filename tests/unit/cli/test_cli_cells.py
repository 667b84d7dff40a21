"""Cells by the user's word, without containers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.cli.cells import named_cell, named_cells
from lab.cli.main import permlab
from lab.errors import InputError

CHDIR = "chdir-cwd/distroless-static:nonroot/user=1000:0/cwd=image/caps=docker/caller=root"


def test_a_word_names_the_cells_that_fit_in_the_scenario_that_it_begins_with() -> None:
    named = named_cells(f"{CHDIR}/*")
    assert {task.scenario.id for task in named.tasks} == {"chdir-cwd"}
    assert set(named.texts) == {"chdir-cwd"}
    assert "question" in named.texts["chdir-cwd"]


def test_a_runtime_that_the_scenario_does_not_name_is_found_too() -> None:
    task, _ = named_cell(f"{CHDIR}/runc-1.1.3/oci")
    assert task.cell.value("runtime") == "runc@1.1.3"


def test_an_exact_id_goes_before_the_ids_that_it_is_a_part_of() -> None:
    task, _ = named_cell("umask/distroless-static/runc-1.0.0-rc9/oci")
    assert task.cell.value("runtime") == "runc@1.0.0-rc9"


def test_a_part_of_an_id_is_looked_for_everywhere_or_in_the_scenario_that_is_named(tmp_path: Path) -> None:
    assert {task.scenario.id for task in named_cells("row=workdir_kept").tasks} == {"openshift-uid"}
    mine = tmp_path / "mine.toml"
    mine.write_text('format = 1\nquestion = "?"\n[axes]\nuser = ["7:7"]\nruntime = ["runc@1.1.0"]\n')
    task, texts = named_cell("user=7:7", str(mine))
    assert task.cell.id == "mine/distroless-static/user=7:7/runc-1.1.0/oci"
    assert texts == {"mine": mine.read_text()}


def test_what_fits_nothing_or_too_much_is_told() -> None:
    with pytest.raises(InputError, match="no cell fits 'nothing-there'"):
        named_cells("nothing-there")
    with pytest.raises(InputError, match=r"(?s)cells fit .*… and \d+ more"):
        named_cell("chdir-cwd/*")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["bisect", f"{CHDIR}/runc-1.1.5/oci", "x"], "2 cells are given"),
        (["bisect", "--axes", f"{CHDIR}/runc-1.1.5/oci"], "--axes compares two cells, not 1"),
        (["bisect", f"{CHDIR}/*", "--from", "runc@1.1.0", "--to", "1.1.0"], "both ends are runc@1.1.0"),
        (["bisect", f"{CHDIR}/*", "--from", "runc@1.1.0", "--to", "crun@1.21"], "is no value of this axis"),
        (["bisect", f"{CHDIR}/*", "--from", "runc@9.9"], "is no value of this axis"),
        (["bisect", f"{CHDIR}/*"], "names 2 lines of cells along runtime"),
        (["bisect", "chdir-cwd/*/runc-1.1.5/oci", "--from", "1.1.0"], "lines of cells along runtime"),
        (["bisect", f"{CHDIR}/*", "--from", "youki@0.7.0"], "has a runtime youki"),
        (["bisect", f"{CHDIR}/runc-1.1.5/oci", "--axis", "colour"], "has no axis 'colour'"),
        (["sweep", f"{CHDIR}/runc-1.1.5/oci", "--axis", "colour"], "has no axis 'colour'"),
        (["sweep", f"{CHDIR}/runc-1.1.5/oci", "--runtimes", "runc@nonsense"], "is not a version"),
        (["explain", "chdir-cwd/*"], "cells fit"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_runs(arguments: list[str], fault: str) -> None:
    result = CliRunner().invoke(permlab, arguments, prog_name="permlab")
    assert isinstance(result.exception, InputError), result.output
    assert fault in str(result.exception)
