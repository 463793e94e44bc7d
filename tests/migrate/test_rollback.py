"""Undoing batches: in order, out of order, twice, after growth, with a damaged journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import LEGACY, grow, run, write

MESSAGE = {"id": "m1", "role": "user", "parts": [{"type": "text", "content": "By hand."}]}


def batch_of(store: Store, *paths: Path) -> str:
    """Migrate and name the batch."""
    batch = run(store, *paths).batch
    assert batch is not None
    return batch


def state(store: Store, batch: str) -> str:
    """What a batch's journal says of it."""
    return Journals(store.root).read(batch).state


def test_rolling_back_the_only_batch_leaves_no_session_and_no_directory(store: Store) -> None:
    before = support.parts(store, "sessions")
    undone = rollback(store, batch_of(store, LEGACY))
    assert support.parts(store, "sessions") == before == {"sessions": {}}
    assert list(store.objects.all()) == []
    assert undone.removed == 25
    assert support.leftovers(store) == []


def test_sessions_from_elsewhere_stay_byte_for_byte(store: Store, tmp_path: Path) -> None:
    store.put("native:by-hand", [MESSAGE])
    run(store, write(support.claude_path(tmp_path, 1), support.claude(1, 100)))
    before = support.parts(store)
    rollback(store, batch_of(store, LEGACY))
    after = support.parts(store)
    assert after["sessions"] == before["sessions"]
    assert {name: data for name, data in after["objects"].items() if data is not None} == {
        name: data for name, data in before["objects"].items() if data is not None
    }
    support.assert_closed(store)


def test_a_batch_rolled_back_can_be_imported_again(store: Store) -> None:
    first = batch_of(store, LEGACY)
    before = support.parts(store)
    rollback(store, first)
    assert batch_of(store, LEGACY) != first
    assert support.parts(store) == before


def test_rollback_after_growth_restores_the_earlier_revision(store: Store, tmp_path: Path) -> None:
    paths = [
        write(support.claude_path(tmp_path, 1), support.claude(1, 200)),
        write(support.codex_path(tmp_path, 2), support.codex(2, 200)),
        write(support.kimi_path(tmp_path), support.kimi(f"turn {n}" for n in range(50))),
    ]
    support.rest()
    first = batch_of(store, tmp_path)
    before = support.parts(store)
    grow(paths[0], support.claude(1, 400, 200))
    grow(paths[1], support.codex(2, 201, 200))
    write(paths[2], support.kimi(f"turn {n}" for n in range(20, 70)))
    second = batch_of(store, tmp_path)
    grown = support.parts(store, "sessions")
    assert grown["sessions"].keys().isdisjoint(name for name, data in before["sessions"].items() if data)
    undone = rollback(store, second)
    assert (undone.removed, undone.restored) == (3, 3)
    after = support.parts(store)
    assert after["sessions"] == before["sessions"]
    assert {name for name, data in after["objects"].items() if data} == {
        name for name, data in before["objects"].items() if data
    }
    assert run(store, tmp_path).sessions == {"extended": 2, "stitched": 1}
    assert support.parts(store, "sessions") == grown
    assert (state(store, first), state(store, second)) == ("done", "rolled-back")


def test_a_second_head_goes_and_the_first_one_stays(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 20))
    support.rest()
    run(store, path)
    before = support.parts(store, "sessions")
    path.write_bytes(support.claude(1, 20).replace(b"line 3 ", b"LINE 3 "))
    rollback(store, batch_of(store, path))
    assert support.parts(store, "sessions") == before


