"""A diff as a comment on a pull request: the regressions in sight, the rest folded away.

Texts of strangers, and all that a run's file could say, stand in code, where GitHub makes no markup, link or mention of
anything. GitHub takes comments of at most 65,536 characters: every section has its room, and says what it left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.comparison import Change, Comparison
from lab.report.diff_view import DiffView, Proof, Section, Table, Words, signs, view
from lab.report.escape import cut, escape_text
from lab.report.markdown import code_span, escape_markdown
from lab.report.style import Style
from lab.report.words import counted, sign, value_words, values_words

_ROOM = 24_000
"""Characters that the regressions may take."""
_FOLDED = 6_000
"""Characters that each folded section may take."""
_TEXT = 300
"""Characters of one text."""
_VALUE = 120
"""Characters of what an axis says in one place."""
_LINES = 20
"""Lines of notes, or of reasons."""


def render(found: Comparison, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The whole comment."""
    report = view(found)
    regressions = [section for section in report.sections if section.name == Change.REGRESSION]
    others = [section for section in report.sections if section.name != Change.REGRESSION]
    blocks = [
        *_head(report),
        *("\n".join(_within(_section(section), _ROOM)).strip() for section in regressions),
        *(_folded(f"{section.title}: {section.note}", _section(section)) for section in others),
        *_apart(report),
        "\n".join(f"- {_line(note)}" for note in report.notes[:_LINES]),
        _line(report.facts),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _plain(text: str, limit: int = _TEXT) -> str:
    """Text as it is; as code where it has a sign that GitHub makes a mention or a reference of."""
    return _code(text, limit) if {"@", "#"} & set(text) else escape_markdown(cut(escape_text(text), limit))


def _code(text: str, limit: int = _VALUE) -> str:
    """Code that may stand in a table, where a code span would end at a ``|``."""
    return f"<code>{escape_markdown(cut(escape_text(text), limit))}</code>"


def _line(words: Words) -> str:
    return "".join(
        (code_span(cut(escape_text(part), _TEXT)) if part else "") if place % 2 else _plain(part)
        for place, part in enumerate(words)
    )


def _head(report: DiffView) -> Iterator[str]:
    yield f"### permlab: {report.headline}"
    yield from (f"> **{_line(alarm)}**" for alarm in report.alarms)
    yield f"From {_code(report.left)} to {_code(report.right)}: {report.summary}"


def _section(section: Section) -> Iterator[str]:
    for table in section.tables:
        yield f"**{_plain(table.scenario)}**: {_plain(table.question)}"
        yield ""
        if table.fixed:
            yield " · ".join(f"{_plain(name)} {_code(value_words(value))}" for name, value in table.fixed)
            yield ""
        for name, known in table.whole:
            yield f"any {_plain(name)}: {_code(', '.join(map(value_words, known)), _TEXT)}"
            yield ""
        yield from _table(table)
        yield ""
        yield from (_proof(proof) for proof in table.proofs)
        yield from (f"- {_line(change).rstrip()}" for change in table.changes)
        yield ""


def _table(table: Table) -> Iterator[str]:
    heads = [*(_plain(name) for name, _ in table.axes), *(_code(head) for head in table.heads)]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in table.rows:
        labels = (_code(values_words(values, known)) for values, (_, known) in zip(row.values, table.axes, strict=True))
        marks = (_plain(text, _VALUE) for text in signs(row))
        yield f"| {' | '.join((*labels, *marks))} |"


def _proof(proof: Proof) -> str:
    mark = _plain(sign(proof.outcome), _VALUE)
    phase = f" in phase {_plain(proof.outcome.phase)}" if proof.outcome.phase else ""
    text = code_span(cut(escape_text(proof.text), _TEXT)) if proof.text else "(no text)"
    expected = f"; {_line(proof.expected)}" if proof.expected else ""
    command = code_span(cut(escape_text(proof.command), _TEXT))
    return f"- {mark}{phase}, {counted(proof.cells, 'cell')}: {text}{expected}; {command}"


def _apart(report: DiffView) -> Iterator[str]:
    total = sum(number for _, number in report.apart)
    if total:
        reasons = (f"- {counted(number, 'cell')}: {_code(reason, _TEXT)}" for reason, number in report.apart)
        yield _folded(f"{counted(total, 'cell')} not comparable", reasons)


def _folded(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(_within(lines, _FOLDED)).strip()
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _within(lines: Iterable[str], room: int) -> Iterator[str]:
    """The lines that there is room for, and a word where there are more."""
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            yield "\n… and more: all of it with `--format json`"
            return
        yield line
