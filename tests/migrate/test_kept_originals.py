"""Every batch gives back its sources, byte for byte, whatever came later; until that is given up, or purged."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sessionstore import canonical, objects
from sessionstore.closure import referenced
from sessionstore.gc import gc
from sessionstore.journal import Journals, files_of
from sessionstore.migrate import decide
from sessionstore.migrate.retire import retire, returning
from sessionstore.migrate.rollback import rollback
from sessionstore.purge import purge
from sessionstore.repair import repair
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import formats, support
from tests.migrate.support import run, write
from tests.store import independent

LATER = 40 * 86400.0


@pytest.fixture(autouse=True)
def more_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    formats.install(monkeypatch)


def test_every_state_of_a_document_is_kept_for_its_batch(store: Store, tmp_path: Path) -> None:
    states = [support.kimi([f"turn {n} of {count}" for n in range(3)] * (count > 0)) for count in (1, 2, 3)]
    path = support.kimi_path(tmp_path)
    for state in states:
        write(path, state)
        support.rest()
        run(store, path)
    gc(store, now=time.time() + LATER)
    gc(store, now=time.time() + 2 * LATER)
    assert [support.original(store, line["original"]) for line in support.live_lines(store)] == states
    assert verify(store, deep=True).ok


def test_a_batch_that_follows_a_growing_file_keeps_its_last_state_only(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    batch = str(run(store, path).batch)
    for lines in (20, 30):
        uncommit_end(store, batch)
        support.rest()
        support.grow(path, support.claude(1, lines, lines - 10))
        assert run(store, path).batch == batch
    assert [line["grown"] for line in support.live_lines(store)] == [False, True, True]
    gc(store, grace_days=0)
    gc(store, grace_days=0, now=time.time() + 60)
    assert [kind for _, kind, _ in store.objects.all()] == [objects.CHUNK]
    assert support.original(store, support.live_lines(store)[-1]["original"]) == path.read_bytes()
    assert verify(store, deep=True).ok


def test_a_missing_chunk_of_a_batchs_original_is_damage(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    support.rest()
    run(store, path)
    write(path, support.kimi(["a", "b", "c"]))
    run(store, path)
    first = support.live_lines(store)[0]["original"]
    found = store.objects.find(first["chunks"][0]["id"], objects.CHUNK)
    assert found is not None
    Path(found).unlink()
    [damage] = verify(store).damage
    assert damage.kind == "object-missing"
    assert damage.sessions == tuple(support.keys(store))


def test_earlier_states_can_be_given_up(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    support.rest()
    run(store, path)
    write(path, support.kimi(["a", "b", "c"]))
    run(store, path)
    told = gc(store, superseded_originals=True, dry_run=True, grace_days=0)
    assert [batch.dropped for batch in Journals(store.root).all()] == [{}, {}]
    done = gc(store, superseded_originals=True, grace_days=0)
    assert (told.given_up, told.swept) == (done.given_up, done.swept) == (1, 1)
    assert [list(batch.dropped) for batch in Journals(store.root).all()] == [[1], []]
    assert verify(store, deep=True).ok


def test_an_earlier_state_stays_while_the_last_one_is_damaged(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    support.rest()
    run(store, path)
    write(path, support.kimi(["a", "b", "c"]))
    run(store, path)
    last = store.objects.find(support.live_lines(store)[1]["original"]["chunks"][0]["id"], objects.CHUNK)
    Path(str(last)).unlink()
    assert gc(store, superseded_originals=True).given_up == 0


def test_a_purge_takes_an_original_that_held_nothing_else(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    support.rest()
    run(store, path)
    write(path, support.kimi(["a", "b", "c"]))
    run(store, path)
    [key] = support.keys(store)
    purge(store, key)
    assert list(store.objects.all()) == []
    assert verify(store, deep=True).ok
    assert gc(store).swept == 0
    assert rollback_refused(store) == []


def rollback_refused(store: Store) -> list[str]:
    """The batches with lines that keep something after all."""
    return [batch.id for batch in Journals(store.root).all() for line in batch.live if not line.get("purged")]


def test_a_purge_says_which_originals_stay_because_of_others(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "all.json", formats.export({"a": ["one"], "b": ["two"]}))
    run(store, path)
    result = purge(store, "export:a")
    assert result.as_json()["files"] == [{"path": str(path), "sessions": ["export:b"]}]
    [line] = support.live_lines(store)
    assert support.original(store, line["original"]) == path.read_bytes()
    assert purge(store, "export:b").as_json()["files"] == []
    assert list(store.objects.all()) == []
    assert verify(store, deep=True).ok


# -- many sessions in one source ---------------------------------------------------------------------------------------


def test_a_session_of_an_export_that_has_not_changed_is_not_written_again(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "all.json", formats.export({"a": ["one"], "b": ["two"]}))
    run(store, path)
    before = support.parts(store, "sessions")
    support.rest()
    write(path, formats.export({"a": ["one"], "b": ["two"], "c": ["three"]}))
    first = path.read_bytes()
    assert run(store, path).sessions == {"contained": 2, "new": 1}
    after = support.parts(store, "sessions")["sessions"]
    assert before["sessions"].items() <= after.items()
    write(path, formats.export({"a": ["one"], "c": ["three"]}))
    assert run(store, path, retire=True).sessions == {"contained": 2}
    assert not path.exists()
    assert [support.original(store, line["original"]) for line in support.live_lines(store)][1] == first
    assert verify(store, deep=True).ok


def test_a_session_of_an_export_that_has_another_title_is_updated(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "all.json", formats.export({"a": ["one"], "b": ["two"]}))
    run(store, path)
    support.rest()
    write(path, formats.export({"a": ["one"], "b": ["two"]}, titles={"a": "first"}))
    assert run(store, path).sessions == {"contained": 1, "updated": 1}
    assert store.heads("export:a")[0]["title"] == "first"


def test_the_chunks_of_a_large_export_are_listed_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "MOST_CHUNKS", 2)
    long = [canonical.digest(bytes([n])) * 4000 for n in range(80)]
    path = write(tmp_path / "all.json", formats.export({f"s{n}": [f"{n}"] for n in range(40)} | {"long": long}))
    support.rest()
    run(store, path)
    entries = [store.heads(key)[0]["originals"][0] for key in support.keys(store)]
    assert all(entry == entries[0] for entry in entries)
    assert entries[0].keys() == {"sha256", "bytes", "chunks_object"}
    assert len(store.objects.chunks(entries[0])) > 2
    assert support.original(store, entries[0]) == path.read_bytes()
    assert independent.read_original(Path(store.root), entries[0]) == path.read_bytes()
    assert max(len(str(store.heads(f"export:s{n}")[0])) for n in range(40)) < 2000
    assert (entries[0]["chunks_object"], objects.VALUE) in referenced(store)
    assert gc(store).swept == 0
    assert verify(store, deep=True).ok
    found = store.objects.find(entries[0]["chunks_object"], objects.VALUE)
    Path(str(found)).unlink()
    [damage] = verify(store).damage
    assert (damage.kind, len(damage.sessions)) == ("object-missing", 41)
    [restored] = repair(store, verify(store)).restored
    assert restored["from"] == "a journal"
    assert verify(store, deep=True).ok


def test_purging_all_sessions_of_a_large_export_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "MOST_CHUNKS", 2)
    long = [canonical.digest(bytes([n])) * 4000 for n in range(80)]
    run(store, write(tmp_path / "all.json", formats.export({"a": ["one"], "long": long})))
    purge(store, "export:long")
    assert verify(store, deep=True).ok
    purge(store, "export:a")
    assert list(store.objects.all()) == []


# -- removed files -----------------------------------------------------------------------------------------------------


def test_a_file_that_came_back_and_was_removed_again_is_given_back_twice(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    first = path.read_bytes()
    journals = Journals(store.root)
    batch = str(run(store, tmp_path, retire=True).batch)
    uncommit_end(store, batch)
    second = write(path, support.kimi(["a", "b", "c"])).read_bytes()
    assert run(store, tmp_path, retire=True).batch == batch
    assert len(journals.read(batch).retire) == 2
    undone = rollback(store, batch)
    assert undone.returned == 2
    assert path.read_bytes() == second
    [beside] = [place for place, _ in returning(journals.read(batch)) if place != str(path)]
    assert Path(beside).read_bytes() == first


def uncommit_end(store: Store, batch: str) -> None:
    """Take the end of a batch away."""
    path = Path(Journals(store.root).path(batch))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"t":"end"' not in line))


def test_the_files_of_a_line_are_all_kept(store: Store, tmp_path: Path) -> None:
    """Companions as a later intake writes them: another file beside the source's own."""
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    batch = str(run(store, path).batch)
    chunk = store.objects.put(b"beside", objects.CHUNK)
    entry = {"sha256": chunk, "bytes": 6, "chunks": [{"id": chunk, "bytes": 6}]}
    other = write(tmp_path / "beside.txt", b"beside")
    journal = Path(Journals(store.root).path(batch))
    lines = [canonical.loads(line) for line in journal.read_bytes().splitlines()]
    for line in lines:
        if line["t"] == "source":
            stat = [*line["stat"][:2], 6, *line["stat"][3:]]
            line["companions"] = [{"path": str(other), "name": "beside.txt", "stat": stat, "original": entry}]
    journal.write_bytes(b"".join(map(canonical.line, lines)))
    assert gc(store).swept == 0
    assert verify(store, deep=True).ok
    [line] = support.live_lines(store)
    assert [file["path"] for file in files_of(line)] == [str(path), str(other)]
    journals = Journals(store.root)
    later = journals.new_id()
    assert retire(store, journals, {"t": "begin", "batch": later}, [line]).removed == 2
    assert not path.exists()
    assert not other.exists()
    [key] = support.keys(store)
    for batch in reversed(Journals(store.root).ids()):
        rollback(store, batch)
    assert (path.read_bytes(), other.read_bytes()) == (support.claude(1, 4), b"beside")
    assert key not in support.keys(store)
    assert list(store.objects.all()) == []
