"""Notes: what a user says about a session."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical, errors, layout, notes
from sessionstore.models import Note
from sessionstore.notes import all_notes, is_purged, notes_of, purged_keys, set_note
from sessionstore.store import Store
from tests.store.maintenance import at, files, flip, killed

KEY = "native:a"


def planted(store: Store, field: str, value: Any, time: str, key: str = KEY) -> str:
    """Put a note in the store as a sync tool would, whatever is there."""
    document = {"format": notes.FORMAT, "v": 1, "key": key, "field": field, "value": value, "time": time}
    data = canonical.dumps(document)
    name = layout.document_name(key, data)
    path = at(store, f"notes/{name}")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return name


@pytest.mark.parametrize(
    ("field", "given", "stored"),
    [
        ("title", "  Tides \ud800", "Tides �"),
        ("tags", {"sea", "moon", " sea ", ""}, ["moon", "sea"]),
        ("tags", [], []),
        ("star", True, True),
        ("archived", False, False),
        ("tombstone", {"time": "2026-01-05T08:00:00Z", "reason": None}, {"time": "2026-01-05T08:00:00Z"}),
    ],
)
def test_what_is_said_is_told_again(store: Store, field: str, given: Any, stored: Any) -> None:
    name = set_note(store, KEY, field, given)
    assert notes_of(store, KEY) == {field: stored}
    assert all_notes(store) == {KEY: {field: stored}}
    assert files(store, "notes") == [f"notes/{name}"]
    Note.model_validate(json.loads(at(store, f"notes/{name}").read_bytes()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", 5), ("tags", "sea"), ("tags", [1]), ("star", 1), ("archived", "yes"), ("color", "red")]
    + [("tombstone", value) for value in (True, {}, {"time": "2026-01-05T08:00:00Z", "content": "secret"})],
)
def test_nothing_else_can_be_said(store: Store, field: str, value: Any) -> None:
    with pytest.raises(errors.UsageError):
        set_note(store, KEY, field, value)
    assert files(store, "notes") == []


def test_the_last_word_counts_and_is_the_only_one_kept(store: Store) -> None:
    for title in ("one", "two", "three"):
        set_note(store, KEY, "title", title)
    set_note(store, KEY, "star", True)
    assert notes_of(store, KEY) == {"title": "three", "star": True}
    assert len(files(store, "notes")) == 2


def test_null_takes_a_field_back_and_stays_to_say_so(store: Store) -> None:
    assert set_note(store, KEY, "title", None) is None
    assert files(store, "notes") == []
    set_note(store, KEY, "title", "one")
    set_note(store, KEY, "title", "  ")
    assert notes_of(store, KEY) == {}
    assert len(files(store, "notes")) == 1


def test_saying_the_same_again_writes_nothing(store: Store) -> None:
    name = set_note(store, KEY, "tags", ["b", "a"])
    assert set_note(store, KEY, "tags", ("a", "b", "a")) == name
    assert files(store, "notes") == [f"notes/{name}"]


def test_of_two_notes_that_meet_the_later_counts_whatever_its_zone(store: Store) -> None:
    planted(store, "title", "earlier", "2026-01-05T10:30:00.000+02:00")
    planted(store, "title", "later", "2026-01-05T08:30:00.001Z")
    planted(store, "star", True, "2026-01-05T08:00:00Z")
    planted(store, "star", False, "2026-01-05T08:00:00.5Z")
    assert notes_of(store, KEY) == {"title": "later", "star": False}


def test_of_two_notes_of_one_instant_every_store_takes_the_same(store: Store, tmp_path: Path) -> None:
    other = Store.init(tmp_path / "other")
    for place, titles in ((store, ("one", "two")), (other, ("two", "one"))):
        for title in titles:
            planted(place, "title", title, "2026-01-05T08:00:00Z")
    assert notes_of(store, KEY) == notes_of(other, KEY)
    assert len(files(store, "notes")) == 2


def test_who_writes_last_wins_even_when_the_clock_is_behind(store: Store) -> None:
    old = planted(store, "title", "from the future", "2099-12-31T23:59:59.500Z")
    new = set_note(store, KEY, "title", "now")
    assert notes_of(store, KEY) == {"title": "now"}
    planted(store, "title", "from the future", "2099-12-31T23:59:59.500Z")
    assert old != new
    assert notes_of(store, KEY) == {"title": "now"}


def test_a_time_at_the_end_of_time_does_no_harm(store: Store) -> None:
    planted(store, "title", "never", "9999-12-31T23:59:59.999999Z")
    planted(store, "star", True, "no time at all")
    set_note(store, KEY, "title", "now")
    set_note(store, KEY, "star", False)
    assert notes_of(store, KEY) == {"title": "now", "star": False}


def test_a_damaged_note_says_nothing(store: Store) -> None:
    set_note(store, KEY, "title", "one")
    name = set_note(store, KEY, "star", True)
    flip(at(store, f"notes/{name}"), 40)
    assert notes_of(store, KEY) == {"title": "one"}
    assert all_notes(store) == {KEY: {"title": "one"}}


def test_what_is_no_note_says_nothing(store: Store) -> None:
    data = canonical.dumps({"format": "something", "v": 1, "key": KEY})
    path = at(store, f"notes/{layout.document_name(KEY, data)}")
    path.parent.mkdir()
    path.write_bytes(data)
    newer = canonical.dumps({"format": notes.FORMAT, "v": 2, "key": KEY, "mark": "?"})
    at(store, f"notes/{layout.document_name(KEY, newer)}").write_bytes(newer)
    assert notes_of(store, KEY) == {}


def test_a_session_whose_name_begins_like_another_has_its_own_notes(store: Store) -> None:
    longer = next(
        f"{layout.slug(KEY).replace('native-', 'native:')}.{n}"
        for n in range(10_000)
        if layout.fanout(f"{layout.slug(KEY).replace('native-', 'native:')}.{n}") == layout.fanout(KEY)
    )
    assert layout.slug(longer).startswith(f"{layout.slug(KEY)}.")
    set_note(store, longer, "title", "other")
    assert notes_of(store, KEY) == {}
    assert notes.names_of(store, KEY) == []


def test_a_tombstone_says_that_a_session_is_gone_until_it_is_taken_back(store: Store) -> None:
    assert not is_purged(store, KEY)
    set_note(store, KEY, "tombstone", {"time": "2026-01-05T08:00:00Z"})
    assert is_purged(store, KEY)
    assert purged_keys(store) == {KEY}
    set_note(store, KEY, "tombstone", None)
    assert not is_purged(store, KEY)
    assert purged_keys(store) == frozenset()


def test_a_kill_at_any_step_leaves_the_old_word_or_the_new_one(store: Store) -> None:
    step, seen = 0, set()
    set_note(store, KEY, "title", "old")
    while killed(step, lambda: set_note(store, KEY, "title", "new")):
        seen.add(notes_of(store, KEY)["title"])
        step += 1
    assert step >= 2
    assert seen == {"old", "new"}
    assert notes_of(store, KEY) == {"title": "new"}
    set_note(store, KEY, "title", "newer")
    assert len(files(store, "notes")) == 1


def test_many_at_once_leave_one_word(store: Store) -> None:
    threads = [threading.Thread(target=set_note, args=(store, KEY, "title", f"title {n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notes_of(store, KEY)["title"].startswith("title ")
    assert len(files(store, "notes")) == 1
