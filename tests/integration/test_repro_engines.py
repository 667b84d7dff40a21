"""The lines for engines in a README of `permlab repro` show what the record says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from lab_session import Lab, host_state, require_engine, user_cache

from lab.process import run

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

RC93 = "runc@1.0.0-rc93"
PROGRAM = Path(__file__).with_name("engine_lines.py")
ENGINES = ("docker@20.10.24", "docker@26.1.5", "podman@4.3.1", "podman@5.4.2", "cri@1.6.20", "cri@1.7.24")
SCENARIO = """
[axes]
image = ["distroless-static:nonroot"]
engine = ["oci"]
runtime = ["default"]

[axes.kind.chdir.process]
user = "1000:0"

[axes.kind.capabilities]
rootfs = [{ path = "/secret", kind = "file", mode = 0o600, uid = 7 }]
process = { user = "0:0", cwd = "/", capabilities = "absent", steps = ["read /secret"] }

[axes.kind.readonly]
readonly_root = true
process = { user = "0:0", cwd = "/", steps = ["touch /file"] }
"""
SAYS = {
    "chdir": 'chdir to cwd ("/home/nonroot") set in config.json failed: permission denied',
    "capabilities": '"op":"read","args":["/secret"],"ok":false,"errno":"EACCES"',
    "readonly": '"op":"touch","args":["/file"],"ok":false,"errno":"EROFS"',
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a folder for each kind of cell."""
    made = Lab(place=tmp_path_factory.mktemp("lines"), cache=user_cache())
    made.run(SCENARIO, runtimes=RC93)
    for kind in SAYS:
        done = made.call("repro", f"*kind={kind}/*", "--run", "last", "--out", kind)
        assert done.ok, done.tail()
    return made


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lines_show_what_the_record_says(lab: Lab, demanded: set[str], engine: str) -> None:
    require_engine(engine, demanded)
    before = host_state()
    folders = [str(lab.place / kind) for kind in SAYS]
    argv = [sys.executable, str(PROGRAM), engine, RC93, *folders]
    done = run(argv, deadline=300, env=lab.environment, cwd=lab.place)
    assert done.ok, done.tail()
    found = json.loads(done.stdout)
    for kind, words in SAYS.items():
        assert words in found[kind]["text"].replace('\\"', '"'), found[kind]
        assert bool(found[kind]["code"]) is (kind == "chdir")
    assert host_state() == before
