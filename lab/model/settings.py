"""What a cell can say: everything that matters to permissions, in the words of runtime-spec and image-spec.

A scenario file writes these types as TOML tables (keys as here, modes as TOML octal integers, ``0o700``). Every field
has a default, so a *fragment* (one value of a scenario's own axis) is a :class:`Settings` that sets only some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from lab.model.engine_settings import CriWords, DockerWords, PodmanWords


class EditKind(StrEnum):
    """Kinds of file system objects that an edit makes."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    FIFO = "fifo"
    REMOVE = "remove"


class CapabilityPolicy(StrEnum):
    """Named ways to fill the five capability sets.

    ``default``: what the engine gives on its own: on ``oci``, docker and podman as ``docker``, on cri as ``cri``.
    ``docker``: the 14 default capabilities in bounding, and in effective and permitted for uid 0 only (moby,
    ``oci/defaults.go``). ``cri``: the same 14, effective and permitted for every user (containerd's CRI plugin).
    ``none``: all sets empty. ``all``: every capability that the caller has, in all sets but ambient and inheritable.
    ``absent``: no ``process.capabilities`` object at all.
    """

    DEFAULT = "default"
    DOCKER = "docker"
    CRI = "cri"
    NONE = "none"
    ALL = "all"
    ABSENT = "absent"


class Action(StrEnum):
    """How the runtime is asked: one ``run``, ``create`` then ``start``, or ``exec`` into a running container."""

    RUN = "run"
    CREATE_START = "create-start"
    EXEC = "exec"


