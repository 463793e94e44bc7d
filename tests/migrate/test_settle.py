"""What a kill or a power cut leaves between a source's journal line and its commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessionstore.gc import gc
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.migrate.settle import settle
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import formats, support
from tests.migrate.support import run, write

BY_HAND = {"id": "x1", "role": "user", "parts": [{"type": "text", "content": "and on"}]}


def uncommitted(store: Store, batch: str | None) -> None:
    """Make a batch look as if it had been killed before its commit line."""
    path = Path(Journals(store.root).path(str(batch)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"t":"commit"' not in line and b'"t":"end"' not in line))


@pytest.mark.parametrize("left", [b"", b'{"active', None], ids=["empty", "torn", "changed"])
def test_a_revision_that_a_power_cut_has_emptied_is_not_trusted(
    store: Store, tmp_path: Path, left: bytes | None
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 40))
    batch = run(store, path).batch
    [name] = store.revision_names()
    place = Path(store.root, "sessions", name)
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + b"]" if left is None else left)
    uncommitted(store, batch)
    again = run(store, path)
    assert (again.batch, again.sessions) == (batch, {"new": 1})
    assert place.read_bytes() == whole
    assert verify(store, deep=True).ok
    assert any(names for _, _, names in os.walk(f"{store.root}/quarantine"))


def test_writing_a_revision_replaces_a_file_that_is_not_what_it_is_named_for(store: Store) -> None:
    name = store.put("native:a", [BY_HAND])
    place = Path(store.root, "sessions", name)
    whole = place.read_bytes()
    place.write_bytes(b"")
    assert store.write_revision(name, whole)
    assert place.read_bytes() == whole
    assert not store.write_revision(name, whole)


def test_a_source_whose_sessions_are_gone_is_read_again(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 40))
    support.rest()
    run(store, path)
    [name] = store.revision_names()
    Path(store.root, "sessions", name).unlink()
    report = run(store, path)
    assert (report.skipped, report.sessions) == (0, {"new": 1})
    assert store.revision_names() == {name}
    assert run(store, path).skipped == 1


@pytest.fixture
def both(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A killed batch of one source with two sessions."""
    formats.install(monkeypatch)
    path = write(tmp_path / "all.json", formats.export({"a": ["one", "two"], "b": ["three"]}))
    batch = run(store, path).batch
    uncommitted(store, batch)
    return str(batch)


def test_a_session_is_not_withdrawn_because_its_sibling_was_gone_on_with(store: Store, both: str) -> None:
    [first] = store.heads("export:a")
    store.append("export:b", [BY_HAND])
    batch = Journals(store.root).read(both)
    settle(store, batch)
    assert [line["n"] for line in batch.live] == [1]
    assert store.heads("export:a") == [first]
    assert [head["counts"]["messages"] for head in store.heads("export:b")] == [2]


def test_what_is_withdrawn_goes_to_the_trash_and_what_is_built_upon_stays(store: Store, both: str) -> None:
    [lost], [kept] = store.heads("export:a"), store.heads("export:b")
    path = Path(store.root, "sessions", lost["_name"])
    edited = {**kept, "parents": [kept["_name"].rsplit(".", 2)[1]], "title": "edited"}
    name, data = store.name_of(edited)
    store.write_revision(name, data)
    path.unlink()
    batch = Journals(store.root).read(both)
    settle(store, batch)
    assert (batch.live, batch.unsettled()) == ([], [])
    assert {revision["_name"] for revision in store.revisions_of("export:b")} == {kept["_name"], name}


def test_a_withdrawn_revision_is_in_the_trash(store: Store, both: str) -> None:
    [lost], [other] = store.heads("export:a"), store.heads("export:b")
    Path(store.root, "sessions", lost["_name"]).unlink()
    settle(store, Journals(store.root).read(both))
    assert store.revision_names() == set()
    assert Path(store.root, "trash", both, "undone", other["_name"]).exists()


def test_a_killed_rollback_is_finished_by_the_next_migration(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 40))
    batch = str(run(store, path, retire=True).batch)
    Journals(store.root).append(batch, [{"t": "undo", "time": "2026-01-01T00:00:00Z"}])
    assert Journals(store.root).read(batch).live == []
    report = run(store, tmp_path)
    assert Journals(store.root).read(batch).state == "rolled-back"
    assert path.read_bytes() == support.claude(1, 40)
    assert report.batch not in (None, batch)
    assert report.sessions == {"new": 1}
    assert verify(store, deep=True).ok


def test_a_killed_rollback_keeps_what_it_has_to_give_back(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 40))
    batch = str(run(store, path, retire=True).batch)
    Journals(store.root).append(batch, [{"t": "undo", "time": "2026-01-01T00:00:00Z"}])
    [name] = store.revision_names()
    Path(store.root, "sessions", name).unlink()
    assert gc(store).swept == 0
    write(tmp_path / "in-the-way", b"")
    rollback(store, batch)
    assert path.read_bytes() == support.claude(1, 40)


def test_a_batch_sorts_after_every_other_one_when_the_clock_was_set_back(store: Store, tmp_path: Path) -> None:
    journals = Journals(store.root)
    future = "7ZZZZZZZZZ0000000000000000"
    journals.append(future, [{"t": "end", "time": "2026-01-01T00:00:00Z"}], begin={"t": "begin", "v": 1})
    batch = run(store, write(support.claude_path(tmp_path, 1), support.claude(1, 4))).batch
    assert journals.ids() == [future, batch]
