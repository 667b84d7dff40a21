"""The probe's command line and the JSON it prints, hostile bytes included."""

import json
import os
import re
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lab.model.steps import COUNTED, REST, STEPS
from lab.process import Completed, run
from lab.provision.cache import default_cache
from lab.provision.probe import probe

Facts = dict[str, object]

DOCS = Path(__file__).parents[3] / "docs" / "probe.md"
LINE_LIMIT = 65536
# In the order of the kernel's numbers, include/uapi/asm-generic/resource.h.
KERNEL_LIMITS = (
    *("cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending"),
    *("msgqueue", "nice", "rtprio", "rttime"),
)


@pytest.fixture(scope="session", name="program")
def probe_program() -> str:
    return probe(default_cache()).path


def carry_out(program: str, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> list[Facts]:
    done = run([program, *words], deadline=20, env=env or {}, cwd=cwd)
    assert done.returncode == 0, done
    return lines(done)


def lines(done: Completed) -> list[Facts]:
    raw = done.stdout.splitlines(keepends=True)
    assert all(len(line) < LINE_LIMIT and line.endswith(b"\n") for line in raw)
    return [json.loads(line.decode("utf-8", "strict")) for line in raw]


def raw_bytes(facts: Facts, pointer: str) -> bytes:
    """The exact bytes of a string, by the convention of docs/probe.md."""
    value: object = facts
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]  # JSON
    assert isinstance(value, str)
    listed = facts.get("latin1", [])
    assert isinstance(listed, list)
    return value.encode("latin-1" if pointer in listed else "utf-8")


# What execve can pass: any bytes but NUL.
words = st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"\x80"))


@given(raw=words, value=words)
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_bytes_of_arguments_and_environment_can_be_recovered(program: str, raw: bytes, value: bytes) -> None:
    # "env" looks a variable up by an arbitrary name; the second one has an arbitrary value.
    facts = carry_out(program, "env", os.fsdecode(raw), "env", "HOSTILE", env={"HOSTILE": os.fsdecode(value)})
    assert raw_bytes(facts[1], "/args/0") == raw
    assert raw_bytes(facts[2], "/value") == value


