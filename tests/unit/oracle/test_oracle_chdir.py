"""The rows of the chdir story as they were measured, told by the model."""

from __future__ import annotations

from typing import Any

import pytest
from oracle_cells import (
    CRUN,
    CRUN_OLD,
    NEW,
    RC9,
    RC10,
    RC92,
    RC93,
    RC93_DEBIAN,
    RC94,
    known,
    unknown,
    verdict,
)

COLUMNS = (RC9, RC10, RC92, RC93, RC93_DEBIAN, RC94, NEW, CRUN_OLD, CRUN)
CWD = "denied: cwd-not-searchable (phase chdir)"
NO_DAC = {"drop_capabilities": ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]}
DAC = ["CAP_DAC_OVERRIDE"]
EFFECTIVE = {"bounding": DAC, "effective": DAC, "permitted": DAC}
AMBIENT = {**EFFECTIVE, "inheritable": DAC, "ambient": DAC}

ROWS: tuple[tuple[str, dict[str, Any], dict[str, Any], str], ...] = (
    ("owner", {"user": "65532:65532"}, {}, "+++++++++"),
    ("other, docker", {"user": "1000:0"}, {}, "x++xx++++"),
    ("other of its own group, docker", {"user": "1000:1000"}, {}, "x++xx++++"),
    ("other, cri", {"user": "1000:0", "capabilities": "cri"}, {}, "+++xx++++"),
    ("other, effective", {"user": "1000:1000", "capabilities": EFFECTIVE}, {}, "+++xx++++"),
    ("other, ambient", {"user": "1000:1000", "capabilities": AMBIENT}, {}, "+++xx++++"),
    ("root", {"user": "0:0"}, {}, "+++++++++"),
    ("root, none", {"user": "0:0", "capabilities": "none"}, {}, "x++++++++"),
    ("weak runtime, owner", {"user": "65532:65532", "capabilities": "none"}, NO_DAC, "+xx++++x+"),
    ("weak runtime, other", {"user": "1000:0", "capabilities": "none"}, NO_DAC, "xxxxxxxxx"),
)


@pytest.mark.parametrize(("process", "caller", "signs"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_0700_cwd_of_65532(process: dict[str, Any], caller: dict[str, Any], signs: str) -> None:
    found = {runtime: verdict(runtime, process=process, caller=caller) for runtime in COLUMNS}

    assert found == {runtime: "passed" if sign == "+" else CWD for runtime, sign in zip(COLUMNS, signs, strict=True)}


@pytest.mark.parametrize(
    ("cwd", "edits"),
    [
        ("/home/nonroot/w", [{"path": "/home/nonroot/w"}]),
        ("/w", [{"path": "/w", "kind": "symlink", "target": "/home/nonroot"}]),
    ],
    ids=["below", "symlink"],
)
def test_below_a_0700_directory_and_a_symlink_to_one_are_like_it(cwd: str, edits: list[dict[str, Any]]) -> None:
    found = {runtime: verdict(runtime, process={"user": "1000:0", "cwd": cwd}, rootfs=edits) for runtime in COLUMNS}

    assert [runtime for runtime, text in found.items() if text == CWD] == [RC9, RC93, RC93_DEBIAN]
    assert set(found.values()) == {CWD, "passed"}


@pytest.mark.parametrize("runtime", COLUMNS)
def test_a_0755_cwd_of_root_is_open_to_everybody(runtime: str) -> None:
    assert verdict(runtime, process={"user": "1000:0", "cwd": "/etc"}) == "passed"


def test_runc_and_newer_crun_make_a_missing_cwd() -> None:
    checks = [{"fact": "step.1.uid", "equals": 0}, {"fact": "step.1.mode", "equals": 0o755}]
    process = {"user": "1000:0", "cwd": "/w/x", "steps": ["stat /w/x"]}

    found = {runtime: verdict(runtime, process=process, checks=checks) for runtime in COLUMNS}

    assert found.pop(CRUN_OLD) == "failed: cwd-missing (phase chdir)"
    assert set(found.values()) == {"passed"}


def test_a_file_as_cwd() -> None:
    process = {"user": "1000:0", "cwd": "/etc/passwd"}

    assert verdict(NEW, process=process) == verdict(RC9, process=process) == "failed: cwd-not-directory (phase create)"
    assert verdict(CRUN, process=process) == "failed: cwd-not-directory (phase chdir)"


@pytest.mark.parametrize("runtime", COLUMNS)
def test_exec_never_makes_a_cwd(runtime: str) -> None:
    cell: dict[str, Any] = {"action": "exec", "process": {"user": "0:0", "cwd": "/"}}

    assert verdict(runtime, **cell, exec={"user": "1000:0", "cwd": "/w"}) == "failed: cwd-missing (phase chdir)"


@pytest.mark.parametrize("exec_", [{"exec_flags": ["--user", "1000:0", "--cwd", "/home/nonroot"], "exec": {}}, None])
def test_exec_behaves_as_run(exec_: dict[str, Any] | None) -> None:
    given = exec_ or {"exec": {"user": "1000:0", "cwd": "/home/nonroot"}}
    cell: dict[str, Any] = {"action": "exec", "process": {"user": "65532:65532"}, **given}
    found = {runtime: verdict(runtime, **cell) for runtime in COLUMNS}

    assert [runtime for runtime, text in found.items() if text == CWD] == [RC9, RC93, RC93_DEBIAN]
    assert set(found.values()) == {CWD, "passed"}


def test_a_weak_runtime_cannot_make_what_it_cannot_see() -> None:
    cell: dict[str, Any] = {
        "process": {"user": "1000:0", "capabilities": "none", "cwd": "/home/nonroot/w"},
        "caller": NO_DAC,
    }

    assert verdict(NEW, **cell) == "denied: cwd-not-creatable (phase create)"
    assert verdict(CRUN, **cell) == CWD


def test_the_reasoning_names_the_calls_in_their_order() -> None:
    calls = {r: [one.call for one in known(r, process={"user": "1000:0"}).reasoning] for r in (RC9, RC92, RC93, NEW)}

    assert calls[RC9] == ["mkdir -p /home/nonroot", "set user 1000:0", "apply capabilities", "chdir /home/nonroot"]
    assert calls[RC92][1:4] == ["chdir /home/nonroot", "set user 1000:0", "apply capabilities"]
    assert calls[RC93][1:] == ["set user 1000:0", "chdir /home/nonroot"]
    assert calls[NEW][1:4] == ["chdir /home/nonroot, a refusal tolerated", "set user 1000:0", "apply capabilities"]
    assert known(RC93, process={"user": "1000:0"}).reasoning[-1].outcome.startswith("EACCES")


def test_what_was_not_measured_has_no_prediction() -> None:
    assert "not measured" in unknown("crun@1.5", process={"user": "1000:0", "cwd": "/w"})
    assert verdict("crun@1.5", process={"user": "1000:0"}) == "passed"
