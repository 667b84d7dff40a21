"""The error lines of a runtime, taken out of their wrappers.

runc writes logrus text (``time="…" level=error msg="…"``) or JSON, and its init bare lines; crun writes plain lines,
with a timestamp, or JSON; youki and runsc write chains of several lines; an engine puts its own words around them.
Texts quoted inside texts (runc before rc91) keep one backslash for each level: all go.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lab.classify.evidence import shown

_LOGRUS = re.compile(r'^time="?[^"]*"? level=(?P<level>\w+) msg=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>\S+))')
_STAMPED = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z:?\s+(?P<rest>.*)")
_OWN = re.compile(
    r"^(?:(?:standard|setns)_init_linux\.go:\d+: |\w+_linux\.go:\d+: |exec /\S*: [a-z]|exec: [A-Z]"
    r"|exec (?:container process |`)|ERROR (?:libcontainer|libcgroups|youki)\b"
    r"|(?:running|creating|starting) container: |executing processes for container: )"
)
_PREFIX = re.compile(
    r"^(?:docker: |failed to create task for container: |failed to create shim(?: task)?: |OCI runtime \w+ failed: "
    r"|Error: |ERRO\[\d+\] |ERROR (?=[\w:]+: )|(?:\S*/)?(?:crun|runc): |(?:libcontainer|libcgroups|youki)[\w:]*: )+"
)
_PODMAN = re.compile(r'^Error: (?:OCI runtime error: )?unable to start container "?[0-9a-f]{64}"?: ')
"""What podman writes before a text of its own or a runtime's: podman 3 before whole logrus lines."""

_ENGINE_END = re.compile(r": unknown(?:\\r)?$")
"""What containerd writes behind a runtime's text: the gRPC code of an error that it does not know."""

_QUOTES = re.compile(r'\\+(["`\'])')
_QUIET = {"trace", "debug", "info", "warning", "warn"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``marked`` tells that its form is a runtime's own, so that it cannot pass for a program's by chance."""

    text: str
    marked: bool


LONGEST = 2048
"""Characters of a line that are looked at."""

NEWEST = 1 << 16
"""Bytes of a text that are looked at, from its end: a runtime's error is the last thing that it says."""


def error_lines(stderr: bytes) -> tuple[Line, ...]:
    """What the runtime said of its error, in order: warnings and debug lines left out."""
    found = (_line(raw[:LONGEST].strip()) for raw in shown(stderr[-NEWEST:]).splitlines())
    return tuple(line for line in found if line is not None and line.text)


def _line(raw: str) -> Line | None:
    started = _PODMAN.match(raw)
    if started:
        inner = _line(raw[started.end() :])
        return None if inner is None else Line(inner.text, marked=True)
    logrus = _LOGRUS.match(raw)
    if logrus:
        text = logrus["bare"] or re.sub(r"\\(.)", r"\1", logrus["quoted"] or "")
        return None if logrus["level"] in _QUIET else Line(_plain(text), marked=True)
    if raw.startswith("{"):
        try:
            data = json.loads(raw)
        except ValueError:
            data = None
        if isinstance(data, dict) and isinstance(data.get("msg"), str):
            return None if data.get("level") in _QUIET else Line(_plain(data["msg"]), marked=True)
    stamped = _STAMPED.match(raw)
    if stamped:
        return Line(_plain(stamped["rest"]), marked=True)
    return Line(_plain(raw), marked=_OWN.match(raw) is not None)


def _plain(text: str) -> str:
    return _ENGINE_END.sub("", _PREFIX.sub("", _QUOTES.sub(r"\1", text)))