def test_batches_are_rolled_back_newest_first(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    states, batches = [support.parts(store, "sessions")], []
    for count in (20, 30, 40):
        support.rest()
        batches.append(batch_of(store, path))
        states.append(support.parts(store, "sessions"))
        path.write_bytes(support.claude(1, count))
    for batch, before in zip(reversed(batches), reversed(states[:-1]), strict=True):
        rollback(store, batch)
        assert support.parts(store, "sessions") == before


def test_a_batch_whose_sessions_were_not_touched_since_goes_in_any_order(store: Store, tmp_path: Path) -> None:
    first = batch_of(store, write(support.claude_path(tmp_path, 1), support.claude(1, 10)))
    before = support.parts(store, "sessions")["sessions"]
    second = batch_of(store, write(support.claude_path(tmp_path, 2), support.claude(2, 10)))
    rollback(store, first)
    after = support.parts(store, "sessions")["sessions"]
    assert after.keys().isdisjoint(before)
    assert support.keys(store) == [f"claude-code:{support.CLAUDE.format(2)}"]
    support.assert_closed(store)
    rollback(store, second)
    assert support.parts(store) == {"sessions": {}, "objects": support.parts(store, "objects")["objects"]}
    assert list(store.objects.all()) == []


def test_the_refusal_names_the_batch_that_stands_in_the_way(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    support.rest()
    first = batch_of(store, path)
    grow(path, support.claude(1, 20, 10))
    second = batch_of(store, path)
    before = support.tree(store.root)
    with pytest.raises(errors.RollbackRefused, match=second):
        rollback(store, first)
    after = support.tree(store.root)
    assert {name for name in before if before[name] != after.get(name)} <= {"locks/migrate.lock", "locks/store.lock"}
    rollback(store, second)
    rollback(store, first)
    assert support.keys(store) == []


def test_a_batch_is_rolled_back_once(store: Store, tmp_path: Path) -> None:
    batch = batch_of(store, write(support.claude_path(tmp_path, 1), support.claude(1, 10)))
    rollback(store, batch)
    before = support.parts(store, "sessions", "objects", "batches", "trash")
    with pytest.raises(errors.RollbackRefused, match="already"):
        rollback(store, batch)
    assert support.parts(store, "sessions", "objects", "batches", "trash") == before


def test_an_unknown_batch_is_not_found(store: Store) -> None:
    with pytest.raises(errors.NotFound):
        rollback(store, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(errors.NotFound):
        rollback(store, "../../etc/passwd")


def test_a_session_continued_by_hand_is_not_taken_back(store: Store, tmp_path: Path) -> None:
    batch = batch_of(store, write(support.claude_path(tmp_path, 1), support.claude(1, 10)))
    store.append(support.keys(store)[0], [MESSAGE])
    before = support.parts(store)
    with pytest.raises(errors.RollbackRefused, match="changed or removed since"):
        rollback(store, batch)
    assert support.parts(store) == before


def test_a_revision_that_is_gone_from_the_trash_stands_in_the_way(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    support.rest()
    run(store, path)
    grow(path, support.claude(1, 20, 10))
    batch = batch_of(store, path)
    [kept] = Path(store.root, "trash", batch, "sessions").glob("*/*.json")
    kept.unlink()
    before = support.parts(store)
    with pytest.raises(errors.RollbackRefused, match="no longer in the trash"):
        rollback(store, batch)
    assert support.parts(store) == before


DAMAGES = {
    "a changed line": lambda data: data.replace(b'{"', b'{{"', 1),
    "a lost line feed": lambda data: data.replace(b"\n", b"", 1),
    "bytes in the middle": lambda data: data[:50] + b"\xff\x00" + data[50:],
    "a line of another shape": lambda data: b'{"t":"source"}\n' + data,
    "no object": lambda data: b"[]\n" + data,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_journal_is_refused_and_nothing_changes(store: Store, tmp_path: Path, damage: object) -> None:
    batch = batch_of(store, write(support.claude_path(tmp_path, 1), support.claude(1, 10)))
    journal = Path(Journals(store.root).path(batch))
    journal.write_bytes(damage(journal.read_bytes()))  # type: ignore[operator]
    before = support.parts(store, "sessions", "objects", "batches")
    for attempt in (lambda: rollback(store, batch), lambda: run(store, tmp_path)):
        with pytest.raises(errors.JournalCorrupt, match=batch):
            attempt()
    assert support.parts(store, "sessions", "objects", "batches") == before


def test_a_torn_last_line_says_nothing_and_is_no_damage(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 10))
    batch = batch_of(store, path)
    journal = Path(Journals(store.root).path(batch))
    whole = journal.read_bytes()
    last = whole.rstrip(b"\n").rpartition(b"\n")[2]
    for length in (1, len(last) // 2, len(last)):
        journal.write_bytes(whole[: len(whole) - len(last) - 1 + length])
        assert run(store, path).failed == []
        assert state(store, batch) == "done"
        assert Journals(store.root).read(batch).live != []
    support.assert_closed(store)
    rollback(store, batch)
    assert support.keys(store) == []


def test_a_copy_imported_later_keeps_the_session_of_the_batch_it_was_first_in(store: Store, tmp_path: Path) -> None:
    data = support.claude(1, 10)
    first = batch_of(store, write(support.claude_path(tmp_path / "a", 1), data))
    copy = write(support.claude_path(tmp_path / "b", 1), data)
    support.rest()
    run(store, copy)
    rollback(store, first)
    assert support.keys(store) == []
    assert run(store, copy).sessions == {"new": 1}
    assert support.original(store, support.only_head(store)["originals"][0]) == data
    support.rest()
    assert run(store, copy).batch is None


def test_several_states_of_a_session_in_one_batch_are_one_step_back(store: Store, tmp_path: Path) -> None:
    for count in (10, 20, 30):
        padding = b"\n" * (400_000 - count * 10_000)  # the largest file is read first
        write(support.claude_path(tmp_path / str(count), 1), support.claude(1, count) + padding)
    batch = run(store, tmp_path)
    assert batch.sessions == {"new": 1, "extended": 2}
    assert support.only_head(store)["counts"]["messages"] == 30
    rollback(store, str(batch.batch))
    assert support.parts(store, "sessions") == {"sessions": {}}
    assert list(store.objects.all()) == []
