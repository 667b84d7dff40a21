"""Records and runs: what is stored, appended only, never edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lab.model.observation import DERIVED, Observation
from lab.model.scenario import Expectation
from lab.model.settings import Check
from lab.model.verdict import Verdict

FORMAT = 1
"""Version of the stored format; a reader refuses newer ones (and will migrate older ones, once there are any)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Of what exactly the record speaks: digests and versions, not names.

    ``config`` is the sha256 of the config.json in its stored form (see ``Run.configs``); ``runtime`` is the sha256 of
    the binary, described in the run's ``runtimes``; ``image`` the image's id, over files and config, described in its
    ``images``; ``probe`` the probe's sha256; ``settings`` the digest of all that the cell says (see
    ``lab.codec.settings_digest``); ``engine`` that of the engine's build, described in the run's ``engines``, empty for
    the embedded engine.
    """

    runtime: str = ""
    image: str = ""
    probe: str = ""
    config: str = ""
    settings: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One cell of one run.

    ``speaks_for`` is the range of runtime versions that the error text belongs to, and ``text_differs`` tells that
    the version asked for lies outside it (a backport or a mislabelled build). ``tolerate`` and ``checks`` stand in the
    record so that it can be judged again without the scenario file. ``reused_from`` is the id of the run that measured
    it, where that is another one than the run that holds it.
    """

    cell: str
    scenario: str
    axes: Mapping[str, str]
    verdict: Verdict
    observation: Observation | None = None
    provenance: Provenance = field(default_factory=Provenance)
    expectation: Expectation | None = None
    tolerate: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    speaks_for: str = ""
    text_differs: bool = False
    started: str = ""
    control: bool = False
    reused_from: str = ""

    @property
    def derived(self) -> bool:
        """Whether the answer was worked out from an admission rule: nothing was run, and so nothing measured."""
        refusal = self.observation.refusal if self.observation else None
        return refusal is not None and refusal.startswith(DERIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The machine that a run was made on."""

    kernel: str
    machine: str
    cgroups: str
    lsms: str
    uid: int
    capabilities: str
    os: str
    cpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """The first line of a stored run.

    ``started`` is ISO 8601 in UTC; ``argv`` is what the user typed. ``scenarios`` maps the id of each scenario to the
    text of its file, and ``runtimes``, ``patterns`` and ``where`` are the selection, so that a run can be continued
    and judged again when the files have changed or gone.
    """

    id: str
    lab_version: str
    started: str
    host: HostFacts
    argv: tuple[str, ...]
    scenarios: Mapping[str, str]
    runtimes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    where: str | None = None
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A stored run as read back.

    ``runtimes``, ``images`` and ``engines`` map the digests of provenances to what is known of them; ``configs`` maps a
    config's sha256 to its text.
    """

    header: RunHeader
    records: tuple[Record, ...]
    runtimes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    finished: str = ""

    @property
    def latest(self) -> Run:
        """The run with the last record of every cell only, for who asks what a cell shows: a bisect repeats cells."""
        latest = {record.cell: record for record in self.records}
        return self if len(latest) == len(self.records) else replace(self, records=tuple(latest.values()))

    @property
    def void(self) -> bool:
        """Whether a control cell did not show what it must, so that nothing of this run can be trusted."""
        return any(
            record.control
            and record.expectation is not None
            and record.verdict.kind not in {"skipped", record.expectation.verdict}
            for record in self.records
        )
