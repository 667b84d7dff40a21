"""Properties of Linux DAC that hold whatever the file and the process are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lab.oci.capabilities import BY_NUMBER
from lab.oracle.access import EXECUTE, READ, WRITE, permits
from lab.oracle.credentials import Credentials, Sets, apply, become, execute, runtime_init
from lab.oracle.ids import IdMaps
from lab.oracle.tree import UNMAPPED, Kind, Node

ALL = frozenset(f"CAP_{name}" for name in BY_NUMBER)
ids = st.integers(0, 5)
modes = st.integers(0, 0o777)
wants = st.integers(1, 7)
powers = st.frozensets(st.sampled_from(["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_CHOWN"]))
people = st.builds(Credentials, uid=ids, gid=ids, groups=st.frozensets(ids), effective=powers)
directories = st.builds(Node, kind=st.just(Kind.DIRECTORY), uid=ids, gid=ids, mode=modes)
regular = st.builds(Node, kind=st.just(Kind.FILE), uid=ids, gid=ids, mode=modes)
nodes = directories | regular


@given(people, nodes, wants)
def test_an_owner_with_rwx_may_do_all(who: Credentials, node: Node, want: int) -> None:
    assert permits(who, replace(node, uid=who.uid, mode=node.mode | 0o700), want)


@given(people, directories)
def test_read_search_enters_and_lists_every_directory(who: Credentials, node: Node) -> None:
    strong = replace(who, effective=who.effective | {"CAP_DAC_READ_SEARCH"})

    assert permits(strong, node, EXECUTE)
    assert permits(strong, node, READ)


@given(people, directories, wants)
def test_somebody_else_without_power_never_enters_0700(who: Credentials, node: Node, want: int) -> None:
    other = replace(who, uid=node.uid + 1, effective=who.effective & {"CAP_FOWNER", "CAP_CHOWN"})

    assert not permits(other, replace(node, mode=0o700), want)


@given(people, nodes, wants)
def test_nobody_gets_a_second_try_with_the_next_three_bits(who: Credentials, node: Node, want: int) -> None:
    plain = replace(who, uid=node.uid, effective=frozenset())

    assert not permits(plain, replace(node, mode=node.mode & 0o077), want)


@given(people, regular)
def test_no_power_executes_a_file_that_nobody_may_execute(who: Credentials, node: Node) -> None:
    assert not permits(replace(who, effective=ALL), replace(node, mode=node.mode & 0o666), EXECUTE)


@given(people, regular)
def test_read_search_does_not_write(who: Credentials, node: Node) -> None:
    searcher = replace(who, uid=node.uid + 1, groups=frozenset(), effective=frozenset({"CAP_DAC_READ_SEARCH"}))

    assert not permits(searcher, replace(node, mode=0o700), WRITE)
    assert permits(searcher, replace(node, mode=0), READ)


@given(people, nodes, wants, powers)
def test_more_power_never_takes_anything_away(who: Credentials, node: Node, want: int, more: frozenset[str]) -> None:
    if permits(who, node, want):
        assert permits(replace(who, effective=who.effective | more), node, want)


@given(people, nodes, wants)
def test_power_counts_for_nothing_on_an_unmapped_owner(who: Credentials, node: Node, want: int) -> None:
    inside = replace(who, effective=ALL, maps=IdMaps(uids=((0, 100000, 10),), gids=((0, 100000, 10),)))

    for owner in (UNMAPPED, 7):
        assert permits(inside, replace(node, uid=owner, gid=owner, mode=0o007), want)
        assert not permits(inside, replace(node, uid=owner, gid=owner, mode=0o770), want)


@given(ids, st.integers(0, 20))
def test_maps_lead_out_and_back(inside: int, first: int) -> None:
    maps = IdMaps(uids=((0, first + 1000, 6),), gids=((0, first + 2000, 6),))

    assert maps.inside(*maps.outside(inside, inside)) == (inside, inside)
    assert maps.shown(first, first) == (65534, 65534)


@given(st.integers(1, 9), st.frozensets(st.sampled_from(sorted(ALL))))
def test_becoming_a_user_empties_the_effective_set_and_keeps_the_permitted_one(uid: int, held: frozenset[str]) -> None:
    user = become(runtime_init(held, IdMaps()), uid, 0, ())

    assert not user.effective
    assert user.permitted == held
    assert become(runtime_init(held, IdMaps()), 0, 0, ()).effective == held


def test_execve_leaves_ambient_capabilities_to_users_and_the_bounding_set_to_root() -> None:
    held = frozenset({"CAP_CHOWN", "CAP_KILL"})
    sets = Sets(bounding=held, effective=held, permitted=held, inheritable=held, ambient=frozenset({"CAP_KILL"}))
    user = execute(apply(become(runtime_init(ALL, IdMaps()), 1000, 0, ()), sets))
    root = execute(apply(runtime_init(ALL, IdMaps()), Sets(bounding=held)))
    held_back = execute(replace(apply(runtime_init(ALL, IdMaps()), Sets(bounding=held)), no_new_privileges=True))

    assert user.effective == user.permitted == {"CAP_KILL"}
    assert root.effective == held
    assert held_back.effective == frozenset()
