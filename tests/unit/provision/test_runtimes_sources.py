"""Small pure parts of the providers: the module written for releases without one, and the loader of an ELF file."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.model.runtime import Provider
from lab.provision.catalogue import load_catalogue
from lab.provision.linked import interpreter
from lab.provision.providers.go import module_text


def test_module_of_the_labs_own_requires_the_release_and_its_pins() -> None:
    text = module_text(load_catalogue().get("runc@1.0.0-rc10").sources[Provider.GO])
    assert "\n\tgithub.com/opencontainers/runc v1.0.0-rc10\n" in text
    assert "\n\tgithub.com/coreos/go-systemd v0.0.0-20191104093116-d3cd4ed1dbcf\n" in text
    assert "go-systemd/v22" not in text


def test_module_without_pins_requires_the_release_only() -> None:
    words = {
        "module": "example.invalid/m",
        "package": "example.invalid/m/cmd",
        "module_version": "v1.2.3",
        "require": "",
    }
    assert module_text(words).endswith("require (\n\texample.invalid/m v1.2.3\n)\n")


def test_interpreter_of_this_python_is_a_loader() -> None:
    assert "ld-" in interpreter(Path(sys.executable).resolve())


def test_interpreter_of_other_files_is_empty(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "empty").touch()
    assert interpreter(tmp_path / "script") == interpreter(tmp_path / "empty") == ""
