"""The probe, compiled for real into a fresh cache."""

import os
from pathlib import Path

import pytest

from lab.errors import BuildFailed, DigestMismatch
from lab.provision import probe as provision
from lab.provision.cache import Cache, sha256_file

pytestmark = pytest.mark.integration


def test_built_small_and_static_and_only_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    previous = os.umask(0o077)
    try:
        first = provision.probe(cache)
    finally:
        os.umask(previous)
    built = Path(first.path)
    assert built.stat().st_size < 1 << 20
    assert first.sha256 == sha256_file(built)
    assert first.toolchain
    layer = Path(first.layer)
    assert [str(path.relative_to(layer)) for path in sorted(layer.rglob("*"))] == [".permlab", ".permlab/probe"]
    assert {path.stat().st_mode & 0o7777 for path in (layer, *layer.rglob("*"))} == {0o755}
    stamp = built.stat().st_mtime_ns
    assert provision.probe(cache) == first
    assert built.stat().st_mtime_ns == stamp


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = {provision.probe(Cache(tmp_path / name)).sha256 for name in ("one", "two")}
    assert len(digests) == 1


def test_tampered_or_missing_probe_is_refused(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    built = Path(provision.probe(cache).path)
    with built.open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(DigestMismatch, match="not the one that was built"):
        provision.probe(cache)
    built.unlink()
    with pytest.raises(DigestMismatch, match="missing"):
        provision.probe(cache)


def test_source_that_does_not_compile_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "probe_sources", lambda: {"probe.c": b"int main(void) { return missing; }\n"})
    with pytest.raises(BuildFailed, match="missing"):
        provision.probe(Cache(tmp_path))
    assert Cache(tmp_path).names("probe") == ()
