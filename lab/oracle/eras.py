"""Runtimes by what they do, in which order: the chdir story of runc and crun.

The order inside the container's init (libcontainer/init_linux.go, ``finalizeNamespace``; crun's
``container_init_setup``) decides with whose power the working directory is entered. The table is measured; the links
say who changed it. What is not in it has no prediction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from packaging.version import Version

from lab.errors import InputError
from lab.model.runtime import Family, Provider, RuntimeName
from lab.scenario.versions import key, parse_name


class Call(StrEnum):
    """What a runtime's init does, as far as permissions depend on the order."""

    MAKE_CWD = "mkdir -p cwd"
    TRY_MAKE_CWD = "mkdir -p cwd, errors ignored"
    CHDIR = "chdir"
    TRY_CHDIR = "chdir, a refusal tolerated"
    CHDIR_AGAIN = "chdir, if not there yet"
    SET_USER = "set user"
    SET_CAPABILITIES = "apply capabilities"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Era:
    """One order of calls. The table below has each of them once, so an era is equal to itself only.

    ``makes_cwd`` says how a cwd is made that does not exist (``None``: it is not); ``missing_cwd_known`` is false where
    that was not measured.
    """

    name: str
    calls: tuple[Call, ...]
    makes_cwd: Call | None
    missing_cwd_known: bool = True
    source: str = ""


_A = (Call.SET_USER, Call.SET_CAPABILITIES, Call.CHDIR)
_B = (Call.CHDIR, Call.SET_USER, Call.SET_CAPABILITIES)
_C = (Call.SET_USER, Call.CHDIR, Call.SET_CAPABILITIES)
_D = (Call.TRY_CHDIR, Call.SET_USER, Call.CHDIR_AGAIN, Call.SET_CAPABILITIES)
_RUNC, _CRUN = "https://github.com/opencontainers/runc/pull", "https://github.com/containers/crun/pull/794"

_ERAS: Mapping[Family, tuple[tuple[str, Era], ...]] = {
    Family.RUNC: (
        ("1.0.0rc94", Era(name="D", calls=_D, makes_cwd=Call.MAKE_CWD, source=f"{_RUNC}/2894")),
        ("1.0.0rc93", Era(name="C", calls=_C, makes_cwd=Call.MAKE_CWD, source=f"{_RUNC}/2712")),
        ("1.0.0rc10", Era(name="B", calls=_B, makes_cwd=Call.MAKE_CWD, source=f"{_RUNC}/2086")),
        ("0", Era(name="A", calls=_A, makes_cwd=Call.MAKE_CWD)),
    ),
    Family.CRUN: (
        ("1.8.1", Era(name="D", calls=_D, makes_cwd=Call.TRY_MAKE_CWD, source=_CRUN)),
        ("1.4", Era(name="D", calls=_D, makes_cwd=None, missing_cwd_known=False, source=_CRUN)),
        ("0.18", Era(name="B", calls=_B, makes_cwd=None, missing_cwd_known=False, source=_CRUN)),
        ("0", Era(name="B", calls=_B, makes_cwd=None, source=_CRUN)),
    ),
}
"""For each family, newest first: the first version of an era. Builds of distributions (``1.0.0-rc93+debian11``) count
as their version, whatever else was backported."""

_REPORTED = re.compile(r"(?:runc|crun) version (?P<version>\S+)")


def era_of(runtime: str, facts: Mapping[str, object]) -> Era | str:
    """The era of ``runc@1.0.0-rc93``, or why there is none. ``facts`` is what the run knows of the binary (or nothing).

    The version of a binary of the user's own (provider ``path``) is known only when it reports the one that it was
    given.
    """
    try:
        name = parse_name(runtime)
    except InputError:
        return f"{runtime!r} names no version"
    if facts.get("provider") == Provider.PATH and not _reports(facts.get("reported"), name):
        return "a binary of the user's own does not report the version that it is named after"
    version = Version(key(name.version).public)
    for first, era in _ERAS.get(name.family, ()):
        if version >= Version(first):
            return era
    return f"the model knows no era of {name.family} {name.version}"


def _reports(reported: object, name: RuntimeName) -> bool:
    found = _REPORTED.match(reported) if isinstance(reported, str) else None
    try:
        return found is not None and key(found["version"]).public == key(name.version).public
    except InputError:
        return False
