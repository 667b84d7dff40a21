"""From a scenario to its cells."""

from __future__ import annotations

from itertools import product
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.model.runtime import Provider, Release
from lab.model.scenario import BUILT_IN_AXES, Cell, Constraint, Scenario
from lab.scenario.expand import expand, fits, id_fits, make_cell, select
from lab.scenario.versions import parse_name

RELEASES = tuple(
    Release(name=parse_name(name), date="2020-01-01", sources={Provider.GO: {}}, default=True)
    for name in ("runc@1.0.0-rc9", "runc@1.0.0-rc10", "crun@1.8.1")
)


def scenario(**parts: object) -> Scenario:
    given: dict[str, object] = {"id": "s", "question": "?", "axes": {"runtime": ("crun@1.8.1",)}, **parts}
    return Scenario(**given)  # type: ignore[arg-type]  # parts are Scenario's own fields


def ids(one: Scenario, runtimes: tuple[str, ...] = ()) -> list[str]:
    return [cell.id for cell in expand(one, RELEASES, runtimes).cells]


def test_an_empty_scenario_is_one_cell_for_each_default_runtime() -> None:
    assert ids(scenario(axes={})) == [
        "s/distroless-static/crun-1.8.1/oci",
        "s/distroless-static/runc-1.0.0-rc9/oci",
        "s/distroless-static/runc-1.0.0-rc10/oci",
    ]


def test_segments_stand_in_a_fixed_order_whatever_the_file_says() -> None:
    one = scenario(
        axes={
            "engine": ("oci",),
            "userns": ("none",),
            "caps": ("docker",),
            "runtime": ("runc@1.0.0-rc9",),
            "cwd": ("/",),
            "user": ("0:0",),
            "image_workdir": ("/w",),
            "image_user": ("1",),
            "image": ("busybox",),
        },
        own_axes={"zeta": {"b": {}}, "alpha": {"a": {}}},
    )
    assert [cell.partition("/image_user=1/")[2] for cell in ids(one)] == [
        "image_workdir=%2Fw/user=0:0/cwd=%2F/caps=docker/userns=none/zeta=b/alpha=a/runc-1.0.0-rc9/oci"
    ]


def test_the_last_axis_turns_fastest() -> None:
    one = scenario(axes={"user": ("b", "a"), "caps": ("none", "cri"), "runtime": ("crun@1.8.1",)})
    assert [(cell.value("user"), cell.value("caps")) for cell in expand(one, RELEASES).cells] == [
        ("b", "none"),
        ("b", "cri"),
        ("a", "none"),
        ("a", "cri"),
    ]


def test_exclude_comes_before_constraints_and_include_after_both() -> None:
    one = scenario(
        axes={"user": ("0:0", "1:1"), "caps": ("docker", "cri"), "runtime": ("crun@1.8.1",)},
        exclude=({"user": "1:1", "caps": ("docker", "none")},),
        constraints=(Constraint(when='user == "1:1"', require="false", why="no ones"),),
        include=({"user": "1:1", "caps": "docker"}, {"user": "0:0", "caps": "cri"}, {"user": "9:9"}),
    )
    plan = expand(one, RELEASES)
    assert [(cell.value("user"), cell.value("caps")) for cell in plan.cells] == [
        ("0:0", "docker"),
        ("0:0", "cri"),
        ("1:1", "docker"),
        ("9:9", "docker"),
        ("9:9", "cri"),
    ]
    assert plan.left_out == (("excluded: user = 1:1 and caps = docker | none", 1), ("no ones", 1))


def test_every_key_of_an_exclude_must_match() -> None:
    one = scenario(
        axes={"user": ("0:0", "1:1"), "runtime": ("runc@1.0.0-rc9", "runc@1.0.0-rc10")},
        exclude=({"user": "1*", "runtime": "runc<=1.0.0rc9"}, {"cwd": "*"}),
    )
    assert len(ids(one)) == 3


def test_an_include_may_bring_an_axis_of_its_own() -> None:
    one = scenario(include=({"cwd": ("/", "/x"), "runtime": "runc"},))
    assert ids(one) == [
        "s/distroless-static/crun-1.8.1/oci",
        *(f"s/distroless-static/cwd={cwd}/runc-1.0.0-rc{rc}/oci" for cwd in ("%2F", "%2Fx") for rc in (9, 10)),
    ]


def test_the_users_runtimes_replace_the_scenarios() -> None:
    assert ids(scenario(), ("runc<=1.0.0rc9",)) == ["s/distroless-static/runc-1.0.0-rc9/oci"]
    with pytest.raises(InputError, match="stands for nothing"):
        expand(scenario(), RELEASES, ("runc>5",))


