"""How long a report of 10,000 records takes, in each format and in all of them together, and a diff of two such runs.

The records are made up, of the size that real ones have (calls, the probe's facts, error texts); no container runs.
Processor time counts, because one thread does the work. The PNG is told by itself: it is drawn, not written.

    python benchmarks/reports.py
    python benchmarks/reports.py --cells 1000 --rounds 5
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, product

from tabulate import tabulate

from lab.compare import Side, compare
from lab.model.observation import Call, Observation, Reached
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Passed, Phase, Verdict
from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.formats import PICTURES, RENDERERS
from lab.report.style import Style
from lab.scenario.expand import make_cell

VERSIONS = tuple(f"1.{minor}.{patch}" for minor in range(4) for patch in range(10))
CAPS, CWDS = ("docker", "cri", "none", "all"), ("image", "/", "/missing", "/w", "/w/below")
TEXT = 'chdir to cwd ("/home/nonroot") set in config.json failed: permission denied'
FACTS = {
    "step": 0,
    "op": "start",
    "pid": 1,
    "ruid": 1000,
    "groups": [0, 10, 20],
    "capabilities": {"effective": "00000000a80425fb", "bounding": "00000000a80425fb"},
    "namespaces": dict.fromkeys(("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"), 4026531835),
    "mounts": [f"/proc/{number} ro,nosuid,nodev,noexec" for number in range(8)],
}


def records() -> Iterator[Record]:
    """Records without end, user by user: any number of them is a whole matrix but for the last user."""
    users = (f"{1000 + number}:0" for number in range(1_000_000))
    for number, (user, caps, cwd, version) in enumerate(_product(users)):
        refused = caps in {"docker", "none"} and cwd != "/" and version.startswith("1.1.")
        axes = {
            "image": "distroless-static:nonroot",
            "user": user,
            "cwd": cwd,
            "caps": caps,
            "runtime": f"runc@{version}",
            "engine": "oci",
        }
        yield Record(
            cell=make_cell("bench", tuple(axes.items())).id,
            scenario="bench",
            axes=axes,
            verdict=_verdict(refused=refused),
            observation=_observation(number, refused=refused),
            provenance=Provenance(runtime=f"{VERSIONS.index(version):064x}", image="sha256:" + "ef" * 32, config=caps),
            expectation=Expectation(verdict="passed", when="true", source="https://example.org/issue/1"),
            started="2026-11-22T12:00:01+00:00",
        )


def _product(users: Iterator[str]) -> Iterator[tuple[str, str, str, str]]:
    return ((user, *rest) for user in users for rest in product(CAPS, CWDS, VERSIONS))


def _verdict(*, refused: bool) -> Verdict:
    return Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence=TEXT) if refused else Passed()


def _observation(number: int, *, refused: bool) -> Observation:
    output = b"" if refused else json.dumps({**FACTS, "inode": 4_026_531_000 + number}).encode() + b"\n"
    call = Call(
        verb="run",
        argv=("runc", "--root", "state", "run", "--bundle", f"bundles/{number}", f"permlab-{number}"),
        returncode=1 if refused else 0,
        stdout=b"",
        stderr=TEXT.encode() if refused else b"",
        seconds=0.0421,
    )
    return Observation(
        calls=(call,),
        reached=Reached.NOTHING if refused else Reached.STARTED,
        exit_code=None if refused else 0,
        output=output,
        seconds={"prepare": 0.0012, "execute": 0.04 + number % 100 / 10_000},
    )


def made_up(cells: int) -> Run:
    """A run of so many cells."""
    host = HostFacts(
        kernel="6.18", machine="x86_64", cgroups="v2", lsms="", uid=0, capabilities="", os="Debian GNU/Linux 12", cpus=2
    )
    header = RunHeader(
        id="bench",
        lab_version="bench",
        started="2026-11-22T12:00:00+00:00",
        host=host,
        argv=("permlab", "run", "bench"),
        scenarios={"bench": 'question = "how fast?"'},
    )
    return Run(
        header=header,
        records=tuple(islice(records(), cells)),
        runtimes={f"{place:064x}": {"name": f"runc@{name}", "origin": "bench"} for place, name in enumerate(VERSIONS)},
        configs={caps: json.dumps({"process": {"capabilities": caps}}) for caps in CAPS},
        finished="2026-11-22T12:10:00+00:00",
    )


def changed(run: Run) -> Run:
    """The same cells, every third of them refused."""
    records = (replace(one, verdict=_verdict(refused=place % 3 == 0)) for place, one in enumerate(run.records))
    return replace(run, records=tuple(records))


def diff(left: Run, right: Run, form: str, style: Style) -> str:
    """Two runs compared, and shown."""
    return DIFF_RENDERERS[form](compare(Side(run=left), Side(run=right)), style)


def seconds(work: Callable[[], str | bytes], rounds: int) -> tuple[float, int]:
    """The median of several turns, and the size of what came out."""
    taken, size = [], 0
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        size = len(work())
        taken.append(time.process_time() - started)
    return statistics.median(taken), size


def main() -> None:
    """Measure every format and print a row for each, and the sum of the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns; the median counts")
    given = parser.parse_args()
    run, style = made_up(given.cells), Style(width=120)
    rows: list[tuple[str, float, float]] = []
    for name, render in RENDERERS.items():
        taken, size = seconds(partial(render, run, style), given.rounds)
        rows.append((name, taken, size / 1e6))
    rows.append(("all of these", sum(taken for _, taken, _ in rows), sum(size for *_, size in rows)))
    for name, draw in PICTURES.items():
        taken, size = seconds(partial(draw, run), given.rounds)
        rows.append((name, taken, size / 1e6))
    for name in DIFF_RENDERERS:
        taken, size = seconds(partial(diff, run, changed(run), name, style), given.rounds)
        rows.append((f"diff of two, {name}", taken, size / 1e6))
    print(tabulate(rows, headers=("format", f"seconds for {given.cells:,} records", "MB"), floatfmt=".3f"))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
