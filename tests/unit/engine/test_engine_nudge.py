"""A parent that missed its child's end is told again."""

from __future__ import annotations

import sys

from lab.engine.nudge import nudge
from lab.process import run

DEAF = """
import os, signal, sys, time
child = os.fork()
if not child:
    os._exit(7)
time.sleep(0.2)  # the child has ended, and its signal is gone
def collect(*_):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.signal(signal.SIGCHLD, collect)
while True:
    signal.pause()
"""

BUSY = """
import signal, sys, time
signal.signal(signal.SIGCHLD, lambda *_: sys.exit(1))
time.sleep(2.5)
"""


def test_a_parent_that_missed_the_signal_collects_its_child() -> None:
    done = run([sys.executable, "-c", DEAF], deadline=20, on_quiet=nudge)
    assert not done.timed_out
    assert done.returncode == 7
    assert done.seconds < 5


def test_without_it_the_parent_waits_until_the_deadline() -> None:
    done = run([sys.executable, "-c", DEAF], deadline=1.5)
    assert done.timed_out


def test_a_process_without_a_child_that_ended_is_left_alone() -> None:
    done = run([sys.executable, "-c", BUSY], deadline=20, on_quiet=nudge)
    assert done.returncode == 0


def test_a_process_that_is_gone_is_no_error() -> None:
    nudge(2**22 + 1)
