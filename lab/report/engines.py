"""Where cells that are equal but for their engine differ, and which policy of the engine says so. Pure.

A cell on an engine is compared with the same cell on ``oci``: the bundle there is what the scenario says, so what is
different is the engine's doing, or nobody's that the lab knows. Where the run has no ``oci``, a version of an engine is
compared with the one before it, and the oldest with the first engine by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lab.model.engine import EngineFamily
from lab.model.record import Record
from lab.model.verdict import Denied, Failed, Verdict
from lab.report.matrix import version_place

ENGINE = "engine"
UNEXPLAINED = "unexplained: no policy of the engine that the lab knows says so"
_BASE = EngineFamily.OCI
_UNKNOWN = {"skipped", "errored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What some engines do with a cell, and the causes that appear or go because of it.

    ``evidence``, where it is not empty, is part of the evidence of what the policy explains: the step, or the word.
    """

    engines: frozenset[EngineFamily]
    causes: frozenset[str]
    reason: str
    source: str
    evidence: str = ""

    def explains(self, families: Collection[EngineFamily | None], verdicts: Iterable[Verdict]) -> bool:
        """Whether it is about one of two engines and about what one of their answers is."""
        refusals = [one for one in verdicts if isinstance(one, Denied | Failed)]
        return not self.engines.isdisjoint(families) and any(
            one.cause in self.causes and self.evidence in one.evidence for one in refusals
        )


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
        engines=frozenset({EngineFamily.DOCKER}),
        causes=frozenset({"capability-missing"}),
        evidence="bind ",
        reason="Docker lets every process bind every port in a network namespace of the container's own",
        source="https://github.com/moby/moby/pull/41030",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"capability-missing"}),
        evidence="mknod ",
        reason="podman's default capabilities have no CAP_MKNOD since podman 4.4",
        source="https://github.com/containers/common/pull/1240",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"capability-missing"}),
        evidence="rawsocket",
        reason="podman's default capabilities have no CAP_NET_RAW since podman 4.4",
        source="https://github.com/containers/common/pull/1240",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"capability-unavailable"}),
        reason="podman 3 gives a privileged container every capability that it knows, also those that the host lacks",
        source="https://github.com/containers/podman/pull/9762",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"mount-option-invalid"}),
        reason="the options U and idmap of a volume are newer than podman 3.0",
        source="https://github.com/containers/podman/pull/12298",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"usage-error"}),
        evidence="unsetenv",
        reason="--unsetenv came with podman 4",
        source="https://github.com/containers/podman/pull/12100",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"usage-error"}),
        evidence="nomap",
        reason="--userns=nomap came with podman 4.3",
        source="https://github.com/containers/podman/pull/13881",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"mount-not-permitted"}),
        evidence="mount_setattr",
        reason="a rootless podman cannot map a mount: 4.3 asks for it, and is refused, 5.8 leaves the word out",
        source="https://github.com/containers/podman/pull/25106",
    ),
    Policy(
        engines=frozenset({EngineFamily.PODMAN}),
        causes=frozenset({"config-rejected"}),
        evidence="id-mapped mounts",
        reason="a rootless podman cannot map a mount: 4.3 asks for it, and is refused, 5.8 leaves the word out",
        source="https://github.com/containers/podman/pull/25106",
    ),
    Policy(
        engines=frozenset({EngineFamily.CRI}),
        causes=frozenset({"sysctl-not-permitted"}),
        reason="the lab's pods share the node's network unless they need another, and then set none of its sysctls",
        source="https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/",
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
        evidence="version",
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


_Alike = tuple[str, str, str, str, Policy | None]
"""What cells have in common that stand together: two engines, the answer of each, and why."""


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
    found: dict[_Alike, list[Record]] = defaultdict(list)
    for answers in groups.values():
        words = sorted(answers, key=lambda word: (_family(word) is not _BASE, *_place(word)))
        for word in words[1:]:
            base, record = _beside(word, words), answers[word]
            here, there = _answer(record.verdict), _answer(answers[base].verdict)
            if here != there:
                policy = _policy(word, base, [record.verdict, answers[base].verdict])
                found[word, base, here, there, policy].append(record)
    differences = (_difference(alike, some) for alike, some in found.items())
    return tuple(sorted(differences, key=lambda one: (bool(one.source), one.engine, one.here, one.there)))


def _place(word: str) -> tuple[object, ...]:
    """The sort key of an engine's word: its family, and its version where it says one."""
    family, _, version = word.partition("@")
    return (family, *version_place(version or "0"))


def _beside(word: str, words: Sequence[str]) -> str:
    """What an engine is compared with: oci, else the version of it before this one, else the first of all."""
    before = words[: words.index(word)]
    own = [one for one in before if _family(one) is _family(word)]
    return own[-1] if own and _family(before[0]) is not _BASE else before[0]


def _policy(engine: str, base: str, verdicts: list[Verdict]) -> Policy | None:
    families = {_family(engine), _family(base)}
    return next((one for one in POLICIES if one.explains(families, verdicts)), None)


def _difference(alike: _Alike, records: list[Record]) -> EngineDifference:
    engine, base, here, there, policy = alike
    return EngineDifference(
        engine=engine,
        base=base,
        here=here,
        there=there,
        reason=policy.reason if policy else UNEXPLAINED,
        source=policy.source if policy else "",
        records=tuple(records),
    )


def _answer(verdict: Verdict) -> str:
    """Verdict and cause; the phase may differ between engines that do the same."""
    return f"{verdict.kind} ({verdict.cause})" if isinstance(verdict, Denied | Failed) else verdict.kind


def _family(word: str) -> EngineFamily | None:
    """The family of an engine's word; ``None`` for a word that names none (a stored run may say anything)."""
    name = word.partition("@")[0]
    return EngineFamily(name) if name in set(EngineFamily) else None
