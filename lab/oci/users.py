"""``User`` of an image, or ``--user``, → numbers, after image-spec's conversion rules.

image-spec, conversion.md, "Config.User": names are looked up in the image's /etc/passwd and /etc/group; numbers are
taken as they are; without a group the account's primary group and its supplementary groups apply (moby does the same).
"""

from __future__ import annotations

from dataclasses import dataclass


class UserNotFound(LookupError):
    """A name that the image's account files do not have; the text is the one that Docker users know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUser:
    """``process.user`` in numbers."""

    uid: int
    gid: int
    additional_gids: tuple[int, ...] = ()


def resolve_user(text: str, passwd: str, group: str) -> ProcessUser:
    """Numbers for ``user[:group]``; raises :class:`UserNotFound`. Empty means uid 0, gid 0."""
    name, _, group_name = text.partition(":")
    accounts = _table(passwd, 4)
    groups = _table(group, 4)
    account = next((row for row in accounts if row[0] == name), None)
    if account is None and (_is_number(name) or not name):
        account = next((row for row in accounts if row[2] == (name or "0")), None)
        uid = int(name or 0)
    elif account is None:
        raise UserNotFound(f"unable to find user {name}: no matching entries in passwd file")
    else:
        uid = int(account[2])
    if group_name:
        return ProcessUser(uid=uid, gid=_group_id(group_name, groups))
    gid = int(account[3]) if account and _is_number(account[3]) else 0
    members = () if account is None else tuple(int(row[2]) for row in groups if account[0] in row[3].split(","))
    return ProcessUser(uid=uid, gid=gid, additional_gids=tuple(member for member in members if member != gid))


def _group_id(name: str, groups: list[list[str]]) -> int:
    found = next((row for row in groups if row[0] == name), None)
    if found is not None:
        return int(found[2])
    if _is_number(name):
        return int(name)
    raise UserNotFound(f"unable to find group {name}: no matching entries in group file")


def _table(text: str, columns: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) >= columns and _is_number(row[2])]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
