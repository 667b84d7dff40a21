"""What permlab changes for those who have it installed and test something else: nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

FOREIGN = ("pydantic", "docker", "grpc", "click", "tqdm", "requests", "jinja2", "PIL")
HEAVY = ("lab.codec", "lab.session", "lab.engine", "lab.model", "lab.cli", "lab.library")
ORDINARY = """
import sys
import pytest

pytestmark = pytest.mark.docker

@pytest.fixture
def engine(request):
    return request.config.getoption("engine")

def test_one(engine, runtime_word):
    assert (engine, runtime_word) == ("v8", "jvm")

def test_with_properties_of_its_own(record_property, request):
    record_property("permlab", 1)
    request.node.user_properties.append({"odd": ("one",)})
    request.node.user_properties.append(())

def test_what_is_imported():
    assert not [name for name in sys.modules if name.startswith(%r)]
"""
CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--engine", default="v8")
    parser.getgroup("permlabs").addoption("--runtime", dest="word", default="jvm")

@pytest.fixture
def runtime_word(request):
    return request.config.getoption("word")
"""


def test_the_entry_point_imports_nothing_but_pytest() -> None:
    code = """if True:
        import pytest, sys
        before = set(sys.modules)
        import lab.pytest_plugin.plugin
        print(*sorted(set(sys.modules) - before))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603  # as above
    own = [name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names]
    assert own == ["lab", "lab.pytest_plugin", "lab.pytest_plugin.plugin"]


def test_an_ordinary_suite_with_options_of_the_same_names_runs_as_without(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_ordinary=ORDINARY % ((*FOREIGN, *HEAVY),))
    pytester.makeconftest(CONFTEST)
    pytester.makefile(".toml", pyproject="[tool.x]\n", data="question = 1\n")
    with_it, without = (shown(pytester.runpytest_subprocess("-v", *words)) for words in ((), ("-p", "no:permlab")))
    assert "3 passed" in with_it
    assert with_it == without


def shown(result: pytest.RunResult) -> str:
    return re.sub(r" in \d+\.\d+s|, permlab-[\d.]+|permlab-[\d.]+, ", "", result.stdout.str() + result.stderr.str())


def test_strict_markers_stay_strict(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.docker\ndef test_it(): pass\n")
    result = pytester.runpytest_subprocess("--strict-markers")
    result.stdout.fnmatch_lines(["*'docker' not found in `markers` configuration option*"])


@pytest.mark.parametrize(("word", "line"), [("--help", "  --engine=NAME *"), ("--markers", "@pytest.mark.pack(name)*")])
def test_what_there_is_is_told_to_who_asks(pytester: pytest.Pytester, word: str, line: str) -> None:
    pytester.runpytest_subprocess(word).stdout.fnmatch_lines([line])
