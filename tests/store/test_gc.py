"""Garbage collection: what nothing needs goes to the trash, and out of it when its time is over; nothing else does."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from sessionstore import canonical, errors, fsio, layout, objects
from sessionstore.gc import DAY, gc
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.repair import repair
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import support
from tests.store.maintenance import at, files, flip, killed_at_every_step, talk

LATER = 15 * DAY
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")


def orphan(store: Store, text: str = "left over") -> str:
    """An object that nothing needs; returns its path."""
    name = store.objects.put(text.encode(), objects.PAGE)
    return f"objects/{name[:2]}/{name}.jsonl"


def ulid_at(seconds: float) -> str:
    """A name that says it was made at that time."""
    number, text = int(seconds * 1000), ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        text = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit] + text
    return text + "0" * 16


def superseded(store: Store, tmp_path: Path) -> str:
    """Two batches, of which the second supersedes the first's revision; returns the second."""
    path = support.write(support.kimi_path(tmp_path), support.kimi([f"tide {n} {'w' * 3000}" for n in range(20)]))
    support.run(store, path)
    support.rest()
    support.write(path, support.kimi([f"tide {n} {'w' * 3000}" for n in range(40)]))
    batch = support.run(store, path).batch
    assert batch is not None
    return batch


def test_a_store_without_garbage_stays_as_it_is(store: Store) -> None:
    store.put("native:a", talk(60))
    before = support.parts(store, "objects", "sessions", "trash")
    assert gc(store).as_json() == {
        "swept": 0,
        "bytes": 0,
        "expired": 0,
        "kept_in_trash": 0,
        "temp": 0,
        "given_up": 0,
        "dry_run": False,
    }
    assert support.parts(store, "objects", "sessions", "trash") == before


def test_what_nothing_needs_goes_to_the_trash_and_after_its_time_is_gone(store: Store) -> None:
    store.put("native:a", talk(60))
    needed = files(store, "objects")
    path = orphan(store)
    first = gc(store)
    assert (first.swept, first.bytes) == (1, len("left over"))
    assert files(store, "objects") == needed
    assert files(store, "trash") == [f"{first.folder}/{path}"]
    assert (gc(store).swept, gc(store).kept_in_trash) == (0, 1)
    last = gc(store, now=time.time() + LATER)
    assert (last.expired, last.kept_in_trash) == (1, 0)
    assert files(store, "trash") == []
    assert verify(store).ok


def test_the_grace_can_be_chosen(store: Store) -> None:
    orphan(store)
    gc(store)
    assert gc(store, grace_days=3, now=time.time() + 2 * DAY).expired == 0
    assert gc(store, grace_days=1, now=time.time() + 2 * DAY).expired == 1


def test_a_dry_run_says_the_same_and_changes_nothing(store: Store) -> None:
    path = orphan(store)
    at(store, "tmp/ffffff-0-1").write_bytes(b"")
    before = support.parts(store, "objects", "trash", "tmp")
    told = gc(store, dry_run=True)
    assert support.parts(store, "objects", "trash", "tmp") == before
    done = gc(store)
    assert told.as_json() | {"dry_run": False} == done.as_json()
    assert files(store, "trash") == [f"{done.folder}/{path}"]


def test_history_and_branches_keep_what_they_need(store: Store) -> None:
    store.put("native:a", [*talk(30), *talk(30, about="one way")])
    store.put("native:a", [*talk(30), *talk(30, about="another")])
    assert len(store.heads("native:a")) == 2
    assert gc(store).swept == 0


def test_growth_leaves_an_original_that_is_kept_until_it_is_given_up(store: Store, tmp_path: Path) -> None:
    path = support.write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    support.run(store, path)
    support.rest()
    support.grow(path, support.claude(1, 20, 10))
    support.run(store, path)
    assert gc(store).swept == 0
    kept = gc(store, now=time.time() + LATER)
    assert (kept.expired, kept.swept) == (1, 0)
    swept = gc(store, superseded_originals=True)
    assert (swept.given_up, swept.swept) == (1, 1)
    assert verify(store, deep=True).ok
    assert gc(store, superseded_originals=True).given_up == 0


# -- what the trash keeps ----------------------------------------------------------------------------------------------


def test_superseded_revisions_keep_their_objects_until_they_expire(store: Store, tmp_path: Path) -> None:
    batch = superseded(store, tmp_path)
    assert gc(store).as_json()["swept"] == 0
    before = support.tree(at(store, "sessions"))
    rollback(store, batch)
    assert verify(store).ok
    assert support.tree(at(store, "sessions")) != before


