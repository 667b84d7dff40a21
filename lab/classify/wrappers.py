"""Which versions of a runtime write such a text (facts.md §2): the version a record asked for may be another.

Line numbers in runc's texts name the release that the source belongs to; a distribution's patches move them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from lab.classify.lines import error_lines
from lab.model.observation import Observation


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A text, and the versions that write it: alternatives of ranges, ``runc==1.0.0rc91 or runc==1.0.0rc93``."""

    pattern: re.Pattern[str]
    versions: str


def _wrapper(pattern: str, versions: str) -> Wrapper:
    return Wrapper(re.compile(pattern), versions)


WRAPPERS: tuple[Wrapper, ...] = (
    _wrapper(r"container_linux\.go:346: ", "runc==1.0.0rc9"),
    _wrapper(r"container_linux\.go:349: ", "runc>=1.0.0rc10,<=1.0.0rc90"),
    _wrapper(r"container_linux\.go:367: .*process_linux\.go:459: ", "runc==1.0.0rc91"),
    _wrapper(r"container_linux\.go:367: .*process_linux\.go:495: ", "runc==1.0.0rc93"),
    _wrapper(r"container_linux\.go:367: ", "runc==1.0.0rc91 or runc==1.0.0rc93"),
    _wrapper(r"container_linux\.go:370: ", "runc==1.0.0rc92"),
    _wrapper(r"container_linux\.go:380: ", "runc>=1.0.0rc94,<1.1"),
    _wrapper(r"container_linux\.go:377: ", "runc==1.0.0rc93+debian11"),
    _wrapper(r"container_linux\.go:366: ", "runc==1.0.0rc93"),
    _wrapper(r"container_linux\.go:338: ", "runc==1.0.0rc9"),
    _wrapper(r"container_linux\.go:341: ", "runc>=1.0.0rc10,<=1.0.0rc90"),
    _wrapper(r"container_linux\.go:359: ", "runc==1.0.0rc91"),
    _wrapper(r"container_linux\.go:362: ", "runc==1.0.0rc92"),
    _wrapper(r"container_linux\.go:363: ", "runc==1.0.0rc93"),
    _wrapper(r"container_linux\.go:364: ", "runc>=1.0.0rc94,<1.1"),
    _wrapper(r"standard_init_linux\.go:239: ", "runc==1.0.0rc93+debian11"),
    _wrapper(r"standard_init_linux\.go:211: ", "runc>=1.0.0rc9,<=1.0.0rc90"),
    _wrapper(r"standard_init_linux\.go:219: ", "runc>=1.0.0rc91,<=1.0.0rc93"),
    _wrapper(r"standard_init_linux\.go:228: ", "runc>=1.0.0rc94,<1.1"),
    _wrapper(
        r"runc (?:run|create) failed: unable to start container process: (?:chdir to cwd|unable to apply caps)",
        "runc>=1.1.0rc1,<1.2.0rc1",
    ),
    _wrapper(
        r"unable to start container process: error during container init: (?:chdir to cwd|unable to apply caps)",
        "runc>=1.2.0rc1",
    ),
    _wrapper(r"runc \w+ failed: unable to start container process", "runc>=1.1.0rc1"),
    _wrapper(r"^chdir: ", "crun<1.8.1"),
    _wrapper(r"^chdir `", "crun>0.17,<1.21"),
    _wrapper(r"^chdir to `", "crun>1.8.1"),
)


def speaks_for(observation: Observation) -> str:
    """The versions that the runtime's error text belongs to; ``""`` when there is none, or it tells nothing."""
    lines = [line for call in observation.calls for line in error_lines(call.stderr) if call.returncode or line.marked]
    for wrapper in WRAPPERS:
        if any(wrapper.pattern.search(line.text) for line in lines):
            return wrapper.versions
    return ""


def disagrees(text_range: str, runtime: str) -> bool:
    """Whether the runtime asked for (``runc@1.0.0-rc93+debian11``) lies outside the versions of its error text."""
    if not text_range:
        return False
    family, _, label = runtime.partition("@")
    try:
        version = Version(label)
    except InvalidVersion:
        return False
    return not any(_covers(alternative, family, version) for alternative in text_range.split(" or "))


def _covers(alternative: str, family: str, version: Version) -> bool:
    named = re.match(r"[a-z]+", alternative)
    if named is None or named[0] != family:
        return False
    return SpecifierSet(alternative[named.end() :]).contains(version, prereleases=True)
