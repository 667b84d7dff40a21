"""Which versions a text speaks for, and whether the version asked for is among them."""

from __future__ import annotations

import pytest

from lab.classify.wrappers import WRAPPERS, disagrees, speaks_for
from lab.model.observation import Call, Observation

RC = 'time="2026-11-22T18:00:37Z" level=error msg="{}"\n'


def wrote(text: str, returncode: int = 1) -> Observation:
    call = Call(verb="run", argv=(), returncode=returncode, stdout=b"", stderr=text.encode(), seconds=0)
    return Observation(calls=(call,), exit_code=returncode)


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ('container_linux.go:346: starting container process caused \\"x\\"', "runc==1.0.0rc9"),
        ("container_linux.go:367: starting container process caused: x", "runc==1.0.0rc91 or runc==1.0.0rc93"),
        ("container_linux.go:367: starting caused: process_linux.go:459: x", "runc==1.0.0rc91"),
        ("container_linux.go:367: starting caused: process_linux.go:495: x", "runc==1.0.0rc93"),
        ("container_linux.go:377: starting container process caused: x", "runc==1.0.0rc93+debian11"),
        ("runc run failed: unable to start container process: chdir to cwd (x)", "runc>=1.1.0rc1,<1.2.0rc1"),
        ("runc exec failed: unable to start container process: chdir to cwd (x)", "runc>=1.1.0rc1"),
        ("something else", ""),
    ],
)
def test_texts_of_runc(text: str, versions: str) -> None:
    assert speaks_for(wrote(RC.format(text))) == versions


def test_a_runtime_that_succeeded_says_nothing_of_itself() -> None:
    assert speaks_for(wrote("chdir: Permission denied\n", returncode=0)) == ""
    assert speaks_for(Observation()) == ""


@pytest.mark.parametrize(
    ("versions", "runtime", "differs"),
    [
        ("", "runc@1.0.0", False),
        ("runc==1.0.0rc93", "runc@1.0.0-rc93", False),
        ("runc==1.0.0rc93", "runc@1.0.0-rc93+debian11", False),
        ("runc==1.0.0rc93+debian11", "runc@1.0.0-rc93", True),
        ("runc==1.0.0rc91 or runc==1.0.0rc93", "runc@1.0.0-rc91", False),
        ("runc==1.0.0rc91 or runc==1.0.0rc93", "runc@1.0.0-rc92", True),
        ("runc>=1.0.0rc94,<1.1", "runc@1.0.3", False),
        ("runc>=1.0.0rc94,<1.1", "runc@1.1.0-rc.1", True),
        ("runc>=1.0.0rc10,<=1.0.0rc90", "runc@1.0.0-rc9", True),
        ("runc>=1.1.0rc1,<1.2.0rc1", "runc@1.1.5+debian12", False),
        ("runc>=1.2.0rc1", "runc@1.2.0-rc.1", False),
        ("crun<1.8.1", "runc@1.0.0", True),
        ("runc>=1.1.0rc1", "runc@local", False),
    ],
)
def test_whether_the_version_asked_for_is_another(versions: str, runtime: str, *, differs: bool) -> None:
    assert disagrees(versions, runtime) is differs


@pytest.mark.parametrize("versions", sorted({wrapper.versions for wrapper in WRAPPERS}))
def test_every_range_can_be_read(versions: str) -> None:
    assert disagrees(versions, "youki@0.7.0")
