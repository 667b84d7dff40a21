"""The texts beside a case: README.md, to be pasted into an upstream issue, and the digests. Pure, but for the files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.model.record import Record, Run
from lab.model.runtime import Provider
from lab.model.settings import Action
from lab.model.verdict import Denied, Failed
from lab.oci.spec import PROBE
from lab.report.causes import notes
from lab.report.escape import escape_text
from lab.report.words import counted, found_words
from lab.repro import lines
from lab.repro.case import Case
from lab.repro.folder import is_recipe
from lab.repro.making import Origin, siblings
from lab.repro.taken import taken_away
from lab.repro.tree import ROOTFS

_OF_THE_LAB = re.compile(r"/[^\s\"'`:]*permlab-[^\s\"'`:]*")
"""A path below the directory that the cell was run in."""
_LONGEST_LISTING = 60
"""Entries of the tree that are listed one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is told of a case: the whole cell, what is left of it, the text that it shows, and how it came to be so.

    See :class:`lab.repro.reproduce.Reproduction`.
    """

    whole: Case
    case: Case
    text: str
    complete: bool
    runs: int
    witnesses: tuple[str, ...]


def readme(origin: Origin, told: Story) -> str:
    """README.md."""
    record, case = origin.record, told.case
    sections = [
        f"# {title(record)}",
        "\n".join(_environment(origin)),
        "## Steps to reproduce",
        "\n".join(_steps(case)),
        "config.json:",
        _block(json.dumps(case.config, indent=1, ensure_ascii=False), "json"),
        *_exec(case),
        "The files that it needs, with host ids:",
        _block("\n".join(_listing(case))),
        "## Expected",
        _expected(origin),
        "## Actual",
        f"{found_words(record.verdict)}. `./run.sh --check RUNTIME` compares with this text (expected.txt):",
        _block(escape_text(told.text, lines=True).rstrip("\n")),
        *_cause(record),
        "## Other runtimes",
        "\n".join(_others(origin.run, record)) or "No other runtime was tried in the same run.",
        "## Through an engine",
        *_engines(case),
        "## What was taken away",
        "\n".join(_taken(told)),
        "## Digests",
        "`digests.txt` has the sha256 of the runtime's binary, the image's digest and the sha256 of every file here.",
    ]
    return "\n\n".join(sections) + "\n"


def title(record: Record) -> str:
    """``runc 1.0.0-rc93: chdir to cwd ("/home/nonroot") set in config.json failed: permission denied``."""
    runtime = record.axes["runtime"].replace("@", " ", 1)
    verdict = record.verdict
    if isinstance(verdict, Denied | Failed):
        said = escape_text(verdict.evidence, lines=True).strip().splitlines() or [verdict.cause]
        return f"{runtime}: {_OF_THE_LAB.sub('DIR', said[-1])}"
    return f"{runtime}: {PurePosixPath(record.cell).parts[0]} passes"


def _environment(origin: Origin) -> Iterator[str]:
    host, runtime = origin.run.header.host, origin.runtime
    source = "a binary that the user added" if runtime.provider is Provider.PATH else runtime.origin
    yield f"- runtime: {runtime.name.family} {runtime.name.label}, sha256 `{runtime.sha256}`"
    yield f"- from: {source}" + (f", built with {runtime.toolchain}" if runtime.toolchain else "")
    yield f"- `--version`: {'; '.join(escape_text(runtime.reported, lines=True).split(chr(10))).strip('; ')}"
    yield f"- host: {host.os}, kernel {host.kernel}, {host.machine}, cgroups {host.cgroups}, LSMs {host.lsms}"
    yield f"- image: {_image(origin.record.axes['image'])}, `{origin.image.digest}` (the digest of its files)"
    yield f"- measured {origin.record.started} by permlab {origin.run.header.lab_version}, which is not needed here"


def _image(reference: str) -> str:
    """A reference without the directories of the machine that it was taken from."""
    transport, colon, rest = reference.partition(":/")
    return f"{transport}:{PurePosixPath(rest).name}" if colon else PurePosixPath(reference).name


def _steps(case: Case) -> Iterator[str]:
    yield "As root, on Linux, in this folder (`run.sh` says what else it needs, and leaves nothing behind):"
    yield ""
    yield _block(
        "./run.sh /path/to/runtime            # prints the text, ends with the runtime's exit code\n"
        "./run.sh --check /path/to/runtime    # says: reproduced, or: not reproduced",
        "sh",
    )
    text = json.dumps(case.config)
    call = case.call
    if "${" in text or call.action is not Action.RUN or call.owner[0] or call.dropped or case.host_mounts:
        return
    made = "sh make-rootfs.sh /tmp/repro" if is_recipe(case) else "tar -C /tmp/repro --numeric-owner -xpf rootfs.tar"
    flags = "".join(f" {word}" for word in call.flags)
    yield ""
    yield "Or by hand (crun refuses a hybrid cgroup tree; `run.sh` hides it in a mount namespace of its own):"
    yield ""
    yield _block(
        f"mkdir /tmp/repro && {made} && cp config.json /tmp/repro\n"
        f"/path/to/runtime{flags} run --bundle /tmp/repro repro",
        "sh",
    )


def _exec(case: Case) -> Iterator[str]:
    if case.process is not None:
        yield "process.json, for `exec --process`:"
        yield _block(json.dumps(case.process, indent=1, ensure_ascii=False), "json")


def _listing(case: Case) -> Iterator[str]:
    for entry in case.tree[:_LONGEST_LISTING]:
        yield escape_text(str(entry))
    if len(case.tree) > _LONGEST_LISTING:
        yield f"… and {len(case.tree) - _LONGEST_LISTING} more, see rootfs.tar"
    if case.config["process"]["args"][0] != PROBE:
        return
    if any(entry.path == f"{ROOTFS}{PROBE}" for entry in case.tree):
        yield f"({PROBE} is a small static program that prints what it finds, as JSON lines)"
    else:
        yield f"({PROBE}, the program, is not there: the failure comes before anybody looks for it)"


def _expected(origin: Origin) -> str:
    verdict = origin.record.verdict
    if not isinstance(verdict, Denied | Failed):
        return "That it runs as it did here, with the exit code and the facts below."
    passing = [one for one in siblings(origin.run, origin.record) if one.verdict.kind == "passed"]
    if passing:
        return f"That the container runs, as the whole cell does with {_names(passing)}."
    return "That the container runs; or, if this is to be refused, that the text says by whom and why."


def _cause(record: Record) -> Iterator[str]:
    known = notes().get(record.verdict.cause) if isinstance(record.verdict, Denied | Failed) else None
    if known is not None:
        threads = [f"- {words}: {address}" for words, address in known.threads]
        yield "\n".join(filter(None, [known.spec and f"Specification: {known.spec}", "", *threads])).strip()


def _others(run: Run, record: Record) -> Iterator[str]:
    by_verdict: dict[str, list[Record]] = {}
    for one in siblings(run, record):
        by_verdict.setdefault(found_words(one.verdict), []).append(one)
    for words, records in by_verdict.items():
        yield f"- {words}: {_names(records)}"


def _names(records: list[Record]) -> str:
    return ", ".join(record.axes["runtime"].replace("@", " ", 1) for record in records)


def _engines(case: Case) -> Iterator[str]:
    found = lines.through(case)
    said = [line.text for line in found if not line.reasons]
    if said:
        made = "./make-rootfs.sh DIR" if is_recipe(case) else "tar -C DIR --numeric-owner -xpf rootfs.tar"
        yield (
            "These lines say the same, as far as the engine's own defaults allow: it adds mounts, masked paths and "
            f"device rules of its own. They were not run for this case. `DIR` is a directory in which `{made}` ran; "
            "`NAME`, `RUNTIME` and `HANDLER` stand for the runtime, as the engine knows it."
        )
        yield _block("\n\n".join(said), "sh")
    for reasons in dict.fromkeys(line.reasons for line in found if line.reasons):
        engines = [line.engine for line in found if line.reasons == reasons]
        yield f"No command line of {' or '.join(engines)} says the same: {'; '.join(reasons)}."


def _taken(told: Story) -> Iterator[str]:
    taken = taken_away(told.whole, told.case)
    yield from (f"- {escape_text(line)}" for line in taken)
    if not taken:
        yield "Nothing can go: all of it is needed." if told.complete else "Nothing: the cell stands here in full."
        return
    yield ""
    yield (
        f"Each was taken away and the runtime really called again ({counted(told.runs, 'run')}): verdict, cause and "
        "phase stayed the same; "
        + (
            "no single further part can go (namespaces aside)."
            if told.complete
            else "the search was ended there, so that more may be able to go."
        )
    )
    if told.witnesses:
        yield f"All the while the failure was not there {' nor '.join(told.witnesses)}."


def _block(text: str, language: str = "") -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def digests(origin: Origin, folder: Path) -> str:
    """What the case was made from, and the files of the folder as ``sha256sum -c`` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}" for path in files)
    config = origin.record.provenance.config
    head = (
        f"# runtime {origin.runtime.name}: sha256 {origin.runtime.sha256}",
        f"# image {_image(origin.record.axes['image'])}: {origin.image.digest}",
        f"# probe: sha256 {origin.probe.sha256}",
        f"# config.json of the whole cell: sha256 {config}",
        "# files of this folder (sha256sum --check digests.txt):",
    )
    return "\n".join([*head, *sums]) + "\n"