values = st.lists(st.text(max_size=12), min_size=1, max_size=3, unique=True).map(tuple)
own_axes: st.SearchStrategy[dict[str, dict[str, dict[str, object]]]] = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(
        lambda name: name not in {*BUILT_IN_AXES, "runtime", "engine"}
    ),
    st.dictionaries(st.text(max_size=8), st.just({}), min_size=1, max_size=3),
    max_size=2,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("image", "user", "cwd", "caps"), values)),
    own_axes,
    st.sampled_from([("crun@1.8.1",), ("runc", "crun"), ("default", "runc@1.0.0-rc9+b")]),
)
def test_each_combination_is_one_cell_with_an_id_that_is_a_safe_file_name(
    axes: dict[str, tuple[str, ...]], own: dict[str, dict[str, dict[str, object]]], runtimes: tuple[str, ...]
) -> None:
    one = scenario(axes={**axes, "runtime": runtimes}, own_axes=own)
    cells = expand(one, RELEASES).cells
    several = [
        axes.get("image", ("distroless-static",)),
        *(axes[n] for n in ("user", "cwd", "caps") if n in axes),
        *own.values(),
    ]
    runtime_count = len({cell.value("runtime") for cell in cells})
    assert len({cell.axes for cell in cells}) == len(cells) == len(list(product(*several))) * runtime_count
    assert len({cell.id for cell in cells}) == len(cells)
    for cell in cells:
        path = PurePosixPath(cell.id)
        assert str(path) == cell.id
        assert not path.is_absolute()
        assert len(path.parts) == 1 + len(cell.axes)
        for part in path.parts:
            assert part.isascii()
            assert part.isprintable()
            assert part not in {"", ".", ".."}
            assert not set(part) & set('/\\*?<>|"`')


@given(own_axes, st.lists(st.sampled_from(["user", "caps"]), max_size=2, unique=True))
def test_left_out_and_kept_are_all_there_is(own: dict[str, dict[str, dict[str, object]]], excluded: list[str]) -> None:
    axes = {"user": ("0:0", "1:1"), "caps": ("docker", "cri", "none"), "runtime": ("runc",)}
    rule = dict(zip(excluded, ("0:0", "cri"), strict=False))
    whole = expand(scenario(axes=axes, own_axes=own), RELEASES)
    part = expand(scenario(axes=axes, own_axes=own, exclude=(rule,) if rule else ()), RELEASES)
    assert len(whole.cells) == len(part.cells) + sum(count for _, count in part.left_out)
    assert [cell for cell in whole.cells if cell in set(part.cells)] == list(part.cells)


def test_a_pattern_or_one_of_several() -> None:
    assert fits("runc", "runc@1.0.0")
    assert fits(("x", "runc>=1"), "runc@1.0.0")
    assert not fits((), "runc@1.0.0")


CELLS = tuple(
    make_cell("s", (("image", "busybox"), ("user", user), ("runtime", runtime), ("engine", "oci")))
    for user in ("0:0", "1000:0")
    for runtime in ("runc@1.0.0-rc93", "crun@0.17")
)


@pytest.mark.parametrize(
    ("patterns", "where", "chosen"),
    [
        ((), None, [0, 1, 2, 3]),
        (("user=0:0",), None, [0, 1]),
        (("crun",), None, [1, 3]),
        (("crun", "user=0:0"), None, [0, 1, 3]),
        (("s/*/crun-*/oci",), None, [1, 3]),
        (("*crun*",), 'user == "0:0"', [1]),
        ((), 'runtime in "runc<1.0.1"', [0, 2]),
        (("nothing",), None, []),
    ],
)
def test_selection(patterns: tuple[str, ...], where: str | None, chosen: list[int]) -> None:
    assert select(CELLS, patterns, where) == tuple(CELLS[index] for index in chosen)


def test_a_cells_own_id_selects_exactly_it() -> None:
    for cell in CELLS:
        assert select(CELLS, (cell.id,)) == (cell,)
        assert id_fits(cell.id, cell.id)


def test_the_value_of_an_axis_that_a_cell_lacks() -> None:
    assert Cell("x", "s", (("user", "1"),)).value("cwd", "image") == "image"


def test_a_glob_that_looks_like_a_version_range_is_a_glob() -> None:
    cell = "mine/distroless-static/user=1000:0/runc-1.0.0-rc93/oci"
    assert id_fits("*user=1000:0/*runc*", cell)
    assert not id_fits("user=1000:0/*runc*", cell)
    assert not id_fits("user>=1000:0/*", cell)
