"""Records error texts of real runtimes as the classifier's corpus: ``python tests/record.py`` (as root).

Runs the cells of ``tests/recorded/cells.toml`` over the runtimes in the cache (``PERMLAB_CACHE``). Writes one file for
each cell that failed anywhere, ``tests/recorded/<cell>.json``, and ``tests/recorded/runtimes.json`` with what is known
of each binary. Runtimes that said the same, apart from times, process ids and temporary paths, share one entry, whose
bytes are those of the first one (the cache's own path stands as ``$PERMLAB_CACHE``). Prints where the classifier makes
of a text what the cell does not state.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import fnmatch
import itertools
import json
import os
import re
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.classify.judge import failing_call, judge
from lab.codec import decode_settings, to_data
from lab.engine.base import Engine, EngineContext, Job
from lab.engine.registry import Engines
from lab.engine.workspace import open_workspace
from lab.model.observation import Call, Observation, Reached
from lab.model.runtime import Runtime
from lab.model.scenario import Cell, Resolved
from lab.model.verdict import Denied, Errored, Failed
from lab.provision.cache import Cache, default_cache
from lab.provision.images import pull_image
from lab.provision.probe import probe
from lab.provision.runtimes import installed
from lab.scenario.versions import matches, name_key

_PATH = re.compile(r"(?<![\w$])/[\w.+:$/-]*\w")
_HEAD_START = 1.0
"""Seconds that the container beside gets to do what it does."""

PLACE = Path(__file__).parent / "recorded"
DOCUMENT = Path(__file__).parents[1] / "docs" / "causes.md"
IMAGE = "distroless-static:nonroot"

_VOLATILE = (
    (re.compile(rb"(?m)^time=\S+ level=warning .*\n"), b""),
    (re.compile(rb'time="?[^" ]+"?|\d{4}-\d\d-\d\dT[\d:.]+Z?'), b"TIME"),
    (re.compile(rb"/tmp/permlab-[^/ \"'`]+"), b"/tmp/permlab"),
    (re.compile(rb"permlab-record[-\d]*|permlab-[0-9a-z]+-\d+|cells/\d+|\b[0-9a-f]{64}\b"), b"NAME"),
    (re.compile(rb"/proc/\d+|pid \d+|\[[\d:]+\]|/fd/\d+|fd[ =]\d+|0x[0-9a-f]{6,}"), b"N"),
    (re.compile(rb"[WIE]\d{4} [\d:.]+ +\d+ "), b"TIME "),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCell:
    """One cell of cells.toml. ``other`` holds (pattern of runtimes, cause, phase); ``beside`` are the settings of a
    container that runs while the cell does, by the first of its runtimes. ``engines`` are asked one after the other.
    """

    name: str
    image: str
    settings: Mapping[str, Any]
    cause: str
    phase: str
    other: tuple[tuple[str, str, str], ...]
    runtimes: tuple[str, ...]
    engines: tuple[str, ...]
    beside: Mapping[str, Any] | None

    def stated(self, runtime: str) -> tuple[str, str]:
        """The cause and phase that the author states for a runtime."""
        for pattern, cause, phase in self.other:
            if any(matches(part.strip(), runtime) for part in pattern.split(" or ")):
                return cause, phase
        return self.cause, self.phase


def read_cells() -> tuple[RecordedCell, ...]:
    """The cells that are recorded, from cells.toml."""
    return tuple(_cell(data) for data in _plan()["cell"])


def _plan() -> dict[str, Any]:
    return tomllib.loads((PLACE / "cells.toml").read_text())


def _cell(data: Mapping[str, Any]) -> RecordedCell:
    return RecordedCell(
        name=data["name"],
        image=data.get("image", IMAGE),
        settings=_complete(data["settings"]),
        cause=data["cause"],
        phase=data["phase"],
        other=tuple((o["runtimes"], o["cause"], o["phase"]) for o in data.get("other", ())),
        runtimes=tuple(data.get("runtimes", ("*",))),
        engines=tuple(data.get("engines", ("oci",))),
        beside=_complete(data["beside"]) if "beside" in data else None,
    )


def _complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    process = {"user": "0:0", "cwd": "/", "steps": ["id"], **settings.get("process", {})}
    if "args" in process:
        del process["steps"]
    return {**settings, "process": process}


def observe(engine: Engine, cache: Cache, cell: RecordedCell, runtime: Runtime, serial: int) -> Observation:
    """Run one cell."""
    resolved = Resolved(
        cell=Cell(cell.name, "recorded", ()),
        image=cell.image,
        runtime=str(runtime.name),
        engine=engine.name,
        settings=decode_settings(cell.settings, where=cell.name),
    )
    job = Job(serial=serial, resolved=resolved, runtime=runtime, image=pull_image(cache, cell.image))
    prepared = engine.prepare(job)
    try:
        return prepared.complete(engine.execute(prepared, lambda: None))
    finally:
        engine.discard(prepared)


def _observe_beside(engine: Engine, cache: Cache, cell: RecordedCell, runtime: Runtime, serial: int) -> Observation:
    """Run one cell, and first the container that runs beside it, if it has one."""
    if cell.beside is None:
        return observe(engine, cache, cell, runtime, serial)
    other = replace(cell, settings=cell.beside, beside=None)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(observe, engine, cache, other, runtime, serial + 1)
        time.sleep(_HEAD_START)
        return observe(engine, cache, cell, runtime, serial)


def normalised(text: bytes) -> bytes:
    """A text without what differs from call to call."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text