def test_after_its_time_a_batch_can_no_longer_be_rolled_back(store: Store, tmp_path: Path) -> None:
    batch = superseded(store, tmp_path)
    result = gc(store, now=time.time() + LATER)
    assert (result.expired, result.swept) == (1, 0)
    with pytest.raises(errors.RollbackRefused, match="no longer in the trash"):
        rollback(store, batch)
    assert verify(store).ok


def test_a_batchs_trash_is_as_old_as_the_last_line_of_its_journal(store: Store) -> None:
    now = time.time()
    cases = {ulid_at(now - 40 * DAY): now - 20 * DAY, ulid_at(now - 41 * DAY): now - 2 * DAY}
    for name, ended in cases.items():
        stamps = [time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment)) for moment in (now - 40 * DAY, ended)]
        lines = [{"t": "undo", "time": stamps[0]}, {"t": "undone", "time": stamps[1]}]
        Journals(store.root).append(name, lines, begin={"t": "begin", "batch": name, "time": stamps[0]})
        at(store, f"trash/{name}/undone").mkdir(parents=True)
    result = gc(store)
    assert (result.expired, result.kept_in_trash) == (1, 1)
    assert os.listdir(at(store, "trash")) == [ulid_at(now - 41 * DAY)]


def test_a_folder_of_gc_is_as_old_as_its_name(store: Store) -> None:
    now = time.time()
    for days in (13, 15):
        at(store, f"trash/{ulid_at(now - days * DAY)}/objects").mkdir(parents=True)
    assert gc(store, now=now).expired == 1
    assert os.listdir(at(store, "trash")) == [ulid_at(now - 13 * DAY)]


EMPTY = {"sha256": canonical.digest(b""), "bytes": 0, "chunks": []}
SOURCE = {"t": "source", "n": 1, "path": "/home/ann/1", "original": EMPTY, "sessions": []}


@pytest.mark.parametrize("line", [SOURCE, {"t": "undo", "time": "2020-01-01T00:00:00Z"}])
def test_the_trash_of_an_unfinished_batch_never_expires(store: Store, line: dict[str, object]) -> None:
    name = ulid_at(time.time() - 400 * DAY)
    Journals(store.root).append(name, [line], begin={"t": "begin", "time": "2020-01-01T00:00:00Z"})
    at(store, f"trash/{name}").mkdir()
    assert gc(store).as_json()["kept_in_trash"] == 1


def test_what_is_no_folder_of_ours_stays_in_the_trash(store: Store) -> None:
    at(store, "trash/mine").mkdir()
    at(store, "trash/mine/thing").write_bytes(b"?")
    assert gc(store, now=time.time() + 400 * DAY).as_json()["expired"] == 0
    assert files(store, "trash") == ["trash/mine/thing"]


# -- what else is needed -----------------------------------------------------------------------------------------------


def test_a_retired_file_is_kept_whatever_became_of_its_session(store: Store, tmp_path: Path) -> None:
    path = support.write(support.kimi_path(tmp_path), support.kimi([f"tide {n}" for n in range(4)]))
    first = path.read_bytes()
    support.run(store, path, retire=True)
    assert not path.exists()
    support.write(path, support.kimi([f"tide {n}" for n in range(6)]))
    support.run(store, path)
    gc(store, now=time.time() + LATER)
    gc(store, now=time.time() + 2 * LATER)
    [entry] = [entry for batch in Journals(store.root).all() for entry in batch.retire.values()]
    assert support.original(store, entry["original"]) == first
    assert verify(store).ok


def test_a_retired_file_is_kept_even_when_its_session_is_lost(store: Store, tmp_path: Path) -> None:
    path = support.write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    support.run(store, path, retire=True)
    [name] = store.revision_names()
    [entry] = store.load_revision(name)["originals"]
    at(store, f"sessions/{name}").unlink()
    gc(store, now=time.time() + LATER)
    assert support.original(store, entry) == support.claude(1, 4)


def test_a_damaged_revision_in_quarantine_keeps_what_it_still_names(store: Store) -> None:
    store.put("native:a", talk(60))
    [name] = store.revision_names()
    flip(at(store, f"sessions/{name}"), 3)
    repair(store, verify(store))
    assert store.revision_names() == set()
    assert gc(store).swept == 0
    assert files(store, "objects") != []


def test_a_damaged_journal_in_quarantine_keeps_what_it_still_names(store: Store, tmp_path: Path) -> None:
    path = support.write(support.kimi_path(tmp_path), support.kimi(["a", "b"]))
    support.run(store, path)
    support.rest()
    support.write(path, support.kimi(["a", "b", "c"]))
    first = Journals(store.root).ids()[0]
    support.run(store, path)
    journal = at(store, f"batches/{first}.jsonl")
    journal.write_bytes(b"?" + journal.read_bytes()[1:])
    repair(store, verify(store))
    assert files(store, "batches") != [] != files(store, "quarantine")
    assert gc(store, now=time.time() + LATER).swept == 0


