"""What there is to see of a session when something seems wrong: its state, what became of it, all of it in one
document. Nothing here writes, not even the index."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, closure, errors, layout, notes, objects
from sessionstore.journal import Journals
from sessionstore.manager import lifecycle
from sessionstore.manager.switching import switches
from sessionstore.store import Revision, Store

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

Message = dict[str, Any]
Json = dict[str, Any]
REDACTED = frozenset({"content", "arguments", "response", "data", "uri", "record", "signature", "name", "x"})
"""Fields with what was said: a redacted dump has their sizes in their place."""
_PLAIN = frozenset(
    {"id", "parent", "role", "time", "model", "provider", "finish_reason", "kind", "type", "modality", "mime_type"}
    | {"object", "bytes", "is_error"}
)
"""Fields of messages and parts that say nothing of what was said."""


def state(manager: SessionManager, key: str) -> Json:
    """All that is known of a session at this moment. Raises `NotFound`; of one that was purged, only its tombstone is
    told. Damage is told, not raised."""
    store = manager.store
    said = notes.notes_of(store, key)
    revisions = store.revisions_of(key)
    heads = store.heads_of(revisions)
    if not heads:
        if notes.TOMBSTONE not in said:
            raise errors.NotFound(name=key)
        return {"key": key, "state": "purged", "notes": said, "heads": [], "files": files(store, key, [])}
    head = heads[0]
    found: Json = {
        "key": key,
        "native_id": head.get("native_id"),
        "aliases": head.get("aliases", []),
        "source": head.get("source"),
        "title": said.get("title") or head.get("title"),
        "state": lifecycle.state_of(head, said),
        "created_at": head.get("created_at"),
        "updated_at": head.get("updated_at"),
        "forked_from": head.get("forked_from"),
        "heads": [_head(one) for one in heads],
        "history": len(revisions) - len(heads),
        "counts": head["counts"],
        "usage": head.get("usage", {}),
        "models": head.get("models", []),
        "notes": said,
        "issues": head.get("issues", []),
        "sizes": sizes(store, head),
        "files": files(store, key, revisions),
        "index": index(manager, key),
        "persistence": persistence(store, head),
    }
    try:
        found |= _conversation(manager, key)
    except errors.DamageError as error:
        found["damage"] = str(error)
    return found


def _head(revision: Revision) -> Json:
    return {
        "revision": layout.split_name(revision["_name"])[1],
        "messages": revision["counts"]["messages"],
        "updated_at": revision.get("updated_at"),
        "active_leaf": revision.get("active_leaf"),
    }


def _conversation(manager: SessionManager, key: str) -> Json:
    """What only the messages tell. Raises `DamageError`."""
    session = manager.session(key)
    history = session.history()
    calls = {part["id"] for one in history for part in one["parts"] if part.get("type") == "tool_call"}
    answers = {part["id"] for one in history for part in one["parts"] if part.get("type") == "tool_call_response"}
    return {
        "model": session.model,
        "provider": session.provider,
        "path": len(history),
        "pending": session.pending(),
        "dangling_calls": sorted(map(str, calls - answers)),
        "unfinished_answers": sum(one.get("kind") == "error" for one in session.messages()),
        "switches": switches(session),
    }


def sizes(store: Store, head: Revision) -> Json:
    """Counts and bytes of what a head consists of; `stored` is what it takes on the disk, shared objects included."""
    counted = {kind: [0, 0] for kind in objects.KINDS}
    seen: set[Any] = set()
    try:
        for reference in closure.objects_of(store, head):
            name, kind = reference[0], reference[1]
            if (name, kind) not in seen:
                seen.add((name, kind))
                counted[kind][0] += 1
                path = store.objects.find(name, kind)
                counted[kind][1] += os.path.getsize(path) if path else 0
    except (errors.DamageError, OSError):
        pass
    names = {objects.PAGE: "pages", objects.CHUNK: "chunks", objects.VALUE: "values"}
    told = {names[kind]: {"count": count, "stored": stored} for kind, (count, stored) in counted.items()}
    own = Path(store.root, "sessions", head["_name"])
    return {
        **told,
        "revision_bytes": own.stat().st_size if own.exists() else 0,
        "inline_messages": len(head["messages"]),
        "message_bytes": head["counts"].get("bytes", 0),
        "originals": [{"sha256": one["sha256"], "bytes": one["bytes"]} for one in head.get("originals", ())],
    }


def files(store: Store, key: str, revisions: list[Revision]) -> Json:
    """Where a session lies, as absolute paths."""
    return {
        "store": store.root,
        "revisions": [f"{store.root}/sessions/{one['_name']}" for one in revisions],
        "notes": [f"{store.root}/notes/{name}" for name in notes.names_of(store, key)],
    }


def index(manager: SessionManager, key: str) -> Json:
    """Whether the index has the session as it is now: {"exists", "current", "problem"}."""
    from sessionstore.index import schema
    from sessionstore.index.difference import difference

    path = manager.keeper.path
    if not os.path.exists(path):
        return {"path": path, "exists": False, "current": False}
    try:
        with closing(schema.connect_reader(path)) as connection:
            schema.check_identity(connection, manager.store.id)
            stem = f"{layout.fanout(key)}/{layout.slug(key)}."
            behind = any(
                str(name).startswith(stem) for names in difference(manager.store, connection) for name in names
            )
    except (sqlite3.Error, schema.Unusable, errors.SessionstoreError) as error:
        return {"path": path, "exists": True, "current": False, "problem": str(error)}
    return {"path": path, "exists": True, "current": not behind}


def persistence(store: Store, head: Revision) -> Json:
    """Whether all that the head names is there, and what writers have left: {"complete", "missing", "left_behind"}."""
    missing: list[str] = []
    try:
        named = closure.objects_of(store, head)
        missing.extend(name for name, kind in named if store.objects.find(name, kind) is None)
    except errors.DamageError as error:
        missing.append(str(error))
    left = len(os.listdir(f"{store.root}/tmp")) if os.path.isdir(f"{store.root}/tmp") else 0
    return {"complete": not missing, "missing": sorted(set(missing))[:100], "left_behind": left}


def history(store: Store, key: str) -> Json:
    """What became of a session: its revisions, oldest first, each with what is other than in the one it came from; the
    migrations that touched it; its tombstone. {"key", "revisions", "batches", "tombstone"}. Raises `NotFound`."""
    revisions = store.revisions_of(key)
    said = notes.notes_of(store, key)
    if not revisions and notes.TOMBSTONE not in said:
        raise errors.NotFound(name=key)
    heads = {one["_name"] for one in store.heads_of(revisions)}
    ordered = _in_order(revisions)
    by_hash = {layout.split_name(one["_name"])[1]: one for one in ordered}
    told = []
    for one in ordered:
        before = [by_hash[parent] for parent in one.get("parents", ()) if parent in by_hash]
        base = max(before, key=ordered.index) if before else None
        told.append({**_head(one), "head": one["_name"] in heads, "parents": one.get("parents", [])})
        told[-1] |= _change(store, base, one)
    return {"key": key, "revisions": told, "batches": batches(store, key), "tombstone": said.get(notes.TOMBSTONE)}


def _in_order(revisions: list[Revision]) -> list[Revision]:
    """Parents before those that name them, else by time."""
    left = sorted(revisions, key=lambda one: (one.get("updated_at") or "", one["_name"]))
    names = {layout.split_name(one["_name"])[1] for one in left}
    done: set[str] = set()
    ordered: list[Revision] = []
    while left:
        ready = [one for one in left if set(one.get("parents", ())) & names <= done] or left
        ordered.append(ready[0])
        done.add(layout.split_name(ready[0]["_name"])[1])
        left.remove(ready[0])
    return ordered


def _change(store: Store, base: Revision | None, revision: Revision) -> Json:
    """What is other than before: ids of messages, and names of fields."""
    if base is None:
        return {"added": revision["counts"]["messages"], "edited": [], "deleted": [], "fields": []}
    try:
        old = {str(one["id"]): one for one in store.messages(base)}
        new = {str(one["id"]): one for one in store.messages(revision)}
    except errors.DamageError as error:
        return {"added": 0, "edited": [], "deleted": [], "fields": [], "damage": str(error)}
    names = {"title", "cwd", "project", "model", "active_leaf", "system", "tools", "x", "aliases"}
    return {
        "added": len(new.keys() - old.keys()),
        "edited": [name for name in new if name in old and new[name] != old[name]],
        "deleted": [name for name in old if name not in new],
        "fields": sorted(name for name in names if base.get(name) != revision.get(name)),
    }


def batches(store: Store, key: str) -> list[Json]:
    """The migrations that brought something of a session: {"batch", "state", "time", "path"}."""
    found: list[Json] = []
    journals = Journals(store.root)
    for name in journals.ids():
        try:
            batch = journals.read(name)
        except errors.SessionstoreError:
            continue
        mine = [line for line in batch.sources.values() if key in map(_key_of, line.get("sessions", ()))]
        time = batch.begin.get("time")
        found += [{"batch": name, "state": batch.state, "time": time, "path": one.get("path")} for one in mine]
    return found


def _key_of(entry: Any) -> Any:
    return entry.get("key") if isinstance(entry, Mapping) else entry


def dump(manager: SessionManager, key: str, *, redact: bool = False) -> Json:
    """A session for a report of a fault: its state, its history and its messages. With `redact` nothing is left of what
    was said or what things are called: lengths stand in the place of texts, and homes and titles are taken out."""
    from sessionstore import __version__

    found: Json = {"format": "sessionstore/debug", "v": 1, "version": __version__, "state": state(manager, key)}
    found["history"] = history(manager.store, key)
    head = manager.store.heads(key)
    try:
        found["messages"] = list(manager.store.messages(head[0])) if head else []
    except errors.DamageError as error:
        found["messages"], found["damage"] = [], str(error)
    found["revision"] = {name: head[0][name] for name in head[0] if name not in ("messages", "_name")} if head else {}
    if redact:
        found = redacted(found)
    cleaned: Json = canonical.clean(found)
    return cleaned


def redacted(found: Json) -> Json:
    """A dump without what was said."""
    kept = {name: found[name] for name in ("format", "v", "version")}
    state_ = found["state"]
    plain = ["key", "source", "state", "created_at", "updated_at", "heads", "history", "counts", "usage", "models"]
    plain += ["model", "provider", "path", "pending", "unfinished_answers", "persistence", "sizes", "dangling_calls"]
    kept["state"] = {name: state_[name] for name in plain if name in state_}
    kept["state"]["issues"] = len(state_.get("issues", ()))
    kept["state"]["index"] = {name: state_.get("index", {}).get(name) for name in ("exists", "current")}
    kept["state"]["switches"] = [
        {name: one[name] for name in ("from", "to", "time", "consent") if name in one}
        for one in state_.get("switches", ())
    ]
    kept["history"] = {
        "revisions": found["history"]["revisions"],
        "batches": [{n: one[n] for n in ("batch", "state", "time")} for one in found["history"]["batches"]],
    }
    kept["messages"] = [_redacted(message) for message in found["messages"]]
    return kept


def _redacted(message: Json) -> Json:
    """A message, or one of its parts, with sizes in the place of what was said. Fields that have no name in the
    unified form are only counted: their names may say something, too."""
    found: Json = {}
    for name, value in message.items():
        if name == "parts":
            found[name] = [_redacted(part) for part in value]
        elif _is_plain(name, message):
            found[name] = value
        elif name in REDACTED:
            found[name] = _measure(value)
        else:
            found["other_fields"] = found.get("other_fields", 0) + 1
    return found


def _is_plain(name: str, value: Json) -> bool:
    """Whether a field's value is told as it is. A tool's name is; a file's is not."""
    if name == "name":
        return value.get("type") in ("tool_call", "tool_call_response")
    if name == "usage":
        return isinstance(value[name], dict) and not any(isinstance(one, str | dict) for one in value[name].values())
    return name in _PLAIN and isinstance(value[name], str | int | bool | float | None)


def _measure(value: Any) -> str:
    size = len(value) if isinstance(value, str) else len(canonical.dumps(canonical.clean(value)))
    return f"<{size} {'characters' if isinstance(value, str) else 'bytes of JSON'}>"
