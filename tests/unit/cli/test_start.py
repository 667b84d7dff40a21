"""The very beginning of the command."""

from __future__ import annotations

import sys

import pytest

from lab.cli import start


class Interrupting:
    """Stands in the way of an import, as ^C in the middle of it."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "lab.cli.main":
            raise KeyboardInterrupt


def test_an_interrupt_during_the_import_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "lab.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
