"""What is written about each cause: the sentence of the specification, the upstream threads, the cure.

The text is ``docs/causes.md``, which an installed package carries beside this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

_SECTION = re.compile(r"^### (?P<name>[a-z0-9-]+)$(?P<body>.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)
_TEXTS = re.compile(r"<!-- texts:.*?<!-- end -->", re.DOTALL)
_LABEL = re.compile(r"\*\*(?P<label>Spec|Threads|Cure):\*\*\s*(?P<text>.*)", re.DOTALL)
_LINK = re.compile(r"\[(?P<words>[^\]]*)\]\((?P<address>https?://[^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """One section: plain text with Markdown in it, lines joined. ``threads`` holds (words, address)."""

    meaning: str
    spec: str = ""
    cure: str = ""
    threads: tuple[tuple[str, str], ...] = ()


@cache
def notes() -> Mapping[str, Notes]:
    """Cause → what is written about it."""
    package = Path(str(resources.files("lab")))
    inside = package / "report" / "causes.md"
    path = inside if inside.is_file() else package.parent / "docs" / "causes.md"
    return read_notes(path.read_text(encoding="utf-8"))


def read_notes(text: str) -> Mapping[str, Notes]:
    """The sections of a text such as ``docs/causes.md``. Pure."""
    return {found["name"]: _notes(found["body"]) for found in _SECTION.finditer(text)}


def _notes(body: str) -> Notes:
    labelled: dict[str, str] = {}
    plain = []
    for paragraph in re.split(r"\n\s*\n", _TEXTS.sub("", body)):
        text = " ".join(paragraph.split())
        found = _LABEL.match(text)
        if found:
            labelled[found["label"]] = found["text"]
        elif text and not text.startswith("*"):
            plain.append(text)
        elif text:
            plain.append(text.partition(". ")[2])  # behind the verdict and what shows the cause
    return Notes(
        meaning=" ".join(filter(None, plain)),
        spec=labelled.get("Spec", ""),
        cure=labelled.get("Cure", ""),
        threads=tuple((link["words"], link["address"]) for link in _LINK.finditer(labelled.get("Threads", ""))),
    )
