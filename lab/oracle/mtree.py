r"""Trees as text, in the hierarchical form of mtree(5): what a run stores of an image so that it needs it no more.

::

    /set type=file uid=0 gid=0 mode=0644
    . type=dir mode=0755
    home type=dir mode=0755
    nonroot type=dir uid=65532 gid=65532 mode=0700
    ..
    ..
    lib type=link link=usr/lib
    ..

A line names an entry of the directory that was opened last, ``..`` closes it; what a line does not say, the ``/set``
line does. Bytes of names outside printable ASCII, blanks, ``#``, ``=`` and ``\`` are written as ``\ooo`` (vis(3),
VIS_OCTAL). A usual file costs no more than its name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from lab.oracle.tree import Kind, Node

DEFAULTS = "/set type=file uid=0 gid=0 mode=0644"
_WORDS = {
    Kind.DIRECTORY: "dir",
    Kind.FILE: "file",
    Kind.SYMLINK: "link",
    Kind.CHARACTER_DEVICE: "char",
    Kind.BLOCK_DEVICE: "block",
    Kind.FIFO: "fifo",
    Kind.SOCKET: "socket",
}
_KINDS = {word: kind for kind, word in _WORDS.items()}
_SPECIAL = re.compile(rb"[^!-~]|[#=\\]")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_LINK_MODE = 0o777
"""The mode of a symlink, which means nothing, as Linux shows it."""


def encode(entries: Iterable[tuple[str, Node]]) -> str:
    """The text of a tree; ``entries`` come parents first, the root as ``/``, each directory followed by its content."""
    return "\n".join(_lines(entries)) + "\n"


def _lines(entries: Iterable[tuple[str, Node]]) -> Iterator[str]:
    yield DEFAULTS
    opened: list[str] = []
    for path, node in entries:
        while opened and not _below(path, opened[-1]):
            opened.pop()
            yield ".."
        name = _vis(posixpath.basename(path)) if opened else "."
        yield " ".join((name, *_keywords(node)))
        if node.kind is Kind.DIRECTORY:
            opened.append(path)


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _keywords(node: Node) -> Iterator[str]:
    if node.kind is not Kind.FILE:
        yield f"type={_WORDS[node.kind]}"
    if node.uid:
        yield f"uid={node.uid}"
    if node.gid:
        yield f"gid={node.gid}"
    if node.kind is Kind.SYMLINK:
        yield f"link={_vis(node.target)}"
    elif node.mode != Node().mode:
        yield f"mode={node.mode:04o}"


def _vis(text: str) -> str:
    return _SPECIAL.sub(lambda found: b"\\%03o" % found[0][0], text.encode(errors="surrogateescape")).decode()


def _unvis(text: str) -> str:
    if "\\" not in text:
        return text
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), text.encode()).decode(errors="surrogateescape")


def decode(text: str) -> dict[str, Node]:
    """Path → node; raises ``ValueError`` for a text that :func:`encode` does not write."""
    first, *lines = text.splitlines()
    if first != DEFAULTS:
        raise ValueError(f"expected {DEFAULTS!r}, not {first!r:.80}")
    nodes: dict[str, Node] = {}
    opened: list[str] = []
    for line in lines:
        if line == "..":
            if not opened:
                raise ValueError("more directories are closed than opened")
            opened.pop()
            continue
        name, *words = line.split(" ")
        path = posixpath.join(opened[-1], _unvis(name)) if opened else "/"
        nodes[path] = node = _node(dict(word.split("=", 1) for word in words)) if words else _USUAL
        if node.kind is Kind.DIRECTORY:
            opened.append(path)
    return nodes


_USUAL = Node()


def _node(words: dict[str, str]) -> Node:
    kind = _KINDS.get(words.get("type", "file"))
    if kind is None:
        raise ValueError(f"no such type: {words['type']!r:.80}")
    return Node(
        kind=kind,
        uid=int(words.get("uid", 0)),
        gid=int(words.get("gid", 0)),
        mode=_LINK_MODE if kind is Kind.SYMLINK else int(words.get("mode", "0644"), 8),
        target=_unvis(words.get("link", "")),
    )
