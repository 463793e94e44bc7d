"""Writing on behalf of a model: messages are appended and sessions annotated; nothing is changed or removed.

What a program says through here is marked (`x.written_by`), because it is its word and no record of a conversation
that took place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sessionstore import errors, layout
from sessionstore.archive.asking import Archive
from sessionstore.journal import now
from sessionstore.notes import notes_of, set_note

Message = dict[str, Any]


def append(
    archive: Archive,
    name: str | None,
    said: Sequence[Message],
    *,
    written_by: str,
    title: str | None = None,
) -> dict[str, Any]:
    """Append messages (each with role, text and perhaps model) to a session, or to a new one of source `native` when
    there is no name. They get the present time, for now is when they are told. Durable when it returns key, revision,
    messages (how many the session has now) and the new ids. Raises `NotFound`, `Ambiguous`, `UsageError`."""
    if not said:
        raise errors.UsageError(reason="there is no message to append")
    if name is not None and title is not None:
        raise errors.UsageError(reason="a title belongs to a new session; annotate an old one instead")
    store, made = archive.store, [_message(one, written_by) for one in said]
    if name is None:
        key = f"native:{layout.ulid().lower()}"
        revision = store.put(key, made, {"title": title} if title else {})
    else:
        key = archive.find_key(name)
        revision = store.append(key, made)
    _refresh(archive)
    return {
        "key": key,
        "revision": layout.split_name(revision)[1],
        "messages": store.heads(key)[0]["counts"]["messages"],
        "ids": [one["id"] for one in made],
    }


def annotate(
    archive: Archive,
    name: str,
    *,
    title: str | None = None,
    add_tags: Iterable[str] = (),
    remove_tags: Iterable[str] = (),
    star: bool | None = None,
    archived: bool | None = None,
) -> dict[str, Any]:
    """Set what is given and leave everything else: a title ("" takes it back), tags, the star, the archived mark.
    Durable when it returns key and the notes that hold now. Raises `NotFound`, `Ambiguous`, `UsageError`."""
    store = archive.store
    key = archive.find_key(name)
    added, removed = set(add_tags), set(remove_tags)
    if title is None and star is None and archived is None and not added | removed:
        raise errors.UsageError(reason="say what to set: a title, tags, the star or the archived mark")
    if title is not None:
        set_note(store, key, "title", title or None)
    if added | removed:
        tags = (set(notes_of(store, key).get("tags", ())) | added) - removed
        set_note(store, key, "tags", sorted(tags) or None)
    for field, mark in (("star", star), ("archived", archived)):
        if mark is not None:
            set_note(store, key, field, True if mark else None)
    _refresh(archive)
    notes = notes_of(store, key)
    return {
        "key": key,
        "title": notes.get("title"),
        "tags": notes.get("tags", []),
        "starred": bool(notes.get("star")),
        "archived": bool(notes.get("archived")),
    }


def _message(said: Message, written_by: str) -> Message:
    if said["role"] not in ("user", "assistant", "system") or not str(said["text"]).strip():
        raise errors.UsageError(reason="a message has a role (user, assistant or system) and a text")
    made: Message = {
        "id": layout.ulid().lower(),
        "role": said["role"],
        "time": now(),
        "parts": [{"type": "text", "content": said["text"]}],
        "x": {"written_by": written_by},
    }
    if said.get("model"):
        made["model"] = said["model"]
    return made


def _refresh(archive: Archive) -> None:
    """Let the next search find it. The store is complete without."""
    try:
        archive.refresh()
    except errors.SessionstoreError as error:
        archive.tell(f"the index could not be brought up to date ({error})")
