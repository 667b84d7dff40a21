"""`permlab upgrade`, as far as it goes without a container: what two words mean, and what would be measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.cli.main import permlab
from lab.cli.upgrade import Upgrade, has_pair, upgrade_of
from lab.errors import InputError
from lab.provision.catalogue import load_catalogue
from lab.scenario.load import load, shipped_directory
from lab.scenario.versions import name_key

RUNTIMES = ("runc@1.1.15", "crun@1.21")


def runtimes(before: str, after: str) -> Upgrade:
    return Upgrade(before={"runtime": before}, after={"runtime": after}, runtimes=(before, after))


def test_two_runtimes_of_any_family() -> None:
    assert upgrade_of("runc@1.1.15", "crun@1.21", ()) == runtimes("runc@1.1.15", "crun@1.21")
    assert upgrade_of("runc@1.1.5", "runc@1.1.5+debian12", ()).after == {"runtime": "runc@1.1.5+debian12"}


def test_engines_run_on_the_newest_default_runc_or_on_what_is_named() -> None:
    upgrade = upgrade_of("docker@20.10.24", "podman", ())
    assert (upgrade.before, upgrade.after) == ({"engine": "docker@20.10.24"}, {"engine": "podman"})
    (newest,) = upgrade.runtimes
    runcs = [str(release.name) for release in load_catalogue() if release.default and release.name.family == "runc"]
    assert newest in runcs
    assert all(name_key(name) <= name_key(newest) for name in runcs)
    assert upgrade_of("oci", "docker", ("runc@1.1.15", "crun")).runtimes == ("runc@1.1.15", "crun")


def test_a_platform_release_is_one_word_for_all_that_it_has() -> None:
    upgrade = upgrade_of("debian-11", "debian-sid", ())
    assert upgrade == Upgrade(before={"release": "debian-11"}, after={"release": "debian-sid"}, runtimes=())
    assert upgrade_of("debian-11", "debian-12", ("crun",)).runtimes == ("crun",)
    with pytest.raises(InputError, match="a release brings its own version"):
        upgrade_of("debian-11", "debian-12", ("crun@1.21",))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("runc@1.1.15", "docker"), "cannot be compared"),
        (("runc@1.1.15", "runc@1.1.15"), "are both runc@1.1.15"),
        (("docker", "docker"), "are both docker"),
        (("runc", "runc@1.1.15"), "name one"),
        (("runc>=1.1.0,<1.1.2", "runc@1.1.15"), "stands for 2 runtimes"),
        (("runc@newest", "runc@1.1.15"), "is not a version"),
        (("docker@", "docker"), "does not name an engine"),
        (("docker@99", "docker"), "does not know the engine docker@99"),
        (("debian-12", "debian-10"), "no platform release 'debian-10'"),
        (("debian-12", "docker"), "cannot be compared"),
        (("arch-12", "runc@1.1.15"), "stands for nothing"),
    ],
)
def test_words_that_are_no_two_values_of_one_axis(words: tuple[str, str], told: str) -> None:
    with pytest.raises(InputError) as caught:
        upgrade_of(*words, ())
    assert told in str(caught.value)


def test_runtimes_are_not_named_twice() -> None:
    with pytest.raises(InputError, match="--runtimes is for the upgrade of an engine"):
        upgrade_of("runc@1.1.15", "runc@1.1.14", ("crun",))


@pytest.mark.parametrize(
    ("name", "upgrade", "where", "pair"),
    [
        ("chdir-cwd", runtimes(*RUNTIMES), None, True),
        ("chdir-cwd", runtimes("runc@1.1.15", "crun@0.17"), None, True),
        ("rootless-groups", runtimes("runc@1.1.15", "crun@0.17"), None, False),
        ("chdir-cwd", runtimes("runc@1.1.15", "crun@0.17"), 'caller == "rootless"', False),
        ("chdir-cwd", runtimes(*RUNTIMES), 'runtime in "crun"', False),
        ("chdir-cwd", upgrade_of("oci", "docker", ("runc@1.1.15",)), None, True),
        ("chdir-cwd", upgrade_of("debian-12", "debian-13", ()), None, True),
        ("debian-upgrade", upgrade_of("debian-12", "debian-13", ()), None, True),
        ("debian-upgrade", upgrade_of("debian-12", "debian-13", ()), 'release == "debian-12"', False),
        ("debian-upgrade", upgrade_of("runc@1.1.5", "runc@1.1.15", ()), None, False),
        ("debian-upgrade", upgrade_of("docker@20.10.24", "docker@26.1.5", ()), None, False),
    ],
)
def test_only_scenarios_with_cells_for_both_are_measured(
    name: str,
    upgrade: Upgrade,
    where: str | None,
    pair: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    assert has_pair(upgrade, load(shipped_directory() / f"{name}.toml"), (), where) is pair


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rootless-groups", "--to", "crun@0.17"), "exists with runc@1.1.15 and with crun@0.17"),
        (("chdir-cwd", "--to", "runc@1.1.14", "--cell", "nothing-such"), "no scenario has a cell"),
        (("chdir-cwd", "--to", "runc@1.1.14", "--where", 'usr == "0:0"'), "no axis 'usr'"),
        (("nothing-such", "--to", "runc@1.1.14"), "no scenario 'nothing-such'"),
    ],
)
def test_bad_words_are_told_before_anything_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path / "runs"))
    result = CliRunner().invoke(permlab, ["upgrade", "--from", "runc@1.1.15", *arguments])
    assert isinstance(result.exception, InputError)
    assert told in str(result.exception)
    assert not list(tmp_path.iterdir())
