"""Notes: what a user says about a session, kept beside its revisions and never inside them.

    notes/<hh>/<slug>.<sha256>.json     {"format":"sessionstore/note","v":1,"key","field","value","time"}

A note states one field of one session. Of several notes on a field the latest counts, by time and then by name, so
that two stores merge by copying files. Setting a field, step by step, and what a kill between two steps leaves:
  1. the new note is written and made durable     the field as it was before, or as it is after
  2. older notes on that field are removed        the new one and old ones, of which the new one counts
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sessionstore import canonical, errors, fsio, layout
from sessionstore.journal import now
from sessionstore.store import Store

FORMAT = "sessionstore/note"
TOMBSTONE = "tombstone"
STATES = ("created", "active", "paused", "completed", "archived", "retrieved", "expired")
"""What can be said of where a session stands in its life."""
Note = dict[str, Any]


def _title(value: Any) -> str | None:
    if not isinstance(value, str):
        raise errors.UsageError(reason="a title is text")
    return canonical.clean_text(value).strip() or None


def _tags(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(tag, str) for tag in value):
        raise errors.UsageError(reason="tags are a list of words")
    return sorted({canonical.clean_text(tag).strip() for tag in value} - {""})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise errors.UsageError(reason="it is either on or off")
    return value


def _state(value: Any) -> str:
    if value not in STATES:
        raise errors.UsageError(reason=f"a session's state is one of {', '.join(STATES)}")
    return str(value)


def _tombstone(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("time"), str) or value.keys() - {"time", "reason"}:
        raise errors.UsageError(reason="a tombstone has a time and, at most, a reason")
    return {name: entry for name, entry in value.items() if entry is not None}


FIELDS: dict[str, Callable[[Any], Any]] = {
    "title": _title,
    "tags": _tags,
    "star": _flag,
    "archived": _flag,
    "state": _state,
    TOMBSTONE: _tombstone,
}
"""What can be said about a session, each with what makes a given value the one that is stored. A null takes it back."""


def set_note(store: Store, key: str, field: str, value: Any) -> str | None:
    """Say something about a session: `title` (text), `tags` (words), `star` and `archived` (true or false), `state`
    (one of `STATES`), `tombstone`. None takes it back. Durable when this returns the name of the note that
    states it (None when there is nothing to take back). Raises `UsageError` for another field or kind of value,
    `StorageError`."""
    with store.writing(), store.sessions_locked([key]):
        return write_note(store, key, field, value)


def write_note(store: Store, key: str, field: str, value: Any) -> str | None:
    """`set_note` for a caller that already holds the session."""
    if field not in FIELDS:
        raise errors.UsageError(reason=f"there is no note called {field!r}; there are {', '.join(FIELDS)}")
    value = None if value is None else FIELDS[field](value)
    older = sorted((note for note in _notes(store, key) if note["field"] == field), key=_rank)
    if (older[-1]["value"] if older else None) == value:
        return older[-1]["_name"] if older else None
    time = _after(older[-1]["time"]) if older else now()
    data = canonical.dumps({"format": FORMAT, "v": 1, "key": key, "field": field, "value": value, "time": time})
    name = layout.document_name(key, data)
    fsio.write_new(store.temp, f"{store.root}/notes/{name}", data)
    for note in older:
        fsio.remove(f"{store.root}/notes/{note['_name']}")
    return name


def notes_of(store: Store, key: str) -> dict[str, Any]:
    """What the user says about a session: value by field, without those taken back. Damaged notes say nothing
    (`verify` names them)."""
    return in_force(_notes(store, key))


def all_notes(store: Store) -> dict[str, dict[str, Any]]:
    """`notes_of` every session that has notes, by key."""
    by_key: dict[str, list[Note]] = {}
    for name in store.note_names():
        for note in _load(store, name):
            by_key.setdefault(note["key"], []).append(note)
    return {key: in_force(found) for key, found in by_key.items()}


def purged_keys(store: Store) -> frozenset[str]:
    """The keys of all sessions that were purged."""
    return frozenset(key for key, notes in all_notes(store).items() if TOMBSTONE in notes)


def is_purged(store: Store, key: str) -> bool:
    """Whether the session was purged, so that importers must not bring it back."""
    return TOMBSTONE in notes_of(store, key)


def said_at(store: Store, key: str, fields: Iterable[str]) -> datetime | None:
    """When one of these fields of a session was last said or taken back; None when none ever was, or nobody knows."""
    wanted = frozenset(fields)
    times = [_instant(note["time"]) for note in _notes(store, key) if note["field"] in wanted]
    latest = max(times, default=None)
    return latest if latest is not None and latest.year > 1 else None


def in_force(notes: Iterable[Note]) -> dict[str, Any]:
    """What some notes on one session (each with its file name under "_name") come to, by field."""
    latest = {note["field"]: note["value"] for note in sorted(notes, key=_rank)}
    return {field: value for field, value in latest.items() if value is not None}


def names_of(store: Store, key: str) -> list[str]:
    """The names of all files below `notes/` that are about a session, damaged ones too."""
    stem = f"{layout.fanout(key)}/{layout.slug(key)}"
    found = (f"{stem[:2]}/{file}" for file in fsio.names(f"{store.root}/notes/{stem[:2]}"))
    return [name for name in found if layout.is_document_name(name) and layout.split_name(name)[0] == stem]


def is_note(document: Any) -> bool:
    """Whether a document has the shape of a note."""
    return (
        isinstance(document, dict)
        and document.get("format") == FORMAT
        and isinstance(document.get("key"), str)
        and isinstance(document.get("field"), str)
        and isinstance(document.get("time"), str)
        and "value" in document
    )


def _notes(store: Store, key: str) -> list[Note]:
    return [note for name in names_of(store, key) for note in _load(store, name) if note["key"] == key]


def _load(store: Store, name: str) -> Iterator[Note]:
    try:
        note = store.load_note(name)
    except (errors.NotFound, errors.DamageError, errors.FormatTooNew):
        return
    if is_note(note):
        yield note


def _rank(note: Note) -> tuple[datetime, str]:
    return _instant(note["time"]), note["_name"]


def _instant(time: str) -> datetime:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _after(time: str) -> str:
    """The present time, or a millisecond after `time` when the clock stands before it: the last writer must win."""
    present = now()
    try:
        earliest = _instant(time) + timedelta(milliseconds=1)
    except OverflowError:
        return present
    if _instant(present) >= earliest:
        return present
    return earliest.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
