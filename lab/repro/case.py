"""One cell as it stands on the disk: all that a runtime, called by hand, must be given for the same outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.model.settings import Action, Check, Stdio
from lab.repro.tree import Entry

Config = Mapping[str, Any]
"""A config.json or process.json as data, with its placeholders (see :mod:`lab.oci.spec`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How the runtime is called: by whom and with which flags.

    ``owner`` is the caller's (uid, gid); ``dropped`` are capabilities that it lacks; ``flags`` stand before the verb,
    ``verb_flags`` behind ``run`` or ``create``, ``exec_flags`` and ``exec_words`` before and behind the id of an exec
    that has no process.json. ``streams`` maps stdin, stdout and stderr to what they are instead of pipes; their files
    stand in the fixture ``stdio_fixture``, where one is named. ``fds`` maps further descriptors to the fixtures that
    they are open on.
    """

    action: Action = Action.RUN
    owner: tuple[int, int] = (0, 0)
    umask: int = 0o022
    dropped: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    verb_flags: tuple[str, ...] = ()
    exec_flags: tuple[str, ...] = ()
    exec_words: tuple[str, ...] = ()
    streams: Mapping[str, Stdio] = field(default_factory=dict)
    stdio_fixture: str | None = None
    fds: Mapping[str, str] = field(default_factory=dict)
    seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Bundle and call. ``process`` is the exec's process.json, where there is one.

    ``host_mounts`` maps a fixture to the flags of its own mount; ``host`` are the places to look at afterwards.
    ``tolerate`` and ``checks`` are what its outcome is judged with; ``probe`` are the bytes of the lab's own program.
    """

    call: Call
    config: Config
    process: Config | None = None
    tree: tuple[Entry, ...] = ()
    host_mounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    host: tuple[str, ...] = ()
    tolerate: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    probe: bytes = b""
