"""Taking away as much as possible, whatever decides what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lab.model.settings import Check
from lab.repro.case import Call, Case
from lab.repro.cuts import Cut, CutKind, apply, as_root, harmless, levels
from lab.repro.minimise import minimise, most
from lab.repro.tree import Entry, Kind

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 1000, "gid": 0}, "args": ["/p"], "cwd": "/w", "env": ["A=1", "B=2"]},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro", "nodev"]}],
    "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], "maskedPaths": ["/proc/kcore"]},
}
TREE = (
    Entry(path="rootfs"),
    Entry(path="rootfs/a"),
    Entry(path="rootfs/a/b", kind=Kind.FILE, mode=0o600, uid=5, content=b"text\n"),
    Entry(path="rootfs/a/c", kind=Kind.LINK, target="rootfs/a/b"),
    Entry(path="rootfs/w", mode=0o700, uid=65532, gid=65532),
)


def case(**changes: object) -> Case:
    return Case(call=Call(), **{"config": CONFIG, "tree": TREE, **changes})  # type: ignore[arg-type]


@given(st.integers(0, 24), st.data())
def test_just_what_is_needed_stays_where_every_part_counts_alone(size: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, max(size - 1, 0)), max_size=size))
    gone = most(range(size), lambda gone: not needed & set(gone))
    assert gone == tuple(part for part in range(size) if part not in needed)


@given(st.integers(1, 10), st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=5))
def test_no_single_further_part_can_go(size: int, enough: list[set[int]]) -> None:
    everything = set(range(size))
    enough = [*enough, everything]

    def holds(gone: Sequence[int]) -> bool:
        return any(one <= everything - set(gone) for one in enough)

    gone = most(range(size), holds)
    assert holds(gone)
    assert not any(holds(sorted({*gone, part})) for part in everything - set(gone))


def test_the_same_case_is_asked_about_in_the_same_order() -> None:
    def asked() -> list[Case]:
        seen: list[Case] = []

        def holds(one: Case) -> bool:
            seen.append(one)
            return any(entry.path == "rootfs/w" for entry in one.tree)

        minimise(case(), holds)
        return seen

    assert asked() == asked()


def test_what_the_specification_requires_and_the_mount_namespace_stay_when_nothing_is_needed() -> None:
    least = minimise(case(), lambda _: True)
    assert least.config == {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 1000, "gid": 0}, "args": ["/p"], "cwd": "/w"},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "mount"}]},
    }
    assert least.tree == (Entry(path="rootfs"),)


def test_nothing_goes_when_all_is_needed() -> None:
    assert minimise(case(), lambda one: one == case()) == case()


def test_a_program_that_does_something_keeps_its_isolation() -> None:
    busy = (*TREE, Entry(path="rootfs/p", kind=Kind.FILE, mode=0o755, content=b"\x7fELF"))
    least = minimise(case(tree=busy), lambda one: any(entry.content == b"\x7fELF" for entry in one.tree))
    assert least.config["linux"] == CONFIG["linux"]
    assert least.config["mounts"] == []
    assert "env" not in least.config["process"]


def test_harmless_programs() -> None:
    def with_program(content: bytes, *words: str) -> Case:
        config = {**CONFIG, "process": {**CONFIG["process"], "args": ["/p", *words]}}
        return case(config=config, probe=b"probe", tree=(Entry(path="rootfs/p", kind=Kind.FILE, content=content),))

    assert harmless(case())
    assert harmless(with_program(b""))
    assert harmless(with_program(b"probe"))
    assert harmless(with_program(b"probe", "hold"))
    assert not harmless(with_program(b"probe", "unlink", "/x"))
    assert not harmless(with_program(b"other"))
    assert not harmless(case(tree=(Entry(path="rootfs/p", kind=Kind.SYMLINK, target="/bin/sh"),)))


def test_an_entry_goes_with_all_that_is_below_it_and_with_links_to_it() -> None:
    paths = [entry.path for entry in apply(case(), [Cut(CutKind.ENTRY, ("rootfs/a",))]).tree]
    assert paths == ["rootfs", "rootfs/w"]
    paths = [entry.path for entry in apply(case(), [Cut(CutKind.ENTRY, ("rootfs/a/b",))]).tree]
    assert paths == ["rootfs", "rootfs/a", "rootfs/w"]


def test_an_owner_and_a_content_are_made_plain() -> None:
    cuts = [Cut(CutKind.PLAIN, ("rootfs/a/b",)), Cut(CutKind.EMPTY, ("rootfs/a/b",)), Cut(CutKind.PLAIN, ("rootfs/w",))]
    changed = {entry.path: entry for entry in apply(case(), cuts).tree}
    assert changed["rootfs/a/b"] == Entry(path="rootfs/a/b", kind=Kind.FILE, mode=0o644)
    assert changed["rootfs/w"] == Entry(path="rootfs/w")


def test_a_user_namespace_goes_with_its_maps() -> None:
    maps = [{"containerID": 0, "hostID": 100000, "size": 1}]
    linux = {"namespaces": [{"type": "mount"}, {"type": "user"}], "uidMappings": maps, "gidMappings": maps}
    least = apply(case(config={**CONFIG, "linux": linux}), [Cut(CutKind.USER_NAMESPACE, ())])
    assert least.config["linux"] == {"namespaces": [{"type": "mount"}]}


def test_arguments_stay_where_a_check_counts_the_steps() -> None:
    config = {**CONFIG, "process": {**CONFIG["process"], "args": ["/p", "id", "pwd"]}}
    counted = case(config=config, checks=(Check(fact="step.2.ok", equals=True),))
    named = {name: parts(counted) for name, parts in levels(counted)}
    assert named["config.json, arguments"] == []
    assert minimise(case(config=config), lambda _: True).config["process"]["args"] == ["/p"]


def test_as_root_the_process_has_what_its_bounding_set_allows() -> None:
    sets = {"bounding": ["CAP_KILL"], "effective": [], "permitted": [], "inheritable": [], "ambient": []}
    rooted = as_root(case(config={**CONFIG, "process": {**CONFIG["process"], "capabilities": sets}}))
    assert rooted is not None
    assert rooted.config["process"]["user"] == {"uid": 0, "gid": 0}
    assert rooted.config["process"]["capabilities"]["effective"] == ["CAP_KILL"]
    assert as_root(rooted) is None
