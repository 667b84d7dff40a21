"""The folder on the disk: what git and zip would lose (owners, modes, device nodes) is kept in files that hold it."""

from __future__ import annotations

import json
from pathlib import Path

from lab.errors import InputError
from lab.repro.case import Case
from lab.repro.script import script
from lab.repro.tree import FILES, archive, recipe

RUN, CHECK = "run.sh", "--check"
CONFIG, PROCESS = "config.json", "process.json"
RECIPE, ARCHIVE = "make-rootfs.sh", "rootfs.tar"
EXPECTED, README, DIGESTS = "expected.txt", "README.md", "digests.txt"
RECIPE_MOST = 100
"""Entries up to which a shell script makes the tree, which everybody can read; above, an archive does."""
_PROGRAM = 0o755


def new_folder(folder: Path) -> Path:
    """An empty directory; raises :class:`InputError` when there is something in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty", resolution="choose another directory with --out")
    except OSError as error:
        raise InputError(f"{folder} cannot be written", details=str(error), resolution="choose --out DIR") from error
    return folder


def write_case(case: Case, folder: Path) -> None:
    """Everything that running the case needs."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / CONFIG, json.dumps(case.config, indent=2, ensure_ascii=False) + "\n")
    if case.process is not None:
        _write(folder / PROCESS, json.dumps(case.process, indent=2, ensure_ascii=False) + "\n")
    if not is_recipe(case):
        (folder / ARCHIVE).write_bytes(archive(case.tree))
    else:
        text, files = recipe(case.tree)
        _write(folder / RECIPE, text, program=True)
        for name, content in files.items():
            (folder / FILES).mkdir(exist_ok=True)
            (folder / FILES / name).write_bytes(content)
    _write(folder / RUN, script(case), program=True)


def is_recipe(case: Case) -> bool:
    """Whether a shell script makes the tree."""
    return len(case.tree) <= RECIPE_MOST


def write_text(folder: Path, name: str, text: str) -> None:
    """One of the texts beside it."""
    _write(folder / name, text)


def _write(path: Path, text: str, *, program: bool = False) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    if program:
        path.chmod(_PROGRAM)
