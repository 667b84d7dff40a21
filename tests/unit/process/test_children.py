"""What is told of processes that another one started."""

from __future__ import annotations

import subprocess
import time

from lab import children


def test_a_process_is_waited_for_until_it_ends_or_time_is_up() -> None:
    with subprocess.Popen(["/bin/sleep", "30"]) as process:
        assert not children.has_ended(process.pid, time.monotonic() + 0.02)
        process.kill()
        assert children.has_ended(process.pid, time.monotonic() + 10)
    assert children.has_ended(process.pid, time.monotonic())  # no process any more
