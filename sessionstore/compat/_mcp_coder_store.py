"""How what mcp_coder's functions write gets into the store.

A turn or a history is read by the importer of the very file that it is written to. So the session and its messages are
those that importing the file gives, and importing it later, by this program or another one, adds nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionstore import errors, fsio, objects
from sessionstore.chunks import Chunker
from sessionstore.compat._home import take_over
from sessionstore.compose import Composer
from sessionstore.importers.base import Draft, Importer, Source
from sessionstore.importers.mcp_coder import McpCoder
from sessionstore.importers.mcp_coder_langchain import McpCoderLangchain
from sessionstore.importers.parsing import Unparsable
from sessionstore.journal import now
from sessionstore.manager import lifecycle
from sessionstore.manager.core import SessionManager
from sessionstore.manager.lines import Messages
from sessionstore.manager.live import Live
from sessionstore.migrate.decide import fields_of
from sessionstore.migrate.intake import own_key, rule_of
from sessionstore.migrate.joining import joined, moment, same_content
from sessionstore.notes import is_purged
from sessionstore.store import merged_originals

Message = dict[str, Any]
Fields = dict[str, Any]
Merge = Callable[[Messages, list[Message]], tuple[int, list[Message]] | None]
"""Given the stored messages and those found: how many of the first stay, and what follows them. None: those found go on
where the session's path ends."""
TURN, HISTORY = McpCoder(), McpCoderLangchain()
logger = logging.getLogger("sessionstore.compat.mcp_coder")
_managers: dict[tuple[int, str], SessionManager] = {}
_seen: set[tuple[int, str, str]] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Found:
    """What an importer finds in a file: its session and its messages."""

    importer: Importer
    key: str
    draft: Draft
    messages: list[Message]


def manager_of(place: Path) -> SessionManager:
    """The manager of the store at that place, one for each process."""
    name = (os.getpid(), os.path.abspath(place))
    with _lock:
        if name not in _managers:
            _managers[name] = SessionManager(place)
        return _managers[name]


def first_use(manager: SessionManager, left: Iterable[str | os.PathLike[str]], importer: Importer) -> None:
    """Import what the older program has left in those directories, once in a process. What cannot be imported is told
    in the log and stops nobody."""
    for directory in left:
        path = os.path.realpath(directory)
        name = (os.getpid(), str(manager.store.root), path)
        with _lock:
            known = name in _seen
            _seen.add(name)
        if known or not os.path.isdir(path):
            continue
        try:
            report = take_over(manager.store, [path], importer.source)
        except errors.SessionstoreError as error:
            logger.warning("the sessions in %s were not imported: %s", path, error)
            continue
        for entry in report.failed if report else ():
            logger.warning("%s was not imported: %s", entry["path"], entry["reason"])


def found_in(importer: Importer, data: bytes, path: str) -> Found | None:
    """The session in these bytes of a file at `path`; None when the importer does not know their form."""
    source = Source(path, [data])
    try:
        messages = [message for _, message in importer.read(source)]
        source.settle()
    except Unparsable as error:
        logger.info("%s holds no session: %s", path, error)
        return None
    draft = source.drafts[0]
    return Found(importer, own_key(importer, path, draft.native_id), draft, messages)


def keep(
    manager: SessionManager,
    found: Found,
    merge: Merge,
    data: bytes | None = None,
    **more: Any,
) -> bool:
    """Put what was found into the store; durable when this returns. The session must be held. `data` are the bytes of
    the file, kept too; `more` are fields that the session gets unless it has them. False when the session was purged:
    then it stays so."""
    store, key = manager.store, found.key
    if is_purged(store, key):
        logger.warning("%s was purged; what is said in it is not kept", key)
        return False
    flush = fsio.Flush()
    originals = [_original(manager, data, flush)] if data is not None else []
    shown = _as_stored(manager, found.messages, flush)
    flush.close()
    draft = found.draft
    stated = fields_of(draft, found.importer, originals, (name for name in draft.aliases if name != draft.native_id))
    stated = {**more, **{name: value for name, value in stated.items() if value not in (None, "", [], {})}}
    live = manager.live(key)
    try:
        head = live.head()
    except errors.NotFound:
        present = now()
        live.begin(shown, {"created_at": present, "updated_at": present, **stated})
    else:
        _wake(live)
        _grow(manager, live, shown, merge, _fields(head, stated))
    manager.changed(key)
    return True


