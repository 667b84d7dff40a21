"""Conditions over axes: what they mean, and that nothing else is accepted."""

from __future__ import annotations

import ast
import contextlib
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.scenario.expression import axes_named, check_condition, compile_condition

CELL = {"user": "1000:0", "caps": "cri", "runtime": "runc@1.0.0-rc93"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("true", True),
        ("false", False),
        ("not true", False),
        ('user == "1000:0"', True),
        ('user != "1000:0"', False),
        ('user == "1000*"', False),  # == compares, it does not match
        ('user in "1000*"', True),
        ('user in ["0:0", "1000:0"]', True),
        ('user in ("0:0", "1000:0")', True),
        ('user not in ["0:0", "1:1"]', True),
        ("user in []", False),
        ("user not in []", True),
        ('runtime in "runc>=1.0.0rc92,<1.1"', True),
        ('runtime in ["crun", "runc<=1.0.0rc9"]', False),
        ('runtime not in "runc"', False),
        ('caps == "cri" and user == "0:0" or runtime in "runc"', True),
        ('caps == "cri" and (user == "0:0" or runtime in "crun")', False),
        ('not (caps == "docker" or caps == "none")', True),
        ('cwd == ""', True),  # an axis that the cell does not have
        ('cwd != ""', False),
        ('  caps == "cri"\n', True),
    ],
)
def test_meaning(text: str, *, holds: bool) -> None:
    assert compile_condition(text)(CELL) is holds


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("caps == docker", 9),
        ('caps == "cri" and user', 19),
        ('caps == "cri" and user < "1"', 26),
        ('"cri" == caps', 1),
        ('caps == "cri" == "cri"', 1),
        ('user == ["0:0"]', 9),
        ('caps in ["cri", 3]', 17),
        ('caps == "cri" and', 18),
        ('caps = "cri"', 6),
        ('caps == "cri" && true', 16),
        ("  caps == 3", 9),  # of the condition as the message shows it
        ('image == "größe" and user', 22),
        ('caps == "cri" or __import__("os").system("true")', 18),
    ],
)
def test_a_fault_points_at_its_column(text: str, column: int) -> None:
    with pytest.raises(InputError, match="is not a condition") as caught:
        compile_condition(text)
    assert f"column {column}" in caught.value.details, caught.value.details


HOSTILE = [
    "__import__('os').system('touch {}')",
    "open('{}', 'w')",
    "[x for x in (1,)]",
    "(lambda: true)()",
    'exec(\'open("{}", "w")\')',
    "user.__class__ == 'x'",
    'user == f\'{{open("{}", "w")}}\'',
    "(x := open('{}', 'w'))",
    "user in open('{}', 'w')",
    "user == 'a' if open('{}', 'w') else true",
    "await user",
    "yield",
    "\0",
    "",
    "# nothing",
    "user == 'a'; open('{}', 'w')",
    "\ud800",
    "user == '\\ud800'[0]",
    "user == b'x'",
    "user == 'a' 'b'[0]",
    r"user == '\d'",
    "1 is 1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_python_is_not_run(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a condition"):
        compile_condition(text.replace("{}", str(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["(" * 5000, "not " * 100_000 + "true", "(true and " * 180 + "true" + ")" * 180])
def test_nesting_has_a_limit_that_is_told(text: str) -> None:
    with pytest.raises(InputError, match="is not a condition"):
        compile_condition(text)({})


@given(st.text(alphabet=string.printable, max_size=60) | st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert compile_condition(text)({"user": "0:0"}) in {True, False}


atoms = st.builds(
    lambda axis, operator, values: f"{axis} {operator} {values}",
    st.sampled_from(["user", "caps", "cwd"]),
    st.sampled_from(["in", "not in"]),
    st.lists(st.sampled_from(["1000:0", "cri", "docker", "/"]), max_size=3).map(repr),
) | st.builds(
    lambda axis, operator, value: f"{axis} {operator} {value!r}",
    st.sampled_from(["user", "caps", "cwd"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["1000:0", "cri", "docker", "/"]),
)
conditions = st.recursive(
    atoms | st.sampled_from(["true", "false"]),
    lambda inner: (
        st.builds(lambda one: f"not ({one})", inner)
        | st.builds(lambda one, word, other: f"({one}) {word} ({other})", inner, st.sampled_from(["and", "or"]), inner)
    ),
    max_leaves=8,
)


@given(conditions, st.dictionaries(st.sampled_from(["user", "caps", "cwd"]), st.sampled_from(["1000:0", "cri", "/"])))
def test_a_condition_means_what_python_would_say(text: str, cell: dict[str, str]) -> None:
    names = {"user": "", "caps": "", "cwd": "", "true": True, "false": False, **cell}
    expected = eval(compile(ast.parse(text, mode="eval"), "test", "eval"), {"__builtins__": {}}, names)  # noqa: S307  # text made above
    assert compile_condition(text)(cell) is bool(expected)


def test_axes_that_a_condition_names() -> None:
    assert axes_named('user == "a" and (caps in "b" or true)') == {"user", "caps"}
    assert check_condition('user == "a"', ("user",)) is None
    assert check_condition('usr == "a"', ("user", "caps")) == "no axis 'usr' here (axes: user, caps)"
    fault = check_condition('runtime in "runc>=one"', ("runtime",))
    assert fault is not None
    assert "is not a version range" in fault
