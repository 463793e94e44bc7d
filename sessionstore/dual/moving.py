"""Bringing one session to its file, and the file's news to the session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sessionstore import errors, fsio, layout
from sessionstore.dual import rendering
from sessionstore.dual.comparing import KINDS, Kind, Match, differing_fields
from sessionstore.dual.legacy import File, Legacy
from sessionstore.dual.rendering import Rendered
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import chosen
from sessionstore.importers.base import Machine
from sessionstore.importers.llm_sessions import MIGRATED
from sessionstore.manager import making
from sessionstore.manager.core import SessionManager
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Revision, Store

Record = dict[str, Any]
SOURCES = ("native", "kimi", "llm-sessions")
"""Sources whose sessions an older program would have made itself."""
_OTHERS = re.compile(r"[^a-z0-9._-]+")


def owner(store: Store, legacy: Legacy, ident: str) -> Revision | None:
    """The head of the session that the file of that id is of: the one imported from there, else this store's own, else
    one of another source. None when there is none."""
    for key in legacy.keys_of(ident):
        if heads := store.heads(key):
            return heads[0]
    bare = ident.removeprefix(MIGRATED) if legacy.format == "llm-sessions" else ident
    needle = _OTHERS.sub("-", bare.lower())[:40]
    found = []
    for name in sorted(store.revision_names()):
        if needle in layout.split_name(name)[0]:
            try:
                revision = store.load_revision(name)
            except (errors.NotFound, errors.DamageError, errors.FormatTooNew):
                continue
            if revision.get("source") != "template" and legacy.id_of(revision) == ident:
                found.append(revision["key"])
    first = min(found, default=None, key=lambda key: (not key.startswith(SOURCES), key))
    heads = store.heads(first) if first else []
    return heads[0] if heads else None


def sessions(store: Store, sources: Sequence[str] | None = SOURCES) -> Iterator[Revision]:
    """The heads of the sessions of some sources; None means all."""
    keys: dict[str, None] = {}
    for name in sorted(store.revision_names()):
        stem = layout.split_name(name)[0][3:]
        if sources is None or stem.startswith(tuple(f"{source}-" for source in sources)):
            try:
                keys[store.load_revision(name)["key"]] = None
            except (errors.NotFound, errors.DamageError, errors.FormatTooNew):
                continue
    for key in keys:
        source = key.partition(":")[0]
        if source in sources if sources is not None else source != "template":
            yield from store.heads(key)[:1]


def is_gone(store: Store, head: Revision) -> bool:
    """Whether a session was deleted or cleared by a program that still keeps it: the older one would have removed its
    file."""
    if making.settings(head).get("deleted"):
        return True
    leaf = head.get("active_leaf")
    start = max(0, int(head["counts"]["messages"]) - 1) if leaf is None else 0
    last = [one for one in store.messages(head, start) if leaf is None or one["id"] == leaf]
    return any((one.get("x") or {}).get("cleared") for one in last)


def take_away(store: Store, legacy: Legacy, head: Revision, file: File | None) -> None:
    """Remove the file of a session that is gone, as the older program does; the caller holds the session. Raises
    `Drifted` when the file says what the store does not know."""
    if file is None:
        return
    if file.document is None or not legacy.knows(store, head, file):
        raise errors.Drifted(path=file.path, reason="its session was deleted, but the file says more than the store")
    fsio.remove(file.path)


def kind_of(store: Store, legacy: Legacy, revision: Revision, file: File | None) -> tuple[Kind, Match, list[str]]:
    """(how a session's file stands to it, where, the names of other fields that differ)."""
    if file is None:
        return "unwritten", Match("unwritten"), []
    if file.document is None:
        return "unreadable", Match("unreadable"), []
    if is_gone(store, revision) and legacy.knows(store, revision, file):
        return "cleared", Match("cleared"), []
    stored = legacy.rendered(store, revision, file)
    found = legacy.match(stored, file)
    fields = differing_fields(stored.document, file.document) if found.kind == "same" else []
    return ("fields" if fields else found.kind), found, fields


def bring(
    store: Store,
    legacy: Legacy,
    revision: Revision,
    file: File | None,
    *,
    stored: Rendered | None = None,
    anyway: bool = False,
) -> File:
    """Write a session's file when it has to be; returns it as it then is. The caller holds the session, and may give
    what it is told in. What the file says and the store does not stays, unless `anyway`: then `Drifted` is raised."""
    path = legacy.path_of(legacy.id_of(revision))
    stored = stored or legacy.rendered(store, revision, file)
    if file is not None and not anyway:
        if file.document is None:
            raise errors.Drifted(path=path, reason=f"it cannot be read ({file.problem})")
        found = legacy.match(stored, file)
        if found.kind == "same" and not differing_fields(stored.document, file.document):
            return file
        if found.kind in ("ahead", "differs") and not legacy.knows(store, revision, file):
            raise errors.Drifted(path=path, reason=KINDS[found.kind])
    return legacy.write(path, stored)


def take_in(manager: SessionManager, legacy: Legacy, key: str, file: File, *, lead: bool = False) -> int:
    """Take what a file says beyond its session into it; returns how many messages. Where the two differ the file's
    messages become another branch; with `lead` the one that is shown."""
    if file.document is None:
        return 0
    with manager.held(key):
        live = manager.live(key)
        head = live.head()
        stored = legacy.rendered(manager.store, head, file)
        found = legacy.match(stored, file)
        if not found.news or (found.kind == "differs" and not lead and legacy.knows(manager.store, head, file)):
            return 0
        read = rendering.messages_of(legacy.format, file.document)
        made = [_taken(read[number], legacy.format) for number in found.news]
        if found.kind == "ahead":
            live.extend(*manager.following(head, made))
        else:
            made[0]["parent"] = stored.ids[found.after] if found.after >= 0 else None
            live.extend(made, {"active_leaf": made[-1]["id"] if lead else _leaf(manager.store, head)})
    manager.changed(key)
    return len(made)


def _taken(message: Record, format: str) -> Record:
    x = {**(message.get("x") or {}), rendering.OWN: format}
    return {**message, "id": layout.ulid(), "x": x}


def _leaf(store: Store, head: Revision) -> str | None:
    leaf = head.get("active_leaf")
    if leaf is None:
        path = list(chosen(head, lambda: store.messages(head), Report()))
        leaf = path[-1]["id"] if path else None
    return str(leaf) if leaf is not None else None


def adopt(store: Store, legacy: Legacy, paths: Iterable[str]) -> dict[str, str]:
    """Import files whose sessions the store does not have; what went wrong, by path."""
    todo, failed = sorted(paths), {}
    size = legacy.flags.batch_size
    machine = Machine(Path(legacy.folder), Path(legacy.folder), {})
    for start in range(0, len(todo), size):
        report = migrate(store, Request(tuple(todo[start : start + size]), only=legacy.format, jobs=1), machine)
        for entry in (*report.failed, *report.unrecognised):
            failed[os.path.abspath(entry["path"])] = entry["reason"]
    return failed


def strangers(store: Store, legacy: Legacy) -> list[str]:
    """The files whose sessions the store does not have."""
    return [
        path for path in legacy.stats() if owner(store, legacy, os.path.basename(path).removesuffix(".json")) is None
    ]
