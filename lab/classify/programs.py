"""Texts of programs inside the container (account tools, git, ssh, sudo, FUSE) that name their trouble unmistakably.

Asked only when a program ended with an error. A bare ``Permission denied`` is not here: which right was missing, and
whether that was why the program failed, it does not tell.
"""

from __future__ import annotations

import re

from lab.classify.evidence import bounded
from lab.classify.finding import Finding
from lab.classify.lines import LONGEST
from lab.classify.runtime_texts import TextRule
from lab.model.verdict import Phase


def _rule(name: str, cause: str, pattern: str, note: str) -> TextRule:
    return TextRule(name, cause, Phase.PROCESS, re.compile(pattern), note)


PROGRAM_RULES: tuple[TextRule, ...] = (
    _rule("git-owner", "owner-mismatch", r"^fatal: (?:detected dubious ownership|unsafe repository).*", "git ≥ 2.35.2"),
    _rule("no-name", "account-missing", r"cannot find name for user ID \d+", "id, whoami"),
    _rule("ssh-account", "account-missing", r"No user exists for uid \d+", "ssh, ssh-keygen"),
    _rule("sudo-account", "account-missing", r"you do not exist in the passwd database", "sudo"),
    _rule("python-account", "account-missing", r"getpwuid\(\): uid not found: \d+", "python"),
    _rule("in-use", "account-conflict", r"^(?:addgroup|adduser): The [UG]ID `?\d+'? is already in use", "adduser"),
    _rule("exists", "account-conflict", r"^(?:user|group)(?:mod|add): [UG]ID '?\d+'? already exists", "shadow"),
    _rule("only-root", "root-required", r"Only root may add a user or group to the system", "adduser"),
    _rule("locked", "account-database-locked", r"cannot lock /etc/\w+; try again later", "shadow"),
    _rule(
        "fuse-open",
        "fuse-not-permitted",
        r"fuse: (?:device not found|failed to open /dev/fuse: Permission denied).*",
        "",
    ),
    _rule("fuse-mount", "fuse-not-permitted", r"fusermount3?: mount failed: Operation not permitted", "fusermount"),
    _rule("read-only", "erofs", r".*: Read-only file system$", "errno text of libc"),
    _rule("open-files", "nofile-exhausted", r".*: Too many open files.*", "errno text of libc"),
    _rule("fork", "limit-exhausted", r"(?:Cannot fork|fork: .*Resource temporarily unavailable)", "shells"),
    _rule(
        "library-gone",
        "program-not-found",
        r"error while loading shared libraries: .*: No such file or directory",
        "ld.so",
    ),
    _rule("library-denied", "read-denied", r"error while loading shared libraries: .*: Permission denied", "ld.so"),
    _rule("perl-gone", "tool-missing", r"you need to install the `perl' package", "deluser"),
)


def judge_program(text: str) -> Finding | None:
    """What a program's stderr says, or ``None``."""
    for line in text.splitlines():
        for rule in PROGRAM_RULES:
            if found := rule.find(line[:LONGEST]):
                return Finding(rule.cause, rule.phase, bounded(found[0]))
    return None
