"""What podman has in the place of a daemon, a monitor for each container, dies in the middle of a run."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from lab_session import RUNC, Lab, require_engine, user_cache, wait_for

from lab.store.runs import stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]
CELLS = 6


def monitors(lab: Lab) -> list[int]:
    """The conmons of this test's run."""
    runs = [path.stem.encode() for path in stored(lab.place / "runs")]
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "conmon\n":
                said = (entry / "cmdline").read_bytes()
                found += [int(entry.name) for run in runs if run in said]
    return found


@pytest.mark.parametrize("rootless", [False, True], ids=["rootful", "rootless"])
def test_a_cell_whose_monitor_dies_is_errored_and_the_rest_goes_on(
    tmp_path: Path, demanded: set[str], *, rootless: bool
) -> None:
    require_engine("podman", demanded)
    lab = Lab(place=tmp_path, cache=user_cache())
    numbers = "\n".join(f"[axes.number.n{number}]" for number in range(CELLS))
    text = f"""[axes]
        engine = ["podman"]
        {numbers}
        [settings]
        caller.rootless = {str(rootless).lower()}
        process = {{ user = "0:0", cwd = "/", steps = ["sleep 1"] }}
        """
    process = lab.start("run", lab.scenario(text), "--runtimes", RUNC, "-j", "1")
    wait_for(lambda: monitors(lab) or process.poll() is not None)
    os.kill(monitors(lab)[0], signal.SIGKILL)
    assert process.wait(120) == 3, lab.log()
    kinds = [record.verdict.kind for record in lab.last().records if not record.control]
    assert sorted(kinds) == ["errored", *["passed"] * (CELLS - 1)]
    assert "Traceback" not in lab.log()
    assert monitors(lab) == []
    assert not lab.left()
