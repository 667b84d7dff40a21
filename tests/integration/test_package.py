"""The built wheel holds all that the lab needs: scenarios, catalogue, recipes, the probe's sources."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from lab.process import run, small_environment

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.fixture(name="unpacked", scope="module")
def _unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    left_out = shutil.ignore_patterns(".*", "reports", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out)
    shutil.copy(ROOT / ".gitignore", source)
    built = run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(source)], deadline=300)
    assert built.ok, built.tail()
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "unpacked")
    return place / "unpacked"


def test_the_wheel_works_by_itself(unpacked: Path, tmp_path: Path) -> None:
    program = "import lab, sys; sys.argv[0] = 'permlab'; print(lab.__file__); from lab.cli.main import main; main()"
    env = small_environment({"PYTHONPATH": str(unpacked), "PERMLAB_CACHE": str(tmp_path / "cache")})
    for arguments in (("scenarios",), ("plan", "chdir-cwd"), ("runtimes", "list", "--all")):
        done = run([sys.executable, "-c", program, *arguments], deadline=60, env=env, cwd=tmp_path)
        assert done.ok, done.tail()
        first, _, rest = done.stdout.decode().partition("\n")
        assert first == str(unpacked / "lab" / "__init__.py")
        assert "chdir-cwd" in rest or "runc@1.0.0-rc93" in rest


def test_the_wheel_holds_every_file_of_the_package(unpacked: Path) -> None:
    def files(top: Path) -> set[str]:
        return {
            str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }

    brought = {"report/causes.md", *(f"scenario/shipped/{name}" for name in files(ROOT / "scenarios"))}
    assert files(unpacked / "lab") - brought == files(ROOT / "lab")
    assert (unpacked / "lab" / "report" / "causes.md").read_bytes() == (ROOT / "docs" / "causes.md").read_bytes()
    assert files(unpacked / "lab" / "scenario" / "shipped") == files(ROOT / "scenarios")
