from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.oracle.mtree import DEFAULTS, decode, encode
from lab.oracle.tree import Kind, Layer, Node
from lab.provision.listing import list_tree

names = st.binary(min_size=1, max_size=12).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode(errors="surrogateescape")
)
plain = st.builds(
    Node,
    kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.FIFO]),
    uid=st.integers(0, 2**31),
    gid=st.integers(0, 2**31),
    mode=st.integers(0, 0o7777),
)
links = st.builds(Node, kind=st.just(Kind.SYMLINK), mode=st.just(0o777), target=names)


@given(st.dictionaries(names.filter(lambda name: name not in {".", ".."}), plain | links, max_size=6), plain)
def test_a_tree_comes_back_as_it_was(children: dict[str, Node], root: Node) -> None:
    top = Node(kind=Kind.DIRECTORY, uid=root.uid, gid=root.gid, mode=root.mode)
    entries = {"/": top}
    for name in sorted(children):
        entries[f"/{name}"] = children[name]
        if children[name].kind is Kind.DIRECTORY:
            entries[f"/{name}/in side"] = Node(mode=0o600)
    entries["/zz"] = Node()

    assert decode(encode(entries.items())) == entries


def test_a_usual_file_costs_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "a" / "one file").write_text("x")
    (tmp_path / "b").symlink_to("a/#1")
    (tmp_path / "a" / "one file").chmod(0o644)
    tmp_path.chmod(0o755)
    owner = "" if os.geteuid() == 0 else f" uid={os.geteuid()} gid={os.getegid()}"

    assert list_tree(tmp_path) == (
        "/set type=file uid=0 gid=0 mode=0644\n"
        f". type=dir{owner} mode=0755\n"
        f"a type=dir{owner} mode=0700\n"
        f"one\\040file{owner}\n"
        "..\n"
        f"b type=link{owner} link=a/\\0431\n"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#mtree\n", "expected"),
        ("", "expected|unpack"),
        (f"{DEFAULTS}\n. type=dir\n..\n..\n", "more directories"),
        (f"{DEFAULTS}\n. type=door\n", "no such type: 'door'"),
        (f"{DEFAULTS}\n. type=dir uid=x\n", "invalid literal"),
        (f"{DEFAULTS}\n. type\n", "update sequence"),
    ],
)
def test_what_is_no_such_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(text)


def test_a_layer_changes_nothing_below_it() -> None:
    below = {"/": Node(kind=Kind.DIRECTORY), "/a": Node(kind=Kind.DIRECTORY), "/a/b": Node()}
    layer = Layer(below)
    layer.put("/a/c", Node())
    before = layer.copy()

    layer.remove("/a")

    assert layer.get("/a/b") is layer.get("/a/c") is layer.get("/a") is None
    assert before.get("/a/c") == Node()
    assert set(before.inside("/a")) == {"/a/b", "/a/c"}
    assert below["/a/b"] == Node()
