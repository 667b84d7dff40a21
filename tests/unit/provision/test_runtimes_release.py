"""The release provider against a local HTTP server with upstream's layout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.errors import DigestMismatch, SourceUnreachable
from lab.model.runtime import Provider, Release, RuntimeName
from lab.provision.building import forget_silent
from lab.provision.cache import Cache
from lab.provision.catalogue import load_catalogue
from lab.provision.providers.release import obtain
from lab.provision.runtimes import pull
from lab.scenario.versions import parse_name

NAME = "runc@1.1.5"
BINARY = b"#!/bin/sh\necho runc version 1.1.5\n"
ASSET = {"x86_64": "runc.amd64", "aarch64": "runc.arm64"}[os.uname().machine]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the release, served; the provider is pointed at it."""
    folder = tmp_path / "www" / "opencontainers" / "runc" / "releases" / "download" / "v1.1.5"
    folder.mkdir(parents=True)
    (folder / ASSET).write_bytes(BINARY)
    publish(folder, hashlib.sha256(BINARY).hexdigest())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("PERMLAB_RELEASE_BASE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    forget_silent()
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()
    forget_silent()


def publish(folder: Path, digest: str) -> None:
    """A clear-signed checksum file as upstream has it."""
    lines = ["-----BEGIN PGP SIGNED MESSAGE-----", "Hash: SHA256", "", f"{'0' * 64}  runc.tar.xz", f"{digest}  {ASSET}"]
    (folder / "runc.sha256sum").write_text("\n".join([*lines, "-----BEGIN PGP SIGNATURE-----", ""]))


def runc() -> Release:
    return load_catalogue().get(NAME)


def test_pull_takes_the_checked_asset(site: Path, tmp_path: Path) -> None:
    told: list[str] = []
    runtime = pull(Cache(tmp_path / "cache"), NAME, progress=told.append)
    assert Path(runtime.path).read_bytes() == (site / ASSET).read_bytes()
    assert runtime.provider is Provider.RELEASE
    assert runtime.reported == "runc version 1.1.5"
    assert runtime.sha256 == hashlib.sha256(BINARY).hexdigest()
    assert runtime.origin.endswith(f"/v1.1.5/{ASSET}")
    assert any("from release" in line for line in told)


def test_second_pull_asks_nobody(site: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = pull(cache, NAME)
    shutil.rmtree(site)
    told: list[str] = []
    assert pull(cache, NAME, progress=told.append) == first
    assert told == []


def test_wrong_digest_is_refused_and_nothing_is_kept(site: Path, tmp_path: Path) -> None:
    publish(site, "1" * 64)
    cache = Cache(tmp_path / "cache")
    with pytest.raises(DigestMismatch) as caught:
        pull(cache, NAME)
    assert "1" * 64 in caught.value.details
    assert cache.names("runtimes") == ()


def test_missing_asset_is_unreachable(site: Path, tmp_path: Path) -> None:
    (site / ASSET).unlink()
    with pytest.raises(SourceUnreachable, match="does not have"):
        obtain(Cache(tmp_path), runc(), tmp_path)


def test_unlisted_asset_is_refused(site: Path, tmp_path: Path) -> None:
    (site / "runc.sha256sum").write_text("nothing here\n")
    with pytest.raises(SourceUnreachable, match="does not list"):
        obtain(Cache(tmp_path), runc(), tmp_path)


@pytest.mark.usefixtures("site")
def test_nothing_vouches_for_an_asset_without_digest(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="nothing vouches"):
        obtain(Cache(tmp_path), load_catalogue().get("crun@1.28"), tmp_path)


def test_pinned_digest_counts(site: Path, tmp_path: Path) -> None:
    assert site
    asset = f"opencontainers/runc/releases/download/v1.1.5/{ASSET}"
    words = {"asset": asset, "sha256": hashlib.sha256(BINARY).hexdigest()}
    name: RuntimeName = parse_name(NAME)
    good = Release(name=name, date="", sources={Provider.RELEASE: words})
    (tmp_path / "out").mkdir()
    assert obtain(Cache(tmp_path), good, tmp_path / "out").binary.read_bytes() == BINARY
    bad = Release(name=name, date="", sources={Provider.RELEASE: {"asset": asset, "sha256": "2" * 64}})
    with pytest.raises(DigestMismatch):
        obtain(Cache(tmp_path), bad, tmp_path / "out")


def test_site_that_does_not_answer_is_given_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    port = server.server_port
    server.server_close()  # nobody listens there now
    monkeypatch.setenv("PERMLAB_RELEASE_BASE", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    forget_silent()
    started = time.monotonic()
    with pytest.raises(SourceUnreachable):
        obtain(Cache(tmp_path), runc(), tmp_path)
    assert time.monotonic() - started < 5
    late = ThreadingHTTPServer(("127.0.0.1", port), _Quiet)  # it would answer now, but is not asked again
    try:
        with pytest.raises(SourceUnreachable):
            obtain(Cache(tmp_path), runc(), tmp_path)
    finally:
        late.server_close()
        forget_silent()


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not on this host")
def test_signature_is_checked_where_keys_are_given(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "keys"
    home.mkdir(mode=0o700)
    gpg = [str(shutil.which("gpg")), "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    gpg += ["--passphrase", ""]

    def call(*words: str) -> bytes:
        return subprocess.run([*gpg, *words], check=True, capture_output=True).stdout  # noqa: S603  # gpg of this host

    call("--quick-generate-key", "Release <release@example.invalid>", "default", "sign", "1d")
    (tmp_path / "keyring").write_bytes(call("--armor", "--export"))
    (site / f"{ASSET}.asc").write_bytes(call("--armor", "--detach-sign", "--output", "-", str(site / ASSET)))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)  # noqa: S603, S607  # its own agent
    monkeypatch.setenv("PERMLAB_RELEASE_KEYRING", str(tmp_path / "keyring"))
    (tmp_path / "out").mkdir()
    assert obtain(Cache(tmp_path), runc(), tmp_path / "out").details["signature"] == "good"
    other = BINARY + b"# changed\n"
    (site / ASSET).write_bytes(other)
    publish(site, hashlib.sha256(other).hexdigest())
    with pytest.raises(DigestMismatch, match="signature"):
        obtain(Cache(tmp_path), runc(), tmp_path / "out")
