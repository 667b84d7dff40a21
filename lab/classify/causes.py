"""Every cause that a verdict can name. Names are stable for ever: stored runs and expectations refer to them.

``docs/causes.md`` has a section for each: what it means, the sentence of the specification, the texts, the cure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from types import MappingProxyType
from typing import Literal

Kind = Literal["denied", "failed"]


class Shown(Flag):
    """What shows a cause: a text, the probe's facts, a check of the scenario, a platform's rule applied by the lab."""

    TEXT = auto()
    FACTS = auto()
    CHECK = auto()
    RULE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A cause: its name, what it means, which verdict it gives, and what shows it."""

    name: str
    meaning: str
    verdict: Kind
    shown: Shown


def _denied(name: str, shown: Shown, meaning: str) -> Cause:
    return Cause(name=name, meaning=meaning, verdict="denied", shown=shown)


def _failed(name: str, shown: Shown, meaning: str) -> Cause:
    return Cause(name=name, meaning=meaning, verdict="failed", shown=shown)


_TEXT, _FACTS, _CHECK = Shown.TEXT, Shown.FACTS, Shown.CHECK

_ALL = (
    # the working directory
    _denied("cwd-not-searchable", _TEXT | _FACTS, "The working directory, or one above it, may not be entered."),
    _denied("cwd-not-creatable", _TEXT, "The working directory does not show, and the runtime may not make it."),
    _failed("cwd-missing", _TEXT, "The working directory does not exist, and nobody makes it."),
    _failed("cwd-not-directory", _TEXT, "The working directory is a file, or lies below one."),
    _denied("cwd-outside-root", _TEXT, "The working directory is outside the container's root."),
    # the program
    _denied("exec-not-permitted", _TEXT | _FACTS, "The program exists, but the process may not execute it."),
    _denied("program-not-in-path", _TEXT, "No directory of PATH that may be searched holds the program."),
    _failed("program-not-found", _TEXT | _FACTS, "The program, its interpreter or its loader does not exist."),
    _failed("program-format", _TEXT | _FACTS, "The kernel cannot execute the program's format."),
    # identities
    _denied("user-not-found", _TEXT, "The image's passwd file has no such user."),
    _denied("group-not-found", _TEXT, "The image's group file has no such group."),
    _denied("run-as-non-root", Shown.RULE, "A kubelet would not start the container: its user is, or may be, root."),
    _denied("uid-not-mapped", _TEXT | _FACTS, "The user namespace does not map the uid."),
    _denied("gid-not-mapped", _TEXT | _FACTS, "The user namespace does not map the gid, or one of the groups."),
    _denied("image-id-not-mapped", _TEXT, "The image has files of ids that the user namespace does not map."),
    _denied("user-not-permitted", _TEXT, "The runtime may not become the user: it lacks CAP_SETUID or CAP_SETGID."),
    _denied("setgroups-not-permitted", _TEXT | _FACTS, "The process may not set its supplementary groups."),
    _denied("userns-not-configured", _TEXT, "No subordinate ids are configured for the user."),
    _denied("userns-map-not-permitted", _TEXT, "The caller may not write this uid or gid map."),
    _failed("userns-without-mappings", _TEXT, "A user namespace is asked for without maps."),
    _failed("userns-incompatible", _TEXT, "The engine refuses this option together with user namespaces."),
    _denied("account-missing", _TEXT, "A program needs an account for its uid, and the image has none."),
    _denied("account-conflict", _TEXT, "The uid, gid or name is taken by another account."),
    _denied("account-database-locked", _TEXT, "The account files cannot be locked or written."),
    # namespaces, capabilities, limits, filters
    _denied("namespace-not-permitted", _TEXT | _FACTS, "A namespace may not be made or joined."),
    _failed("namespace-missing", _TEXT, "The namespace to be joined does not exist."),
    _denied("namespace-not-owned", _FACTS, "The capability is there, but another user namespace owns the object."),
    _denied("capability-unavailable", _TEXT, "The runtime may not give a capability that it does not have."),
    _denied("capability-missing", _FACTS, "The process lacks the capability that the operation needs."),
    _denied("root-required", _TEXT, "A program refuses to work for another uid than 0."),
    _denied("setuid-ineffective", _CHECK, "A set-user-ID program did not change the effective uid."),
    _denied("rlimit-not-permitted", _TEXT | _FACTS, "A resource limit may not be raised."),
    _denied("limit-exhausted", _TEXT | _FACTS, "The limit of processes is used up (counted for all of the uid)."),
    _denied("nofile-exhausted", _TEXT | _FACTS, "The process has as many open files as its limit allows."),
    _denied("user-quota-exhausted", _FACTS, "A quota that the kernel keeps for each uid is used up by others too."),
    _denied("keyring-quota", _TEXT, "The uid's quota of keys is used up, so that no session keyring can be made."),
    _denied("seccomp-not-permitted", _TEXT | _FACTS, "A seccomp filter refuses the call, or may not be loaded."),
    _failed("seccomp-profile-rejected", _TEXT, "The runtime's libseccomp cannot turn the profile into a filter."),
    _denied("sysctl-not-permitted", _TEXT, "The sysctl may not be written, or is not the container's own."),
    _failed("sysctl-invalid", _TEXT, "The sysctl does not exist, or does not take the value."),
    _denied("oom-score-not-permitted", _TEXT, "The OOM score may not be lowered."),
    _denied("cgroup-not-permitted", _TEXT, "The caller may not make or change the container's cgroup."),
    _failed("hook-failed", _TEXT, "A hook of the container ended with an error."),
    # mounts, devices, streams
    _denied("mount-not-permitted", _TEXT | _FACTS, "The kernel refuses the mount."),
    _denied("mount-source-not-searchable", _TEXT, "A directory above the source of a bind may not be searched."),
    _failed("mount-source-missing", _TEXT, "The source of a bind does not exist."),
    _failed("mount-failed", _TEXT, "A mount fails, but not for a permission."),
    _failed("mount-option-invalid", _TEXT, "The runtime or the file system does not know a mount option."),
    _denied("device-not-permitted", _TEXT | _FACTS, "A device node may not be made or opened."),
    _failed("device-missing", _TEXT, "The device to be bound does not exist."),
    _denied("fuse-not-permitted", _TEXT | _FACTS, "/dev/fuse may not be opened, or FUSE may not mount."),
    _denied("stdio-not-permitted", _TEXT, "The runtime may not hand the standard streams to the container's user."),
    # files, as the process finds them
    _denied("write-denied", _FACTS, "The process may not write; whose the file is was not seen."),
    _denied("write-denied-owner", _FACTS, "The process is not the owner, and only the owner may write."),
    _denied("write-denied-group", _FACTS, "The group decides: not a member, or the group may not write."),
    _denied("write-denied-userns", _FACTS, "The owner is outside the user namespace, where root has no power."),
    _denied("write-denied-caps", _FACTS, "Uid 0 without CAP_DAC_OVERRIDE is an ordinary user here."),
    _denied("home-unwritable", _CHECK, "The home directory may not be written, or is /."),
    _denied("read-denied", _TEXT | _FACTS, "The process may not read or search."),
    _denied("chown-denied", _FACTS, "The process may not give the file to that owner or group."),
    _denied("owner-required", _FACTS, "Only the owner (or CAP_FOWNER) may do this."),
    _denied("owner-mismatch", _TEXT | _CHECK, "A file's owner is not the one that was expected or demanded."),
    _denied("erofs", _TEXT | _FACTS, "The file system is read-only."),
    _denied("permission-denied", _FACTS, "EACCES or EPERM, for a reason that the facts do not show."),
    # what only the host shows
    _failed("host-escape-write", _CHECK, "A file of the host that must be safe was changed."),
    _failed("stale-owner", _CHECK, "Files keep the id that their account had before."),
    _failed("uid-collision", _CHECK, "Two containers reach each other's files, because they share a uid."),
    _failed("info-leak", _CHECK, "The container sees what belongs to the host."),
    _failed("slow-chown", _CHECK, "Changing owners takes long, or copies the files."),
    # what is no permission
    _failed("entrypoint-refused", _CHECK, "The image's entrypoint refuses by its own rule."),
    _failed("entrypoint-bug", _CHECK, "The image's entrypoint has a fault of its own."),
    _failed("tool-missing", _TEXT, "A program needs another one that the image does not have."),
    _failed("config-rejected", _TEXT, "The runtime refuses the config as invalid."),
    _failed("rootfs-missing", _TEXT, "The root file system does not exist."),
    _failed("lsm-unavailable", _TEXT, "The security module that the config asks for is not there."),
    _failed("usage-error", _TEXT, "The runtime or engine does not know an option that it was given."),
    _failed("build-error", _CHECK, "The image could not be built."),
    _failed("cache-split", _CHECK, "The engine keeps images apart for each user namespace map."),
    _failed("init-binary-missing", _TEXT, "The engine's own init program is not installed."),
    _failed("step-failed", _FACTS, "A step failed, but not for a permission."),
    _failed("check-failed", _CHECK, "A fact is not what the scenario's check demands."),
    _failed("killed", _FACTS, "A signal ended the process."),
    _failed("unrecognised", _TEXT, "The container failed with a text that no rule knows."),
)

CAUSES: Mapping[str, Cause] = MappingProxyType({cause.name: cause for cause in _ALL})
"""Cause → what it is, in the order of the documentation."""
