"""Scenario files: found by name, and all their faults told at once."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.codec import examine_scenario, scenario_schema
from lab.errors import InputError
from lab.model.scenario import Cell
from lab.provision.catalogue import load_catalogue
from lab.scenario.expand import expand
from lab.scenario.load import find, load, load_all, parse, shipped_directory
from lab.scenario.resolve import resolve

SHIPPED = sorted(shipped_directory().glob("*.toml"))

BROKEN = """
format = 2
questions = "?"
sources = [1]
own_axes = {}

[axes]
image = []
user = ["0:0", "0:0"]
colour = ["red"]
cwd = "/"

[axes.caps.docker]

[axes.mode.open]
rootfs = [{ path = "/x", mode = "0700", colour = "red" }, { pth = "/y" }]

[settings]
deadline = "soon"
readonly_root = 1
mounts = [{ destination = "/m", fixture = "m", uid_mappings = [{ container_id = 0, host_id = "a", size = 1 }] }]
process.capabilities = { effective = [3] }
process.umask = 0.5

[[exclude]]
user = 3

[[expect]]
verdict = "errored"

[[constraint]]
when = "true"
"""

RULES = """
format = 1
question = "?"
[axes]
user = ["0:0"]
image = []
colour = ["red"]
caps = ["none", "none"]
[axes.user2.a]
[axes.cwd.a]
[axes.mode]
"""

CONDITIONS = """
format = 1
question = "?"
[axes.mode.open]
[axes."Not-a-name".x]
[axes.in.x]
[[exclude]]
[[exclude]]
usr = "0:0"
runtime = "runc>=one"
[[include]]
mode = "closed"
[[expect]]
when = 'usr == "0:0"'
verdict = "passed"
[[expect]]
when = 'user == '
verdict = "passed"
[[constraint]]
when = 'runtime in "runc<=none"'
require = "maybe"
why = "?"
"""


def faults(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, id="s", where="s.toml")
    lines = caught.value.details.splitlines()
    assert all(line.startswith("s.toml: ") for line in lines)
    return [line.removeprefix("s.toml: ") for line in lines]


def test_a_bad_file_gets_all_its_errors_at_once_each_with_its_path() -> None:
    found = faults(BROKEN)
    for expected in (
        "own_axes: unknown key",
        "format: ",
        "question: ",
        "questions: ",
        "sources[0]: ",
        "axes.cwd: ",
        "axes.mode.open.rootfs[0].mode: ",
        "axes.mode.open.rootfs[0].colour: unknown key",
        "axes.mode.open.rootfs[1].path: ",
        "axes.mode.open.rootfs[1].pth: unknown key",
        "settings.deadline: ",
        "settings.readonly_root: ",
        "settings.mounts[0].uid_mappings[0].host_id: ",
        "settings.process.capabilities",
        "settings.process.umask: ",
        "exclude[0].user",
        "expect[0].verdict: ",
        "constraint[0].require: ",
        "constraint[0].why: ",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)


VALUES = """
format = 1
question = "?"
[axes]
caps = ["docker", "dokcer"]
runtime = ["runc", "all", "runc@1.0.0", "runc>=1.1,<1.2", "runc@@", "runc>=1.x", "nope", "nope>=1", "nope@1"]
engine = ["oci", "k8s"]
userns = ["none", "0:1", "0:100000:4294967296"]
platform = ["frob"]
[[include]]
caps = "dockre"
[[expect]]
verdict = "denied"
phase = "frob"
[axes.mode.a]
umask = 0
[axes.mode.b]
process.umask = 0o1777
"""


def test_values_are_checked_together_before_anything_runs() -> None:
    found = faults(VALUES)
    for expected in (
        "axes.caps[1]: ",
        "axes.runtime[4]: ",
        "axes.runtime[5]: ",
        "axes.runtime[6]: ",
        "axes.runtime[7]: ",
        "axes.runtime[8]: ",
        "axes.engine[1]: 'k8s'",
        "axes.userns[1]: ",
        "axes.userns[2]: linux.uid_mappings[0].size: ",
        "axes.userns[2]: linux.gid_mappings[0].size: ",
        "axes.platform[0]: ",
        "include[0].caps: ",
        "expect[0].phase: ",
        "axes.mode.a.umask: unknown key",
        "axes.mode.b.process.umask: ",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)
    assert len(found) == 15


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ('host = ["fixture:x/file"]', "host[0]"),
        ('host = ["/etc/passwd"]', "host[0]"),
        ('mounts = [{ destination = "/x", fixture = "x" }]', "mounts[0].fixture"),
        ('mounts = [{ destination = "/x" }]', "mounts[0]"),
        ('mounts = [{ destination = "/x", fixture = "data", source = "/" }]', "mounts[0]"),
        ('mounts = [{ destination = "", type = "tmpfs" }]', "mounts[0].destination"),
        ('caller.fds = { 5 = "x" }', "caller.fds.5"),
        ('caller.fds = { five = "data" }', "caller.fds.five"),
        ('caller.stdio_fixture = "x"', "caller.stdio_fixture"),
        ("caller.uid = -1", "caller.uid"),
        ("deadline = 0", "deadline"),
        ("deadline = inf", "deadline"),
        ("deadline = nan", "deadline"),
        ('process.steps = ["open \\"x"]', "process.steps[0]"),
        ('process.steps = ["id", "frobnicate"]', "process.steps[1]"),
        ('process.steps = ["id ls"]', "process.steps[0]"),
        ('process.steps = ["spawn 2 id"]', "process.steps[0]"),
        ('process.steps = ["spawn id"]', "process.steps[0]"),
        ('process.steps = ["spawn 1 id exec"]', "process.steps[0]"),
        ('process.steps = [""]', "process.steps[0]"),
        ('exec.steps = ["id \\""]', "exec.steps[0]"),
        ('process.rlimits = [{ type = "NOFILE", soft = 1, hard = 1 }]', "process.rlimits[0].type"),
        ("process.additional_gids = [0, 4294967295]", "process.additional_gids[1]"),
        ('rootfs = [{ path = "etc" }]', "rootfs[0].path"),
        ('rootfs = [{ path = "/a/../b" }]', "rootfs[0].path"),
        ('rootfs = [{ path = "/a", uid = -5 }]', "rootfs[0].uid"),
        ('rootfs = [{ path = "/a", mode = 0o10000 }]', "rootfs[0].mode"),
        ('rootfs = [{ path = "/a", kind = "symlink" }]', "rootfs[0].target"),
        ("fixtures.x.parent_mode = -1", "fixtures.x.parent_mode"),
        ('fixtures.x.entries = [{ path = "a" }]', "fixtures.x.entries[0].path"),
        ('linux.namespaces = { usr = "new" }', "linux.namespaces.usr"),
        ('linux.namespaces = { pid = "held" }', "linux.namespaces.pid"),
        ('tolerate = ["EACESS"]', "tolerate[0]"),
        ('patch = [{ op = "put", path = "/x" }]', "patch[0].op"),
        ('patch = [{ op = "add", path = "/x" }]', "patch[0].value"),
        ('patch = [{ op = "remove", path = "x" }]', "patch[0].path"),
        ('checks = [{ fact = "umask" }]', "checks[0].fact"),
        ('checks = [{ fact = "start.umask", phase = "late" }]', "checks[0].phase"),
    ],
)
def test_what_no_cell_can_mean_is_told_with_its_path(settings: str, where: str) -> None:
    text = f'format = 1\nquestion = "?"\n[settings]\n{settings}\n[settings.fixtures.data]\n'
    assert [line.partition(": ")[0] for line in faults(text)] == [f"settings.{where}"]


def test_a_fragment_may_use_the_fixture_of_another() -> None:
    text = 'format = 1\nquestion = "?"\n[axes.a.one]\nhost = ["fixture:x/f"]\n[axes.b.one.fixtures.x]\n'
    assert parse(text, id="s", where="s.toml").own_axes


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "in each other"),
        ("x = " + "[" * 70 + "]" * 70, "in each other"),
        ("[" + ".".join("a" * 3000) + "]", "in each other"),
        ("x = " + "9" * 5000, "5000 digits"),
    ],
)
def test_a_monstrous_file_gives_an_error_like_any_other(text: str, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(f'format = 1\nquestion = "?"\n{text}\n', id="s", where="s.toml")
    assert caught.value.details.startswith("s.toml: ")
    assert fault in caught.value.details


def test_a_union_is_told_as_one_fault_at_a_path_that_the_file_has() -> None:
    text = 'format = 1\nquestion = "?"\n[settings.process]\ncapabilities = "some"\n'
    (line,) = faults(text)
    assert line.startswith("settings.process.capabilities: Input should be 'd")
    assert line.endswith("or Input should be an object, not 'some'")


def test_axes_are_checked_together() -> None:
    found = faults(RULES)
    for expected in (
        "axes.colour: no built-in axis",
        "axes.cwd: a built-in axis takes a list",
        "axes.image: expected at least one value",
        "axes.mode: expected at least one value",
        "axes.caps: value 'none' stands twice",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)
    assert len(found) == 5


def test_rules_and_conditions_are_checked_together() -> None:
    found = faults(CONDITIONS)
    for expected in (
        "axes.Not-a-name: expected a name",
        "axes.in: expected a name",
        "exclude[0]: expected at least one axis",
        "exclude[1].usr: no such axis",
        "exclude[1].runtime: 'runc>=one' is not a version range",
        "include[0].mode: no fragment 'closed'",
        "expect[0].when: no axis 'usr' here",
        "expect[1].when: ",
        "constraint[0].when: 'runc<=none' is not a version range",
        "constraint[0].require: ",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)
    assert len(found) == 10


def test_what_is_no_toml_points_at_its_line() -> None:
    with pytest.raises(InputError, match="is not a TOML file") as caught:
        parse("format = 1\nquestion = ?\n", id="s", where="s.toml")
    assert "line 2" in caught.value.details


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'question = "\xe9"')
    for path in (tmp_path / "latin.toml", tmp_path / "absent.toml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load(path)


def test_the_faults_of_several_files_come_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("format = 1\n")
    (tmp_path / "c.toml").write_text('format = 1\nquestion = "?"\n')
    with pytest.raises(InputError, match="2 of 3 scenario files") as caught:
        load_all([tmp_path / f"{name}.toml" for name in "abc"])
    assert "a.toml: question" in caught.value.details
    assert "b.toml: question" in caught.value.details


def test_a_name_is_looked_up_beside_the_user_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("controls") == shipped_directory() / "controls.toml"
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "controls.toml").write_text("")
    assert find("controls") == Path("scenarios/controls.toml")
    with pytest.raises(InputError, match="no scenario") as caught:
        find("nothing")
    assert "chdir-cwd" in caught.value.details
    for word in ("nothing.toml", "../controls", "/etc/passwd"):
        with pytest.raises(InputError, match="no scenario"):
            find(word)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_expands_and_resolves(path: Path) -> None:
    scenario = load(path)
    plan = expand(scenario, tuple(load_catalogue()))
    assert plan.cells
    for cell in one_of_each(plan.cells):
        assert resolve(scenario, cell).settings.deadline > 0


def one_of_each(cells: tuple[Cell, ...]) -> list[Cell]:
    """One cell of each combination apart from the runtime."""
    return list({tuple(pair for pair in cell.axes if pair[0] != "runtime"): cell for cell in cells}.values())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_fits_the_schema_and_says_so(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#:schema ./scenario.schema.json\n")
    jsonschema.Draft202012Validator(scenario_schema()).validate(tomllib.loads(text))


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(scenario_schema())
    paths = {
        ".".join(str(part) for part in error.absolute_path) for error in validator.iter_errors(tomllib.loads(BROKEN))
    }
    assert {"format", "settings.deadline", "axes.image", "expect.0.verdict"} <= paths
    assert not list(
        validator.iter_errors({"format": 1, "question": "?", "axes": {"mode": {"open": {"readonly_root": True}}}})
    )
    assert list(validator.iter_errors({"format": 1, "question": "?", "axes": {"mode": {"open": {"colour": True}}}}))


def test_the_schema_beside_the_scenarios_is_current() -> None:
    path = shipped_directory() / "scenario.schema.json"
    assert path.read_text() == json.dumps(scenario_schema(), indent=1, sort_keys=True) + "\n", (
        "make it again: permlab scenarios --schema > scenarios/scenario.schema.json"
    )


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["format", "question", "axes", "own_axes", "settings", "exclude", "include", "constraint", "expect", "sources", "x"]
)


@given(st.dictionaries(keys, toml_values, max_size=6))
def test_any_data_is_a_scenario_or_refused_with_paths(data: dict[str, object]) -> None:
    document = {"format": 1, "question": "?", **data}
    scenario, faults = examine_scenario(document, id="s", where="s.toml")
    assert scenario is not None or faults
    assert all(fault.startswith("s.toml: ") for fault in faults)
    assert bool(faults) or document["format"] == 1
