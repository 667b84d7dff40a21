"""How long a report of 10,000 records takes, in each format and in all of them together, and a diff of two such runs.

The records are made up, of the size that real ones have (calls, the probe's facts, error texts); no container runs.
Processor time counts, because one thread does the work. What formats share is made by the first one, as `permlab
publish` does. With `--run` the first format also makes the predictions.

    python benchmarks/reports.py
    python benchmarks/reports.py --cells 1000 --rounds 5
    python benchmarks/reports.py --run RUNS/20261122-….jsonl    with the texts, facts and predictions of a real run
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
from itertools import count, islice, product
from pathlib import Path

from tabulate import tabulate

from lab.comparison import Side, compare
from lab.model.observation import Call, Observation, Reached
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Passed, Phase, Verdict
from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.formats import PICTURES, RENDERERS
from lab.report.style import Style
from lab.scenario.expand import make_cell
from lab.store.runs import read

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


def repeated(run: Run, cells: int) -> Run:
    """The cells of a stored run again and again, each time with another value of an axis of their own."""
    measured = [record for record in run.records if not record.control]
    again = (
        replace(one, cell=f"{one.cell}/{turn}", axes={**one.axes, "turn": str(turn)})
        for turn in count()
        for one in measured
    )
    return replace(run, records=tuple(islice(again, cells)))


def works(run: Run, style: Style) -> dict[str, Callable[[], str | bytes]]:
    """Each format's work, in the order in which they are written; the first one also makes what they share."""
    other = changed(run)
    return {
        **{name: partial(render, run, style) for name, render in RENDERERS.items()},
        **{name: partial(draw, run) for name, draw in PICTURES.items()},
        **{f"diff of two, {name}": partial(diff, run, other, name, style) for name in DIFF_RENDERERS},
    }


def measure(run: Run, rounds: int) -> Iterator[tuple[str, float, float]]:
    """For each format the median of its seconds over the turns, and the MB of what came out."""
    taken: dict[str, list[float]] = {}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        for name, work in works(replace(run), Style(width=120)).items():  # a run that nothing is kept of yet
            gc.collect()
            started = time.process_time()
            sizes[name] = len(work()) / 1e6
            taken.setdefault(name, []).append(time.process_time() - started)
    formats = (*RENDERERS, *PICTURES)
    taken["all of them together"] = [sum(turn) for turn in zip(*(taken[name] for name in formats), strict=True)]
    sizes["all of them together"] = sum(sizes[name] for name in formats)
    for name in (*formats, "all of them together", *(f"diff of two, {name}" for name in DIFF_RENDERERS)):
        yield name, statistics.median(taken[name]), sizes[name]


def main() -> None:
    """Measure every format and print a row for each, and the sum of the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns; the median counts")
    parser.add_argument("--run", type=Path, metavar="FILE", help="a stored run whose cells are taken again and again")
    given = parser.parse_args()
    run = repeated(read(given.run), given.cells) if given.run else made_up(given.cells)
    head = ("format", f"seconds for {len(run.records):,} records", "MB")
    print(tabulate(list(measure(run, given.rounds)), headers=head, floatfmt=".3f"))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
