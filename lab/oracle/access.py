"""Linux discretionary access control: whether a process may read, write or execute (search) a file.

path_resolution(7), "Permissions", and ``generic_permission`` in fs/namei.c: the owner's three bits decide for the
owner, the group's for members, the last for all others, and nobody gets a second try with the next three. Then come the
capabilities.
"""

from __future__ import annotations

from lab.oracle.credentials import Credentials
from lab.oracle.tree import Kind, Node

READ, WRITE, EXECUTE = 4, 2, 1
_ANY_EXECUTE = 0o111
STICKY, SET_GID, SET_UID = 0o1000, 0o2000, 0o4000


def permits(who: Credentials, node: Node, want: int) -> bool:
    """Whether the kernel grants ``want`` (of :data:`READ`, :data:`WRITE`, :data:`EXECUTE`) on a file."""
    if _bits(who, node) & want == want:
        return True
    if node.kind is Kind.DIRECTORY:
        if not want & WRITE and rules_over(who, node, "CAP_DAC_READ_SEARCH"):
            return True
        return rules_over(who, node, "CAP_DAC_OVERRIDE")
    if want == READ and rules_over(who, node, "CAP_DAC_READ_SEARCH"):
        return True
    executable = not want & EXECUTE or bool(node.mode & _ANY_EXECUTE)
    return executable and rules_over(who, node, "CAP_DAC_OVERRIDE")


def _bits(who: Credentials, node: Node) -> int:
    uid, gid = who.maps.inside(node.uid, node.gid)
    if uid == who.uid:
        return node.mode >> 6
    if gid == who.gid or gid in who.groups:
        return node.mode >> 3
    return node.mode


def owns(who: Credentials, node: Node) -> bool:
    """Whether the process is the file's owner."""
    return who.maps.inside(node.uid, node.gid)[0] == who.uid


def member(who: Credentials, node: Node) -> bool:
    """Whether the process is in the file's group."""
    return who.maps.inside(node.uid, node.gid)[1] in {who.gid, *who.groups}


def rules_over(who: Credentials, node: Node, capability: str) -> bool:
    """Whether an effective capability counts for this file (``capable_wrt_inode_uidgid``)."""
    return capability in who.effective and who.maps.has(node.uid, node.gid)
