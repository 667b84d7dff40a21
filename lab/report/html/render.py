"""Run → one static page that needs nothing from outside. See ``docs/html-report.md``."""

from __future__ import annotations

from lab.classify.causes import CAUSES
from lab.model.record import Run
from lab.report.html import view
from lab.report.html.data import details_block, matrix_block, tables
from lab.report.html.frame import json_block, render_page
from lab.report.matrix import Outcome
from lab.report.style import Style
from lab.report.summary import build
from lab.report.words import SURPRISE, counted, sign

SCRIPTS = ("text.js", "data.js", "query.js", "state.js", "matrix.js", "cell.js", "filters.js", "page.js")
"""The page's script, in the order in which its files build on each other."""


def render(run: Run, style: Style, *, up: str = "") -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The whole page. ``up`` is the address of the page above it, where it is one of a site."""
    report = build(run)
    shown = tables(report)
    matrix, records = matrix_block(report, shown)
    return render_page(
        "run.html.j2",
        scripts=SCRIPTS,
        up=up,
        report=report,
        tables=shown,
        broken=view.broken(report),
        flips=view.run_flips(report.matrices),
        missed=view.missed(report),
        surprises=view.surprises(report),
        control_words=view.control_words(report.controls),
        provenance=view.provenance(run),
        runtimes=view.runtime_facts(run),
        images=view.image_facts(run),
        matrix=json_block(matrix),
        details=json_block(details_block(report, records)),
        view=view,
        causes=CAUSES,
        sign=sign,
        SURPRISE=SURPRISE,
        outcome=Outcome,
        counted=counted,
    )
