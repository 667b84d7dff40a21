"""Platform profiles: settings that decode, say their source, and give way to a cell's own axes."""

from __future__ import annotations

import pytest

from lab.codec import decode_settings
from lab.engine.cri_words import inexpressible
from lab.errors import InputError
from lab.model.platform import PLATFORMS
from lab.model.scenario import Cell, Scenario
from lab.model.settings import CapabilityPolicy, Settings
from lab.scenario.consistency import contradictions
from lab.scenario.resolve import resolve


def of(*axes: tuple[str, str]) -> Settings:
    scenario = Scenario(id="s", question="?", axes={})
    return resolve(scenario, Cell("s/c", "s", axes)).settings


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_profile_decodes_and_says_its_source(name: str) -> None:
    platform = PLATFORMS[name]
    assert not list(contradictions(decode_settings(platform.fragment, where=name)))
    assert platform.source.startswith("https://")
    assert platform.meaning


def test_profiles_are_what_the_platforms_do() -> None:
    restricted = of(("platform", "k8s-restricted"))
    assert restricted.process.no_new_privileges
    assert restricted.cri.run_as_non_root
    assert restricted.process.capabilities is CapabilityPolicy.NONE
    openshift = of(("platform", "openshift-restricted"))
    assert openshift.process.user == "1000680000"
    assert openshift.cri.supplemental_groups == (1000680000,)
    assert set(openshift.cri.cap_drop) == {"KILL", "MKNOD", "SETUID", "SETGID"}
    newer = of(("platform", "openshift-restricted-v2"))
    assert (newer.process.user, newer.cri.seccomp) == ("1000680000", "RuntimeDefault")
    assert newer.process.capabilities is CapabilityPolicy.NONE


def test_axes_of_the_cell_come_on_top() -> None:
    settings = of(("platform", "openshift-restricted"), ("user", "65532"), ("caps", "none"))
    assert (settings.process.user, settings.process.capabilities) == ("65532", CapabilityPolicy.NONE)


@pytest.mark.parametrize("name", PLATFORMS)
def test_kubernetes_profiles_run_over_the_cri_and_others_are_skipped(name: str) -> None:
    skipped = inexpressible(of(("platform", name))) is not None
    assert skipped == (name in {"docker-default", "podman-rootless"})


def test_an_unknown_platform_is_told() -> None:
    with pytest.raises(InputError, match="no platform 'nomad'"):
        of(("platform", "nomad"))
