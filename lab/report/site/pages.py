"""All files of a site, as (path, content) pairs. Pure: the same runs give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

from lab.comparison import Comparison, Side, compare
from lab.model.record import Run
from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.formats import PICTURES, RENDERERS, SUFFIXES
from lab.report.html import render as page
from lab.report.html.frame import render_page
from lab.report.matrix import Outcome
from lab.report.site.data import DIFFS, history_json, history_place, site_json
from lab.report.site.feed import feed, flip_words
from lab.report.site.history import History, histories
from lab.report.site.model import Summary, file_name, summarise
from lab.report.site.news import News, news
from lab.report.style import Style
from lab.report.words import counted, sign

FILES = {name: f"report{SUFFIXES[name]}" for name in (*RENDERERS, *PICTURES) if name != "html"}
"""The formats beside a run's page, and what their files are called in the run's directory."""
TOP = {"badge": "badge.svg", "svg": "matrix.svg", "png": "matrix.png"}
"""What also stands at the top, of the newest run, for a README to show."""
STYLE = Style(width=120)
_FLIPS = 50
_CELLS = 2_000
"""So many flips of the index and cells of each part of a history's page are shown; the data has all."""
_PACKAGE = "lab.report.site"

Files = Iterator[tuple[str, bytes]]


def site(title: str, runs: Iterable[Run]) -> Files:
    """The whole site of at least one run; oldest first, each read when the one before it is done with."""
    summaries: list[Summary] = []
    latest: dict[str, Run] = {}
    newest: Summary | None = None
    pictures: dict[str, bytes] = {}
    for run in runs:
        found = _compared(run, latest)
        files = {**dict(run_files(run)), **dict(_diff_files(found))}
        summary = summarise(run, found)
        summaries.append(summary)
        if not run.void:
            latest |= dict.fromkeys(summary.questions, run)
        if newest is None or _rank(summary) >= _rank(newest):
            newest, pictures = summary, {path: files[FILES[name]] for name, path in TOP.items()}
        yield from ((f"{summary.place}/{name}", data) for name, data in files.items())
    if newest is None:
        raise ValueError("a site needs a run")
    yield from pictures.items()
    yield from _shared(title, summaries, newest, pictures)


def _rank(run: Summary) -> tuple[bool, bool]:
    return not run.void, bool(run.finished)


def _compared(run: Run, latest: Mapping[str, Run]) -> Comparison | None:
    """The run beside the latest sound one before it that asked one of its questions."""
    before = [latest[name] for name in run.header.scenarios if name in latest]
    if run.void or not before:
        return None
    earlier = max(before, key=lambda one: (one.header.started, one.header.id))
    return compare(Side(run=earlier), Side(run=run))


def _diff_files(found: Comparison | None) -> Files:
    if found is not None:
        yield from ((file, DIFF_RENDERERS[name](found, STYLE).encode()) for name, file in DIFFS.items())


def run_files(run: Run) -> Files:
    """A run in every format."""
    yield "index.html", page.render(run, STYLE, up="../../index.html").encode()
    for name, file in FILES.items():
        yield file, RENDERERS[name](run, STYLE).encode() if name in RENDERERS else PICTURES[name](run)


def _shared(title: str, runs: Sequence[Summary], newest: Summary, pictures: Mapping[str, bytes]) -> Files:
    found, past = news(runs), histories(runs)
    index = _index(title, runs, newest=newest, found=found, past=past, picture=pictures[TOP["svg"]])
    yield "index.html", index.encode()
    yield "feed.atom", feed(title, runs, found).encode()
    yield "site.json", site_json(title, runs, found, past).encode()
    for one in past:
        yield f"{history_place(one)}.html", _history(one).encode()
        yield f"{history_place(one)}.json", history_json(one).encode()


def _index(
    title: str,
    runs: Sequence[Summary],
    *,
    newest: Summary,
    found: Sequence[News],
    past: Sequence[History],
    picture: bytes,
) -> str:
    return render_page(
        "index.html.j2",
        package=_PACKAGE,
        title=title,
        runs=runs,
        newest=newest,
        flips=found,
        histories=past,
        picture=Markup(picture.decode()),  # noqa: S704  # drawn by the lab, as XML
        files=FILES,
        diffs=DIFFS,
        most=_FLIPS,
        counted=counted,
        flip_words=flip_words,
        place=history_place,
    )


def _history(past: History) -> str:
    return render_page(
        "history.html.j2",
        package=_PACKAGE,
        history=past,
        changed=[one for one in past.cells if one.changed],
        same=[one for one in past.cells if not one.changed],
        file=file_name(past.scenario),
        most=_CELLS,
        counted=counted,
        sign=sign,
        outcome=Outcome,
    )
