"""Making small messages, stores and indexes for the tests of the index."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sessionstore import notes
from sessionstore.index import health, schema
from sessionstore.index.digest import digest
from sessionstore.index.search import search
from sessionstore.index.sync import Counts, rebuild, sync
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store

Message = dict[str, Any]


def said(text: str, role: str = "user", **more: Any) -> Message:
    """A message of one text part. Its id follows from nothing: give one where it matters."""
    return {"id": "m1", "role": role, "parts": [{"type": "text", "content": text}], **more}


def called(call_id: str, name: str, arguments: Any, **more: Any) -> Message:
    part = {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
    return {"id": "m1", "role": "assistant", "parts": [part], **more}


def answered(call_id: str, response: Any, *, failed: bool = False, **more: Any) -> Message:
    part = {"type": "tool_call_response", "id": call_id, "response": response}
    return {"id": "m1", "role": "tool", "parts": [{**part, **({"is_error": True} if failed else {})}], **more}


def numbered(*messages: Message) -> list[Message]:
    """The messages with ids m1, m2, … where they have none of their own."""
    return [{**m, "id": f"m{n}"} if m["id"] == "m1" else m for n, m in enumerate(messages, 1)]


def put(store: Store, key: str, *messages: Message, **fields: Any) -> str:
    """Store a session; returns its revision's name."""
    return store.put(key, numbered(*messages), fields)


def path_of(store: Store) -> str:
    return f"{store.root}/index.sqlite"


def synced(store: Store) -> Counts:
    """Bring the store's index up to date."""
    with IndexWriter(path_of(store), store.id) as writer:
        return sync(store, writer)


@contextlib.contextmanager
def reading(store: Store) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(health.open_for_reading(store, path_of(store))) as connection:
        yield connection


def found(store: Store, query: str, **options: Any) -> list[str]:
    """The links of all hits."""
    with reading(store) as connection:
        return [hit["link"] for hit in search(connection, query, limit=1000, per_session=1000, **options)]


def keys(store: Store, query: str, **options: Any) -> list[str]:
    """The keys of the sessions found, best first."""
    return list(dict.fromkeys(link.partition("#")[0] for link in found(store, query, **options)))


def digests(store: Store) -> tuple[str, str, str]:
    """What the index says of itself, what its rows say, and what an index made anew says."""
    with reading(store) as connection:
        stated, computed = schema.get(connection, "digest"), digest(connection)
    anew = Path(store.root, "tmp", "anew.sqlite")
    (anew.parent / "locks").mkdir(exist_ok=True)
    rebuild(store, anew)
    with contextlib.closing(schema.connect_reader(str(anew))) as connection:
        fresh = digest(connection)
    anew.unlink()
    return stated, computed, fresh


def note(store: Store, key: str, field: str, value: Any) -> None:
    notes.set_note(store, key, field, value)
