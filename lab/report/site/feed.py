"""The Atom feed of new flips (RFC 4287).

Nothing in it tells when it was made: ``updated`` is when a run came to its end, and ids depend on what they name, so
that the same runs give the same feed, and a feed reader shows each flip once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from lab.report.escape import escape_text
from lab.report.flips import answer_words
from lab.report.site.model import Summary
from lab.report.site.news import News
from lab.report.words import counted
from lab.scenario.expand import DEFAULT_ENGINE

MOST = 100
"""Entries of the feed, the newest; the site's data has all."""
_CELLS = 20
_SITES = uuid.uuid5(uuid.NAMESPACE_OID, "permlab sites")


def feed(title: str, runs: Sequence[Summary], found: Sequence[News]) -> str:
    """The document. ``runs`` oldest first, at least one; ``found`` newest first."""
    root = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "en"})
    _add(root, "id", f"urn:uuid:{uuid.uuid5(_SITES, title)}")
    _add(root, "title", escape_text(title))
    _add(root, "updated", max(moment(run.updated) for run in runs))
    _add(ET.SubElement(root, "author"), "name", "permlab")
    ET.SubElement(root, "link", rel="self", type="application/atom+xml", href="feed.atom")
    ET.SubElement(root, "link", rel="alternate", type="text/html", href="index.html")
    for one in found[:MOST]:
        _entry(root, one)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def moment(text: str) -> str:
    """A moment as RFC 3339 has it, in UTC; the first of all moments for a text that is none."""
    try:
        parsed = datetime.fromisoformat(text)
        parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # a stored text; the year 1 of another zone lies before all years
        parsed = datetime.min.replace(tzinfo=UTC)
    return parsed.isoformat(timespec="seconds").replace("+00:00", "Z")


def flip_words(one: News) -> str:
    """``runc 1.0.0-rc92 → 1.0.0-rc93: passed → denied: cwd-not-searchable (chdir-cwd, 6 cells)``."""
    runtime = one.family if one.engine == DEFAULT_ENGINE else f"{one.family} ({one.engine})"
    turn = f"{answer_words(one.was)} → {answer_words(one.now)}"
    return escape_text(
        f"{runtime} {one.before} → {one.after}: {turn} ({one.scenario}, {counted(len(one.cells), 'cell')})"
    )


def _entry(root: ET.Element, one: News) -> None:
    entry = ET.SubElement(root, "entry")
    _add(entry, "id", one.id)
    _add(entry, "title", flip_words(one))
    _add(entry, "updated", moment(one.run.updated))
    ET.SubElement(entry, "link", rel="alternate", type="text/html", href=f"{one.run.place}/index.html")
    ET.SubElement(entry, "category", term=escape_text(one.scenario))
    question = escape_text(one.run.questions.get(one.scenario, ""))
    rest = len(one.cells) - _CELLS
    lines = [question, *map(escape_text, one.cells[:_CELLS]), *([f"… and {rest} more"] if rest > 0 else [])]
    ET.SubElement(entry, "content", type="text").text = "\n".join(filter(None, lines))


def _add(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
