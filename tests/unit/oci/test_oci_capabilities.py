"""The five sets that each policy stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.settings import CapabilityPolicy, CapabilitySets
from lab.oci.capabilities import BY_NUMBER, DOCKER_DEFAULT, full_name, names, sets_for

HELD = ("CAP_CHOWN", "CAP_SYS_ADMIN")


def test_docker_gives_the_fourteen_to_root_only() -> None:
    assert len(DOCKER_DEFAULT) == len(set(DOCKER_DEFAULT)) == 14
    root = sets_for(CapabilityPolicy.DOCKER, 0, HELD)
    other = sets_for(CapabilityPolicy.DOCKER, 1000, HELD)
    assert root == CapabilitySets(bounding=DOCKER_DEFAULT, effective=DOCKER_DEFAULT, permitted=DOCKER_DEFAULT)
    assert other == CapabilitySets(bounding=DOCKER_DEFAULT)


def test_cri_gives_them_to_everybody() -> None:
    assert sets_for(CapabilityPolicy.CRI, 1000, HELD) == sets_for(CapabilityPolicy.CRI, 0, HELD)
    assert sets_for(CapabilityPolicy.CRI, 1000, HELD) == sets_for(CapabilityPolicy.DOCKER, 0, HELD)


def test_none_all_and_absent() -> None:
    assert sets_for(CapabilityPolicy.NONE, 0, HELD) == CapabilitySets()
    assert sets_for(CapabilityPolicy.ALL, 5, HELD) == CapabilitySets(bounding=HELD, effective=HELD, permitted=HELD)
    assert sets_for(CapabilityPolicy.ABSENT, 0, HELD) is None


def test_sets_of_a_scenario_stay_as_they_are() -> None:
    own = CapabilitySets(ambient=("chown",))
    assert sets_for(own, 0, HELD) is own


@pytest.mark.parametrize("name", ["chown", "CHOWN", "CAP_CHOWN", "cap_chown"])
def test_names_are_written_in_full(name: str) -> None:
    assert full_name(name) == "CAP_CHOWN"


@given(st.integers(0, 2**64 - 1))
def test_a_mask_names_its_bits(mask: int) -> None:
    assert names(mask) == tuple(f"CAP_{name}" for bit, name in enumerate(BY_NUMBER) if mask & (1 << bit))


def test_numbers_are_the_kernels() -> None:
    numbers = {
        "CHOWN": 0,
        "KILL": 5,
        "SETPCAP": 8,
        "SYS_ADMIN": 21,
        "SYS_RESOURCE": 24,
        "SETFCAP": 31,
        "AUDIT_READ": 37,
    }
    assert {name: BY_NUMBER.index(name) for name in numbers} == numbers
