"""From a cell to what it says in full."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.model.scenario import Scenario
from lab.model.settings import CapabilityPolicy, Edit, EditKind, IdMapping
from lab.scenario.expand import make_cell
from lab.scenario.load import parse
from lab.scenario.resolve import built_in_fragment, expectation_of, id_mappings, merge, resolve

TEXT = """
format = 1
question = "?"
[axes]
user = ["image", "1000:0"]
caps = ["cri"]
userns = ["none", "0:100000:65536"]
[axes.place.here]
rootfs = [{ path = "/b", mode = 0o700 }]
process.env = { B = "2" }
process.steps = ["pwd"]
[axes.place.nowhere]
[settings]
rootfs = [{ path = "/a" }]
[settings.process]
steps = ["id", "groups"]
env = { A = "1", B = "1" }
[[expect]]
when = 'user == "1000:0"'
verdict = "denied"
[[expect]]
when = 'place == "here"'
verdict = "failed"
"""


def one(user: str = "image", userns: str = "none", place: str = "here") -> tuple[Scenario, Any]:
    scenario = parse(TEXT, id="s", where="s.toml")
    axes = (
        ("image", "busybox"),
        ("user", user),
        ("caps", "cri"),
        ("userns", userns),
        ("place", place),
        ("runtime", "runc@1.1.0"),
        ("engine", "oci"),
    )
    return scenario, make_cell("s", axes)


def test_a_cell_says_its_axes_and_its_settings() -> None:
    resolved = resolve(*one(user="1000:0", userns="0:100000:65536"))
    assert (resolved.image, resolved.runtime, resolved.engine) == ("busybox", "runc@1.1.0", "oci")
    settings = resolved.settings
    assert settings.process.user == "1000:0"
    assert settings.process.capabilities is CapabilityPolicy.CRI
    assert settings.linux.uid_mappings == settings.linux.gid_mappings
    assert settings.linux.uid_mappings == (IdMapping(container_id=0, host_id=100000, size=65536),)


def test_tables_merge_table_lists_are_appended_all_else_is_replaced() -> None:
    settings = resolve(*one()).settings
    assert settings.rootfs == (Edit(path="/a"), Edit(path="/b", mode=0o700, kind=EditKind.DIRECTORY))
    assert settings.process.env == {"A": "1", "B": "2"}
    assert settings.process.steps == ("pwd",)
    assert resolve(*one(place="nowhere")).settings.process.steps == ("id", "groups")


def test_image_keeps_what_the_image_says() -> None:
    settings = resolve(*one()).settings
    assert settings.process.user is None
    assert settings.image_user is None
    assert not settings.linux.uid_mappings


def test_the_first_expectation_that_fits_is_the_cells() -> None:
    verdicts = [
        expectation_of(*one(user=user, place=place)) for user in ("1000:0", "image") for place in ("here", "nowhere")
    ]
    assert [found and found.verdict for found in verdicts] == ["denied", "denied", "failed", None]


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.sampled_from("abc"), json_data, max_size=3)


@given(tables, tables)
def test_merging_keeps_every_key_and_changes_neither_side(base: dict[str, Any], top: dict[str, Any]) -> None:
    before = (repr(base), repr(top))
    merged = merge(base, top)
    assert (repr(base), repr(top)) == before
    assert set(merged) == {*base, *top}
    assert merge(base, {}) == base
    assert merge({}, top) == top
    for key, value in top.items():
        if not isinstance(value, dict | list):
            assert merged[key] == value


@given(tables, tables, tables)
def test_merging_plain_tables_is_associative(one_: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    def plain(data: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in data.items() if not isinstance(value, list | dict)}

    one_, two, three = plain(one_), plain(two), plain(three)
    assert merge(merge(one_, two), three) == merge(one_, merge(two, three))


@pytest.mark.parametrize(
    ("axis", "value", "fragment"),
    [
        ("image_user", "1000", {"image_user": "1000"}),
        ("image_workdir", "/w", {"image_workdir": "/w"}),
        ("image_workdir", "image", {}),
        ("cwd", "/x", {"process": {"cwd": "/x"}}),
        ("caps", "none", {"process": {"capabilities": "none"}}),
        ("userns", "none", {}),
        ("image", "busybox", {}),
        ("runtime", "runc@1.0.0", {}),
    ],
)
def test_built_in_axes(axis: str, value: str, fragment: dict[str, object]) -> None:
    assert built_in_fragment(axis, value) == fragment


def test_mappings_are_written_as_podman_does() -> None:
    assert id_mappings("0:1000:1,1:100000:65536") == [
        {"container_id": 0, "host_id": 1000, "size": 1},
        {"container_id": 1, "host_id": 100000, "size": 65536},
    ]


@pytest.mark.parametrize("text", ["", "0", "0:1", "a:b:c", "0:1:2:3", "0:1:2,"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a mapping"):
        id_mappings(text)


def test_settings_that_do_not_fit_name_the_cell_and_all_faults() -> None:
    scenario, _ = one()
    cell = make_cell("s", (("caps", "some"), ("user", "0")))
    broken = Scenario(id="s", question="?", axes={}, path="s.toml", base={**scenario.base, "deadline": "soon"})
    with pytest.raises(InputError) as caught:
        resolve(broken, cell)
    assert cell.id in caught.value.brief
    assert "settings.deadline" in caught.value.details
    assert "settings.process.capabilities" in caught.value.details


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ('host = ["fixture:data/file"]', "host[0]"),
        ('mounts = [{ destination = "/x", fixture = "data" }]', "mounts[0].fixture"),
        ('caller.fds = { 5 = "data" }', "caller.fds.5"),
        ('caller.stdio_fixture = "data"', "caller.stdio_fixture"),
        ('action = "exec"', "exec"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: str, where: str) -> None:
    text = f'format = 1\nquestion = "?"\n[settings]\n{settings}\n[axes.data.no]\n[axes.data.yes.fixtures.data]\n'
    scenario = parse(text, id="s", where="s.toml")
    axes = (("image", "busybox"), ("data", "no"), ("runtime", "runc@1.1.0"), ("engine", "oci"))
    with pytest.raises(InputError) as caught:
        resolve(scenario, make_cell("s", axes))
    assert f"settings.{where}" in caught.value.details