def _entry(cache: Cache, cell: RecordedCell, runtime: Runtime, engine: str, seen: Observation) -> dict[str, Any] | None:
    call = failing_call(seen)
    if call is None or not call.stderr or isinstance(judge(seen), Errored):
        return None  # no runtime spoke, or it spoke of the lab's own fault
    cause, phase = cell.stated(str(runtime.name))
    stderr = call.stderr.replace(str(cache.root).encode(), b"$PERMLAB_CACHE")
    entry: dict[str, Any] = {
        "cause": cause,
        "phase": phase,
        "verb": call.verb,
        "returncode": call.returncode,
        "exit_code": seen.exit_code,
        "reached": str(seen.reached),
        "runtimes": [str(runtime.name)],
    }
    if cell.engines != ("oci",):
        entry["engines"] = [engine]
    try:
        entry["stderr"] = stderr.decode()
    except UnicodeDecodeError:
        entry["stderr_base64"] = base64.b64encode(stderr).decode()
    return entry


def stored_bytes(entry: Mapping[str, Any]) -> bytes:
    """The text of an entry, as the runtime wrote it."""
    if "stderr_base64" in entry:
        return base64.b64decode(entry["stderr_base64"])
    return str(entry["stderr"]).encode()


def _merge(entries: list[dict[str, Any]], new: dict[str, Any]) -> None:
    for entry in entries:
        keys = ("cause", "phase", "verb", "returncode", "exit_code", "reached")
        if all(entry[key] == new[key] for key in keys) and normalised(stored_bytes(entry)) == normalised(
            stored_bytes(new)
        ):
            for names in ("runtimes", "engines"):
                entry[names] = list(dict.fromkeys((*entry.get(names, ()), *new.get(names, ()))))
            if not entry["engines"]:
                del entry["engines"]
            return
    entries.append(new)


def _compare(cell: RecordedCell, runtime: Runtime, seen: Observation) -> Iterator[str]:
    verdict = judge(seen)
    cause, phase = cell.stated(str(runtime.name))
    match verdict:
        case Denied() | Failed():
            if (verdict.cause, str(verdict.phase)) != (cause, phase):
                yield f"  {runtime.name}: {verdict.cause}@{verdict.phase}, stated {cause}@{phase}: {verdict.evidence}"
        case Errored():
            yield f"  {runtime.name}: errored: {verdict.reason}"


