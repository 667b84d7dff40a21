"""The error lines of a runtime, taken out of their wrappers.

runc writes logrus text (``time="…" level=error msg="…"``) or JSON, and its init bare lines; crun writes plain lines,
with a timestamp, or JSON; youki and runsc write chains of several lines. Texts quoted inside texts (runc before
rc91) keep one backslash for each level: all go.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lab.classify.evidence import shown

_LOGRUS = re.compile(r'^time="?[^"]*"? level=(?P<level>\w+) msg=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>\S+))')
_STAMPED = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z:?\s+(?P<rest>.*)")
_INIT = re.compile(r"^(?:standard_init_linux\.go:\d+: |setns_init_linux\.go:\d+: |exec (?P<path>/\S+|\S+): [a-z])")
_PREFIX = re.compile(r"^(?:docker: |Error: |ERRO\[\d+\] |ERROR |DEBUG |crun: |runc: |youki: )+")
_QUOTES = re.compile(r'\\+(["`\'])')
_QUIET = {"trace", "debug", "info", "warning", "warn"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``marked`` tells that its form is a runtime's own, so that it cannot pass for a program's by chance."""

    text: str
    marked: bool


def error_lines(stderr: bytes) -> tuple[Line, ...]:
    """What the runtime said of its error, in order: warnings and debug lines left out."""
    return tuple(line for raw in shown(stderr).splitlines() if raw.strip() and (line := _line(raw.strip())))


def _line(raw: str) -> Line | None:
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
    return Line(_plain(raw), marked=_INIT.match(raw) is not None)


def _plain(text: str) -> str:
    return _PREFIX.sub("", _QUOTES.sub(r"\1", text))
