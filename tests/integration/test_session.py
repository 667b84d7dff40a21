"""A session's measurements: what is run, and what is taken from stored runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from lab_session import RUNC

from lab.engine.host import host_facts
from lab.model.record import Record
from lab.model.scenario import Task
from lab.provision.cache import Cache, default_cache
from lab.runner import Runner
from lab.scenario.load import parse
from lab.session import new_header, open_session, tasks_of
from lab.store import runs as store

pytestmark = pytest.mark.integration

TEXT = """
format = 1
question = "?"
[axes]
image = ["distroless-static:nonroot"]
user = ["65532", "1000:0"]
cwd = ["image"]
engine = ["oci"]
runtime = ["default"]
"""


@dataclass
class Told:
    notes: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def done(self, record: Record) -> None:
        self.records.append(record)

    def pause(self) -> None:
        pass


def tasks(text: str = TEXT) -> list[Task]:
    return tasks_of((parse(text, id="mine", where="mine"),), (RUNC,))


def measured(place: Path, *, text: str = TEXT, anew: bool = False, kernel: str | None = None) -> tuple[Record, ...]:
    header = new_header({"mine": text}, argv=("test",))
    if kernel:
        header = replace(header, host=replace(host_facts(), kernel=kernel))
    told = Told()
    with store.create(place, header) as writer, open_session(default_cache(), writer, told) as session:
        records = session.measure(tasks(text), anew=anew)
        assert session.measure(tasks(text)) == records
    by_cell = {record.cell: record for record in told.records}  # two threads may store and tell in another order
    assert {record.cell: record for record in store.read(writer.path).records} == by_cell
    return records


def test_a_stored_record_is_taken_and_names_its_run(tmp_path: Path) -> None:
    first = measured(tmp_path)
    second = measured(tmp_path)
    third = measured(tmp_path)
    assert [record.reused_from for record in first] == ["", ""]
    (source,) = {record.reused_from for record in second}
    assert source == store.stored(tmp_path)[0].stem
    assert {record.reused_from for record in third} == {source}
    assert [record.observation for record in third] == [record.observation for record in first]


def test_nothing_is_taken_when_asked_for_anew_or_on_another_host(tmp_path: Path) -> None:
    measured(tmp_path)
    assert [record.reused_from for record in measured(tmp_path, anew=True)] == ["", ""]
    assert [record.reused_from for record in measured(tmp_path, kernel="another")] == ["", ""]


def test_an_image_of_the_same_files_with_another_config_is_another_image(tmp_path: Path) -> None:
    twin = measured(tmp_path, text=TEXT.replace("distroless-static:nonroot", "distroless-static"))
    own = measured(tmp_path)
    assert [record.reused_from for record in own] == ["", ""]
    assert twin[0].provenance.config != own[0].provenance.config


def test_nothing_is_provisioned_to_look_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(tmp_path)
    told, empty = Told(), Cache(tmp_path / "cache")
    writer = store.create(tmp_path, new_header({"mine": TEXT}, argv=("test",)))
    monkeypatch.setattr(Runner, "run", lambda *_: None)
    with writer, open_session(default_cache(), writer, told) as session:
        session.cache = empty
        assert session.measure(tasks()) == ()
    assert not empty.root.exists()
    assert told == Told()


def test_a_copied_record_stands_with_what_its_digests_mean(tmp_path: Path) -> None:
    measured(tmp_path)
    measured(tmp_path)
    run = store.read(store.stored(tmp_path)[-1])
    for record in run.records:
        assert record.provenance.runtime in run.runtimes
        assert record.provenance.image in run.images
        assert record.provenance.config in run.configs


def test_a_kept_root_is_in_the_way_of_no_later_cell(tmp_path: Path) -> None:
    other = TEXT.replace("distroless-static:nonroot", "busybox")
    header = new_header({"mine": TEXT, "other": other}, argv=("test",))
    with store.create(tmp_path, header) as writer, open_session(default_cache(), writer, Told()) as session:
        for name, text in (("mine", TEXT), ("other", other), ("mine", TEXT)):
            asked = tasks_of((parse(text, id=name, where=name),), (RUNC,))
            assert {record.verdict.kind for record in session.measure(asked, anew=True)} <= {"passed", "denied"}
