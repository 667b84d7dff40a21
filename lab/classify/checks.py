"""The checks of a scenario: facts that must hold. How a fact is named stands in ``docs/scenarios.md``.

``start.KEY``, ``step.N.KEY`` (N as the probe counts, from 1) and ``end.KEY`` lead into the probe's lines;
``host.NAME/path.KEY`` and ``host.rootfs/path.KEY`` to what the host showed afterwards (``uid``, ``gid``, ``mode``,
``type``, ``size``); ``exit_code``, ``reached``, ``stderr``, ``output`` are the observation's own. Further parts go into
objects by key and into lists by number from 0. Modes and umasks compare as numbers (TOML ``0o700``) or as octal strings
(``"0700"``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from lab.classify.evidence import bounded, escape, shown
from lab.model.observation import Fact, HostFact, Observation
from lab.model.settings import Check
from lab.model.verdict import Denied, Failed, Phase


class _Missing:
    """No such fact."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
_OUTCOME = re.compile(r"step\.(?P<number>\d+)\.(?:ok|errno|call|exit|signal)")
_OCTAL = {"mode", "umask", "before"}
_HOST_FIELDS = ("uid", "gid", "mode", "type", "size")


def judged_steps(checks: Sequence[Check]) -> frozenset[int]:
    """Numbers of the steps whose outcome a check names: these are not judged by any other rule."""
    found = set()
    for check in checks:
        named = _OUTCOME.fullmatch(check.fact)
        if named:
            found.add(int(named["number"]))
    return frozenset(found)


def first_broken(checks: Sequence[Check], facts: Sequence[Fact], seen: Observation) -> Denied | Failed | None:
    """The verdict of the first check that does not hold."""
    for check in checks:
        found = look_up(check.fact, facts, seen)
        if not _holds(check, found):
            verdict = Denied if check.verdict == "denied" else Failed
            return verdict(cause=check.cause, phase=Phase(check.phase), evidence=_evidence(check, found))
    return None


def look_up(path: str, facts: Sequence[Fact], seen: Observation) -> object:
    """The fact that ``path`` names, or :data:`MISSING`."""
    root, _, rest = path.partition(".")
    found: object = MISSING
    match root:
        case "exit_code" if seen.exit_code is not None:
            found = seen.exit_code
        case "reached":
            found = str(seen.reached)
        case "stderr":
            found = "".join(shown(call.stderr) for call in seen.calls)
        case "output":
            found = shown(seen.output)
        case "host":
            found = _host(rest, seen.host_after)
        case "start" | "end":
            found = _descend([fact for fact in facts if fact.get("op") == root], rest)
        case "step":
            number, _, rest = rest.partition(".")
            found = _descend([fact for fact in facts if str(fact.get("step")) == number != "0"], rest)
    return found


def _host(path: str, places: Sequence[HostFact]) -> object:
    place, _, field = path.rpartition(".")
    for fact in places:
        kind, _, name = fact.path.partition(":")
        spelled = name if kind == "fixture" else kind + name
        if spelled.rstrip("/") == place.rstrip("/") and field in _HOST_FIELDS:
            value: object = getattr(fact, field)
            return MISSING if value is None else value
    return MISSING


def _descend(facts: Sequence[Fact], path: str) -> object:
    """``path`` in the last of the facts that has it (a step that waits or replaces the process prints two lines)."""
    for fact in reversed(facts):
        value: object = fact
        for part in path.split("."):
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                value = MISSING
                break
        if value is not MISSING:
            return value
    return MISSING


def _holds(check: Check, found: object) -> bool:
    if found is MISSING or found is None:
        return False
    octal = check.fact.rpartition(".")[2] in _OCTAL
    if check.equals is not None and not _equal(check.equals, found, octal=octal):
        return False
    if check.contains is None:
        return True
    if isinstance(found, str):
        return str(check.contains) in found
    return isinstance(found, list) and any(_equal(check.contains, item, octal=octal) for item in found)


def _equal(wanted: object, found: object, *, octal: bool) -> bool:
    if octal:
        return _octal(wanted) == _octal(found)
    if isinstance(wanted, bool) is not isinstance(found, bool):
        return False
    return list(wanted) == found if isinstance(wanted, tuple) else wanted == found


def _octal(value: object) -> object:
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            return value
    return value


def _evidence(check: Check, found: object) -> str:
    octal = check.fact.rpartition(".")[2] in _OCTAL
    if check.equals is not None:
        wanted = _spelled(check.equals, octal=octal)
    elif check.contains is not None:
        wanted = f"to contain {_spelled(check.contains, octal=octal)}"
    else:
        wanted = "any value"
    return bounded(f"{check.fact}: expected {wanted}, found {_spelled(found, octal=octal)}")


def _spelled(value: object, *, octal: bool) -> str:
    if octal and isinstance(value, int):
        return f"{value:04o}"
    return escape(value) if isinstance(value, str) else repr(value)
