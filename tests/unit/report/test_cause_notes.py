"""Sections of docs/causes.md as data."""

from __future__ import annotations

from lab.classify.causes import CAUSES
from lab.report.causes import notes, read_notes

TEXT = """
# Causes

## A group

### first-cause

*denied* · shown by text. What it
means.

More of it.

**Spec:** “A sentence.” (somewhere)

**Threads:** [one](https://example.org/1),
[two 2](https://example.org/2)

**Cure:** do
something.

<!-- texts: first-cause -->
| text | written by |
<!-- end -->

## Another group

### second-cause

*failed* · shown by check. Short.
"""


def test_a_section_is_read_to_its_end() -> None:
    found = read_notes(TEXT)
    assert list(found) == ["first-cause", "second-cause"]
    first = found["first-cause"]
    assert first.meaning == "What it means. More of it."
    assert first.spec == "“A sentence.” (somewhere)"
    assert first.cure == "do something."
    assert first.threads == (("one", "https://example.org/1"), ("two 2", "https://example.org/2"))
    assert found["second-cause"].meaning == "Short."


def test_every_cause_is_written_about() -> None:
    assert set(notes()) == set(CAUSES)
