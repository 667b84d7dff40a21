"""Text from strangers, made harmless for a terminal, a page or a log."""

from __future__ import annotations


def escape_text(text: str | bytes, *, lines: bool = False) -> str:
    r"""Text in which nothing can act: every character that is not printable is written as an escape.

    That covers control characters (ESC, BEL, backspace, the C1 set), bidirectional overrides and other invisible
    format characters, line and paragraph separators, unassigned code points, and bytes that are no UTF-8 (``\xff``).
    With ``lines`` a newline stays a newline. The backslash itself is left alone: the result is for people, not for
    reading back.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="surrogateescape")
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or (lines and one == "\n") else _escaped(one) for one in text)


_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
_BYTE = range(0xDC80, 0xDD00)
"""Where Python's ``surrogateescape`` puts bytes that are no UTF-8."""


def _escaped(one: str) -> str:
    code = ord(one)
    if code in _BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:  # noqa: PLR2004  # what fits into two hex digits
        return _SHORT.get(one, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  # what fits into four


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters of a line: its start and, for the larger part, its end, where errors say why."""
    if len(text) <= limit:
        return text
    start = max(limit - 1, 0) // 3
    end = max(limit - 1, 0) - start
    return f"{text[:start]}…{text[len(text) - end :]}"
