"""Images as layers: whiteouts, owners, ids that depend on nothing but the content."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

from lab.model.image import ImageConfig
from lab.provision.layers import Layer, layered, write_docker_archive, write_layer


def tree(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "file").write_text("x")
    (root / "etc" / "file").chmod(0o640)
    os.link(root / "etc" / "file", root / "etc" / "again")
    (root / "link").symlink_to("etc/file")
    return root


def test_a_layer_keeps_modes_and_links_and_forgets_times(tmp_path: Path) -> None:
    first = write_layer(tree(tmp_path / "a"), tmp_path / "a.tar")
    os.utime(tree(tmp_path / "b") / "etc" / "file", (1, 1))
    assert write_layer(tmp_path / "b", tmp_path / "b.tar") == first
    with tarfile.open(tmp_path / "a.tar") as archive:
        entries = {entry.name: entry for entry in archive}
    assert set(entries) == {".", "etc", "etc/again", "etc/file", "link"}
    assert entries["etc/again"].mode == 0o640
    assert (entries["etc/file"].type, entries["etc/file"].linkname) == (tarfile.LNKTYPE, "etc/again")
    assert entries["link"].linkname == "etc/file"
    assert {entry.mtime for entry in entries.values()} == {0}


def test_an_image_is_named_by_its_config_alone(tmp_path: Path) -> None:
    layer = Layer(path=tmp_path / "l", diff_id="sha256:aa")
    one = layered((layer,), ImageConfig(user="1"), {"label": "run"})
    assert one.id == layered((layer,), ImageConfig(user="1"), {"label": "run"}).id
    assert one.id != layered((layer,), ImageConfig(user="2"), {"label": "run"}).id
    config = json.loads(one.config)
    assert config["rootfs"]["diff_ids"] == ["sha256:aa"]
    assert config["config"] == {"User": "1", "Labels": {"label": "run"}}


def test_an_archive_leaves_out_what_the_engine_has(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"content")
    layers = tuple(Layer(path=tmp_path / name, diff_id=f"sha256:{name}{name}") for name in ("a", "b"))
    image = layered(layers, ImageConfig(), {})
    out = io.BytesIO()
    write_docker_archive(image, out, known={"sha256:aa"})
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        sizes = {entry.name: entry.size for entry in archive}
        (manifest,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())
    assert manifest["Layers"] == ["aa/layer.tar", "bb/layer.tar"]
    assert (sizes["aa/layer.tar"], sizes["bb/layer.tar"]) == (0, 7)
    assert f"sha256:{manifest['Config'].removesuffix('.json')}" == image.id