@given(raw=st.binary(max_size=200))
@hypothesis_settings(max_examples=100, deadline=None)
def test_any_content_of_a_file_can_be_recovered(
    program: str, tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(raw)
    assert raw_bytes(carry_out(program, "cat", str(path))[1], "/text") == raw


def test_valid_utf8_stays_readable_and_needs_no_list(program: str) -> None:
    done = run([program, "env", "naïve ☃ 𝄞"], deadline=20, env={})
    assert "naïve ☃ 𝄞".encode() in done.stdout
    assert "latin1" not in lines(done)[1]


@pytest.mark.parametrize(
    "raw",
    [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xff", b"\xf0\x80\x80\xaf", b"ok \xe9 \xc3\xa9"],
)
def test_bytes_that_only_look_like_utf8_are_listed(program: str, raw: bytes) -> None:
    facts = carry_out(program, "env", os.fsdecode(raw))[1]
    assert facts["args"] == [raw.decode("latin-1")]
    assert facts["latin1"] == ["/args/0"]


def test_hostile_file_names_are_listed_exactly(program: str, tmp_path: Path) -> None:
    names = sorted([b"new\nline", b'quo"te\\', b"\x1b[31mred", b"\xff\xfe", "ünï".encode(), b"--", b" ", b"\x7f"])
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    done = run([program, "ls", "."], deadline=20, env={}, cwd=tmp_path)
    facts = lines(done)[1]
    assert facts["count"] == len(names)
    assert [raw_bytes(facts, f"/names/{i}") for i in range(len(names))] == names
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)  # nothing that a terminal would obey


def test_a_list_too_long_for_a_line_is_cut(program: str, tmp_path: Path) -> None:
    for i in range(700):
        (tmp_path / f"{i:03}{'x' * 200}").touch()
    facts = carry_out(program, "ls", str(tmp_path))[1]
    names = facts["names"]
    assert isinstance(names, list)
    assert facts["count"] == 700
    assert facts["cut"] is True
    assert 100 < len(names) < 700


def test_too_many_hostile_names_are_cut_and_the_rest_is_exact(program: str, tmp_path: Path) -> None:
    for i in range(1000):
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff%04d" % i)).touch()
    facts = carry_out(program, "ls", str(tmp_path))[1]
    names = facts["names"]
    assert isinstance(names, list)
    assert facts["cut"] is True
    assert len(names) > 100
    assert [raw_bytes(facts, f"/names/{i}") for i in range(len(names))] == [b"\xff%04d" % i for i in range(len(names))]


def test_long_arguments_are_cut_and_leave_room_for_facts(program: str) -> None:
    facts = carry_out(program, *(["spawn", "6", "/bin/echo"] + ["\x01" * 20000] * 5))[1]
    assert facts["cut"] is True
    assert facts["exit"] == 0
    assert isinstance(facts["stdout"], str)


def test_long_text_is_cut_between_characters(program: str, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" + "é" * 20000, encoding="utf-8")
    facts = carry_out(program, "cat", str(tmp_path / "long"))[1]
    text = facts["text"]
    assert isinstance(text, str)
    assert facts["cut"] is True
    assert "latin1" not in facts
    assert text == "x" + "é" * (len(text) - 1)
    assert len(text.encode()) > 16000


USAGE: list[tuple[tuple[str, ...], str]] = [
    (("frobnicate",), "unknown step frobnicate"),
    (("touch",), "step touch needs an argument PATH"),
    (("chmod", "x", "9"), "step chmod takes MODE here, got 9"),
    (("forks", "-1", "0"), "step forks takes COUNT here, got -1"),
    (("forks", "65537", "0"), "step forks takes COUNT here, got 65537"),
    (("sleep", "1e3"), "step sleep takes SECONDS here, got 1e3"),
    (("chown", "x", "4294967296", "0"), "step chown takes ID here, got 4294967296"),
    (("open", "x", "wronly,frob"), "step open takes OPEN here, got wronly,frob"),
    (("setrlimit", "files", "1", "1"), "step setrlimit takes RLIMIT here, got files"),
    (("setgroups", "1,,2"), "step setgroups takes IDS here, got 1,,2"),
    (("spawn", "3", "/bin/true"), "step spawn needs a count of the words that follow, got 3"),
    (("exec",), "step exec needs an argument PROGRAM ARGUMENT..."),
    (("--list", "id"), "unknown step --list"),
    (("id", "--to", "2"), "unknown step --to"),
    (("--to",), "--to needs a path or the number of a file descriptor"),
]


@pytest.mark.parametrize(("arguments", "error"), USAGE)
def test_a_bad_command_line_carries_nothing_out(
    program: str, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    first = () if arguments[0].startswith("--to") else ("touch", "made")
    done = run([program, *first, *arguments], deadline=20, env={}, cwd=tmp_path)
    assert done.returncode == 64
    assert lines(done) == [{"op": "usage", "error": error}]
    assert not (tmp_path / "made").exists()


def test_no_step_at_all_tells_what_the_process_is(program: str) -> None:
    first, last = carry_out(program)
    assert (first["step"], first["op"]) == (0, "start")
    assert first["pid"] != os.getpid()
    assert first["ppid"] == os.getpid()
    assert first["ruid"] == os.getuid()
    assert first["home"] is None
    assert last == {"op": "end", "steps": 0}


def test_limits_are_told_as_the_kernel_has_them(program: str) -> None:
    told = carry_out(program)[0]["rlimits"]
    assert isinstance(told, dict)
    assert len(told) == 16
    for number, name in enumerate(KERNEL_LIMITS):
        soft, hard = ("unlimited" if value == -1 else value for value in resource.prlimit(os.getpid(), number))
        assert told[name] == {"soft": soft, "hard": hard}


def test_facts_go_to_the_place_that_was_named(program: str, tmp_path: Path) -> None:
    place = tmp_path / "facts"
    done = run([program, "--to", str(place), "id"], deadline=20, env={})
    assert (done.returncode, done.stdout) == (0, b"")
    assert [json.loads(line)["op"] for line in place.read_bytes().splitlines()] == ["start", "id", "end"]
    done = run([program, "--to", "2", "id"], deadline=20, env={})
    assert done.stdout == b""
    assert [json.loads(line)["op"] for line in done.stderr.splitlines()] == ["start", "id", "end"]


@pytest.mark.parametrize(("place", "error"), [("77", b"EBADF"), ("/nowhere/facts", b"ENOENT")])
def test_a_place_that_cannot_be_opened_is_told_on_stderr(program: str, place: str, error: bytes) -> None:
    done = run([program, "--to", place, "id"], deadline=20, env={})
    assert (done.returncode, done.stdout) == (73, b"")
    assert error in done.stderr


def test_a_reader_that_has_gone_gives_an_exit_code(program: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run([program, "id"], deadline=20, env={}, stdout=writing).returncode == 74
    finally:
        os.close(writing)


def test_documentation_and_program_agree_on_steps_and_kinds(program: str) -> None:
    done = run([program, "--list"], deadline=20, env={})
    listed = json.loads(done.stdout)["steps"]
    text = DOCS.read_text(encoding="utf-8")
    steps, kinds = text.split("## Kinds of arguments")
    documented = {row.split()[0]: row.split()[1:] for row in re.findall(r"^\| `([^`]+)` \|", steps, re.MULTILINE)}
    assert documented == {step["op"]: " ".join(step["args"]).split() for step in listed}
    explained = set(re.findall(r"`([A-Z]+)`", "\n".join(re.findall(r"^\| (`[^|]*) \|", kinds, re.MULTILINE))))
    used = {kind for step in listed for kind in step["args"] if " " not in kind}
    assert used == explained
    assert {step["op"]: step["arity"] for step in listed} == {**STEPS, COUNTED: -1, REST: -1}
    for step in listed:
        variable = any(" " in kind for kind in step["args"])
        assert step["arity"] == (-1 if variable else len(step["args"]))
