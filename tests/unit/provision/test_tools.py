"""Package tools, and what their failures are taken for."""

from __future__ import annotations

import pytest

from lab.errors import HostError, ProvisionError
from lab.provision.building import tool

APT = "E: Error writing to file - write (28: No space left on device)\nE: Some index files failed to download."


def test_a_tool_that_is_not_there_is_the_host_s() -> None:
    with pytest.raises(HostError, match="no-such-tool is not on this host"):
        tool(["no-such-tool"], deadline=5)


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_full_disk_is_not_taken_for_a_silent_source(stream: str) -> None:
    with pytest.raises(ProvisionError, match="the disk is full") as caught:
        tool(["/bin/sh", "-c", f'echo "$0" {stream}; exit 100', APT], deadline=5)
    assert "PERMLAB_CACHE" in caught.value.resolution


def test_what_else_a_tool_says_is_its_caller_s() -> None:
    assert tool(["/bin/sh", "-c", "echo no space left on device"], deadline=5).ok
    assert tool(["/bin/sh", "-c", "echo index files failed; exit 100"], deadline=5).returncode == 100