class Stdio(StrEnum):
    """What the caller gives the runtime as one of its standard streams."""

    PIPE = "pipe"
    FILE = "file"
    READ_ONLY_FILE = "read-only-file"
    NULL = "null"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One object made (or removed) in a root file system or in a fixture, with its owner and mode.

    ``path`` is absolute inside the tree. A file's bytes are ``content``, or the lab's probe when ``program`` is
    ``"probe"`` (with mode 0o4755: a setuid program). ``append`` adds ``content`` to an existing file and keeps its
    owner and mode, which is how passwd and group lines are added. ``target`` is a symlink's text, ``major`` and
    ``minor`` a device's numbers. Without ``mode``: directories 0o755, files 0o644, as nothing but the edit decides
    (the lab's umask does not).
    """

    path: str
    kind: EditKind = EditKind.DIRECTORY
    uid: int = 0
    gid: int = 0
    mode: int | None = None
    content: str = ""
    append: bool = False
    program: Literal["probe"] | None = None
    target: str = ""
    major: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """A fresh host directory, made for one cell and thrown away with it.

    The directory itself gets ``uid``, ``gid`` and ``mode``; the directory above it ``parent_uid``, ``parent_gid`` and
    ``parent_mode`` (0o700: a source below an unsearchable parent). ``file`` makes it a regular file with ``content``
    instead. ``mount_options`` makes it a mount of its own on the host side, with these flags (``ro``,
    ``noexec``, ``nosuid``, ``nodev``), inside the lab's private mount namespace.
    """

    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    parent_uid: int = 0
    parent_gid: int = 0
    parent_mode: int = 0o755
    file: bool = False
    content: str = ""
    entries: tuple[Edit, ...] = ()
    mount_options: tuple[Literal["ro", "noexec", "nosuid", "nodev"], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMapping:
    """One line of a user namespace's map (runtime-spec ``containerID``, ``hostID``, ``size``)."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One entry of ``mounts[]``. ``fixture`` names the fixture that is bound; else ``source`` is taken as it is."""

    destination: str
    type: str = "bind"
    source: str | None = None
    fixture: str | None = None
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilitySets:
    """The five sets of ``process.capabilities``, names with or without ``CAP_``."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlimit:
    """One entry of ``process.rlimits``; ``type`` as ``RLIMIT_NOFILE``."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """``process`` of runtime-spec, before image defaults are filled in.

    ``user`` is what ``docker run --user`` takes (``uid``, ``uid:gid``, ``name``, ``name:group``); ``None`` keeps the
    image's. ``cwd`` ``None`` keeps the image's WorkingDir. ``steps`` are steps of the probe, one string each
    (``"open /secret r"``); ``args``, when given, replaces the probe. ``env`` adds variables, ``unset_env`` removes.
    """

    user: str | None = None
    additional_gids: tuple[int, ...] = ()
    umask: int | None = None
    cwd: str | None = None
    args: tuple[str, ...] | None = None
    steps: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    unset_env: tuple[str, ...] = ()
    capabilities: CapabilityPolicy | CapabilitySets = CapabilityPolicy.DEFAULT
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    terminal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Linux:
    """``linux`` of runtime-spec, as far as permissions depend on it.

    ``namespaces`` maps a type (``pid``, ``network``, ``mount``, ``ipc``, ``uts``, ``user``, ``cgroup``, ``time``) to
    ``"new"``, ``"host"`` or the path of a namespace to join; what is not named is new (``user`` and ``cgroup``: host).
    A ``user`` namespace becomes new as soon as mappings are given; ``"held"`` joins one that the lab makes with these
    mappings, which the config itself then does not have. ``seccomp`` is runtime-spec's object, as it is.
    """

    namespaces: Mapping[str, str] = field(default_factory=dict)
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=dict)
    seccomp: Mapping[str, object] | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    devices: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The process that starts the runtime.

    ``rootless`` starts it as an ordinary user (the lab's own when it is one, else ``uid``, else 1001), in a new user
    namespace that maps uid 0 inside to that user, unless ``linux.uid_mappings`` say otherwise. ``drop_capabilities``
    are taken from the caller's bounding set, and so from the runtime's permitted set. ``fds`` maps a descriptor number
    that the runtime inherits to the fixture it is opened on. ``stdin``, ``stdout`` and ``stderr`` are what the runtime
    gets as its streams (files are made in the fixture ``stdio_fixture``, where one is named). ``subordinate_ids`` gives
    the caller a range in private copies of subuid and subgid, (first id, size), mapped after uid 0. ``runtime_flags``
    stand before the runtime's verb, ``verb_flags`` after it.
    """

    rootless: bool = False
    uid: int = 0
    gid: int = 0
    umask: int = 0o022
    drop_capabilities: tuple[str, ...] = ()
    fds: Mapping[str, str] = field(default_factory=dict)
    stdin: Stdio = Stdio.PIPE
    stdout: Stdio = Stdio.PIPE
    stderr: Stdio = Stdio.PIPE
    stdio_fixture: str | None = None
    subordinate_ids: tuple[int, int] | None = None
    runtime_flags: tuple[str, ...] = ()
    verb_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A fact that must hold for the cell to pass, judged after the run.

    ``fact`` is a path into the observation (see ``docs/scenarios.md``): ``start.umask``, ``step.2.errno``,
    ``host.data/file.uid``, ``exit_code``. It holds when the fact equals ``equals`` (or, with ``contains``, when the
    fact's text or list contains it). A fact that is missing does not hold. When it does not hold the verdict is
    ``verdict`` with ``cause``, in ``phase``.
    """

    fact: str
    equals: object = None
    contains: object = None
    verdict: Literal["denied", "failed"] = "failed"
    cause: str = "check-failed"
    phase: str = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a cell says, apart from image, runtime and engine, which are axes of their own.

    ``image_user`` and ``image_workdir`` override the image's own ``User`` and ``WorkingDir`` (as a rebuilt image
    would). ``exec`` is the process of the ``exec`` action, given to the runtime as a process.json, or, when
    ``exec_flags`` are given (``--user``, ``--cap``, ``--cwd``), by these flags and its args. ``host`` lists what to
    look at on the host before and after: ``fixture:NAME/path`` or ``rootfs:/path``. ``tolerate`` names errnos
    (``"EACCES"``) that steps may end with without the cell being denied. ``patch`` is an RFC 6902 patch on the finished
    config.json, in which ``${fixture:NAME}`` stands for a fixture's host path. ``deadline`` is in seconds. ``docker``
    has words that only this engine knows (see :mod:`lab.model.engine_settings`).
    """

    image_user: str | None = None
    image_workdir: str | None = None
    rootfs: tuple[Edit, ...] = ()
    readonly_root: bool = False
    fixtures: Mapping[str, Fixture] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    process: Process = field(default_factory=Process)
    linux: Linux = field(default_factory=Linux)
    caller: Caller = field(default_factory=Caller)
    action: Action = Action.RUN
    exec: Process | None = None
    patch: tuple[Mapping[str, object], ...] = ()
    exec_flags: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    tolerate: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    deadline: float = 30.0
    docker: DockerWords = field(default_factory=DockerWords)
    podman: PodmanWords = field(default_factory=PodmanWords)
    cri: CriWords = field(default_factory=CriWords)
