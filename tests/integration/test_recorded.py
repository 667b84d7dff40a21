"""Recorded cells run again over real runtimes: the classifier gives the cause that the corpus states."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lab.process import run, small_environment
from lab.provision.cache import default_cache
from lab.provision.runtimes import pull

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

RECORD = Path(__file__).parents[1] / "record.py"
RUNTIMES = ("runc@1.0.0-rc93", "crun@1.21")
CELLS = {
    "chdir-other-user": ("runc@1.0.0-rc93",),
    "chdir-runtime-without-dac": RUNTIMES,
    "exec-chdir-other-user": ("runc@1.0.0-rc93",),
    "create-exec-other-owner": RUNTIMES,
    "exec-mode-bits": RUNTIMES,
    "path-unsearchable": RUNTIMES,
    "uid-unmapped": RUNTIMES,
    "capability-unavailable": RUNTIMES,
    "mount-sysfs-foreign-netns": RUNTIMES,
}
"""Cell → the runtimes over which it fails; over the others it passes, and nothing is recorded."""


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_recorded_cell_gives_the_same_cause_again(cell: str, runtime: str) -> None:
    cache = default_cache()
    pull(cache, runtime)
    done = run(
        [sys.executable, str(RECORD), "--dry-run", "--cell", cell, "--runtime", runtime],
        deadline=120,
        env=small_environment({"PERMLAB_CACHE": os.fspath(cache.root)}),
    )
    texts = 1 if runtime in CELLS[cell] else 0
    assert (done.returncode, done.stdout.decode()) == (0, f"{cell}: {texts} texts\n"), done.tail()
