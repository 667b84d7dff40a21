"""What docs/testinfra.md shows: one's own tests in every cell of a scenario, on an image without a shell."""

from __future__ import annotations

import pytest
from testinfra.host import Host

RUNTIMES = ("runc@1.0.0-rc93", "runc@1.1.15", "crun@1.8.1")

nonroot = pytest.mark.permlab(
    "chdir-cwd", runtime=RUNTIMES, where='user == "image" and cwd == "image" and caps == "docker"'
)


@nonroot
def test_the_home_directory_is_the_users_alone(host: Host) -> None:
    home = host.file("/home/nonroot")
    assert (home.user, home.group, home.mode) == ("nonroot", "nonroot", 0o700)


@nonroot
def test_the_process_runs_as_nonroot_in_its_home(host: Host) -> None:
    assert host.user().name == "nonroot"
    assert host.check_output("id -u") == "65532"
    assert host.check_output("pwd") == "/home/nonroot"
    process = host.process.get(pid=1)
    assert (process.user, process.comm) == ("nonroot", "probe")


@nonroot
def test_nothing_but_the_usual_is_mounted(host: Host) -> None:
    assert host.mount_point("/").filesystem == "overlay"
    assert "ro" in host.mount_point("/sys").options
    assert not host.mount_point("/data").exists


@nonroot
def test_the_image_itself_has_no_shell(host: Host) -> None:
    assert not host.file("/bin/sh").exists
