"""Runtimes in the cache: added, found, verified, pulled many at once. The binaries are small scripts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import DigestMismatch, InputError, LabError, ProvisionError, SourceUnreachable
from lab.model.runtime import Provider, Release, Runtime
from lab.provision import pulling, runtimes
from lab.provision.cache import Cache, sha256_file
from lab.provision.catalogue import Catalogue, load_catalogue
from lab.provision.providers.contract import Obtained
from lab.provision.pulling import pull_all, toolchain
from lab.provision.runtimes import add, find, installed, pull, verify
from lab.scenario.versions import parse_name


def script(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_add_copies_and_records(cache: Cache, tmp_path: Path) -> None:
    binary = script(tmp_path / "mine", "my runc 7")
    runtime = add(cache, "runc@7.0+mine", binary)
    binary.unlink()
    assert runtime.reported == "my runc 7"
    assert runtime.provider is Provider.PATH
    assert verify(cache, "runc@7.0+mine") == runtime
    assert installed(cache) == (runtime,)
    assert pull(cache, "runc@7.0+mine") == runtime  # known to the cache, though not to the catalogue


def test_asked_for_its_version_a_runtime_leaves_nothing_on_the_host(cache: Cache, tmp_path: Path) -> None:
    says = f'x; d=${{XDG_RUNTIME_DIR:-{tmp_path}}}/crun; mkdir "$d" && echo "rundir: $d"; echo spec: 1.0.0'
    assert add(cache, "crun@1.0", script(tmp_path / "a", says)).reported == "x\nspec: 1.0.0"
    assert not (tmp_path / "crun").exists()
    assert not list((cache.root / "tmp").iterdir())


def test_add_replaces_but_keeps_the_old_when_the_new_is_no_program(cache: Cache, tmp_path: Path) -> None:
    add(cache, "runc@7.0", script(tmp_path / "a", "one"))
    assert add(cache, "runc@7.0", script(tmp_path / "b", "two")).reported == "two"
    (tmp_path / "c").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(ProvisionError, match="does not run"):
        add(cache, "runc@7.0", tmp_path / "c")
    with pytest.raises(InputError):
        add(cache, "runc@7.0", tmp_path / "missing")
    kept = find(cache, "runc@7.0")
    assert kept is not None
    assert kept.reported == "two"


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_verify_sees_a_tampered_binary(cache: Cache, tmp_path: Path, harm: str) -> None:
    path = Path(add(cache, "crun@1.0", script(tmp_path / "a", "one")).path)
    if harm == "change":
        path.write_bytes(path.read_bytes() + b"#")
    else:
        path.unlink()
    with pytest.raises(DigestMismatch, match=r"crun@1\.0 is not what was provisioned"):
        verify(cache, "crun@1.0")
    with pytest.raises(DigestMismatch) as caught:
        pull(cache, "crun@1.0")
    assert str(path.parent) in caught.value.resolution
    ((_, outcome),) = pull_all(cache, ["crun@1.0"])
    assert isinstance(outcome, DigestMismatch)


def test_verify_reads_the_libraries_too(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = cache.make("libraries", "some", lambda folder: _library(folder / "libc.so.6"))

    def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
        assert cache
        return Obtained(
            binary=script(directory / release.name.family, "hi"), origin="test", details={"libraries": "some"}
        )

    monkeypatch.setattr(runtimes, "PROVIDERS", {Provider.DEBIAN: obtain})
    pull(cache, "runc@1.1.5+debian12")
    assert verify(cache, "runc@1.1.5+debian12").origin == "test"
    (libraries.path / "libc.so.6").write_text("other")
    with pytest.raises(DigestMismatch) as caught:
        verify(cache, "runc@1.1.5+debian12")
    assert "libc.so.6" in caught.value.details
    assert tmp_path


def _library(file: Path) -> dict[str, object]:
    file.write_text("library")
    return {"files": {file.name: sha256_file(file)}}


def test_verify_of_what_is_not_there(cache: Cache) -> None:
    with pytest.raises(ProvisionError, match="is not in the cache"):
        verify(cache, "runc@1.1.5")


def test_names_that_nobody_knows(cache: Cache) -> None:
    with pytest.raises(InputError):
        pull(cache, "runc@77.0")
    with pytest.raises(InputError, match="does not come from cargo"):
        pull(cache, "runc@1.1.5", provider=Provider.CARGO)


def test_unreadable_record_is_one_clear_error(cache: Cache, tmp_path: Path) -> None:
    add(cache, "crun@1.0", script(tmp_path / "a", "one"))
    (cache.root / "runtimes" / "crun-1.0" / "entry.json").write_text('{"name": 5}')
    with pytest.raises(DigestMismatch, match="is not readable"):
        find(cache, "crun@1.0")


def test_auto_goes_on_to_the_next_source_and_says_so(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(cache: Cache, release: Release, directory: Path) -> Obtained:
        raise SourceUnreachable(f"nobody has {release.name}", details=f"{cache} {directory}")

    def serving(cache: Cache, release: Release, directory: Path) -> Obtained:
        assert cache
        return Obtained(binary=script(directory / release.name.family, "built"), origin="here")

    monkeypatch.setattr(runtimes, "PROVIDERS", {Provider.RELEASE: silent, Provider.GO: serving})
    runtime = pull(cache, "runc@1.1.5")
    assert runtime.provider is Provider.GO
    assert "release: nobody has runc@1.1.5" in runtime.details["passed_over"]
    monkeypatch.setattr(runtimes, "PROVIDERS", {Provider.RELEASE: silent, Provider.GO: silent})
    with pytest.raises(SourceUnreachable, match="no source serves") as caught:
        pull(cache, "runc@1.1.6")
    assert len(caught.value.details.splitlines()) == 2


def serve(monkeypatch: pytest.MonkeyPatch, build: Callable[[Release], None]) -> None:
    """Let every provider make a script after ``build`` had its say."""

    def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
        assert cache
        build(release)
        return Obtained(binary=script(directory / release.name.family, str(release.name)), origin="test")

    monkeypatch.setattr(runtimes, "PROVIDERS", dict.fromkeys(Provider, obtain))


def test_pull_all_hands_out_each_and_goes_on_after_a_fault(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(release: Release) -> None:
        if str(release.name) == "runc@1.1.6":
            raise ProvisionError("does not build")
        if str(release.name) == "runc@1.1.7":
            raise ValueError(release)

    serve(monkeypatch, build)
    names = ["runc@1.1.5", "runc@1.1.6", "runc@1.1.7", "crun@1.28", "crun@1.28", "youki@0.7.0"]
    outcomes = {str(name): outcome for name, outcome in pull_all(cache, names, jobs=3)}
    assert set(outcomes) == set(names)
    assert isinstance(outcomes["crun@1.28"], Runtime)
    assert isinstance(outcomes["runc@1.1.6"], ProvisionError)
    assert isinstance(outcomes["runc@1.1.7"], LabError)
    again = list(pull_all(cache, ["youki@0.7.0", "runc@1.1.5"]))
    assert [str(name) for name, _ in again] == ["youki@0.7.0", "runc@1.1.5"]


def test_pull_all_refuses_unknown_names_before_it_starts(cache: Cache) -> None:
    with pytest.raises(InputError):
        pull_all(cache, ["runc@1.1.5", "runc@77.0"])


def test_no_two_builds_open_one_toolchain(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()
    opening: set[str] = set()
    warm: set[str] = set()
    faults: list[str] = []

    def build(release: Release) -> None:
        kind = toolchain(release)
        with lock:
            if kind in opening:
                faults.append(kind)
            if kind not in warm:
                opening.add(kind)
        threading.Event().wait(0.01)
        with lock:
            opening.discard(kind)
            warm.add(kind)

    serve(monkeypatch, build)
    names = [release.name for release in load_catalogue().versions("runc") if toolchain(release)]
    assert sum(isinstance(outcome, Runtime) for _, outcome in pull_all(cache, names, jobs=4)) == len(names)
    assert faults == []


def test_closing_early_starts_nothing_more(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def build(release: Release) -> None:
        started.append(str(release.name))
        threading.Event().wait(0.1)

    serve(monkeypatch, build)
    outcomes = pull_all(cache, [release.name for release in load_catalogue().versions("runc")], jobs=1)
    next(outcomes)
    outcomes.close()
    count = len(started)
    assert count < len(load_catalogue().versions("runc"))
    threading.Event().wait(0.3)
    assert len(started) == count


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(0, 1 << 36), st.integers(1, 64))
def test_jobs_fit_memory_and_cores(memory: int, cores: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulling, "available_memory", lambda: memory)
        patch.setattr(os, "cpu_count", lambda: cores)
        jobs = pulling.default_jobs()
    assert 1 <= jobs <= cores
    assert jobs == 1 or jobs * pulling.BUILD_MEMORY <= memory


def test_available_memory_is_read(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert pulling.available_memory(tmp_path / "meminfo") == 2048 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert pulling.available_memory(tmp_path / "meminfo") == 0


def test_catalogue_of_ones_own_can_be_used(cache: Cache, tmp_path: Path) -> None:
    name = parse_name("crun@3.0")
    words = {"path": str(script(tmp_path / "crun", "three"))}
    own = Catalogue((Release(name=name, date="", sources={Provider.PATH: words}),))
    assert pull(cache, "crun@3.0", catalogue=own, provider=Provider.PATH).reported == "three"
