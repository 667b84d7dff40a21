"""Hooks that pytest calls once a scenario file is collected, or one of the plugin's options is given."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from lab.pytest_plugin.bench import close_bench
from lab.pytest_plugin.choice import activate
from lab.pytest_plugin.collecting import CellItem
from lab.pytest_plugin.failure import LabFault, NotAsExpected


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cells of engines that were not chosen."""
    choice = activate(config)
    out = [item for item in items if isinstance(item, CellItem) and not choice.keeps(item.task.cell)]
    if out:
        config.hook.pytest_deselected(items=out)
        left_out = set(out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a fault of the lab as an error, not as a failure, whenever it happens; and a skip where the cell stands.

    pytest calls an error what fails in the setup of a test.
    """
    report = yield
    if not isinstance(item, CellItem) or call.excinfo is None:
        return report
    value = call.excinfo.value
    if isinstance(value, LabFault):
        report.longrepr = item.repr_failure(call.excinfo)
        if not isinstance(value, NotAsExpected):
            report.when = "setup"
    elif isinstance(value, pytest.skip.Exception):
        path, line, _ = item.reportinfo()
        report.longrepr = (os.fspath(path), line + 1, f"Skipped: {value.msg}")
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the lab; the run is complete when every chosen test has run."""
    ended = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    close_bench(session.config, complete=ended and not session.shouldstop and not session.shouldfail)
