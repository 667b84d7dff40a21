"""The catalogue: what ships, and how strictly a file is read."""

from __future__ import annotations

import pytest
from packaging.version import Version

from lab.errors import InputError
from lab.model.runtime import Family, Provider
from lab.provision.catalogue import load_catalogue, parse_catalogue

NEEDED = [
    *(f"runc@1.0.0-rc{number}" for number in (9, 10, 91, 92, 93, 94, 95)),
    *(f"runc@1.0.{number}" for number in range(4)),
    *(f"runc@1.1.{number}" for number in range(16)),
    *(f"runc@1.2.{number}" for number in range(10)),
    "runc@1.2.0-rc.1",
    *(f"runc@1.3.{number}" for number in range(7)),
    *(f"runc@1.4.{number}" for number in range(4)),
    *(f"runc@1.5.{number}" for number in range(3)),
    "runc@1.6.0-rc.1",
    *("runc@1.0.0-rc93+debian11", "runc@1.1.5+debian12", "runc@1.1.15+debian13", "runc@1.3.6+debian14"),
    "runc@1.4.3+experimental",
    *("crun@0.17", "crun@1.8.1", "crun@1.21", "crun@1.28"),
    *("youki@0.7.0", "runsc@20260905", "runsc@20221219+debian12"),
]
MINIMAL = 'format = 1\n[[runtime]]\nname = "runc@1.1.5"\ndate = "2023-03-29"\n'


@pytest.mark.parametrize("name", NEEDED)
def test_every_needed_runtime_has_a_source(name: str) -> None:
    assert load_catalogue().get(name).sources


def test_default_set_covers_every_era_and_minor_line_and_stays_small() -> None:
    names = [str(release.name) for release in load_catalogue().default("runc")]
    assert {"runc@1.0.0-rc9", "runc@1.0.0-rc10", "runc@1.0.0-rc93"} <= set(names)
    lines = {Version(name.partition("@")[2].partition("+")[0]).release[:2] for name in names}
    assert lines == {(1, minor) for minor in range(6)}
    assert 8 <= len(names) <= 13


def test_default_set_needs_few_toolchains() -> None:
    toolchains = {release.sources.get(Provider.GO, {}).get("toolchain") for release in load_catalogue().default("runc")}
    assert len(toolchains - {None}) <= 3


def test_order_is_that_of_versions() -> None:
    names = [str(release.name) for release in load_catalogue().versions(Family.RUNC)]
    assert names[:2] == ["runc@1.0.0-rc9", "runc@1.0.0-rc10"]
    assert names.index("runc@1.0.0-rc93+debian11") == names.index("runc@1.0.0-rc93") + 1
    assert names[-1] == "runc@1.6.0-rc.1"


def test_a_build_label_names_one_source() -> None:
    labelled = [release for release in load_catalogue() if release.name.build is not None]
    assert labelled
    assert all(tuple(release.sources) == (Provider.DEBIAN,) for release in labelled)


def test_templates_are_filled_in() -> None:
    sources = load_catalogue().get("runc@1.1.5").sources
    assert sources[Provider.GO]["module_version"] == "v1.1.5"
    assert sources[Provider.RELEASE]["asset"].endswith("/v1.1.5/runc.{arch}")


def test_releases_without_a_module_file_carry_pins() -> None:
    required = load_catalogue().get("runc@1.0.0-rc9").sources[Provider.GO]["require"].splitlines()
    assert "github.com/godbus/dbus v0.0.0-20190422162347-ade71ed3457e" in required


def test_unknown_name_lists_what_is_known() -> None:
    with pytest.raises(InputError) as caught:
        load_catalogue().get("crun@9.9")
    assert "crun@1.28" in caught.value.details


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = 1\nruntime = [", "is not TOML"),
        (MINIMAL + "colour = 'red'\n", "runtime.0.colour"),
        (MINIMAL + "default = 'yes'\n", "runtime.0.default"),
        (MINIMAL.replace("2023-03-29", "spring 2023"), "runtime.0.date"),
        (MINIMAL, "runc@1.1.5: no source"),
        (MINIMAL + "go = { toolchain = 'go1.21.13' }\n", "runc@1.1.5: go: package is missing"),
        (MINIMAL + "go = { pins = 'nothing' }\n", "pins names no table entry"),
        (MINIMAL + "release = { asset = 'a' }\n" + MINIMAL.partition("\n")[2], "runc@1.1.5: named twice"),
    ],
)
def test_faults_are_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_catalogue(text, "mine.toml")
    assert "mine.toml" in str(caught.value)
    assert said in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_catalogue(MINIMAL + "go = {}\ndebian = {}\n", "mine.toml")
    assert len(caught.value.details.splitlines()) == 9
