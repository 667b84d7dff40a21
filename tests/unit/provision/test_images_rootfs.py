"""The canonical digest says what matters to permissions and nothing else; copies and removals are whole."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import ProvisionError
from lab.provision.entries import Meta
from lab.provision.losses import Losses, LostNode, decode
from lab.provision.rootfs import canonical_digest, copy_tree, remove_tree, walk
from lab.provision.tree import Tree

IS_ROOT = os.geteuid() == 0


def sample(root: Path) -> Path:
    root.mkdir()
    with Tree(root) as tree:
        tree.directory("home", Meta(mode=0o700))
        tree.file("home/f", Meta(mode=0o600, mtime=5), [b"one", b"two"])
        tree.hardlink("home/g", "home/f")
        tree.symlink("sh", "home/f", Meta(mode=0o777))
        tree.directory("tmp", Meta(mode=0o1777))
        tree.file("su", Meta(mode=0o4755, xattrs={"user.note": b"\xff"}), [b"#!"])
        tree.file("unreadable", Meta(mode=0o000), [b"x"])
        tree.directory("unsearchable", Meta(mode=0o000))
        tree.file("b\udcffytes", Meta(mode=0o644), [b""])
        tree.finish()
    return root


def test_the_digest_is_the_same_for_the_same_tree(tmp_path: Path) -> None:
    first = canonical_digest(sample(tmp_path / "a"))
    os.utime(tmp_path / "a/su", (77, 77))
    assert canonical_digest(tmp_path / "a") == first
    assert canonical_digest(sample(tmp_path / "b")) == first


def relink(root: Path) -> None:
    (root / "sh").unlink()
    (root / "sh").symlink_to("elsewhere")


CHANGES: dict[str, Callable[[Path], object]] = {
    "mode": lambda root: (root / "su").chmod(0o755),
    "directory mode": lambda root: (root / "tmp").chmod(0o777),
    "content": lambda root: (root / "su").write_bytes(b"##"),
    "new": lambda root: (root / "new").touch(),
    "gone": lambda root: (root / "su").unlink(),
    "name": lambda root: (root / "su").rename(root / "so"),
    "target": relink,
    "unlinked": lambda root: (root / "new").write_bytes(b"onetwo") and (root / "new").rename(root / "home/g"),
    "attribute": lambda root: os.removexattr(root / "su", "user.note"),
    "root": lambda root: root.chmod(0o711),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_changes_the_digest(tmp_path: Path, change: str) -> None:
    root = sample(tmp_path / "a")
    before = canonical_digest(root)
    CHANGES[change](root)
    assert canonical_digest(root) != before


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_owners_count(tmp_path: Path) -> None:
    root = sample(tmp_path / "a")
    before = canonical_digest(root)
    os.lchown(root / "sh", 1, 0)
    assert canonical_digest(root) != before


@pytest.mark.skipif(not IS_ROOT, reason="compares with what root can do")
def test_losses_give_the_digest_of_the_whole_image(tmp_path: Path) -> None:
    def fill(root: Path, *, privileged: bool) -> str:
        root.mkdir()
        with Tree(root) as tree:
            tree.privileged = tree.losses.owners_kept = privileged
            tree.directory("home", Meta(mode=0o700, uid=65532, gid=65532))
            tree.file("home/f", Meta(mode=0o644, uid=7, gid=8), [b"x"])
            tree.hardlink("home/g", "home/f")
            tree.symlink("home/l", "f", Meta(mode=0o777, uid=7, gid=7))
            tree.file("gone", Meta(mode=0o644, uid=9), [b"x"])
            tree.remove("gone")
            losses = tree.finish()
        if not privileged:
            (root / "home").chmod(0o700)
            for found in list(walk(root)):
                os.lchown(root / found.path, 65534, 65534)
        return canonical_digest(root, decode(json.loads(json.dumps(losses.encode()))))

    assert fill(tmp_path / "a", privileged=True) == fill(tmp_path / "b", privileged=False)


def test_losses_survive_json_and_are_told_in_words() -> None:
    losses = Losses(
        owners_kept=False,
        owners={"home/nonroot": (65532, 65532)},
        nodes={"dev/null": LostNode(kind=stat.S_IFCHR, mode=0o666, uid=0, gid=0, rdev=os.makedev(1, 3))},
        xattrs={"bin/ping": {"security.capability": b"\x01\xff"}},
        ignored={"trusted.x": 2},
    )
    assert decode(json.loads(json.dumps(losses.encode()))) == losses
    assert losses.summary() == (
        (
            "owners: every file belongs to the user who unpacked it; 1 were meant for others than 0:0: "
            "home/nonroot (65532:65532)"
        ),
        "nodes: 1 not made: dev/null (character device)",
        "attributes: 1 files lost some: bin/ping (security.capability)",
        "attributes: trusted.x is no part of an image (2 files)",
    )
    assert Losses().summary() == ()


@pytest.mark.parametrize("damaged", [None, {}, [], {"owners_kept": True, "owners": {"a": 1}}])
def test_a_damaged_record_of_losses_is_one_error(damaged: object) -> None:
    with pytest.raises(ProvisionError, match="record of an image"):
        decode(damaged)


def test_a_copy_has_the_same_digest_and_shares_nothing(tmp_path: Path) -> None:
    root = sample(tmp_path / "a")
    copy_tree(root, tmp_path / "b")
    assert canonical_digest(tmp_path / "b") == canonical_digest(root)
    (tmp_path / "b/su").write_bytes(b"other")
    assert (root / "su").read_bytes() == b"#!"
    assert (tmp_path / "b/home/f").stat().st_mtime == 5


def test_removal_ends_no_matter_the_modes_and_follows_no_link(tmp_path: Path) -> None:
    root = sample(tmp_path / "a")
    (tmp_path / "other").mkdir(mode=0o500)
    (root / "away").symlink_to(tmp_path / "other")
    (root / "home/below").mkdir()
    (root / "home/below").chmod(0o000)
    (root / "home").chmod(0o500)
    remove_tree(root)
    remove_tree(root)
    assert not root.exists()
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o500
