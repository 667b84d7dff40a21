"""Images built from Debian packages, after the declarations in ``recipes.toml``.

A recipe says in data: ``suite`` and ``packages`` (with ``dependencies``: also all that apt resolves for them);
``drop`` (names not unpacked, shell patterns whose ``*`` crosses ``/``); ``merged_usr`` (``/bin`` and friends are links
into ``/usr``); ``certificates`` (one bundle of the package's certificates, as ``update-ca-certificates`` writes it);
``applets`` (a busybox whose applets get hard links beside it); ``accounts`` (passwd and group from base-passwd's
masters, with shadow files); ``passwd`` and ``group`` (lines, after those); ``directories`` (``path mode uid:gid``);
``symlinks`` (``path target``); ``copies`` (``from to``, left out when the suite has no such file); ``files`` (path →
text, root 0644); ``dpkg`` (``status``: the package database says *unpacked*; ``status.d``: one control file a
package, as distroless has it); ``config`` (image-spec's words). ``like`` takes over another recipe's
keys; ``files`` of both are joined.

The same packages give the same tree: files carry the packages' own times, what a recipe adds carries time 0.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache as once
from importlib.resources import files
from pathlib import Path
from typing import Any

from lab.errors import ProvisionError
from lab.model.image import ImageConfig
from lab.process import run
from lab.provision import debfile, debian
from lab.provision.cache import Cache
from lab.provision.entries import Meta
from lab.provision.tree import Tree

MERGED = ("bin", "sbin", "lib", "lib64")
FORMAT = 2
"""Raised when the code below gives another tree for the same declaration, so that cached images are built again."""

APPLETS_DEADLINE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One declaration; the fields are the keys of ``recipes.toml``, in the words of the module's text."""

    name: str
    summary: str
    suite: str
    packages: tuple[str, ...]
    dependencies: bool = False
    drop: tuple[str, ...] = ()
    merged_usr: bool = False
    certificates: bool = False
    applets: str = ""
    accounts: bool = False
    passwd: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    symlinks: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    dpkg: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    config: ImageConfig = field(default_factory=ImageConfig)

    @property
    def key(self) -> str:
        """Hex digest of all that decides about the tree; recipes that differ in ``config`` only share one tree."""
        skipped = {"name", "summary", "config"}
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in skipped}
        text = json.dumps([FORMAT, debian.architecture(), told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@once
def recipes() -> Mapping[str, Recipe]:
    """Every shipped recipe by its name, in the order of the file."""
    tables = tomllib.loads(files("lab.provision").joinpath("recipes.toml").read_text())
    return {name: _recipe(name, tables) for name in tables}


def _recipe(name: str, tables: Mapping[str, Mapping[str, object]]) -> Recipe:
    own = dict(tables[name])
    base = tables[str(own.pop("like"))] if "like" in own else {}
    told = {**base, **own, "files": {**_table(base, "files"), **_table(own, "files")}}
    config = told.pop("config", {})
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return Recipe(name=name, config=read_config(config), **frozen)  # type: ignore[arg-type]  # shipped data, tested


def _table(keys: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = keys.get(name, {})
    return found if isinstance(found, dict) else {}


def read_config(data: object) -> ImageConfig:
    """The part of an image-spec ``config`` object that the lab uses; ``ProvisionError`` for wrong types."""
    told = {} if data is None else data
    if not isinstance(told, Mapping):
        raise ProvisionError("an image configuration is no object")
    user, folder = (_or(told.get(key), "") for key in ("User", "WorkingDir"))
    lists = [_or(told.get(key), []) for key in ("Env", "Entrypoint", "Cmd")]
    if not (isinstance(user, str) and isinstance(folder, str) and all(_texts(words) for words in lists)):
        raise ProvisionError("an image configuration has a value of the wrong type", details=str(dict(told))[:500])
    env, entrypoint, cmd = (tuple(words) for words in lists)
    return ImageConfig(user=user, working_dir=folder, env=env, entrypoint=entrypoint, cmd=cmd)


def _or(value: Any, default: Any) -> Any:  # noqa: ANN401  # JSON of a stranger
    return default if value is None else value


def _texts(words: object) -> bool:
    return isinstance(words, Sequence) and not isinstance(words, str) and all(isinstance(word, str) for word in words)


def build(cache: Cache, recipe: Recipe, root: Path, tree: Tree) -> Mapping[str, object]:
    """Fill ``tree``, whose root is ``root``, and return the facts to record; ``tree`` is not finished yet."""
    ask = debian.closure if recipe.dependencies else debian.fetch
    debs = ask(cache, recipe.suite, recipe.packages)
    if recipe.merged_usr:
        for name in MERGED:
            tree.directory(f"usr/{name}", Meta(mode=0o755))
            tree.symlink(name, f"usr/{name}", Meta(mode=0o777))
    packages = [debfile.read(deb.path) for deb in debs]
    listings = [package.unpack(tree, lambda name: _dropped(name, recipe.drop)) for package in packages]
    _declared(recipe, tree)
    if recipe.dpkg == "status":
        _database(tree, packages, listings)
    elif recipe.dpkg == "status.d":
        for package in packages:
            _write(tree, f"var/lib/dpkg/status.d/{package.field('Package')}", package.control["control"])
    if recipe.certificates:
        _certificates(tree)
    if recipe.applets:
        _applets(tree, recipe.applets, root)
    return {
        "recipe": recipe.name,
        "suite": recipe.suite,
        "packages": {deb.name: {"version": deb.version, "sha256": deb.sha256} for deb in debs},
        "maintainer_scripts": "not run; their effects that matter are declared in the recipe",
    }


def _dropped(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _write(tree: Tree, name: str, content: bytes, mode: int = 0o644, gid: int = 0) -> None:
    tree.file(name, Meta(mode=mode, gid=gid), [content])


def _declared(recipe: Recipe, tree: Tree) -> None:
    for line in recipe.directories:
        name, mode, owner = line.split()
        uid, _, gid = owner.partition(":")
        tree.directory(name, Meta(mode=int(mode, 8), uid=int(uid), gid=int(gid)), through_link=False)
    for line in recipe.copies:
        source, target = line.split()
        if tree.exists(source):
            _write(tree, target, tree.read(source))
    for name, text in recipe.files.items():
        _write(tree, name, text.encode())
    for line in recipe.symlinks:
        name, target = line.split()
        tree.symlink(name, target, Meta(mode=0o777))
    _accounts(recipe, tree)


def _accounts(recipe: Recipe, tree: Tree) -> None:
    """``etc/passwd`` and ``etc/group``, with locked shadow files when the masters of base-passwd are used."""
    passwd, group = list(recipe.passwd), list(recipe.group)
    if recipe.accounts:
        passwd = [_locked(line) for line in _master(tree, "passwd")] + passwd
        group = [_locked(line) for line in _master(tree, "group")] + group
        names = [line.partition(":")[0] for line in passwd]
        shadow = "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names)
        _write(tree, "etc/shadow", shadow.encode(), 0o640, gid=42)
        gshadow = "".join(f"{line.partition(':')[0]}:*::\n" for line in group)
        _write(tree, "etc/gshadow", gshadow.encode(), 0o640, gid=42)
    _write(tree, "etc/passwd", "".join(f"{line}\n" for line in passwd).encode())
    _write(tree, "etc/group", "".join(f"{line}\n" for line in group).encode())


def _master(tree: Tree, name: str) -> list[str]:
    return tree.read(f"usr/share/base-passwd/{name}.master").decode().splitlines()


def _locked(line: str) -> str:
    name, _, rest = line.split(":", 2)
    return f"{name}:x:{rest}"


def _certificates(tree: Tree) -> None:
    folder = "usr/share/ca-certificates/mozilla"
    bundle = b"".join(tree.read(f"{folder}/{name}") for name in tree.names(folder) if name.endswith(".crt"))
    _write(tree, "etc/ssl/certs/ca-certificates.crt", bundle)


def _applets(tree: Tree, program: str, root: Path) -> None:
    """Ask the program for its applets (it is static, and came through apt's signature check)."""
    done = run([str(root / program), "--list"], deadline=APPLETS_DEADLINE)
    names = done.stdout.decode("ascii", "replace").split()
    if not done.ok or "sh" not in names:
        raise ProvisionError("busybox does not name its applets", details=done.tail())
    folder = program.rpartition("/")[0]
    for name in names:
        if f"{folder}/{name}" != program:
            tree.hardlink(f"{folder}/{name}", program)


def _database(tree: Tree, packages: Sequence[debfile.Package], listings: Sequence[Sequence[str]]) -> None:
    """Write dpkg's database, saying what is true: unpacked, not configured."""
    status = []
    for package, names in zip(packages, listings, strict=True):
        name, control = package.field("Package"), package.control["control"].decode()
        head, _, rest = control.partition("\n")
        status.append(f"{head}\nStatus: install ok unpacked\n{rest.strip()}\n")
        label = f"{name}:{package.field('Architecture')}" if package.field("Multi-Arch") == "same" else name
        for part, content in package.control.items():
            if part != "control":
                script = part in {"preinst", "postinst", "prerm", "postrm", "config"}
                _write(tree, f"var/lib/dpkg/info/{label}.{part}", content, 0o755 if script else 0o644)
        _write(tree, f"var/lib/dpkg/info/{label}.list", "".join(f"{line}\n" for line in names).encode())
    _write(tree, "var/lib/dpkg/info/format", b"1\n")
    _write(tree, "var/lib/dpkg/status", "\n".join(status).encode() + b"\n")
    _write(tree, "var/lib/dpkg/available", b"")
    tree.directory("var/lib/dpkg/updates", Meta(mode=0o755))
    tree.directory("var/lib/dpkg/triggers", Meta(mode=0o755))
