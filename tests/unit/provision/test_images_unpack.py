"""Unpacking: what archives may do, and what they may not, whatever their author wanted."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import ArchiveError, DigestMismatch
from lab.provision.rootfs import remove_tree
from lab.provision.tree import MAX_DEPTH, Tree
from lab.provision.unpack import Limits, Reading, unpack_stream

IS_ROOT = os.geteuid() == 0
Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes | None = None, **fields: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if content is not None:
        info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content or b""


def folder(name: str, mode: int = 0o755, **fields: object) -> Entry:
    return entry(name, None, type=tarfile.DIRTYPE, mode=mode, **fields)


def link(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def second_name(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def archive(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def unpack(root: Path, *layers: bytes, whiteouts: bool = True, limits: Limits | None = None) -> Tree:
    root.mkdir(exist_ok=True)
    with Tree(root) as tree:
        for layer in layers:
            how = Reading(label="test.tar", whiteouts=whiteouts, limits=limits or Limits())
            unpack_stream(io.BytesIO(layer), tree, how)
        tree.finish()
    return tree


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_modes_times_links_and_fifos_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unpack(
        root,
        archive(
            folder("./", 0o711),
            folder("tmp", 0o1777, mtime=1_000_000_000),
            folder("closed", 0o500),
            entry("closed/su", b"#!", mode=0o4755, mtime=1_234_567_890),
            second_name("also", "closed/su"),
            link("sh", "closed/su"),
            entry("pipe", type=tarfile.FIFOTYPE, mode=0o622),
        ),
    )
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert (root / "tmp").stat().st_mtime == 1_000_000_000
    assert stat.S_IMODE((root / "closed").stat().st_mode) == 0o500
    assert stat.S_IMODE((root / "closed/su").stat().st_mode) == 0o4755
    assert (root / "also").stat().st_ino == (root / "closed/su").stat().st_ino
    assert (root / "sh").readlink() == Path("closed/su")
    assert stat.S_ISFIFO((root / "pipe").lstat().st_mode)
    assert stat.S_IMODE((root / "pipe").lstat().st_mode) == 0o622
    (root / "closed").chmod(0o700)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away and make nodes")
def test_root_keeps_owners_nodes_and_capabilities(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000202000000000000000000000000000000")
    tree = unpack(
        tmp_path / "root",
        archive(
            folder("home", 0o700, uid=65532, gid=65533),
            entry("home/f", b"x", uid=1_000_680_000, gid=0),
            link("home/l", "f"),
            entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            entry("ping", b"x", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": capability.decode()}),
            entry("over", b"x", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/etc"}),
        ),
    )
    root = tmp_path / "root"
    assert ((root / "home").stat().st_uid, (root / "home").stat().st_gid) == (65532, 65533)
    assert (root / "home/f").stat().st_uid == 1_000_680_000
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "null").stat().st_mode) == 0o666
    assert os.getxattr(root / "ping", "security.capability") == capability
    assert os.listxattr(root / "over") == []
    assert tree.losses.summary() == ("attributes: trusted.overlay.redirect is no part of an image (1 files)",)


def test_a_later_layer_replaces_whatever_had_the_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unpack(
        root,
        archive(
            folder("a"), entry("a/old", b"1"), entry("b", b"2"), link("c", "a"), folder("d"), entry("d/keep", b"3")
        ),
        archive(entry("a", b"file now"), folder("b"), entry("b/in", b"4"), folder("c"), folder("d", 0o700)),
    )
    assert (root / "a").read_bytes() == b"file now"
    assert listing(root) == ["a", "b", "b/in", "c", "d", "d/keep"]
    assert not (root / "c").is_symlink()
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o700


def test_whiteouts_hide_lower_layers_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    lower = archive(
        folder("etc"),
        entry("etc/a", b"1"),
        entry("etc/b", b"1"),
        folder("opt"),
        folder("opt/x"),
        entry("opt/x/1", b"1"),
        entry("opt/2", b"1"),
        entry("gone", b"1"),
    )
    upper = archive(
        entry("etc/a", b"2"),
        entry("etc/.wh.a", b""),
        entry("etc/.wh.b", b""),
        entry("opt/new", b"2"),
        entry("opt/x/new", b"2"),
        entry("opt/.wh..wh..opq", b""),
        entry("opt/after", b"2"),
        entry(".wh.gone", b""),
        entry(".wh.never-was", b""),
        entry(".wh..wh.aufs", b""),
    )
    unpack(root, lower, upper)
    assert listing(root) == ["etc", "etc/a", "opt", "opt/after", "opt/new", "opt/x", "opt/x/new"]
    assert (root / "etc/a").read_bytes() == b"2"


def test_whiteouts_are_plain_names_outside_of_layers(tmp_path: Path) -> None:
    unpack(tmp_path / "root", archive(entry("x", b""), entry(".wh.x", b"")), whiteouts=False)
    assert listing(tmp_path / "root") == [".wh.x", "x"]


def test_a_link_inside_the_root_is_resolved_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unpack(root, archive(folder("usr/lib"), link("lib", "/usr/lib"), link("l2", "usr/../lib"), entry("l2/x", b"1")))
    assert (root / "usr/lib/x").read_bytes() == b"1"


@pytest.mark.parametrize(
    "hostile",
    [
        [entry("../victim/evil", b"x")],
        [entry("a/../../victim/evil", b"x")],
        [entry("/victim/evil", b"x")],
        [link("l", "{victim}"), entry("l/evil", b"x")],
        [link("l", "../victim"), entry("l/evil", b"x")],
        [folder("a"), link("a/l", "../../victim"), entry("a/l/evil", b"x")],
        [link("l", "../victim"), folder("l/sub")],
        [link("l", "../victim"), link("m", "l"), entry("m/evil", b"x")],
        [link("l", "l"), entry("l/evil", b"x")],
        [second_name("h", "../victim/secret")],
        [second_name("h", "{victim}/secret")],
        [link("l", "../victim"), second_name("h", "l/secret")],
        [link("l", "../victim"), entry("l/.wh.secret", b"")],
        [link("l", "../victim"), entry("l/.wh..wh..opq", b"")],
        [entry(".wh...", b"")],
        [entry(".wh.", b"")],
        [entry(".", b"x")],
        [second_name("h", "absent")],
        [entry("f", b"x"), entry("f/below", b"x")],
        [folder("/".join("d" * (MAX_DEPTH + 1)))],
        [entry("n" * 300, b"x")],
        [entry("u", b"x", uid=2**32)],
        [entry("dev", type=tarfile.CHRTYPE, devmajor=1 << 14, devminor=0)],
        [entry("odd", type=b"Z")],
    ],
)
def test_hostile_archives_are_refused_and_touch_nothing(tmp_path: Path, hostile: Sequence[Entry]) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "secret").write_text("s")
    for info, _ in hostile:
        info.linkname = info.linkname.replace("{victim}", str(victim))
    with pytest.raises(ArchiveError) as caught:
        unpack(tmp_path / "root", archive(*hostile))
    assert any(repr(info.name) in str(caught.value) for info, _ in hostile)
    assert listing(tmp_path / "victim") == ["secret"]
    assert (victim / "secret").stat().st_nlink == 1


PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", ".wh.a", ".wh..wh..opq"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TARGETS = st.one_of(
    NAMES, st.sampled_from(["../victim", "../../victim", "/", "..", "{victim}", "{victim}/secret", "/a"])
)
ENTRIES = st.one_of(
    st.builds(lambda name: entry(name, b"x"), NAMES),
    st.builds(folder, NAMES, st.sampled_from([0o755, 0o0, 0o7777])),
    st.builds(link, NAMES, TARGETS),
    st.builds(second_name, NAMES, TARGETS),
    st.builds(lambda name: entry(name, type=tarfile.FIFOTYPE), NAMES),
)


def snapshot(base: Path) -> list[tuple[object, ...]]:
    return [
        (path.name, now.st_mode, now.st_uid, now.st_gid, now.st_nlink, now.st_size, now.st_mtime_ns, now.st_ino)
        for path in (base / "victim", base / "victim/secret")
        for now in (path.lstat(),)
    ] + [(sorted(os.listdir(base)),), (sorted(os.listdir(base / "victim")),)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(ENTRIES, max_size=8), min_size=1, max_size=3))
def test_nothing_outside_the_root_ever_changes(layers: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "victim").mkdir()
        (base / "victim/secret").write_text("s")
        (base / "root").mkdir()
        before = snapshot(base)
        for layer in layers:
            for info, _ in layer:
                info.linkname = info.linkname.replace("{victim}", str(base / "victim"))
        with suppress(ArchiveError):
            unpack(base / "root", *(archive(*layer) for layer in layers))
        remove_tree(base / "root")
        (base / "root").mkdir()
        assert snapshot(base) == before


@pytest.mark.parametrize(
    "squeeze",
    [bytes, gzip.compress, lzma.compress, bz2.compress, zstandard.ZstdCompressor().compress],
    ids=["plain", "gzip", "xz", "bzip2", "zstd"],
)
def test_every_compression_is_told_from_the_bytes(tmp_path: Path, squeeze: Callable[[bytes], bytes]) -> None:
    whole = squeeze(archive(entry("f", os.urandom(200_000)), entry("g", b"2")))
    unpack(tmp_path / "root", whole)
    assert listing(tmp_path / "root") == ["f", "g"]
    for cut in (5, len(whole) // 2, len(whole) - (10_000 if squeeze is bytes else 3)):
        with pytest.raises(ArchiveError, match=r"test\.tar|ends inside 'f'"):
            unpack(tmp_path / f"cut-{cut}", whole[:cut])


@pytest.mark.parametrize("garbage", [b"", b"no archive", b"\x1f\x8b" + b"x" * 600, b"BZh9" + b"x" * 600, b"x" * 2000])
def test_garbage_gives_one_clear_error(tmp_path: Path, garbage: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"test\.tar"):
        unpack(tmp_path / "root", garbage)


def test_a_damaged_header_in_the_middle_is_an_error(tmp_path: Path) -> None:
    whole = bytearray(archive(entry("f", b"1" * 512), entry("g", b"2")))
    whole[1024 : 1024 + 100] = b"#" * 100
    with pytest.raises(ArchiveError, match=r"test\.tar is damaged"):
        unpack(tmp_path / "root", bytes(whole))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 1500), st.binary(min_size=1, max_size=20))
def test_random_damage_never_gives_another_error(noise: bytes, place: int, patch: bytes) -> None:
    whole = bytearray(archive(folder("d"), entry("d/f", b"1" * 700), link("l", "d/f")))
    whole[place : place + len(patch)] = patch
    for data in (noise, bytes(whole), gzip.compress(bytes(whole))[: 50 + place]):
        with tempfile.TemporaryDirectory() as name:
            with suppress(ArchiveError):
                unpack(Path(name) / "root", data)
            remove_tree(Path(name) / "root")


def test_bombs_end_at_the_limits(tmp_path: Path) -> None:
    bomb = gzip.compress(archive(entry("zeros", bytes(3_000_000))))
    with pytest.raises(ArchiveError, match="larger than is sensible"):
        unpack(tmp_path / "a", bomb, limits=Limits(size=2_000_000))
    many = archive(*(entry(f"f{number}", b"") for number in range(20)))
    with pytest.raises(ArchiveError, match="more than 10 entries"):
        unpack(tmp_path / "b", many, limits=Limits(entries=10))
    header = archive(entry("f", b"", pax_headers={"comment": "x" * 3_000_000}))
    with pytest.raises(ArchiveError, match="header larger than is sensible"):
        unpack(tmp_path / "c", header)


def test_the_digest_of_a_layer_is_checked(tmp_path: Path) -> None:
    layer = archive(entry("f", b"1"))
    (tmp_path / "root").mkdir()
    with Tree(tmp_path / "root") as tree:
        good = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        unpack_stream(io.BytesIO(gzip.compress(layer)), tree, Reading(label="l", diff_id=good))
        with pytest.raises(DigestMismatch, match="not the layer"):
            unpack_stream(io.BytesIO(layer), tree, Reading(label="l", diff_id=f"sha256:{'0' * 64}"))
