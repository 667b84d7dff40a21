"""What a runtime's error text says, by the table of :mod:`lab.classify.runtime_texts`.

A text that no rule knows stays unrecognised. ``OCI permission denied``, which podman appends to unrelated errors, is
cut off before anything is matched.
"""

from __future__ import annotations

import re

from lab.classify.evidence import bounded, shown
from lab.classify.finding import Finding
from lab.classify.lines import error_lines
from lab.classify.runtime_texts import LAB_FAULTS, TEXT_RULES, TextRule

_ENGINE_TAIL = re.compile(
    r"(?:: (?:unknown|OCI permission denied|OCI runtime error|OCI not found|<nil>"
    r"|OCI runtime attempted to invoke a command that was not found))+$"
)
_WRAPPERS = re.compile(
    r'^(?:"|: |runc \w+ failed: |exec failed: |unable to start container process: |error during container init: '
    r"|\w+_linux\.go:\d+: |starting container process caused:? |container init caused:? "
    r"|(?:running|creating|starting) (?:root )?container: |starting sandbox: "
    r"|OCI runtime (?:create|exec|error) ?(?:failed)?: |Error response from daemon: |failed to create shim task: "
    r"|failed to (?:create|start) (?:containerd task|sandbox|exec)(?: \"\w+\")?: |failed to exec in container: )+"
)


def judge_text(stderr: bytes, *, marked_only: bool) -> Finding | None:
    """What a text says, or ``None`` for one that no rule knows.

    ``marked_only`` leaves out lines whose form is not a runtime's own.
    """
    matched = match_text(stderr, marked_only=marked_only)
    if matched is None:
        return None
    rule, line = matched
    return Finding(rule.cause, rule.phase, bounded(line))


def match_text(stderr: bytes, *, marked_only: bool) -> tuple[TextRule, str] | None:
    """The first rule of the table that fits any line, and that line."""
    lines = [_core(line.text) for line in error_lines(stderr) if line.marked or not marked_only]
    for rule in TEXT_RULES:
        for line in lines:
            if rule.find(line):
                return rule, line
    return None


def _core(text: str) -> str:
    """The decisive part of a line: what engines and runtimes put around it is taken off."""
    return _WRAPPERS.sub("", _ENGINE_TAIL.sub("", text)).rstrip('"')


def lab_fault(stderr: bytes) -> str | None:
    """What a text says of the lab's own or its host's fault, if it does."""
    for line in shown(stderr).splitlines():
        for rule in LAB_FAULTS:
            if found := rule.find(line):
                return bounded(found[0])
    return None
