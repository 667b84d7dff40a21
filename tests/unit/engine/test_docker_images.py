"""What is sent to a Docker daemon, and what it has already."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from lab.engine.docker_images import DaemonImages
from lab.model.image import ImageConfig
from lab.provision.layers import Layer


class Client:
    """Takes images and keeps the sizes of their layers, by the first letters of their diff ids."""

    def __init__(self) -> None:
        self.sent: list[dict[str, int]] = []

    def load_image(self, file: IO[bytes], *, quiet: bool) -> list[dict[str, str]]:
        assert quiet
        with tarfile.open(fileobj=file) as archive:
            self.sent.append({one.name[:4]: one.size for one in archive if one.name.endswith("/layer.tar")})
        return []


def layer(place: Path, letter: str) -> Layer:
    path = place / letter
    path.write_text(letter)
    return Layer(path=path, diff_id=f"sha256:{letter * 64}")


def test_a_layer_is_left_out_only_upon_the_same_layers(tmp_path: Path) -> None:
    client = Client()
    layers: Any = SimpleNamespace(workspace=SimpleNamespace(root=tmp_path, run_id="r"))
    daemon: Any = SimpleNamespace(client=client)
    images = DaemonImages(daemon=daemon, layers=layers)
    one, other, probe, edit = (layer(tmp_path, letter) for letter in "abcd")
    for stack in ((one, probe), (one, probe, edit), (other, probe), (one, probe), (other, probe, edit)):
        images._load(stack, ImageConfig())  # noqa: SLF001  # below it are a cache and mounts
    assert client.sent == [
        {"aaaa": 1, "cccc": 1},
        {"aaaa": 0, "cccc": 0, "dddd": 1},
        {"bbbb": 1, "cccc": 1},
        {"aaaa": 0, "cccc": 0},
        {"bbbb": 0, "cccc": 0, "dddd": 1},
    ]
