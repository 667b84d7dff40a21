"""A root file system is kept for another cell only when its cell left it as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.engine.bundle import Bundle, release_bundle
from lab.engine.workspace import SpareRoot, Workspace

LIKE = ("tree", (), ())


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Workspace:
    return Workspace(run_id="20260101-000000-abcd", root=tmp_path, privileged=False)


def bundle_of(place: Workspace) -> Bundle:
    path = place.root / "cell"
    for name in ("rootfs", "upper", "work"):
        (path / name).mkdir(parents=True)
    (path / "config.json").touch()
    (path / "pid").touch()
    return Bundle(path=path, identifier="x", caller=(0, 0), cgroup="/x", root=SpareRoot.of(path, LIKE))


def test_what_was_left_as_it_was_is_kept_once(place: Workspace) -> None:
    bundle = bundle_of(place)
    release_bundle(place, bundle)
    assert place.spare_root(LIKE) == bundle.root
    assert sorted(os.listdir(bundle.path)) == ["rootfs", "upper", "work"]
    assert place.spare_root(LIKE) is None
    assert place.spare_root(("other", (), ())) is None


CHANGES: dict[str, Callable[[Path], object]] = {
    "an entry": lambda path: (path / "upper" / "new").touch(),
    "a mode of the root": lambda path: (path / "upper").chmod(0o700),
    "a file beside": lambda path: (path / "stdout").touch(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_is_removed(place: Workspace, change: Callable[[Path], object]) -> None:
    bundle = bundle_of(place)
    change(bundle.path)
    release_bundle(place, bundle)
    assert place.spare_root(LIKE) is None
    assert not bundle.path.exists()


def test_what_was_never_plain_is_removed(place: Workspace) -> None:
    bundle = bundle_of(place)
    bundle.root = None
    release_bundle(place, bundle)
    assert place.spare_root(LIKE) is None
    assert not bundle.path.exists()
