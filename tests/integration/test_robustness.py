"""A full disk, a missing or tampered runtime, an archive that is none: one clear error each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_session import PERMLAB, RUNC, Lab, host_state, user_cache

from lab.process import Completed, run
from lab.provision.cache import Cache
from lab.provision.runtimes import installed

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

ONE = '[settings.process]\nuser = "0:0"\ncwd = "/"\nsteps = ["id"]\n'


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    before = host_state()
    lab = Lab(place=tmp_path, cache=user_cache())
    assert lab.call("runtimes", "pull", RUNC).ok
    yield lab
    assert host_state() == before
    assert not lab.left()


def told_once(done: Completed, code: int) -> str:
    """The one message of a call that failed."""
    assert done.returncode == code, (done.returncode, done.stderr.decode())
    text = done.stderr.decode()
    assert "Traceback" not in text
    assert text.count("permlab: ") == 1, text
    return text


def test_a_full_disk_is_one_error_and_the_run_goes_on_after_it(lab: Lab) -> None:
    many = "[axes]\nuser = [" + ", ".join(f'"{n}:{n}"' for n in range(40)) + "]\n" + ONE.replace('user = "0:0"\n', "")
    scenario = lab.scenario(many)
    runs = lab.place / "runs"
    runs.mkdir()
    script = f"""
        set -u
        mount -t tmpfs -o size=64k none {runs}
        {PERMLAB} run {scenario} --runtimes {RUNC}; echo "first $?"
        mount -o remount,size=64m {runs}
        {PERMLAB} run --resume last; echo "second $?"
        grep -c '^{{"record"' {runs}/*.jsonl; grep -o '"cell":"[^"]*"' {runs}/*.jsonl | sort | uniq -d | wc -l
    """
    done = run(["unshare", "--mount", "/bin/sh", "-c", script], deadline=120, env=lab.environment, cwd=lab.place)
    words = done.stdout.decode().split()
    assert "first 3" in done.stdout.decode(), done.stderr.decode()
    assert "second 0" in done.stdout.decode(), done.stderr.decode()
    assert done.stderr.decode().count("cannot be written") == 1
    assert "disk is full" in done.stderr.decode() or "No space left" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert words[-2:] == ["42", "0"]


def test_a_full_disk_for_the_cache(lab: Lab, tmp_path: Path) -> None:
    cache = tmp_path / "small"
    cache.mkdir()
    script = f"mount -t tmpfs -o size=200k none {cache}; exec {PERMLAB} run controls --runtimes {RUNC}"
    small = Lab(place=tmp_path, cache=cache)
    done = run(["unshare", "--mount", "/bin/sh", "-c", script], deadline=120, env=small.environment, cwd=tmp_path)
    assert done.returncode == 3, done.stderr.decode()
    assert "No space left" in done.stderr.decode() + done.stdout.decode()
    assert "Traceback" not in done.stderr.decode()
    assert lab.cache != cache


@pytest.fixture(name="own")
def _own(lab: Lab, tmp_path: Path) -> Lab:
    """A lab whose cache has a copy of the runtimes and shares all else."""
    cache = tmp_path / "own-cache"
    cache.mkdir()
    for kind in lab.cache.iterdir():
        if kind.name == "runtimes":
            (cache / "runtimes").mkdir()
            name = RUNC.replace("@", "-")
            shutil.copytree(kind / name, cache / "runtimes" / name)
        elif kind.name not in {"locks", "tmp", "runs"}:
            (cache / kind.name).symlink_to(kind)
    return Lab(place=tmp_path, cache=cache)


def binary_of(lab: Lab) -> Path:
    """The runtime's binary in a lab's own cache."""
    (runtime,) = installed(Cache(lab.cache))
    (found,) = (path for path in (lab.cache / "runtimes").rglob(Path(runtime.path).name) if path.is_file())
    return found


def test_a_tampered_runtime_is_never_run(own: Lab, tmp_path: Path) -> None:
    binary = binary_of(own)
    proof = tmp_path / "proof"
    binary.chmod(0o755)
    binary.write_text(f"#!/bin/sh\ntouch {proof}\n")
    verified = own.call("runtimes", "verify", RUNC)
    assert verified.returncode == 3
    assert b"is not what was provisioned" in verified.stdout
    done = own.call("run", own.scenario(ONE), "--runtimes", RUNC)
    assert not proof.exists()
    refused(own, done)


def refused(own: Lab, done: Completed) -> None:
    """A run whose runtime is not what was provisioned: nothing measured, and the reason told."""
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert "is not what was provisioned" in done.stdout.decode()
    assert {record.verdict.kind for record in own.last().records} == {"errored"}


def test_a_missing_runtime_is_never_taken_from_elsewhere(own: Lab) -> None:
    binary_of(own).unlink()
    assert own.call("runtimes", "verify", RUNC).returncode == 3
    refused(own, own.call("run", own.scenario(ONE), "--runtimes", RUNC))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b broken", b"ustar" * 1000])
def test_an_unreadable_archive_is_one_clear_error(lab: Lab, content: bytes) -> None:
    archive = lab.place / "image.tar"
    archive.write_bytes(content)
    done = lab.call("run", lab.scenario(f'[axes]\nimage = ["docker-archive:{archive}"]\n{ONE}'), "--runtimes", RUNC)
    assert b"Traceback" not in done.stderr
    errored = [record for record in lab.last().records if record.verdict.kind == "errored"]
    assert len(errored) == 1
    assert "image.tar" in str(errored[0].verdict)
    assert "the lab failed" not in str(errored[0].verdict)
    assert done.returncode == 3


def test_an_image_that_is_unknown_is_one_clear_error(lab: Lab) -> None:
    done = lab.call("run", lab.scenario('[axes]\nimage = ["no-such-image"]\n' + ONE), "--runtimes", RUNC)
    assert done.returncode == 2
    assert b"no-such-image" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_archive_that_reaches_outside_is_refused(lab: Lab) -> None:
    (lab.place / "evil").write_text("x")
    archive = lab.place / "evil.tar"
    made = run(
        ["tar", "-P", "-cf", str(archive), "--transform", "s,.*,../../../evil-made,", "evil"],
        deadline=20,
        cwd=lab.place,
    )
    assert made.ok, made.stderr
    done = lab.call("run", lab.scenario(f'[axes]\nimage = ["rootfs:{archive}"]\n{ONE}'), "--runtimes", RUNC)
    assert b"Traceback" not in done.stderr
    assert not list(lab.place.parent.rglob("evil-made"))


@pytest.mark.parametrize("name", ["PERMLAB_CACHE", "PERMLAB_RUNS"])
def test_a_directory_that_cannot_be_made(lab: Lab, name: str) -> None:
    environment = {**lab.environment, name: "/proc/nothing"}
    done = run([PERMLAB, "run", "controls", "--runtimes", RUNC], deadline=60, env=environment, cwd=lab.place)
    assert name in told_once(done, 3)


def test_reports_that_cannot_be_written(lab: Lab) -> None:
    done = lab.call("run", "controls", "--runtimes", RUNC, "--reports", "/proc/nothing")
    assert "--reports" in told_once(done, 3)


def test_an_ordinary_user_gets_skips_with_reasons_and_rootless_cells(lab: Lab) -> None:
    lab.place.chmod(0o777)
    for parent in lab.place.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    scenario = lab.scenario(
        f"[axes.who]\nroot = {{}}\nrootless = {{ caller = {{ rootless = true }} }}\n[settings]\n{ONE}"
    )
    prefix = ("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "--no-new-privs")
    place = lab.place / "theirs"
    place.mkdir()
    os.chown(place, 1234, 1234)
    theirs = Lab(place=place, cache=place / "cache")
    done = run(
        [*prefix, *theirs.argv("run", scenario, "--runtimes", RUNC)],
        deadline=120,
        env={**theirs.environment, "HOME": str(place)},
        cwd=place,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    verdicts = {record.axes["who"]: record.verdict for record in theirs.last().records if not record.control}
    assert verdicts["root"].kind == "skipped"
    assert "needs root" in str(verdicts["root"])
    assert verdicts["rootless"].kind == "passed", str(verdicts["rootless"])
