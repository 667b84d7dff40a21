"""config.json as far as the model understands it. What it does not understand is :class:`Outside`, never skipped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.oci.spec import MASKED, NEW_BY_DEFAULT, READ_ONLY
from lab.oracle.credentials import Sets
from lab.oracle.files import Outside
from lab.oracle.ids import IdMaps, Lines

_TOP = {"ociVersion", "process", "root", "hostname", "mounts", "linux", "annotations"}
_PROCESS = {"terminal", "user", "args", "env", "cwd", "noNewPrivileges", "capabilities"}
_USER = {"uid", "gid", "additionalGids"}
_LINUX = {
    "namespaces",
    "maskedPaths",
    "readonlyPaths",
    "cgroupsPath",
    "resources",
    "uidMappings",
    "gidMappings",
}
_RESOURCES = {"devices": [{"allow": False, "access": "rwm"}]}
_HIGHEST_ID = 2147483647
"""Some versions of runc refuse higher ones: "uids and gids must be in range 0-2147483647"."""
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """``process`` of runtime-spec, without what does not matter to access."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    args: tuple[str, ...]
    cwd: str
    sets: Sets
    no_new_privileges: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A config.json that the model understands as a whole; ``mounts`` are runtime-spec's entries as they are."""

    process: ProcessSpec
    maps: IdMaps
    readonly_root: bool
    mounts: tuple[Mapping[str, Any], ...]


def understand(config: object) -> Spec:
    """A decoded config.json; raises :class:`Outside` for every key, value and shape that the model has no idea of."""
    config = _object(config, _TOP, "config.json")
    linux = _object(config.get("linux", {}), _LINUX, "linux")
    root = _object(config.get("root", {}), {"path", "readonly"}, "root")
    if linux.get("resources", _RESOURCES) != _RESOURCES:
        raise Outside("linux.resources are not the lab's usual ones")
    _only(_texts(linux.get("maskedPaths")), set(MASKED), "linux.maskedPaths")
    _only(_texts(linux.get("readonlyPaths")), set(READ_ONLY), "linux.readonlyPaths")
    maps = IdMaps(uids=_lines(linux.get("uidMappings")), gids=_lines(linux.get("gidMappings")))
    _check_namespaces([_object(one, None, "a namespace") for one in _list(linux.get("namespaces"))], maps)
    return Spec(
        process=understand_process(config.get("process", {})),
        maps=maps,
        readonly_root=root.get("readonly", False) is True,
        mounts=tuple(map(_mount, _list(config.get("mounts")))),
    )


def _mount(entry: object) -> Mapping[str, Any]:
    """An entry of ``mounts``, whose texts are texts."""
    mount = _object(entry, None, "a mount")
    for name in ("destination", "type", "source"):
        _text(mount.get(name, ""))
    _texts(mount.get("options"))
    return mount


def understand_process(process: object) -> ProcessSpec:
    """``process``, of a config.json or a process.json."""
    process = _object(process, _PROCESS, "process")
    user = _object(process.get("user", {}), _USER, "process.user")
    if process.get("terminal"):
        raise Outside("process.terminal")
    if "capabilities" not in process:
        raise Outside("a config without process.capabilities")
    capabilities = _object(process["capabilities"], set(_SETS), "process.capabilities")
    sets = Sets(**{name: frozenset(_texts(capabilities.get(name))) for name in _SETS})
    if not sets.consistent:
        raise Outside("capability sets that the kernel does not take as they are")
    ids = tuple(map(_number, (user.get("uid", 0), user.get("gid", 0), *_list(user.get("additionalGids")))))
    if max(ids) > _HIGHEST_ID:
        raise Outside(f"whether the runtime takes ids beyond {_HIGHEST_ID}")
    cwd = _text(process.get("cwd", ""))
    if not cwd.startswith("/") or ".." in cwd.split("/"):
        raise Outside(f"the working directory {cwd!r} is not a plain absolute path")
    return ProcessSpec(
        uid=ids[0],
        gid=ids[1],
        groups=ids[2:],
        args=_texts(process.get("args")),
        cwd=cwd,
        sets=sets,
        no_new_privileges=process.get("noNewPrivileges", False) is True,
    )


def _object(value: object, known: set[str] | None, where: str) -> Mapping[str, Any]:
    """A JSON object, with no other than the known keys where these are given."""
    if not isinstance(value, dict):
        raise Outside(f"{where}: {value!r:.40} where an object is expected")
    if known is not None:
        _only(value, known, where)
    return value


def _list(value: object) -> Sequence[Any]:
    """A JSON list; none where there is none."""
    if not isinstance(value, list | tuple | None):
        raise Outside(f"{value!r:.40} where a list is expected")
    return value or ()


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _only(found: Collection[str], known: set[str], where: str) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise Outside(f"{where}: {', '.join(unknown)}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Outside(f"{value!r:.40} where a text is expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Outside(f"{value!r:.40} where a number is expected")
    return value


def _lines(mappings: object) -> Lines:
    lines = (_object(line, None, "a mapping") for line in _list(mappings))
    return tuple(
        (_number(one.get("containerID")), _number(one.get("hostID")), _number(one.get("size"))) for one in lines
    )


def _check_namespaces(namespaces: Sequence[Mapping[str, Any]], maps: IdMaps) -> None:
    """The usual ones, all new; a user namespace where there are maps, with both of them."""
    kinds = {_text(one.get("type", "")) for one in namespaces}
    joined = next((one.get("type") for one in namespaces if one.get("path")), None)
    if joined is not None:
        raise Outside(f"a {joined} namespace that the container joins")
    if kinds - {"user", "cgroup"} != set(NEW_BY_DEFAULT):
        raise Outside("namespaces other than the usual ones")
    if ("user" in kinds) is maps.initial or bool(maps.uids) is not bool(maps.gids):
        raise Outside("a user namespace without maps, or maps without one")
