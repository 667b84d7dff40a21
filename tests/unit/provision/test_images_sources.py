"""Layouts, archives, folders and references, as far as no network and no real package is needed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from lab.errors import ArchiveError, DigestMismatch, HostError, InputError, ProvisionError
from lab.model.image import Image, ImageConfig
from lab.provision import debfile, debian
from lab.provision.cache import Cache
from lab.provision.images import pull_image, verify_image
from lab.provision.recipes import read_config, recipes
from lab.provision.registry import REFERENCE, loopback
from lab.provision.rootfs import remove_tree
from lab.provision.tree import Tree

CONFIG = {"User": "65532", "WorkingDir": "/home/nonroot", "Env": ["A=b"], "Entrypoint": ["/p"], "Cmd": None}


def tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o640
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


LAYERS = (tar({"etc/passwd": b"root", "old": b"1"}), tar({".wh.old": b"", "new": b"2"}))


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs/sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(self, raw: bytes, **more: object) -> dict[str, object]:
        self.path(digest(raw)).write_bytes(raw)
        return {"digest": digest(raw), "size": len(raw), **more}

    def path(self, name: str) -> Path:
        return self.root / "blobs/sha256" / name.partition(":")[2]

    def image(self, tag: str | None = None, layers: tuple[bytes, ...] = LAYERS, **more: object) -> dict[str, object]:
        packed = (gzip.compress(layers[0], mtime=0), *map(zstandard.ZstdCompressor().compress, layers[1:]))
        config = {"config": CONFIG, "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}
        manifest = {
            "schemaVersion": 2,
            "config": self.put(json.dumps(config).encode()),
            "layers": [self.put(layer) for layer in packed],
        }
        if tag is not None:
            more["annotations"] = {"org.opencontainers.image.ref.name": tag}
        return self.put(json.dumps(manifest).encode(), **more)

    def index(self, *manifests: Mapping[str, object]) -> None:
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))


@pytest.fixture(name="layout")
def _layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def names(rootfs: str) -> list[str]:
    return sorted(str(path.relative_to(rootfs)) for path in Path(rootfs).rglob("*"))


def test_a_layout_is_unpacked_once_with_its_configuration(layout: Layout, cache: Cache) -> None:
    layout.index(layout.image())
    image = pull_image(cache, f"oci:{layout.root}")
    assert names(image.rootfs) == ["etc", "etc/passwd", "new"]
    assert image.config == ImageConfig(user="65532", working_dir="/home/nonroot", env=("A=b",), entrypoint=("/p",))
    assert "manifest sha256:" in image.origin
    assert str(layout.root) not in image.origin
    assert Path(image.rootfs).parent.stat().st_mode & 0o777 == 0o755
    made = Path(image.rootfs).stat().st_ino
    assert Path(pull_image(cache, f"oci:{layout.root}").rootfs).stat().st_ino == made
    assert verify_image(cache, f"oci:{layout.root}") == image


def test_a_tampered_rootfs_is_noticed(layout: Layout, cache: Cache) -> None:
    layout.index(layout.image())
    image = pull_image(cache, f"oci:{layout.root}")
    (Path(image.rootfs) / "etc/passwd").write_bytes(b"evil")
    with pytest.raises(DigestMismatch, match="not what it was"):
        verify_image(cache, f"oci:{layout.root}")


def test_tags_choose_and_are_named_when_they_do_not(layout: Layout, cache: Cache) -> None:
    layout.index(layout.image("one"), layout.image("two:3", layers=LAYERS[:1]))
    assert "old" in names(pull_image(cache, f"oci:{layout.root}:two:3").rootfs)
    assert "old" not in names(pull_image(cache, f"oci:{layout.root}:one").rootfs)
    for reference in (f"oci:{layout.root}", f"oci:{layout.root}:three"):
        with pytest.raises(InputError, match="one, two:3"):
            pull_image(cache, reference)


def test_an_index_gives_the_manifest_of_this_machine(layout: Layout, cache: Cache) -> None:
    here = {"os": "linux", "architecture": debian.architecture()}
    wanted = layout.image(platform=here)
    other = layout.image(layers=LAYERS[:1], platform={"os": "linux", "architecture": "s390x"})
    inner = json.dumps({"schemaVersion": 2, "manifests": [other, wanted]}).encode()
    layout.index(layout.put(inner, mediaType="application/vnd.oci.image.index.v1+json"))
    assert "old" not in names(pull_image(cache, f"oci:{layout.root}").rootfs)
    layout.index(other)
    with pytest.raises(InputError, match="0 of them are for linux"):
        pull_image(cache, f"oci:{layout.root}")


def test_damaged_blobs_are_refused(layout: Layout, cache: Cache) -> None:
    layout.index(layout.image())
    blobs = [path for path in (layout.root / "blobs/sha256").iterdir() if not path.read_bytes().startswith(b"{")]
    whole = blobs[0].read_bytes()
    blobs[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DigestMismatch, match="other bytes"):
        pull_image(cache, f"oci:{layout.root}")
    blobs[0].write_bytes(whole[:-1])
    with pytest.raises(DigestMismatch, match="descriptor says"):
        pull_image(cache, f"oci:{layout.root}")
    blobs[0].unlink()
    with pytest.raises(ArchiveError, match="not in the layout"):
        pull_image(cache, f"oci:{layout.root}")
    assert cache.names("images") == ()
    assert list((cache.root / "tmp").iterdir()) == []


def test_an_entry_that_lost_its_files_or_its_record_is_made_again(layout: Layout, cache: Cache) -> None:
    layout.index(layout.image())
    image = pull_image(cache, f"oci:{layout.root}")
    remove_tree(Path(image.rootfs))
    assert pull_image(cache, f"oci:{layout.root}") == image
    (Path(image.rootfs).parent / "entry.json").write_text("{")
    assert verify_image(cache, f"oci:{layout.root}") == image


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_one_clear_error(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "r.tar").touch(mode=0o000)
    with pytest.raises(HostError, match="cannot be read"):
        pull_image(cache, f"rootfs:{tmp_path / 'r.tar'}")


def ar(members: Mapping[str, bytes]) -> bytes:
    pieces = [b"!<arch>\n"]
    for name, content in members.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        pieces += [head.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(pieces)


def test_a_package_is_read_with_its_control_files_and_names(tmp_path: Path) -> None:
    control = tar({"./control": b"Package: p\nVersion: 1:2-3\nDescription: x\n", "./md5sums": b""})
    data = lzma.compress(tar({"./usr/bin/p": b"#!", "./usr/share/doc/p": b""}))
    path = tmp_path / "p.deb"
    path.write_bytes(ar({"debian-binary": b"2.0\n", "control.tar": control, "data.tar.xz": data}))
    package = debfile.read(path)
    assert (package.field("package"), package.field("Version"), package.field("None")) == ("p", "1:2-3", "")
    (tmp_path / "root").mkdir()
    with Tree(tmp_path / "root") as tree:
        assert package.unpack(tree, lambda name: name.startswith("usr/share")) == ("/usr/bin/p",)
        tree.finish()
    assert names(str(tmp_path / "root")) == ["usr", "usr/bin", "usr/bin/p"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no package",
        ar({"debian-binary": b"2.0\n"}),
        ar({"control.tar": tar({"x": b""})}),
        ar({"control.tar": b""}),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "p.deb"
    path.write_bytes(raw)
    with pytest.raises(ArchiveError, match=r"p\.deb"):
        debfile.read(path)


@pytest.mark.parametrize(
    "index",
    ["", "[]", "{}", '{"manifests": [1]}', '{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}', "[" * 100_000],
)
def test_a_damaged_index_is_one_clear_error(layout: Layout, cache: Cache, index: str) -> None:
    (layout.root / "index.json").write_text(index)
    with pytest.raises(ArchiveError):
        pull_image(cache, f"oci:{layout.root}")


def test_an_archive_of_a_layout_gives_the_same_image(layout: Layout, cache: Cache, tmp_path: Path) -> None:
    layout.index(layout.image("t"))
    path = tmp_path / "layout.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(layout.root, arcname=".")
    first = pull_image(cache, f"oci-archive:{path}:t")
    assert pull_image(cache, f"oci:{layout.root}").digest == first.digest


def docker_archive(path: Path, *, linked: bool) -> None:
    config = {"config": CONFIG, "rootfs": {"diff_ids": [digest(layer) for layer in LAYERS]}}
    entry = {"Config": "c.json", "RepoTags": ["name:latest"], "Layers": ["0/layer.tar", "1/layer.tar"]}
    other = {"Config": "c.json", "RepoTags": ["other:1"], "Layers": []}
    files = {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps([entry, other]).encode()}
    files |= {"0/layer.tar": LAYERS[0], "store/1.tar" if linked else "1/layer.tar": LAYERS[1]}
    raw = io.BytesIO(tar(files))
    if linked:  # how older Dockers write a layer that several images share
        with tarfile.open(fileobj=raw, mode="a") as archive:
            info = tarfile.TarInfo("1/layer.tar")
            info.type, info.linkname = tarfile.SYMTYPE, "../store/1.tar"
            archive.addfile(info)
    path.write_bytes(raw.getvalue())


@pytest.mark.parametrize("linked", [False, True])
def test_a_docker_archive_gives_the_image_of_its_layout(
    layout: Layout,
    cache: Cache,
    tmp_path: Path,
    linked: bool,  # noqa: FBT001  # pytest passes it by name
) -> None:
    docker_archive(tmp_path / "saved.tar", linked=linked)
    image = pull_image(cache, f"docker-archive:{tmp_path / 'saved.tar'}:name:latest")
    layout.index(layout.image())
    assert image.digest == pull_image(cache, f"oci:{layout.root}").digest
    assert image.config.user == "65532"
    with pytest.raises(InputError, match="name:latest, other:1"):
        pull_image(cache, f"docker-archive:{tmp_path / 'saved.tar'}")


def test_a_layer_link_out_of_a_docker_archive_is_refused(cache: Cache, tmp_path: Path) -> None:
    config = {"rootfs": {"diff_ids": [digest(LAYERS[0])]}}
    (tmp_path / "secret.tar").write_bytes(LAYERS[0])
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "c.json").write_text(json.dumps(config))
    (folder / "manifest.json").write_text(json.dumps([{"Config": "c.json", "Layers": ["l.tar"]}]))
    (folder / "l.tar").symlink_to("../secret.tar")
    with pytest.raises(ArchiveError, match="outside"):
        pull_image(cache, f"docker-archive:{folder}")


def test_folder_and_tar_file_of_a_rootfs(cache: Cache, tmp_path: Path) -> None:
    root = tmp_path / "my:root"
    (root / "bin").mkdir(parents=True)
    root.chmod(0o755)
    (root / "bin").chmod(0o750)
    (root / "bin/a").write_bytes(b"x")
    (root / "bin/a").chmod(0o4711)
    (root / "bin/b").hardlink_to(root / "bin/a")
    (root / "sh").symlink_to("/bin/a")
    os.mkfifo(root / "pipe", 0o600)
    from_folder = pull_image(cache, f"rootfs:{root}")
    with tarfile.open(tmp_path / "r.tar.gz", "w:gz") as archive:
        archive.add(root, arcname=".")
    from_tar = pull_image(cache, f"rootfs:{tmp_path / 'r.tar.gz'}")
    assert from_folder.digest == from_tar.digest
    assert from_folder.config == ImageConfig()
    assert from_folder.rootfs != from_tar.rootfs
    (root / "bin/a").write_bytes(b"y")
    assert pull_image(cache, f"rootfs:{root}").digest != from_folder.digest


@pytest.mark.parametrize(
    "reference",
    ["", "unknown", "debian:potato", "oci:", "oci:/nowhere/at/all", "rootfs:/nowhere", "docker:name", "ftp:x"],
)
def test_unknown_references_say_what_would_do(cache: Cache, reference: str) -> None:
    with pytest.raises(InputError) as caught:
        pull_image(cache, reference)
    assert reference in str(caught.value) or reference.partition(":")[2] in str(caught.value)


def test_the_shipped_recipes_are_whole() -> None:
    assert list(recipes()) == [
        "distroless-static",
        "distroless-static:nonroot",
        "busybox",
        "debian:bookworm",
        "debian:bullseye",
    ]
    static, nonroot = recipes()["distroless-static"], recipes()["distroless-static:nonroot"]
    assert static.key == nonroot.key
    assert (static.config.user, static.config.working_dir) == ("0", "/")
    assert (nonroot.config.user, nonroot.config.working_dir) == ("65532", "/home/nonroot")
    assert "home/nonroot 0700 65532:65532" in nonroot.directories
    assert recipes()["debian:bullseye"].files["etc/apt/sources.list"].endswith("bullseye main\n")
    assert len({recipe.key for recipe in recipes().values()}) == 4


@pytest.mark.parametrize("config", [[], "x", {"User": 0}, {"Env": "A=b"}, {"Cmd": [1]}, {"Entrypoint": {}, "Cmd": 3}])
def test_a_configuration_of_wrong_types_is_refused(config: object) -> None:
    with pytest.raises(ProvisionError):
        read_config(config)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("//quay.io/a/b", ("quay.io", "a/b", None)),
        ("//127.0.0.1:5000/a_b/c-d:v1.0", ("127.0.0.1:5000", "a_b/c-d", "v1.0")),
        ("//[::1]:5000/a:t", ("[::1]:5000", "a", "t")),
    ],
)
def test_registry_references(reference: str, parts: tuple[str, str, str | None]) -> None:
    match = REFERENCE.fullmatch(reference)
    assert match is not None
    assert (match["host"], match["name"], match["tag"]) == parts


def test_only_this_machine_is_loopback() -> None:
    assert all(map(loopback, ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"]))
    assert not any(map(loopback, ["localhost.example.org", "10.0.0.1:5000", "127.0.0.1.example.org", "[2001:db8::1]"]))


def test_an_id_names_files_and_configuration() -> None:
    image = Image(name="a", rootfs="/a", digest="sha256:ab", config=ImageConfig(user="65532"), origin="recipe a")
    assert replace(image, name="b", rootfs="/b", origin="oci:b", tree="x").id == image.id
    assert replace(image, digest="sha256:cd").id != image.id
    assert replace(image, config=ImageConfig()).id != image.id
    assert replace(image, config=ImageConfig(working_dir="65532")).id != image.id
