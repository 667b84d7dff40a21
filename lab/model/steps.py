"""The steps of the probe, as a scenario writes them (``docs/probe.md`` tells what each does)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BY_ARGUMENTS = {
    0: "lsdev id groups pwd caps nnp uidmap umask environ limits rlim tty fdlist namespaces hold rawsocket unshareU "
    "mountinfo hostname sethostname",
    1: "ls touch append read cat access stat lstat mkdir chdir chroot unlink rmdir readlink utime listxattr statfs "
    "setumask env raisenofile setuid setgid setgroups kill fdstat sleep fds bind unshare mounttmpfs mountsysfs "
    "mountproc umount sysctl",
    2: "write open faccessat2 rename link symlink chmod getxattr signal forks tmpfds inotify keys setmtu",
    3: "chown lchown setxattr setrlimit",
    4: "mknod",
    5: "mount",
}

STEPS: Mapping[str, int] = MappingProxyType(
    {step: number for number, steps in _BY_ARGUMENTS.items() for step in steps.split()}
)
"""Every step that takes a fixed number of words, and that number."""

COUNTED = "spawn"
"""The step whose first word says how many follow it."""

REST = "exec"
"""The step that takes all words that follow."""
