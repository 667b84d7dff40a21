"""Bytes from a stranger → short, harmless text."""

from __future__ import annotations

LIMIT = 300
"""The most characters that a verdict quotes."""


def shown(raw: bytes) -> str:
    r"""UTF-8 as it stands, other bytes as ``\xNN``; control characters escaped, newlines and tabs kept."""
    return escape(raw.decode("utf-8", "backslashreplace"))


def escape(text: str) -> str:
    """``text`` without control characters (they stand escaped), newlines and tabs excepted."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def bounded(text: str) -> str:
    """The start of a one-line text, at most :data:`LIMIT` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"


def tail(raw: bytes) -> str:
    """The end of what a program wrote, on one line, at most :data:`LIMIT` characters."""
    newest = raw[-16 * LIMIT :]  # escaping makes text longer, never shorter; white space may go
    line = " ".join(shown(newest).split())
    return line if len(line) <= LIMIT and newest == raw else "…" + line[1 - LIMIT :]
