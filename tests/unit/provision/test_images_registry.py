"""Images from a registry: a small one on loopback, with and without its faults."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.errors import ArchiveError, DigestMismatch, InputError, SourceUnreachable
from lab.provision import debian
from lab.provision.cache import Cache
from lab.provision.images import pull_image

TOKEN = "given-to-anybody"  # noqa: S105  # of the test's own registry


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


@dataclass
class Registry:
    """What the server serves, how it misbehaves, and what it was asked."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    token: bool = False
    cut: bool = False
    location: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def put(self, raw: bytes) -> dict[str, object]:
        self.blobs[digest(raw)] = raw
        return {"digest": digest(raw), "size": len(raw)}

    def put_manifest(self, data: object, *tags: str) -> dict[str, object]:
        raw = json.dumps(data).encode()
        self.manifests |= dict.fromkeys([digest(raw), *tags], raw)
        return {"digest": digest(raw), "size": len(raw)}

    def fill(self) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo("hello")
            info.size = 2
            archive.addfile(info, io.BytesIO(b"hi"))
        layer = out.getvalue()
        config = {"config": {"User": "1000"}, "rootfs": {"diff_ids": [digest(layer)]}}
        manifest = self.put_manifest(
            {
                "schemaVersion": 2,
                "config": self.put(json.dumps(config).encode()),
                "layers": [self.put(gzip.compress(layer, mtime=0))],
            }
        )
        platform = {"os": "linux", "architecture": debian.architecture()}
        other = {"digest": f"sha256:{'0' * 64}", "size": 3, "platform": {"os": "linux", "architecture": "s390x"}}
        self.put_manifest(
            {"schemaVersion": 2, "manifests": [other, {**manifest, "platform": platform}]}, "v1", "latest"
        )

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        base = f"http://127.0.0.1:{self.port}"
        if path.startswith("/token?"):
            return 200, {}, json.dumps({"token": TOKEN}).encode()
        if self.token and authorization != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{base}/token",service="test",scope="repository:team/app:pull"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        _, _, rest = path.partition("/v2/team/app/")
        kind, _, name = rest.partition("/")
        if kind == "manifests" and name in self.manifests:
            return 200, {}, self.manifests[name]
        if kind == "blobs" and self.location:
            return 307, {"Location": self.location}, b""
        if kind == "blobs" and name in self.blobs:
            return 200, {}, self.blobs[name]
        return 404, {}, b"{}"


@pytest.fixture(name="registry")
def _registry() -> Iterator[Registry]:
    registry = Registry()
    registry.fill()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization", "")
            registry.asked.append((self.path, authorization))
            status, headers, body = registry.answer(self.path, authorization)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:-10] if registry.cut and "/blobs/" in self.path else body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield registry
        server.shutdown()
        thread.join()


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def pull(cache: Cache, registry: Registry, suffix: str = ":v1") -> str:
    return pull_image(cache, f"docker://127.0.0.1:{registry.port}/team/app{suffix}").rootfs


@pytest.mark.parametrize("token", [False, True])
def test_an_image_by_tag_through_an_index(cache: Cache, registry: Registry, token: bool) -> None:  # noqa: FBT001
    registry.token = token
    rootfs = Path(pull(cache, registry))
    assert (rootfs / "hello").read_bytes() == b"hi"
    assert any(path.startswith("/token?") and "repository" in path for path, _ in registry.asked) is token
    asked = len(registry.asked)
    assert Path(pull(cache, registry, "")) == rootfs  # latest is the same manifest: no layer is fetched again
    assert not any("/blobs/" in path for path, _ in registry.asked[asked:] if path.endswith(digest(b"hi")))


def test_an_image_by_digest(cache: Cache, registry: Registry) -> None:
    wanted = digest(registry.manifests["v1"])
    assert pull(cache, registry, f"@{wanted}") == pull(cache, registry)
    registry.asked.clear()
    pull(cache, registry, f"@{wanted}")
    assert registry.asked == []  # pinned and in the cache: no network
    registry.manifests[wanted] += b" "
    cache.drop("pinned", cache.names("pinned")[0])
    with pytest.raises(DigestMismatch, match="another manifest"):
        pull(cache, registry, f"@{wanted}")


def test_a_blob_with_other_bytes_is_refused(cache: Cache, registry: Registry) -> None:
    for name, raw in registry.blobs.items():
        registry.blobs[name] = raw[:-1] + b"!"
    with pytest.raises(DigestMismatch, match="other bytes"):
        pull(cache, registry)


def test_a_blob_longer_than_said_is_cut_short(cache: Cache, registry: Registry) -> None:
    for name, raw in registry.blobs.items():
        registry.blobs[name] = raw + b"!" * 100
    with pytest.raises(ArchiveError, match="more than"):
        pull(cache, registry)


def test_a_connection_that_breaks_is_one_clear_error(cache: Cache, registry: Registry) -> None:
    registry.cut = True
    with pytest.raises((SourceUnreachable, DigestMismatch)):
        pull(cache, registry)
    assert cache.names("images") == ()


def test_a_missing_image_and_a_missing_registry(cache: Cache, registry: Registry) -> None:
    with pytest.raises(SourceUnreachable, match="does not serve team/app"):
        pull(cache, registry, ":v2")
    with pytest.raises(SourceUnreachable, match="does not answer"):
        pull_image(cache, "docker://127.0.0.1:1/team/app:v1")


def test_a_redirect_is_followed_without_the_token(cache: Cache, registry: Registry) -> None:
    registry.token = True
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as elsewhere:
        registry.location = f"http://127.0.0.1:{elsewhere.server_port}/blob"
        seen = []

        class Store(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization"))
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        elsewhere.RequestHandlerClass = Store
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        with pytest.raises(SourceUnreachable, match="does not serve"):
            pull(cache, registry)
        elsewhere.shutdown()
        thread.join()
    assert seen == [None]


def test_no_redirect_leaves_for_plain_http(cache: Cache, registry: Registry) -> None:
    registry.location = f"http://permlab.invalid:{registry.port}/blob"
    with pytest.raises(SourceUnreachable, match="without encryption"):
        pull(cache, registry)


def test_credentials_of_the_user_are_not_read(
    cache: Cache, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    pull(cache, registry)
    assert all(authorization == "" for _, authorization in registry.asked)


@pytest.mark.parametrize("rest", ["name", "//host", "//host/UPPER", "//host/a b", "//host/a@sha256:12", "//u:p@host/a"])
def test_references_that_name_no_image(cache: Cache, rest: str) -> None:
    with pytest.raises(InputError, match="names no image"):
        pull_image(cache, f"docker:{rest}")
