"""The catalogue of engines, and how their names are written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lab.errors import DigestMismatch, InputError, ProvisionError
from lab.model.engine import EngineBuild, EngineFamily, EngineName, EngineProgram
from lab.provision import engines
from lab.provision.cache import Cache
from lab.provision.engines import engine_releases, find_engine, find_release, verify_engine
from lab.provision.linked import LINKING
from lab.scenario.versions import parse_engine

NEEDED = [
    *("docker@20.10.5", "docker@20.10.24", "docker@26.1.5", "docker@28.5.2"),
    *("podman@3.0.1", "podman@4.3.1", "podman@5.4.2", "podman@5.8.6"),
    *("cri@1.4.13", "cri@1.6.20", "cri@1.7.24", "cri@2.1.9"),
]


@pytest.mark.parametrize("name", NEEDED)
def test_every_needed_engine_has_packages(name: str) -> None:
    release = find_release(name)
    assert release.packages
    assert release.name.version == name.partition("@")[2]


@pytest.mark.parametrize("family", ["docker", "podman", "cri"])
def test_a_bare_family_means_its_one_default(family: str) -> None:
    assert [r.name for r in engine_releases() if r.default and r.name.family == family] == [find_release(family).name]


def test_releases_are_in_the_order_of_versions() -> None:
    assert [str(r.name) for r in engine_releases() if r.name.family == "docker"][:2] == [
        "docker@20.10.5+debian11",
        "docker@20.10.24+debian12",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("oci", EngineName(family=EngineFamily.OCI)),
        ("docker", EngineName(family=EngineFamily.DOCKER)),
        ("cri@1.6.20", EngineName(family=EngineFamily.CRI, version="1.6.20")),
        ("podman@4.3.1+debian12", EngineName(family=EngineFamily.PODMAN, version="4.3.1", build="debian12")),
    ],
)
def test_names_are_read_and_written(text: str, name: EngineName) -> None:
    assert parse_engine(text) == name
    assert str(name) == text


@pytest.mark.parametrize("text", ["", "dockre", "docker@", "docker@new", "oci@1.0", "@1"])
def test_what_names_no_engine_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_engine(text)


@pytest.mark.parametrize("text", ["docker@1.2.3", "docker@20.10.24+debian13", "oci"])
def test_what_the_catalogue_lacks_is_refused_with_what_it_has(text: str) -> None:
    with pytest.raises(InputError, match="does not know"):
        find_release(text)


def record(cache: Cache, *, content: bytes, linking: int = LINKING) -> None:
    """Put a build of one program into a cache, as pulling would leave it."""
    name = find_release("cri").name

    def build(directory: Path) -> dict[str, object]:
        program = directory / "tree" / "usr" / "bin" / "containerd"
        program.parent.mkdir(parents=True)
        program.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        recorded = EngineBuild(
            name=name,
            root=".",
            reported="containerd 1.6.20",
            origin="a test",
            programs={"containerd": EngineProgram(path="tree/usr/bin/containerd", sha256=digest, unpatched=digest)},
            packages={"containerd": "1.6.20"},
            digests={},
            linking=linking,
        )
        facts: dict[str, object] = engines._BUILD.dump_python(recorded, mode="json")  # noqa: SLF001  # as it is stored
        return facts

    cache.make(engines.KIND, name.slug, build)


def made(cache: Cache, *, content: bytes) -> EngineBuild:
    """The build of :func:`record`, found again."""
    record(cache, content=content)
    found = find_engine(cache, "cri")
    assert found is not None
    return found


def test_a_build_is_found_again_and_verified(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    build = made(cache, content=b"one")
    assert verify_engine(cache, "cri") == build
    assert build.program("containerd").read_bytes() == b"one"
    assert build.sha256 != made(Cache(tmp_path / "other"), content=b"two").sha256


def test_a_build_that_another_lab_linked_is_not_taken(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    record(cache, content=b"one", linking=LINKING - 1)
    assert find_engine(cache, "cri") is None


def test_a_program_that_was_changed_is_no_longer_that_engine(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    made(cache, content=b"one").program("containerd").write_bytes(b"two")
    with pytest.raises(DigestMismatch, match="not what was provisioned"):
        verify_engine(cache, "cri")


def test_an_engine_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="not in the cache") as caught:
        verify_engine(Cache(tmp_path), "cri")
    assert "permlab engines pull cri" in caught.value.resolution
