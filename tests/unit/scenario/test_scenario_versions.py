"""The order of versions, ranges, and the words that name runtimes."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.model.runtime import Family, Provider, Release, RuntimeName
from lab.scenario.versions import expand_runtimes, key, matches, name_key, parse_name

IN_ORDER = (
    "1.0.0-rc9",
    "1.0.0-rc10",
    "1.0.0-rc91",
    "1.0.0-rc93",
    "1.0.0-rc93+debian11",
    "1.0.0-rc94",
    "1.0.0",
    "1.0.3",
    "1.1.0-rc.1",
    "1.1.0",
    "1.1.5",
    "1.1.5+debian12",
    "1.1.15",
    "1.2.0-rc.1",
    "1.10.0",
    "20221219+debian12",
    "20260905",
)


def release(text: str, *, default: bool = False) -> Release:
    return Release(name=parse_name(text), date="2020-01-01", sources={Provider.GO: {}}, default=default)


CATALOGUE = (
    release("runc@1.1.0", default=True),
    release("runc@1.0.0-rc93", default=True),
    release("runc@1.0.0-rc93+debian11"),
    release("runc@1.0.0-rc9"),
    release("runc@1.0.0-rc10"),
    release("crun@1.8.1", default=True),
    release("crun@0.17"),
)


@given(st.permutations(IN_ORDER))
def test_versions_stand_in_the_order_of_their_releases(shuffled: list[str]) -> None:
    assert sorted(shuffled, key=key) == list(IN_ORDER)
    assert all(key(one) < key(other) for one, other in pairwise(IN_ORDER))


def test_what_is_no_version_is_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="is not a version") as caught:
        key("newest")
    assert "1.0.0-rc93" in caught.value.resolution


def test_names_sort_by_family_then_version() -> None:
    names = ["runc@1.0.0-rc10", "crun@1.8.1", "runc@1.0.0-rc9", "crun@0.17"]
    assert sorted(names, key=name_key) == ["crun@0.17", "crun@1.8.1", "runc@1.0.0-rc9", "runc@1.0.0-rc10"]
    assert name_key("docker") < name_key("docker@20.10")


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("runc>=1.0.0rc92,<1.1", "runc@1.0.0-rc93", True),
        ("runc>=1.0.0rc92,<1.1", "runc@1.0.0-rc93+debian11", True),
        ("runc>=1.0.0rc92,<1.1", "runc@1.0.0-rc91", False),
        ("runc>=1.0.0rc92,<1.1", "runc@1.1.0", False),
        ("runc>=1.0.0rc92,<1.1", "crun@1.0.5", False),
        ("runc<=1.0.0rc9", "runc@1.0.0-rc10", False),
        ("runc<1.1", "runc@1.1.0-rc.1", False),  # PEP 440: "<1.1" leaves out the pre-releases of 1.1
        ("runc <= 1.0.3", "runc@1.0.3", True),
        ("runc==1.0.0rc93", "runc@1.0.0-rc93+debian11", True),
        ("runc!=1.0.0rc93", "runc@1.0.0-rc93", False),
        ("runc~=1.1.0", "runc@1.1.15", True),
        ("runc~=1.1.0", "runc@1.2.0", False),
        ("runc", "runc@1.1.0", True),
        ("runc", "runsc@20221219", False),
        ("crun@*", "crun@0.17", True),
        ("crun@0.17", "crun@0.17", True),
        ("runc>=1", "runc", False),
        ("0:0", "0:0", True),
        ("1000*", "1000680000:0", True),
        ("[0:0]", "0", True),  # a glob's set of characters
        ("", "", True),
        ("a", "", False),
    ],
)
def test_patterns(pattern: str, value: str, *, fits: bool) -> None:
    assert matches(pattern, value) is fits


def test_a_malformed_range_is_refused() -> None:
    with pytest.raises(InputError, match="is not a version range"):
        matches("runc>=one", "runc@1.0.0")


@given(st.sampled_from(IN_ORDER[:-2]), st.sampled_from(IN_ORDER[:-2]))
def test_ranges_agree_with_the_order(bound: str, version: str) -> None:
    public = bound.partition("+")[0]
    inside = matches(f"runc<={public}", f"runc@{version}")
    assert inside is (key(version.partition("+")[0]) <= key(public))
    assert matches(f"runc>={public}", f"runc@{version}") is (key(version.partition("+")[0]) >= key(public))


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_pattern_matches_or_is_refused_but_never_breaks(pattern: str, value: str) -> None:
    with contextlib.suppress(InputError):
        assert matches(pattern, value) in {True, False}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["runc@1.1.0"], ["runc@1.1.0"]),
        (["default"], ["crun@1.8.1", "runc@1.0.0-rc93", "runc@1.1.0"]),
        (["runc"], ["runc@1.0.0-rc93", "runc@1.1.0"]),
        (["runc@default"], ["runc@1.0.0-rc93", "runc@1.1.0"]),
        (["crun@all"], ["crun@0.17", "crun@1.8.1"]),
        (["runc<1.1"], ["runc@1.0.0-rc9", "runc@1.0.0-rc10", "runc@1.0.0-rc93"]),
        (["runc@9.9.9"], ["runc@9.9.9"]),
        (["runc@1.0.0-rc93+debian11"], ["runc@1.0.0-rc93+debian11"]),
        (["runc@1.1.0", "default"], ["runc@1.1.0", "crun@1.8.1", "runc@1.0.0-rc93"]),
    ],
)
def test_words_for_runtimes(words: list[str], names: list[str]) -> None:
    assert expand_runtimes(words, CATALOGUE) == tuple(names)


def test_all_is_the_whole_catalogue_each_once() -> None:
    everything = expand_runtimes(["all", "runc@all", "default"], CATALOGUE)
    assert sorted(everything) == sorted(str(one.name) for one in CATALOGUE)


@pytest.mark.parametrize("word", ["", "nothing", "runc>9", "docker@20", "youki", "runc@newest", "@", "runc@"])
def test_a_word_for_nothing_is_refused(word: str) -> None:
    if word == "runc@":
        assert expand_runtimes([word], CATALOGUE) == expand_runtimes(["runc"], CATALOGUE)
        return
    with pytest.raises(InputError):
        expand_runtimes([word], CATALOGUE)


@given(st.sampled_from(list(Family)), st.sampled_from(IN_ORDER))
def test_a_name_is_read_as_it_is_written(family: Family, label: str) -> None:
    name = parse_name(f"{family}@{label}")
    assert str(name) == f"{family}@{label}"
    assert name.slug == f"{family}-{label}"
    assert RuntimeName(family=family, version=name.version, build=name.build) == name
