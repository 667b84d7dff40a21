"""Situations, cures and their scenario, without a lab."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from answering import DENIED, task

from lab.codec import decode_settings, to_data
from lab.explain.cures import Cure, cures
from lab.explain.situation import Situation, situation
from lab.explain.variant import variant
from lab.model.image import ImageConfig
from lab.model.observation import Observation
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.settings import Settings
from lab.model.verdict import Denied, Failed, Phase, Verdict
from lab.oci.capabilities import DOCKER_DEFAULT
from lab.oci.spec import Context, build_config
from lab.oracle import mtree
from lab.oracle.ids import IdMaps
from lab.oracle.tree import Kind, Node
from lab.scenario.expand import make_cell
from lab.scenario.load import parse
from lab.scenario.resolve import resolve

HOST = HostFacts(kernel="", machine="", cgroups="", lsms="", uid=0, capabilities="0", os="", cpus=1)
HEADER = RunHeader(id="x", lab_version="0", started="", host=HOST, argv=(), scenarios={})
TREE = {
    "/": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/home": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/home/nonroot": Node(kind=Kind.DIRECTORY, uid=65532, gid=65532, mode=0o700),
    "/home/nonroot/deep": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/secret": Node(uid=0, gid=0, mode=0o600),
    "/link": Node(kind=Kind.SYMLINK, target="/home/nonroot", mode=0o777),
}
IMAGE = ImageConfig(user="65532", working_dir="/home/nonroot")


def seen(settings: dict[str, Any], verdict: Verdict = DENIED) -> Situation:
    """The situation of a cell with these settings that ended so."""
    decoded = decode_settings(settings, where="test")
    config = build_config(IMAGE, decoded, Context(caller_capabilities=DOCKER_DEFAULT))
    record = Record(
        cell="c",
        scenario="s",
        axes={},
        verdict=verdict,
        observation=Observation(),
        provenance=Provenance(image="ii"),
    )
    run = Run(
        header=HEADER,
        records=(record,),
        images={"ii": {"tree": mtree.encode(TREE.items())}},
    )
    return situation(run, record, decoded, config)


def named(found: Situation) -> dict[str, Cure]:
    offered = cures(found)
    assert len({cure.name for cure in offered}) == len(offered)
    return {cure.name: cure for cure in offered}


USER = {"process": {"user": "1000680000:0"}}


def test_the_openshift_cell_has_the_cures_that_people_know() -> None:
    found = seen(USER)
    assert found.obstacle is not None
    assert (found.obstacle.path, found.obstacle.uid, found.obstacle.mode) == ("/home/nonroot", 65532, 0o700)
    offered = named(found)
    assert offered["cwd-root"].fragment == {"process": {"cwd": "/"}}
    assert offered["image-workdir-root"].fragment == {"image_workdir": "/"}
    assert offered["user-owner"].fragment == {"process": {"user": "65532:65532"}}
    assert offered["user-root"].fragment == {"process": {"user": "0:0"}}
    assert offered["group-zero"].fragment == {
        "rootfs": [{"path": "/home/nonroot", "uid": 65532, "gid": 0, "mode": 0o770}]
    }
    assert offered["init-chown"].fragment["rootfs"][0] | {"mode": 0} == {
        "path": "/home/nonroot",
        "uid": 1000680000,
        "gid": 0,
        "mode": 0,
    }
    assert offered["mode-all"].fragment["rootfs"][0]["mode"] == 0o711
    assert "CAP_DAC_OVERRIDE" in offered["cap-effective"].fragment["process"]["capabilities"]["effective"]


def test_another_group_joins_group_zero() -> None:
    offered = named(seen({"process": {"user": "1000:1000"}}))
    assert offered["group-zero"].fragment["process"] == {"user": "1000:0"}
    assert offered["group-owner"].fragment == {"process": {"additional_gids": [65532]}}


def test_cures_that_change_nothing_are_not_offered() -> None:
    settings = {"process": {"user": "0:0", "cwd": "/", "capabilities": "all"}}
    verdict = Denied(cause="read-denied", phase=Phase.PROCESS, evidence="step 1, read /secret: EACCES (open)")
    assert named(seen(settings, verdict)).keys() <= {
        "user-owner",
        "group-zero",
        "init-chown",
        "mode-all",
        "cap-ambient",
    }


@pytest.mark.parametrize(
    ("cwd", "obstacle"),
    [("/home/nonroot/deep", "/home/nonroot"), ("/link", "/home/nonroot"), ("/home/nonroot/new", "/home/nonroot")],
)
def test_the_obstacle_is_the_first_closed_directory(cwd: str, obstacle: str) -> None:
    found = seen({"process": {"user": "1000:0", "cwd": cwd}})
    assert found.obstacle is not None
    assert found.obstacle.path == obstacle
    assert "image-workdir-root" not in named(found)


def test_a_file_that_the_lab_did_not_make_cannot_be_changed() -> None:
    verdict = Denied(cause="read-denied", phase=Phase.PROCESS, evidence="step 2, read /secret: EACCES (read); uid 1000")
    offered = named(seen({"process": {"user": "1000:0"}}, verdict))
    assert offered["user-owner"].fragment == {"process": {"user": "0:0"}}
    assert "is a file" in offered["mode-all"].unknown
    made = {"rootfs": [{"path": "/secret", "kind": "file", "mode": 0o600, "content": "x"}]}
    edit = named(seen({"process": {"user": "1000:0"}} | made, verdict))["mode-all"].fragment["rootfs"][0]
    assert (edit["content"], edit["kind"], edit["mode"]) == ("x", "file", 0o644)


def test_a_fixture_is_changed_where_it_is() -> None:
    settings: dict[str, Any] = {
        "process": {"user": "1000:0", "cwd": "/"},
        "fixtures": {"data": {"uid": 5, "gid": 5, "mode": 0o700, "entries": [{"path": "/sub", "mode": 0o700}]}},
        "mounts": [{"destination": "/data", "fixture": "data"}],
    }
    above = Denied(cause="write-denied", phase=Phase.PROCESS, evidence="step 1, touch /data/x: EACCES (open)")
    assert named(seen(settings, above))["init-chown"].fragment == {
        "fixtures": {"data": {"uid": 1000, "gid": 0, "mode": 0o700}}
    }
    settings["fixtures"]["data"]["mode"] = 0o755
    inside = Denied(cause="write-denied", phase=Phase.PROCESS, evidence="step 1, touch /data/sub/x: EACCES (open)")
    assert named(seen(settings, inside))["init-chown"].fragment == {
        "fixtures": {"data": {"entries": [{"path": "/sub", "uid": 1000, "gid": 0, "mode": 0o700}]}}
    }


def test_ids_that_no_map_has_are_mapped() -> None:
    maps = [{"container_id": 0, "host_id": 100000, "size": 10}]
    settings = {"process": {"user": "20:0", "cwd": "/"}, "linux": {"uid_mappings": maps, "gid_mappings": maps}}
    verdict = Denied(cause="uid-not-mapped", phase=Phase.CREATE, evidence="cannot set uid to unmapped user")
    offered = named(seen(settings, verdict))
    assert offered["ids-mapped"].fragment == {
        "linux": {"uid_mappings": [{"container_id": 20, "host_id": 100010, "size": 1}]}
    }
    assert not {"mode-all", "init-chown", "group-zero"} & offered.keys()


def test_an_exec_is_cured_at_its_own_process() -> None:
    base = {"action": "exec", "process": {"user": "0:0"}}
    by_process = named(seen(base | {"exec": {"user": "1000:0", "cwd": "/home/nonroot"}}))
    assert by_process["cwd-root"].fragment == {"exec": {"cwd": "/"}}
    by_flags = named(seen(base | {"exec": {}, "exec_flags": ["--user", "1000:0", "--cwd=/home/nonroot"]}))
    assert by_flags["user-owner"].fragment == {
        "exec_flags": ["--user", "1000:0", "--cwd=/home/nonroot", "--user", "65532:65532"]
    }


def test_no_cure_of_identities_for_what_is_no_permission() -> None:
    verdict = Failed(cause="cwd-not-directory", phase=Phase.CREATE, evidence="mkdir /w: not a directory")
    assert named(seen(USER, verdict)).keys() == {"cwd-root", "image-workdir-root"}


def test_what_is_not_modelled_is_unknown_not_left_out() -> None:
    found = seen(USER | {"linux": {"sysctl": {"a.b": "1"}}})
    assert found.obstacle is None
    assert "not modelled" in named(found)["user-owner"].unknown
    assert named(found)["cwd-root"].unknown == ""


def test_the_scenario_of_the_cures_holds_the_cell_and_every_cure() -> None:
    one = task(user="1000:0", cwd="image")
    offered = cures(seen(USER))
    made = variant(one.scenario, one.cell, offered, ["runc@1.0.0-rc94"], checked=False)
    document = tomllib.loads(made.text)
    assert document["question"] == f"What cures {one.cell.id}?"
    again = parse(made.text, id=made.scenario.id, where="again")
    as_is = resolve(again, made.task().cell).settings
    assert as_is == resolve(one.scenario, one.cell).settings
    for cure in offered:
        changed = resolve(again, made.task(cure.name).cell).settings
        assert changed != as_is, cure.name
    assert made.task(runtime="runc@1.0.0-rc94").cell.value("runtime") == "runc@1.0.0-rc94"
    assert made.task("cwd-root").cell.id.startswith("mine-cures/distroless-static/user=1000:0/cwd=image/")


def test_checks_go_unless_one_of_them_is_the_failure() -> None:
    text = "format = 1\nquestion = '?'\n[settings]\nchecks = [{ fact = 'start.cwd', equals = '/w' }]\n"
    scenario = parse(text, id="c", where="c")
    cell = task().cell
    cure = Cure(name="cwd-root", words="", how="", fragment={"process": {"cwd": "/"}})

    def checks(*, checked: bool) -> Settings:
        made = variant(scenario, cell, [cure], [], checked=checked)
        return resolve(made.scenario, made.task("cwd-root").cell).settings

    assert checks(checked=False).checks == ()
    assert len(checks(checked=True).checks) == 1


def test_an_axis_named_cure_stays_what_it_is() -> None:
    text = "format = 1\nquestion = '?'\n[axes.cure.mine]\nreadonly_root = true\n"
    scenario = parse(text, id="c", where="c")
    axes = (("image", "distroless-static"), ("cure", "mine"), ("runtime", "runc@1.1.0"), ("engine", "oci"))
    cell = make_cell(scenario.id, axes)
    made = variant(
        scenario, cell, [Cure(name="x", words="", how="", fragment={"image_workdir": "/"})], [], checked=True
    )
    settings = resolve(made.scenario, made.task("x").cell).settings
    assert (settings.readonly_root, settings.image_workdir) == (True, "/")


def test_capability_sets_of_cures_are_whole() -> None:
    sets = named(seen(USER))["cap-ambient"].fragment["process"]["capabilities"]
    assert all("CAP_DAC_OVERRIDE" in names for names in sets.values())
    assert set(sets) == set(
        to_data(decode_settings({"process": {"capabilities": sets}}, where="").process.capabilities)
    )


def test_maps_of_the_initial_namespace_need_no_more() -> None:
    assert seen(USER).maps == IdMaps()
