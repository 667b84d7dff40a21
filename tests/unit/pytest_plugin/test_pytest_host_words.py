from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.pytest_plugin import host
from lab.pytest_plugin.choice import Choice


def chosen(*args: object, choice: Choice | None = None, beside: Path = Path("/"), **kwargs: object) -> list[str]:
    mark = pytest.mark.permlab(*args, **kwargs).mark
    return [task.cell.id for task in host._tasks(mark, choice or Choice(), beside)]  # noqa: SLF001  # the pure part


def test_a_mark_chooses_as_the_command_line_does() -> None:
    found = chosen("umask", runtime="runc@1.1.15", cell="*")
    assert found
    assert all("/runc-1.1.15/" in cell for cell in found)
    assert chosen(scenario=["umask"], runtime=["runc@1.1.15"]) == found


def test_engines_are_kept_by_name_version_or_range() -> None:
    words: dict[str, Any] = {"scenario": "engines-chdir", "runtime": "runc@1.1.15", "where": 'user == "image"'}
    assert [cell.rpartition("/")[2] for cell in chosen(**words, engine="cri")] == ["cri"]
    assert len(chosen(**words, engine=["docker", "oci"])) == 2


def test_options_go_before_the_mark() -> None:
    found = chosen("umask", runtime="runc@1.1.15", choice=Choice(runtimes=("crun@1.8.1",)))
    assert found
    assert all("/crun-1.8.1/" in cell for cell in found)
    assert chosen("umask", choice=Choice(engines=("docker",))) == []


def test_a_file_beside_the_test_goes_before_any_other(tmp_path: Path) -> None:
    text = 'format = 1\nquestion = "?"\n[axes]\nimage = ["busybox"]\nruntime = ["runc@1.1.15"]\n'
    (tmp_path / "umask.toml").write_text(text)
    assert chosen("umask.toml", beside=tmp_path) == ["umask/busybox/runc-1.1.15/oci"]
    assert chosen("umask", runtime="runc@1.1.15", beside=tmp_path) == chosen("umask", runtime="runc@1.1.15")


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "scenario must be given"),
        (("umask", "runc"), {}, "scenario must be given"),
        (("umask",), {"image": "busybox"}, "does not know image"),
        (("umask",), {"cell": "nothing"}, "no cell is selected"),
        (("no-such",), {}, "no scenario"),
    ],
)
def test_what_it_does_not_know_is_refused(args: tuple[str, ...], kwargs: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        chosen(*args, **kwargs)
    assert said in str(caught.value)