# -- when it refuses ---------------------------------------------------------------------------------------------------


def test_a_revision_that_cannot_be_read_stops_it(store: Store) -> None:
    store.put("native:a", talk(60))
    [name] = store.revision_names()
    path = orphan(store)
    flip(at(store, f"sessions/{name}"), 3)
    with pytest.raises(errors.RevisionCorrupt):
        gc(store)
    assert at(store, path).exists()


def test_a_journal_that_cannot_be_read_stops_it(store: Store) -> None:
    path = orphan(store)
    at(store, f"batches/{layout.ulid()}.jsonl").write_bytes(b"?\n{}\n")
    with pytest.raises(errors.JournalCorrupt):
        gc(store)
    assert at(store, path).exists()


def test_a_clock_that_is_behind_stops_it(store: Store, tmp_path: Path) -> None:
    path = orphan(store)
    gc(store)
    orphan(store, "more")
    before = support.parts(store, "objects", "trash")
    with pytest.raises(errors.SessionstoreError, match="clock"):
        gc(store, now=time.time() - 2 * DAY)
    assert support.parts(store, "objects", "trash") == before
    assert gc(store, now=time.time() - DAY / 2).swept == 1
    assert f"{path}" not in files(store, "objects")


@pytest.mark.parametrize("place", ["batches", "trash", "quarantine"])
def test_the_newest_of_all_names_is_what_the_clock_is_held_against(store: Store, place: str) -> None:
    name = ulid_at(time.time() + 3 * DAY)
    if place == "batches":
        Journals(store.root).append(name, [{"t": "end"}], begin={"t": "begin"})
    else:
        at(store, f"{place}/{name}").mkdir()
    with pytest.raises(errors.SessionstoreError, match="3 days behind"):
        gc(store)


def test_without_locks_it_refuses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = orphan(store)

    def no_locks(descriptor: int, shared: bool, wait: bool = False) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fsio, "flock", no_locks)
    with pytest.raises(errors.LocksUnavailable):
        gc(store)
    assert at(store, path).exists()


# -- temp files --------------------------------------------------------------------------------------------------------


@posix
def test_only_temp_files_of_dead_processes_are_removed(store: Store) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    kept = ["1-init-1", f"{os.getpid():x}-mine-1", "0-zero", "notes.txt", "-1-x"]
    for name in (*kept, f"{child:x}-dead-1", f"{child:x}-dead-2.spool"):
        at(store, f"tmp/{name}").write_bytes(b"")
    at(store, f"tmp/{child:x}-dead-3").mkdir()
    at(store, f"tmp/{child:x}-dead-3/inside").write_bytes(b"")
    assert gc(store).temp == 3
    assert sorted(os.listdir(at(store, "tmp"))) == sorted(kept)


# -- killed, and beside writers ----------------------------------------------------------------------------------------


@posix
def test_a_kill_at_any_step_leaves_a_sound_store_and_the_next_run_finishes(store: Store, tmp_path: Path) -> None:
    superseded(store, tmp_path)
    store.put("native:a", talk(60))
    for number in range(3):
        orphan(store, f"left {number}")
    gc(store)
    for number in range(3):
        orphan(store, f"right {number}")
    later, copies = time.time() + LATER, 0
    for copy in killed_at_every_step(store, tmp_path, lambda copy: gc(copy, now=later)):
        copies += 1
        assert verify(copy).ok
        support.assert_closed(copy)
        gc(copy, now=later)
        assert verify(copy).counts["orphans"] == 0
        gc(copy, now=later + LATER)
        assert files(copy, "trash", "tmp") == []
        assert verify(copy).ok
    assert copies > 6


@posix
def test_beside_a_writer_no_session_ever_lacks_an_object(store: Store) -> None:
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            number += 1
            Store(store.root).put(f"native:{number % 5}", talk(40, about=f"round {number}"))
            time.sleep(0.02)
    try:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.02)
            gc(store)
            with store.exclusively("looking"):
                support.assert_closed(store)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert store.revision_names() != set()
    assert verify(store).ok


def test_what_was_swept_can_be_put_again(store: Store) -> None:
    path = orphan(store, canonical.dumps(talk(1)[0]).decode())
    gc(store)
    data = canonical.dumps(talk(1)[0])
    assert orphan(store, data.decode()) == path
    assert at(store, path).read_bytes() == data
