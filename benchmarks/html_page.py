"""The HTML page of 10,000 cells in a real browser: when it is painted, and how long filters and queries take.

The records are made up. Nothing is asserted; milliseconds are printed, medians of several turns.

    PYTHONPATH=tests/integration:tests/unit/report python benchmarks/html_page.py
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import report_runs
from browser import browser
from playwright.sync_api import Browser
from tabulate import tabulate

from lab.model.observation import Observation, Reached
from lab.model.record import Record, Run
from lab.model.verdict import Passed, Verdict
from lab.report.html.render import render
from lab.report.style import Style

TURNS = 5
QUERIES = ("verdict=denied", "runtime>=1.10 & user=1*", "seq(passed denied passed)", 'text~"not permitted"')


def made_up(cells: int = 10_000) -> Run:
    """A run of 20 versions, each cell with an output like the probe's."""
    verdicts: tuple[Verdict, ...] = (Passed(), report_runs.DENIED, report_runs.MKDIR)
    return report_runs.run(_record(place, verdicts[place * 7 % 3]) for place in range(cells))


def _record(place: int, verdict: Verdict) -> Record:
    axes = {"image": "busybox", "user": str(place // 20), "runtime": f"runc@1.{place % 20}.0", "engine": "oci"}
    namespaces = {name: 4_026_532_000 + place * 7 + number for number, name in enumerate(("mnt", "pid", "net", "ipc"))}
    start = {"step": 0, "op": "start", "euid": place // 20, "limits": ["x" * 40] * 40, "namespaces": namespaces}
    seen = Observation(reached=Reached.STARTED, exit_code=0, output=json.dumps(start).encode())
    return replace(report_runs.record(axes, verdict), observation=seen)


def painted(chromium: Browser, address: str) -> dict[str, float]:
    """Milliseconds of one visit: first paint, then each query with what it renders, then the first cell's page."""
    page = chromium.new_page()
    page.goto(address)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    found = {"first paint": page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")}
    for query in QUERIES:
        found[query] = page.evaluate(
            """(query) => { const began = performance.now(); changeState((state) => { state.q = query; });
                document.body.offsetHeight; return performance.now() - began; }""",
            query,
        )
    found["first cell's page"] = page.evaluate(
        """() => { const began = performance.now(); openCell(0);
            document.body.offsetHeight; return performance.now() - began; }"""
    )
    page.close()
    return found


def main() -> None:
    """Render, open several times, print medians."""
    with tempfile.TemporaryDirectory() as place, browser() as chromium:
        file = Path(place) / "page.html"
        file.write_text(render(made_up(), Style()))
        turns = [painted(chromium, file.as_uri()) for _ in range(TURNS)]
        print(f"a page of {file.stat().st_size / 1e6:.1f} MB, 10,000 cells")  # noqa: T201  # its output is its purpose
    rows = [[name, f"{statistics.median(turn[name] for turn in turns):.0f} ms"] for name in turns[0]]
    print(tabulate(rows, tablefmt="plain"))  # noqa: T201  # the same


if __name__ == "__main__":
    main()
