"""Where cells that are equal but for their engine differ, and which policy of the engine says so. Pure.

A cell on an engine is compared with the same cell on ``oci`` (where the run has none, on the first engine by name): the
bundle there is what the scenario says, so what is different is the engine's doing, or nobody's that the lab knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lab.model.engine import EngineFamily
from lab.model.record import Record
from lab.model.verdict import Denied, Failed, Verdict

ENGINE = "engine"
UNEXPLAINED = "no policy of the engine that the lab knows explains it"
_BASE = EngineFamily.OCI
_UNKNOWN = {"skipped", "errored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What some engines do with a cell, and the causes that appear or go because of it."""

    engines: frozenset[EngineFamily]
    causes: frozenset[str]
    reason: str
    source: str


POLICIES: tuple[Policy, ...] = (
    Policy(
        engines=frozenset({EngineFamily.DOCKER}),
        causes=frozenset({"cwd-missing", "cwd-not-directory"}),
        reason="Docker makes the working directory itself, root:root 0755, or refuses, before it calls the runtime",
        source="https://github.com/moby/moby/blob/v20.10.24/daemon/create_unix.go",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"cwd-missing", "cwd-not-directory"}),
        reason="podman looks for the working directory itself, and refuses one that was asked for and is not there",
        source="https://docs.podman.io/en/v4.3/markdown/podman-run.1.html#workdir-w-dir",
    ),
    Policy(
        engines=frozenset({EngineFamily.CRI}),
        causes=frozenset({"cwd-not-searchable", "exec-not-permitted", "permission-denied"}),
        reason="containerd's CRI makes the default capabilities effective for every user, others for uid 0 only",
        source="https://github.com/containerd/containerd/blob/v1.6.20/oci/spec.go",
    ),
    Policy(
        engines=frozenset({EngineFamily.CRI}),
        causes=frozenset({"read-denied", "write-denied", "write-denied-owner", "write-denied-group"}),
        reason="a kubelet passes on the user of an image without its group",
        source="https://github.com/kubernetes/kubernetes/issues/61967",
    ),
    Policy(
        engines=frozenset({EngineFamily.CRI}),
        causes=frozenset({"userns-incompatible"}),
        reason="containerd 2 has the runtime map the ids of mounts; containerd 1.7 cannot, and copies the image",
        source="https://github.com/containerd/containerd/blob/main/docs/user-namespaces/README.md",
    ),
    Policy(
        engines=frozenset({EngineFamily.DOCKER, EngineFamily.PODMAN, EngineFamily.CRI}),
        causes=frozenset({"config-rejected"}),
        reason="the engine writes its config in a version of runtime-spec that the runtime does not know",
        source="https://github.com/containers/crun/issues/1308",
    ),
    Policy(
        engines=frozenset({EngineFamily.DOCKER, EngineFamily.PODMAN}),
        causes=frozenset({"seccomp-not-permitted", "seccomp-profile-rejected", "permission-denied"}),
        reason="the engine adds its own seccomp profile where the cell names none",
        source="https://docs.docker.com/engine/security/seccomp/",
    ),
    Policy(
        engines=frozenset({EngineFamily.DOCKER, EngineFamily.PODMAN, EngineFamily.CRI}),
        causes=frozenset({"user-not-found", "group-not-found"}),
        reason="the engine looks the user up in the image's account files before it calls the runtime",
        source="https://github.com/opencontainers/image-spec/blob/v1.1.0/conversion.md#configuser",
    ),
)
"""In order; the first that has the engine and one of the two causes gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDifference:
    """Cells that one engine answers in the same other way. ``here`` and ``there`` are answers in words."""

    engine: str
    base: str
    here: str
    there: str
    reason: str
    source: str
    records: tuple[Record, ...]


def engine_differences(records: Iterable[Record]) -> tuple[EngineDifference, ...]:
    """All differences, grouped; those without a reason first."""
    records = tuple(records)
    if len({record.axes.get(ENGINE) for record in records}) == 1:
        return ()
    groups: dict[tuple[str, ...], dict[str, Record]] = defaultdict(dict)
    for record in records:
        if not record.control and record.verdict.kind not in _UNKNOWN:
            key = (record.scenario, *(f"{name}={value}" for name, value in record.axes.items() if name != ENGINE))
            groups[key][record.axes.get(ENGINE, "")] = record
    found: dict[tuple[str, str, str, str], list[tuple[Record, Record]]] = defaultdict(list)
    for answers in groups.values():
        base = min(answers, key=lambda word: (_family(word) is not _BASE, word))
        for word, record in answers.items():
            here, there = _answer(record.verdict), _answer(answers[base].verdict)
            if here != there:
                found[word, base, here, there].append((record, answers[base]))
    differences = (_difference(*key, pairs) for key, pairs in found.items())
    return tuple(sorted(differences, key=lambda one: (bool(one.source), one.engine, one.here, one.there)))


def _difference(engine: str, base: str, here: str, there: str, pairs: list[tuple[Record, Record]]) -> EngineDifference:
    causes = {record.verdict.cause for record in pairs[0] if isinstance(record.verdict, Denied | Failed)}
    families = {_family(engine), _family(base)}
    policy = next((one for one in POLICIES if one.engines & families and one.causes & causes), None)
    return EngineDifference(
        engine=engine,
        base=base,
        here=here,
        there=there,
        reason=policy.reason if policy else UNEXPLAINED,
        source=policy.source if policy else "",
        records=tuple(record for record, _ in pairs),
    )


def _answer(verdict: Verdict) -> str:
    """Verdict and cause; the phase may differ between engines that do the same."""
    return f"{verdict.kind} ({verdict.cause})" if isinstance(verdict, Denied | Failed) else verdict.kind


def _family(word: str) -> EngineFamily | None:
    """The family of an engine's word; ``None`` for a word that names none (a stored run may say anything)."""
    name = word.partition("@")[0]
    return EngineFamily(name) if name in set(EngineFamily) else None
