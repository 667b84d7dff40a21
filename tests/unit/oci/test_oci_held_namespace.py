"""A user namespace that the lab holds: joined by path, its maps known to the lab alone."""

from __future__ import annotations

from lab.model.image import ImageConfig
from lab.model.settings import IdMapping, Linux, Settings
from lab.oci.spec import Context, build_config

MAPS = (IdMapping(container_id=0, host_id=100000, size=65536),)


def linux(user: str) -> dict[str, object]:
    settings = Settings(linux=Linux(namespaces={"user": user}, uid_mappings=MAPS, gid_mappings=MAPS))
    found: dict[str, object] = build_config(ImageConfig(), settings, Context())["linux"]
    return found


def test_the_config_names_a_path_and_no_maps() -> None:
    config = linux("held")
    namespaces = config["namespaces"]
    assert isinstance(namespaces, list)
    assert {"type": "user", "path": "${userns}"} in namespaces
    assert not {"uidMappings", "gidMappings"} & set(config)


def test_a_namespace_named_by_its_path_keeps_its_maps() -> None:
    config = linux("/proc/1/ns/user")
    namespaces = config["namespaces"]
    assert isinstance(namespaces, list)
    assert {"type": "user", "path": "/proc/1/ns/user"} in namespaces
    assert config["uidMappings"] == config["gidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
