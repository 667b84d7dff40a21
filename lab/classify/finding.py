"""What a rule concludes."""

from __future__ import annotations

from typing import NamedTuple

from lab.model.verdict import Phase


class Finding(NamedTuple):
    """A cause (a key of ``CAUSES``), where it struck, and the words or facts that show it."""

    cause: str
    phase: Phase
    evidence: str
