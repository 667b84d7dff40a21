"""Statements of support in the style of browser-compat-data: which versions of a runtime a combination works with.

For each combination of the other axes and each runtime the versions are told as ranges: ``≤1.0.0-rc92``,
``≥1.0.0-rc94``, ``≥1.0.0-rc10 ≤1.0.0-rc92``, or a version by itself. A range speaks of the versions in ``measured``,
the run's versions of that runtime, and of no other; a version that was skipped, errored or not run is ``unknown``,
and no range reaches over it. Distributors' builds carry backports, so they stand by themselves and in no range. A
void run makes no statements.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from lab.model.record import Record, Run
from lab.report.json_format import line_text
from lab.report.matrix import RUNTIME, Outcome, family_rank, outcome, version_place
from lab.report.source import Source, read_source
from lab.report.style import Style
from lab.report.summary import build

FORMAT: Literal[1] = 1

_Answer = tuple[str, str, str, bool]
"""Verdict, cause, phase, and whether they were derived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Versions that show the same refusal. ``verdict`` is denied or failed; ``derived``: by a rule, not measured."""

    verdict: str
    cause: str
    phase: str
    derived: bool
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is known of one combination of axes with one runtime; versions as ranges over ``measured``.

    ``surprises`` are the versions that show something else than the oracle predicts.
    """

    axes: Mapping[str, str]
    runtime: str
    works: tuple[str, ...]
    fails: tuple[Refusal, ...]
    unknown: tuple[str, ...]
    surprises: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One scenario: its question, for each runtime the versions that were measured, in order, and the statements."""

    question: str
    measured: Mapping[str, tuple[str, ...]]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The whole document."""

    format: Literal[1]
    run: str
    started: str
    void: bool
    scenarios: Mapping[str, Answers]


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The document as JSON: ASCII only, one statement on one line."""
    data = statements(run)
    head = [f"{line_text(name)}: {line_text(getattr(data, name))}" for name in ("format", "run", "started", "void")]
    told = ",\n".join(f"{line_text(name)}: {_block(answers)}" for name, answers in data.scenarios.items())
    return "{\n" + ",\n".join([*head, f'"scenarios": {{\n{told}\n}}']) + "\n}\n"


def _block(answers: Answers) -> str:
    head = [f"{line_text(name)}: {line_text(getattr(answers, name))}" for name in ("question", "measured")]
    lines = ",\n".join(map(line_text, answers.statements))
    return "{" + ", ".join([*head, f'"statements": [\n{lines}\n]']) + "}"


def statements(run: Run) -> Statements:
    """The statements of a run, controls left out; combinations in the author's order, whatever ran first."""
    surprises = build(run).predictions.surprises
    found: dict[str, list[Record]] = {}
    for record in () if run.void else run.records:
        if not record.control:
            found.setdefault(record.scenario, []).append(record)
    return Statements(
        format=FORMAT,
        run=run.header.id,
        started=run.header.started,
        void=run.void,
        scenarios={
            scenario: _answers(records, read_source(run.header.scenarios.get(scenario, "")), surprises)
            for scenario, records in found.items()
        },
    )


def _answers(records: Sequence[Record], source: Source, surprises: Collection[str]) -> Answers:
    asked: dict[str, dict[str, bool]] = {}
    combinations: dict[tuple[tuple[str, str], ...], dict[str, dict[str, Outcome]]] = {}
    for record in records:
        family, _, version = record.axes.get(RUNTIME, "").partition("@")
        seen = outcome(record, surprises)
        versions = asked.setdefault(family, {})
        versions[version] = versions.get(version, False) or _known(seen)
        axes = tuple(pair for pair in record.axes.items() if pair[0] != RUNTIME)
        combinations.setdefault(axes, {}).setdefault(family, {})[version] = seen
    ordered = {family: sorted(asked[family], key=version_place) for family in sorted(asked, key=family_rank)}
    measured = {family: tuple(one for one in ordered[family] if asked[family][one]) for family in ordered}
    return Answers(
        question=source.question,
        measured=measured,
        statements=tuple(
            _statement(dict(axes), family, [(one, seen.get(one)) for one in ordered[family]], measured[family])
            for axes, families in sorted(combinations.items(), key=lambda one: [source.rank(*pair) for pair in one[0]])
            for family, seen in sorted(families.items(), key=lambda one: family_rank(one[0]))
        ),
    )


def _known(seen: Outcome | None) -> bool:
    return seen is not None and seen.kind not in {"skipped", "errored"}


def _statement(
    axes: Mapping[str, str], family: str, seen: Sequence[tuple[str, Outcome | None]], measured: Sequence[str]
) -> Statement:
    kinds: dict[_Answer, list[str]] = {}
    plain = [pair for pair in seen if _is_upstream(pair[0])]
    ends = [version for version in measured if _is_upstream(version)]
    for key, group in groupby(plain, key=lambda pair: _key(pair[1])):
        if key is not None:
            kinds.setdefault(key, []).append(_range([version for version, _ in group], ends))
    for version, one in seen:
        key = _key(one)
        if key is not None and not _is_upstream(version):
            kinds.setdefault(key, []).append(version)
    return Statement(
        axes=axes,
        runtime=family,
        works=tuple(kinds.pop(("passed", "", "", False), ())),
        fails=tuple(
            Refusal(verdict=verdict, cause=cause, phase=phase, derived=derived, versions=tuple(versions))
            for (verdict, cause, phase, derived), versions in kinds.items()
        ),
        unknown=tuple(version for version, one in seen if not _known(one)),
        surprises=tuple(version for version, one in seen if one is not None and one.surprise),
    )


def _key(seen: Outcome | None) -> _Answer | None:
    """What makes a range; whether something else was expected is no matter here."""
    return (seen.kind, seen.cause, seen.phase, seen.derived) if seen is not None and _known(seen) else None


def _is_upstream(version: str) -> bool:
    """Whether it is a version that others have too: no distributor's build, no binary of the user's own."""
    return "+" not in version and version_place(version)[0] == 0


def _range(versions: Sequence[str], ends: Sequence[str]) -> str:
    """Adjacent versions in the fewest words that claim nothing else; open only where nothing else was measured."""
    first, last = versions[0], versions[-1]
    if first == last:
        return first
    if last == ends[-1]:
        return f"≥{first}"
    return f"≤{last}" if first == ends[0] else f"≥{first} ≤{last}"
