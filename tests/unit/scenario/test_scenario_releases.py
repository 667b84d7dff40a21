"""Platform releases: what they ship is what the catalogues know, and cells have nothing else."""

from __future__ import annotations

import pytest

from lab.bisection.axis import asking_for, moved
from lab.errors import InputError
from lab.model.engine import EngineFamily
from lab.model.platform_release import PLATFORM_RELEASES, RELEASE_ENGINES, RELEASE_RUNTIMES, of_family, shipped_with
from lab.model.runtime import Provider
from lab.model.scenario import Scenario, Task
from lab.provision.catalogue import load_catalogue
from lab.provision.engines import find_release
from lab.scenario.expand import axes_of, expand
from lab.scenario.load import load, parse, shipped_directory
from lab.scenario.releases import on_releases
from lab.scenario.write import text_of

CATALOGUE = tuple(load_catalogue())
HEAD = 'format = 1\nquestion = "?"\n'


def scenario(text: str) -> Scenario:
    return parse(HEAD + text, id="one", where="one.toml")


@pytest.mark.parametrize("release", PLATFORM_RELEASES.values(), ids=lambda release: release.name)
def test_a_release_ships_what_its_suite_has(release: object) -> None:
    found = PLATFORM_RELEASES[getattr(release, "name")]  # noqa: B009  # parametrised as an object
    assert [of_family(name) for name in found.engines] == list(RELEASE_ENGINES)
    assert [of_family(name) for name in found.runtimes] == list(RELEASE_RUNTIMES)
    assert {find_release(name).suite for name in found.engines} == {found.suite}
    suites = {
        str(one.name): one.sources[Provider.DEBIAN]["suite"] for one in CATALOGUE if Provider.DEBIAN in one.sources
    }
    assert {suites[name] for name in found.runtimes} == {found.suite}


def test_cells_have_the_runtime_and_engine_of_their_release() -> None:
    asked = scenario('[axes]\nrelease = ["debian-11", "debian-sid"]\nruntime = ["crun"]\nengine = ["podman", "oci"]\n')
    assert axes_of(asked, CATALOGUE)["runtime"] == ("crun",)
    assert [cell.axes[1:] for cell in expand(asked, CATALOGUE).cells] == [
        (("release", "debian-11"), ("runtime", "crun@0.17"), ("engine", "podman@3.0.1")),
        (("release", "debian-11"), ("runtime", "crun@0.17"), ("engine", "oci")),
        (("release", "debian-sid"), ("runtime", "crun@1.28"), ("engine", "podman@5.8.6")),
        (("release", "debian-sid"), ("runtime", "crun@1.28"), ("engine", "oci")),
    ]


def test_without_families_a_release_has_all_that_it_ships() -> None:
    cells = expand(scenario('[axes]\nrelease = ["debian-12"]\n'), CATALOGUE).cells
    assert {(cell.value("runtime"), cell.value("engine")) for cell in cells} == {
        (runtime, engine)
        for runtime in ("runc@1.1.5+debian12", "crun@1.8.1")
        for engine in ("docker@20.10.24", "podman@4.3.1", "cri@1.6.20")
    }


def test_exclude_and_include_speak_of_versions_and_of_families() -> None:
    asked = scenario(
        '[axes]\nrelease = ["debian-11", "debian-12"]\nruntime = ["crun"]\nengine = ["docker"]\n'
        '[[exclude]]\nruntime = "crun<1"\n[[include]]\nrelease = "debian-13"\nruntime = "runc"\n'
    )
    assert [(cell.value("release"), cell.value("runtime")) for cell in expand(asked, CATALOGUE).cells] == [
        ("debian-12", "crun@1.8.1"),
        ("debian-13", "runc@1.1.15+debian13"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[axes]\nrelease = ["debian-10"]\n', "axes.release[0]: no platform release 'debian-10'"),
        ('[axes]\nrelease = ["debian-12"]\nruntime = ["runc@1.1.5"]\n', "axes.runtime[0]: a release brings its own"),
        ('[axes]\nrelease = ["debian-12"]\nengine = ["docker@20.10.5"]\n', "axes.engine[0]: a release brings its own"),
        ('[axes]\nrelease = ["debian-12"]\nruntime = ["runsc"]\n', "expected one of runc, crun"),
        ('[[include]]\nrelease = "debian-12"\n', "include[0].release: the scenario has no axis release"),
        ('[axes]\nrelease = ["debian-12"]\n[[include]]\nruntime = "runc@1.1.5"\n', "include[0].runtime: a release"),
    ],
)
def test_words_that_do_not_go_with_a_release(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        scenario(text)
    assert told in str(caught.value.details)


def test_runtimes_of_the_user_are_families() -> None:
    asked = scenario('[axes]\nrelease = ["debian-12"]\nengine = ["docker"]\n')
    assert [cell.value("runtime") for cell in expand(asked, CATALOGUE, ("crun",)).cells] == ["crun@1.8.1"]
    assert (
        len(expand(asked, CATALOGUE, ("all",)).cells) == len(expand(asked, CATALOGUE, ("crun@all", "runc")).cells) == 2
    )
    with pytest.raises(InputError, match="a release brings its own version"):
        expand(asked, CATALOGUE, ("crun@1.21",))


def test_any_scenario_can_be_put_on_releases() -> None:
    put = on_releases(load(shipped_directory() / "chdir-cwd.toml"), ["debian-13"], CATALOGUE)
    cells = expand(put, CATALOGUE).cells
    assert {cell.value("runtime") for cell in cells} == {"runc@1.1.15+debian13", "crun@1.21"}
    assert {of_family(cell.value("engine")) for cell in cells} == set(RELEASE_ENGINES)
    assert parse(text_of(put), id=put.id, where="stored").axes == put.axes

    versions = on_releases(load(shipped_directory() / "docker-versions.toml"), ["debian-11", "debian-11"], CATALOGUE)
    assert versions.axes["release"] == ("debian-11",)
    assert {cell.value("engine") for cell in expand(versions, CATALOGUE).cells} == {"docker@20.10.5"}
    with pytest.raises(InputError, match="no platform release 'debian-10'"):
        on_releases(versions, ["debian-10"], CATALOGUE)
    with pytest.raises(InputError, match="no release has a runtime of one"):
        on_releases(scenario('[axes]\nruntime = ["youki@0.5.7"]\n'), ["debian-12"], CATALOGUE)


def test_another_release_brings_its_runtime_and_engine() -> None:
    asked = scenario('[axes]\nrelease = ["debian-11", "debian-12"]\nruntime = ["runc"]\nengine = ["cri"]\n')
    cell = expand(asked, CATALOGUE).cells[0]
    later = moved(cell, {"release": "debian-12"})
    assert later == expand(asked, CATALOGUE).cells[1]
    assert isinstance(asking_for(asked, later), Task)
    assert moved(cell, {"engine": "docker"}).value("engine") == "docker@20.10.5"
    mixed = asking_for(asked, moved(cell, {"runtime": "runc@1.4.3"}))
    assert mixed == "left out by the scenario: debian-11 has runc@1.0.0-rc93+debian11 and cri@1.4.13"


def test_axes_without_a_release_are_left_alone() -> None:
    axes = {"runtime": "runc", "engine": EngineFamily.DOCKER}
    assert shipped_with(axes) == axes
    assert shipped_with({**axes, "release": "nothing-such"}) == {**axes, "release": "nothing-such"}
