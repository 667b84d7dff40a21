"""Edits of a tree stay inside it, whatever symlinks it holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engine.trees import apply_edits, lstat_in_root, open_in_root, read_text
from lab.errors import HostError
from lab.model.settings import Edit, EditKind

needs_root = pytest.mark.needs_root


def keep(_uid: int, _gid: int) -> tuple[int, int]:
    """Leaves the owner, so that these tests need no root."""
    return -1, -1


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a tree in it, beside things that no edit of the tree may touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    (tmp_path / "probe").write_bytes(b"the probe")
    (tmp_path / "root").mkdir()
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before


def snapshot(place: Path) -> dict[str, object]:
    """All beside the tree: kind, mode, owner, content."""
    found: dict[str, object] = {}
    for path in sorted([place, *place.rglob("*")]):
        if path != place / "root" and place / "root" not in path.parents:
            info = path.lstat()
            found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, path.read_bytes() if path.is_file() else b"")
    return found


def edit(place: Path, *edits: Edit, owner: Callable[[int, int], tuple[int, int]] = keep) -> None:
    apply_edits(place / "root", edits, place / "probe", owner)


def test_each_kind(place: Path) -> None:
    edit(
        place,
        Edit(path="/a/b/dir", mode=0o2750),
        Edit(path="/a/file", kind=EditKind.FILE, content="text", mode=0o4711),
        Edit(path="/a/file2", kind=EditKind.FILE),
        Edit(path="/a/file2", kind=EditKind.FILE, content="more", append=True),
        Edit(path="/bin/p", kind=EditKind.FILE, program="probe", mode=0o755),
        Edit(path="/link", kind=EditKind.SYMLINK, target="/a/file"),
        Edit(path="/fifo", kind=EditKind.FIFO, mode=0o600),
    )
    root = place / "root"
    modes = {
        name: stat.S_IMODE((root / name).lstat().st_mode) for name in ("a", "a/b/dir", "a/file", "a/file2", "fifo")
    }
    assert modes == {"a": 0o755, "a/b/dir": 0o2750, "a/file": 0o4711, "a/file2": 0o644, "fifo": 0o600}
    assert (root / "a/file2").read_text() == "more"
    assert (root / "bin/p").read_bytes() == b"the probe"
    assert os.readlink(root / "link") == "/a/file"
    assert stat.S_ISFIFO((root / "fifo").stat().st_mode)


@needs_root
def test_owners_and_devices(place: Path) -> None:
    def shifted(uid: int, gid: int) -> tuple[int, int]:
        return uid + 1000, gid + 2000

    edit(
        place,
        Edit(path="/a/dir", uid=1, gid=2),
        Edit(path="/a/link", kind=EditKind.SYMLINK, target="dir", uid=3),
        Edit(path="/suid", kind=EditKind.FILE, program="probe", uid=5, mode=0o4755),
        Edit(path="/null", kind=EditKind.CHARACTER_DEVICE, major=1, minor=3, mode=0o666),
        Edit(path="/disk", kind=EditKind.BLOCK_DEVICE, major=7, minor=9),
        owner=shifted,
    )
    root = place / "root"
    owners = {
        name: ((root / name).lstat().st_uid, (root / name).lstat().st_gid) for name in ("a", "a/dir", "a/link", "suid")
    }
    assert owners == {"a": (1000, 2000), "a/dir": (1001, 2002), "a/link": (1003, 2000), "suid": (1005, 2000)}
    assert stat.S_IMODE((root / "suid").stat().st_mode) == 0o4755
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((root / "disk").stat().st_mode)


def test_the_labs_umask_decides_nothing(place: Path) -> None:
    old = os.umask(0o077)
    try:
        edit(place, Edit(path="/x/y"), Edit(path="/x/f", kind=EditKind.FILE))
    finally:
        os.umask(old)
    root = place / "root"
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("x", "x/y", "x/f")] == [0o755, 0o755, 0o644]


def test_removing_and_replacing(place: Path) -> None:
    edit(place, Edit(path="/d/e/f", kind=EditKind.FILE), Edit(path="/l", kind=EditKind.SYMLINK, target="/d"))
    edit(place, Edit(path="/l", kind=EditKind.REMOVE), Edit(path="/absent", kind=EditKind.REMOVE))
    assert (place / "root/d/e/f").exists()
    edit(place, Edit(path="/d", kind=EditKind.FILE, content="now a file"))
    assert (place / "root/d").read_text() == "now a file"
    edit(place, Edit(path="/", mode=0o700))
    assert stat.S_IMODE((place / "root").stat().st_mode) == 0o700
    (place / "root").chmod(0o755)


KINDS = [kind for kind in EditKind if kind not in {EditKind.CHARACTER_DEVICE, EditKind.BLOCK_DEVICE}]
TARGETS = [
    "{outside}",
    "../outside",
    "../../../../../../{outside}",
    "/",
    "..",
    ".",
    "loop",
    "{outside}/precious",
    "missing/x",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "path", ["/loop", "/loop/precious", "/loop/made", "/loop/../../outside/precious", "/d/loop/precious"]
)
def test_a_hostile_symlink_leads_nowhere(place: Path, kind: EditKind, target: str, path: str) -> None:
    target = target.format(outside=place / "outside")
    (place / "root" / "d").mkdir()
    for name in ("loop", "d/loop"):
        (place / "root" / name).symlink_to(target)
    for append in (False, True):
        try:
            edit(place, Edit(path=path, kind=kind, content="x", target="/etc", mode=0o777, append=append))
        except HostError as error:
            message = error.brief
            assert path in message
    lstat_in_root(place / "root", path)
    assert "precious" not in read_text(place / "root", "/loop")
    assert "precious" not in read_text(place / "root", "/loop/precious")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "path", ["/..", "/d/..", "/d/../..", "..", "../outside", "/../outside/precious", "/d/../../outside", ""]
)
def test_dots_lead_nowhere(place: Path, kind: EditKind, path: str) -> None:
    (place / "root" / "d").mkdir()
    try:
        edit(place, Edit(path=path, kind=kind, content="x", target="/etc"))
    except HostError as error:
        message = error.brief
        assert "cannot be made" in message
    assert (place / "root").is_dir()


@given(
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "\0", "x" * 300]), max_size=5).map("/".join),
    st.sampled_from(KINDS),
)
def test_any_path_is_edited_inside_or_refused(
    tmp_path_factory: pytest.TempPathFactory, path: str, kind: EditKind
) -> None:
    place = tmp_path_factory.mktemp("place")
    (place / "root" / "a").mkdir(parents=True)
    (place / "root" / "b").symlink_to("../../..")
    (place / "probe").write_bytes(b"")
    before = snapshot(place)
    try:
        edit(place, Edit(path=path, kind=kind, content="x"))
    except HostError as error:
        assert error.brief  # noqa: PT017  # some paths can be edited
    assert snapshot(place) == before


def test_appending_keeps_owner_and_mode_and_needs_the_file(place: Path) -> None:
    edit(place, Edit(path="/etc/passwd", kind=EditKind.FILE, content="root\n", mode=0o640))
    edit(place, Edit(path="/etc/passwd", kind=EditKind.FILE, content="me\n", append=True, mode=0o777))
    assert (place / "root/etc/passwd").read_text() == "root\nme\n"
    assert stat.S_IMODE((place / "root/etc/passwd").stat().st_mode) == 0o640
    with pytest.raises(HostError, match="/etc/group"):
        edit(place, Edit(path="/etc/group", kind=EditKind.FILE, content="x", append=True))


def test_looking_inside(place: Path) -> None:
    root = place / "root"
    (root / "real").write_text("inside")
    (root / "absolute").symlink_to("/real")
    (root / "up").symlink_to("../../../../real")
    assert read_text(root, "/absolute") == read_text(root, "/up") == "inside"
    assert read_text(root, "/absent") == read_text(root, "/") == ""
    info = lstat_in_root(root, "/absolute")
    assert info is not None
    assert stat.S_ISLNK(info.st_mode)
    assert lstat_in_root(root, "/absent") is None
    fd = os.open(root, os.O_PATH)
    try:
        with pytest.raises(FileNotFoundError):
            open_in_root(fd, "/etc/passwd", os.O_RDONLY)
    finally:
        os.close(fd)