def _grow(manager: SessionManager, live: Live, shown: list[Message], merge: Merge, fields: Fields) -> None:
    head = live.head()
    stored = Messages(manager.pages, head)
    merged = merge(stored, shown)
    if merged is None:
        known = {message["id"] for message in stored}
        fresh, path = manager.following(head, [one for one in shown if one["id"] not in known])
        live.extend(fresh, {**fields, **(path if fresh else {})})
        return
    start, said = merged
    replaced = stored[start:]
    if said[: len(replaced)] != replaced:
        live.replace(lambda _: [*stored[:start], *said], {**fields, "updated_at": now()})
    elif len(said) > len(replaced) or any(head.get(name) != value for name, value in fields.items()):
        live.extend(said[len(replaced) :], {**fields, "updated_at": now()})


def as_turn(stored: Messages, shown: list[Message]) -> tuple[int, list[Message]] | None:
    """A turn among the stored ones, by time. Only those that are not earlier than it are looked at."""
    if any(b'"parent":' in line for line in stored.lines()) and any("parent" in message for message in stored):
        return None
    start, begins = len(stored), moment(shown[0])
    while start and begins is not None:
        before = moment(stored[start - 1])
        if before is not None and before < begins:
            break
        start -= 1
    rest = stored[start if begins is not None else 0 :]
    start = len(stored) - len(rest)
    made = joined(rest, shown)
    if made is None:
        return None
    return (len(stored), []) if same_content(made, rest) else (start, made)


def as_history(stored: Messages, shown: list[Message]) -> tuple[int, list[Message]]:
    """A history that is stated whole. What it does not state any more stays in the session's past."""
    return 0, shown


def _wake(live: Live) -> None:
    """A session in which something is said is active."""
    state = lifecycle.state_of(live.head(), live.notes())
    if state in lifecycle.CLOSED | lifecycle.RESTING:
        for field, value in lifecycle.notes_for("active").items():
            live.say(field, value)


def _fields(head: Fields, stated: Fields) -> Fields:
    """The fields that a session gets: what it has counts, and what is new comes to it."""
    fields = {name: value for name, value in stated.items() if not head.get(name)}
    if stated.get("originals"):
        fields["originals"] = merged_originals([head, stated])
    if stated.get("aliases"):
        fields["aliases"] = sorted({*head.get("aliases", ()), *stated["aliases"]})
    fields.pop("issues", None)
    if issues := {entry["code"]: entry for entry in (*stated.get("issues", ()), *head.get("issues", ()))}:
        fields["issues"] = [issues[code] for code in sorted(issues)]
    return fields


def _as_stored(manager: SessionManager, messages: list[Message], flush: fsio.Flush) -> list[Message]:
    """The messages in the form in which the store gives them back: bytes as references."""
    composer = Composer(manager.store.objects, flush)
    for message in messages:
        composer.add(message)
    return list(manager.store.messages(composer.finish("", {})))


def _original(manager: SessionManager, data: bytes, flush: fsio.Flush) -> Fields:
    """The entry for a file's exact bytes, which are stored."""
    chunker = Chunker(rule_of(data[:4], by_line=False))
    pieces = filter(None, [*chunker.feed(data), chunker.finish()])
    put = manager.store.objects.put
    chunks = [{"id": put(piece, objects.CHUNK, flush), "bytes": len(piece)} for piece in pieces]
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "chunks": chunks}


def found_key(session_id: str) -> str:
    """The key of the session of that id."""
    return own_key(TURN, "", session_id)


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, whole or not at all, and its directory if need be. Raises `OSError`."""
    place = os.path.abspath(path)
    directory = os.path.dirname(place)
    os.makedirs(directory, exist_ok=True)
    try:
        fsio.replace(fsio.Temp(directory), place, data)
    except errors.StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise
