"""Subordinate ids: lines in private account files, and reasons for not having the tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.engine.subordinate import SubordinateIds
from lab.engine.workspace import Workspace
from lab.errors import HostError


@pytest.fixture(name="accounts")
def _accounts(tmp_path: Path) -> Path:
    accounts = tmp_path / "accounts"
    accounts.mkdir()
    (accounts / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh")
    for name in ("subuid", "subgid"):
        (accounts / name).write_text("alice:100000:65536\n")
    return accounts


def subordinate(root: Path) -> SubordinateIds:
    return SubordinateIds(workspace=Workspace(run_id="r", root=root, privileged=True), cache=None)


def test_a_range_is_given_once_and_to_an_account_of_its_own(accounts: Path) -> None:
    inodes = {name: (accounts / name).stat().st_ino for name in ("passwd", "subuid", "subgid")}
    ids = subordinate(accounts.parent)
    for _ in range(2):
        ids.grant(1001, 1001, (200000, 10))
    ids.grant(1001, 1001, (300000, 5))
    assert (accounts / "passwd").read_text().splitlines()[1:] == [
        "alice:x:1000:100::/home/alice:/bin/sh",
        "permlab-1001:x:1001:1001::/:/usr/sbin/nologin",
    ]
    for name in ("subuid", "subgid"):
        assert (accounts / name).read_text() == "alice:100000:65536\n1001:200000:10\n1001:300000:5\n"
    assert inodes == {name: (accounts / name).stat().st_ino for name in inodes}, "bound over the host's files by inode"


def test_an_account_of_the_host_serves_only_with_its_own_group(accounts: Path) -> None:
    ids = subordinate(accounts.parent)
    before = (accounts / "passwd").read_text()
    ids.grant(1000, 100, (200000, 10))
    assert (accounts / "passwd").read_text() == before
    with pytest.raises(HostError, match="uid 1000 is the host's account alice, whose group is 100 and not 1000"):
        ids.grant(1000, 1000, (200000, 10))


def test_a_host_without_subgid_gives_a_reason(accounts: Path) -> None:
    (accounts / "subgid").unlink()
    ids = subordinate(accounts.parent)
    assert ids.skip_reason() == "this host has no /etc/subgid that a private copy could stand in for"
    assert ids.skip_reason() == "this host has no /etc/subgid that a private copy could stand in for"


def test_no_tools_and_no_cache_give_a_reason(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.process.BASE_PATH", str(accounts))
    reason = subordinate(accounts.parent).skip_reason()
    assert reason is not None
    assert reason.startswith("newuidmap and newgidmap cannot be had: ")


def test_a_tool_that_does_not_run_gives_a_reason(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = accounts.parent / "programs"
    programs.mkdir()
    for tool in ("newuidmap", "newgidmap"):
        (programs / tool).write_text("#!/bin/sh\necho 'no such loader' >&2\nexit 127\n")
        (programs / tool).chmod(0o755)
    monkeypatch.setattr("lab.process.BASE_PATH", str(programs))
    assert subordinate(accounts.parent).skip_reason() == "newuidmap does not run here: no such loader"


def test_a_caller_that_takes_all_its_ranges_gets_no_other_one_beside(accounts: Path) -> None:
    ids = subordinate(accounts.parent)
    for _ in range(2):
        ids.grant(1001, 1001, (200000, 10), alone=True)
    before = (accounts / "subuid").read_text()
    with pytest.raises(HostError, match="uid 1001 has another range of subordinate ids: 1001:200000:10"):
        ids.grant(1001, 1001, (300000, 5), alone=True)
    with pytest.raises(HostError, match="uid 1000 has another range of subordinate ids: alice:100000:65536"):
        ids.grant(1000, 100, (200000, 10), alone=True)
    assert (accounts / "subuid").read_text() == before
