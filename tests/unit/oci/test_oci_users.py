"""``User`` of an image → numbers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.oci.users import ProcessUser, UserNotFound, resolve_user

ACCOUNTS = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534::/:/sbin/nologin
nonroot:x:65532:65532::/home/nonroot:/sbin/nologin
build:x:1000:100::/:/bin/sh
1234:x:77:78::/:/bin/sh
broken
also:x:broken:1::/:
"""
GROUP = """root:x:0:
users:x:100:build
staff:x:50:build,nonroot
adm:x:4:nonroot
1234:x:99:
broken:x
"""


@pytest.mark.parametrize(
    ("text", "uid", "gid", "more"),
    [
        ("", 0, 0, ()),
        ("0", 0, 0, ()),
        ("root", 0, 0, ()),
        ("nonroot", 65532, 65532, (50, 4)),
        ("65532", 65532, 65532, (50, 4)),
        ("build", 1000, 100, (50,)),  # its primary group does not count twice
        ("1000680000", 1000680000, 0, ()),
        ("1000680000:0", 1000680000, 0, ()),
        ("65532:0", 65532, 0, ()),  # a group that is given replaces the account's supplementary ones
        ("nonroot:staff", 65532, 50, ()),
        ("1000:100000", 1000, 100000, ()),
        (":staff", 0, 50, ()),
        ("1234", 77, 78, ()),  # an account's name goes before its number
        ("0:1234", 0, 99, ()),
        ("nonroot:", 65532, 65532, (50, 4)),
    ],
)
def test_conversion(text: str, uid: int, gid: int, more: tuple[int, ...]) -> None:
    assert resolve_user(text, ACCOUNTS, GROUP) == ProcessUser(uid=uid, gid=gid, additional_gids=more)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ghost", "unable to find user ghost: no matching entries in passwd file"),
        ("also", "unable to find user also: no matching entries in passwd file"),
        ("0:ghosts", "unable to find group ghosts: no matching entries in group file"),
        ("-1", "unable to find user -1"),
        ("1.5", "unable to find user 1.5"),
        ("²", "unable to find user ²"),  # str.isdigit() says yes, int() does not
        ("0:²", "unable to find group ²"),
        (" 0", "unable to find user  0"),
    ],
)
def test_a_name_that_the_image_lacks_is_told_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(UserNotFound, match=words):
        resolve_user(text, ACCOUNTS, GROUP)


def test_without_account_files_only_numbers_work() -> None:
    assert resolve_user("1:2", "", "") == ProcessUser(uid=1, gid=2)
    with pytest.raises(UserNotFound):
        resolve_user("root", "", "")


field = st.sampled_from(["root", "x", "0", "1", "²", "", "a", "-1", "root,a"])
lines = st.lists(st.lists(field, max_size=5).map(":".join), max_size=4).map("\n".join)
names = st.sampled_from(["root", "a", "0", "1", "²", "-1", ""])


@given(st.builds("{}:{}".format, names, names) | names, lines | st.text(), lines | st.text())
def test_account_files_of_a_stranger_never_break_it(text: str, passwd: str, group: str) -> None:
    with contextlib.suppress(UserNotFound):
        assert isinstance(resolve_user(text, passwd, group), ProcessUser)