def main() -> int:
    """Record the chosen cells over the chosen runtimes; 1 when one errored or the classifier disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", default="*", help="glob of cells (default: all)")
    parser.add_argument("--runtime", default="*", help="glob of runtimes in the cache (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--docs", action="store_true", help="run nothing: write the texts into docs/causes.md")
    parser.add_argument(
        "--restate", action="store_true", help="run nothing: take causes and phases anew from cells.toml"
    )
    arguments = parser.parse_args()
    cells = [cell for cell in read_cells() if fnmatch.fnmatch(cell.name, arguments.cell)]
    if arguments.restate:
        return restate(cells)
    if arguments.docs:
        DOCUMENT.write_text(with_texts(DOCUMENT.read_text()))
        return 0
    cache = default_cache()
    globs = _plan()["runtimes"]
    runtimes = [
        runtime
        for runtime in installed(cache)
        if fnmatch.fnmatch(str(runtime.name), arguments.runtime)
        and any(fnmatch.fnmatch(str(runtime.name), glob) for glob in globs)
    ]
    for cell in cells:
        pull_image(cache, cell.image)
    workspace = open_workspace(f"record-{os.getpid()}")
    engines = Engines(context=EngineContext(workspace=workspace, probe_layer=Path(probe(cache).layer), cache=cache))
    disagreements = 0
    try:
        for number, cell in enumerate(cells):
            entries: list[dict[str, Any]] = []
            lines: list[str] = []
            asked = [r for r in runtimes if any(fnmatch.fnmatch(str(r.name), glob) for glob in cell.runtimes)]
            for serial, (engine, runtime) in enumerate(itertools.product(cell.engines, asked)):
                seen = _observe_beside(engines.ready(engine), cache, cell, runtime, number * 1000 + 2 * serial)
                lines += _compare(cell, runtime, seen)
                if entry := _entry(cache, cell, runtime, engine, seen):
                    _merge(entries, entry)
            disagreements += len(lines)
            sys.stdout.write("\n".join([f"{cell.name}: {len(entries)} texts", *lines]) + "\n")
            if entries and not arguments.dry_run:
                _write(PLACE / f"{cell.name}.json", _document(cell, entries))
    finally:
        engines.close()
    if not arguments.dry_run:
        path = PLACE / "runtimes.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        _write(path, known | {str(r.name): _known(r) for r in runtimes})
    return 1 if disagreements else 0


def restate(cells: list[RecordedCell]) -> int:
    """Give every stored text the cause and phase that cells.toml states now; 1 when the classifier disagrees."""
    lines = []
    for cell in cells:
        path = PLACE / f"{cell.name}.json"
        if not path.exists():
            lines.append(f"{cell.name}: no text")
            continue
        document = json.loads(path.read_text())
        for entry in document["texts"]:
            entry["cause"], entry["phase"] = cell.stated(entry["runtimes"][0])
            verdict = judge(stored_observation(entry))
            got = (getattr(verdict, "cause", verdict.kind), str(getattr(verdict, "phase", "")))
            if got != (entry["cause"], entry["phase"]):
                lines.append(f"{cell.name}: {entry['runtimes'][0]}: {got}, stated {entry['cause']}@{entry['phase']}")
        _write(path, document)
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if lines else 0


def stored_observation(entry: Mapping[str, Any]) -> Observation:
    """What is judged when a stored text is judged again."""
    call = Call(
        verb=entry["verb"], argv=(), returncode=entry["returncode"], stdout=b"", stderr=stored_bytes(entry), seconds=0.0
    )
    return Observation(calls=(call,), reached=Reached(entry["reached"]), exit_code=entry["exit_code"])


def with_texts(document: str) -> str:
    """``docs/causes.md`` with the recorded texts of each cause between its markers."""
    texts = _texts()

    def block(found: re.Match[str]) -> str:
        rows = [f"| `` {text} `` | {_ranges(names)} |" for text, names in texts[found["cause"]].items()]
        table = "\n".join(["| text | written by |", "|---|---|", *rows]) if rows else "None recorded yet."
        return f"<!-- texts: {found['cause']} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- texts: (?P<cause>[a-z-]+) -->\n.*?<!-- end -->", block, document, flags=re.DOTALL)


def _texts() -> dict[str, dict[str, set[str]]]:
    """Cause → text (the decisive part, without what differs from call to call) → runtimes."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(PLACE.glob("*.json")):
        for entry in json.loads(path.read_text()).get("texts", ()):
            verdict = judge(stored_observation(entry))
            if isinstance(verdict, Denied | Failed) and verdict.cause != "unrecognised":
                text = _PATH.sub("PATH", normalised(verdict.evidence.encode()).decode()).replace("|", "\\|")
                found[verdict.cause][text] |= set(entry["runtimes"])
    return found


def _ranges(names: set[str]) -> str:
    """``runc 1.0.0-rc91 … 1.0.3, crun 1.21``: neighbours among the recorded runtimes are drawn together."""
    everyone = sorted(json.loads((PLACE / "runtimes.json").read_text()), key=name_key)
    parts = []
    for family in dict.fromkeys(name.partition("@")[0] for name in everyone):
        known = [name for name in everyone if name.startswith(f"{family}@")]
        runs: list[list[str]] = []
        for index, name in enumerate(known):
            if name in names:
                if runs and index and known[index - 1] in names:
                    runs[-1].append(name)
                else:
                    runs.append([name])
        shown = [" … ".join(dict.fromkeys(n.partition("@")[2] for n in (run[0], run[-1]))) for run in runs]
        if shown:
            parts.append(f"{family} {', '.join(shown)}")
    return "; ".join(parts)


def _document(cell: RecordedCell, entries: list[dict[str, Any]]) -> dict[str, Any]:
    host = {"kernel": os.uname().release, "machine": os.uname().machine}
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return {
        "recorded": {"date": date, **host, "image": cell.image},
        "settings": to_data(cell.settings),
        "texts": entries,
    }


def _known(runtime: Runtime) -> dict[str, str]:
    return {
        "sha256": runtime.sha256,
        "reported": runtime.reported,
        "origin": runtime.origin,
        "toolchain": runtime.toolchain,
    }


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
