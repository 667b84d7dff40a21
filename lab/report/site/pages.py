"""All files of a site, as (path, content) pairs. Pure: the same runs give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

from lab.model.record import Run
from lab.report.formats import PICTURES, RENDERERS, SUFFIXES
from lab.report.html import render as page
from lab.report.html.frame import render_page
from lab.report.matrix import Outcome
from lab.report.site.data import history_json, history_place, site_json
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
    """The whole site of at least one run; runs in any order, each read when the one before it is done with."""
    summaries: list[Summary] = []
    newest, pictures = (False, False, "", ""), dict[str, bytes]()
    for run in runs:
        files = dict(run_files(run))
        summary = summarise(run)
        summaries.append(summary)
        rank = (not run.void, bool(run.finished), summary.started, summary.id)
        if rank >= newest:
            newest, pictures = rank, {path: files[FILES[name]] for name, path in TOP.items()}
        yield from ((f"{summary.place}/{name}", data) for name, data in files.items())
    yield from pictures.items()
    summaries.sort(key=lambda summary: (summary.started, summary.id))
    yield from _shared(title, summaries, next(one for one in summaries if one.id == newest[-1]), pictures)


def run_files(run: Run) -> Files:
    """A run in every format."""
    yield "index.html", page.render(run, STYLE).encode()
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
