"""What a page needs to know of one session, from the store when it is there, else from the index alone."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore import canonical, errors, layout, notes
from sessionstore.index.query import resolve
from sessionstore.index.schema import SEQ, SHIFT

if TYPE_CHECKING:
    from sessionstore.store import Store
    from sessionstore.web.site import Site

_ROW = re.compile(r"row-(\d{1,15})")
"""What Datasette's tables, which know numbers of rows only, call a session."""
_OUTLINES = 64
_TURNS, _MOST = 500, 3000
"""So many questions are all in a table of contents, and so many entries it has at most."""


@dataclass(frozen=True)
class Conversation:
    """A session as it is shown: its revision (the head that was asked for), the facts that the index lists of it
    (empty when it has none), all heads (latest first), its notes, and the number of its row in the index."""

    revision: dict[str, Any]
    listed: dict[str, Any]
    heads: list[dict[str, Any]]
    notes: Mapping[str, Any]
    number: int | None

    @property
    def key(self) -> str:
        """The session's key."""
        return str(self.revision["key"])

    @property
    def count(self) -> int:
        """How many messages it has."""
        return int(self.revision["counts"]["messages"])

    @property
    def sha(self) -> str:
        """The hash in the revision's name."""
        return sha(self.revision)


def find(site: Site, name: str, head: str = "") -> Conversation:
    """The session that `name` means (anything `show` understands), at the head whose hash begins with `head`.
    Raises `NotFound`, `Ambiguous`, `DamageError`."""
    heads = site.store.heads(name) if site.store else []
    rows = site.ask_now(lambda connection: _rows(connection, name))
    if site.store and not heads and rows:
        heads = site.store.heads(rows[0]["key"])
    if not site.store:
        heads = [_from_index(row) for row in rows]
    if not heads:
        raise errors.NotFound(name=name)
    chosen = next((one for one in heads if head and sha(one).startswith(head)), heads[0])
    row = next((row for row in rows if row["revision"] == chosen["_name"]), rows[0] if rows else {})
    said = notes.notes_of(site.store, chosen["key"]) if site.store else {"title": row.get("title")}
    return Conversation(chosen, row, heads, said, row.get("number"))


def sha(revision: dict[str, Any]) -> str:
    """The hash in a revision's name."""
    return layout.split_name(revision["_name"])[1]


def _rows(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    numbered = _ROW.fullmatch(name)
    if numbered and not connection.execute("SELECT 1 FROM sessions WHERE key = ?", (name,)).fetchone():
        found = connection.execute("SELECT key FROM sessions WHERE id = ?", (int(numbered[1]),)).fetchone()
        name = found[0] if found else name
    rows = resolve(connection, name)
    if len({row["key"] for row in rows}) > 1:
        raise errors.Ambiguous(name=name, candidates=", ".join(dict.fromkeys(row["key"] for row in rows[:5])))
    for row in rows:
        sql = "SELECT id FROM sessions WHERE revision = ?"
        row["number"] = connection.execute(sql, (row["revision"],)).fetchone()[0]
    return rows


def _from_index(row: dict[str, Any]) -> dict[str, Any]:
    """A stand-in for a revision, where only the index is there."""
    return {
        **{name: row[name] for name in ("key", "source", "native_id", "title", "project", "cwd", "models", "issues")},
        "_name": row["revision"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "usage": row["usage"],
        "counts": {"messages": row["messages"], "bytes": row["bytes"], "by_role": row["by_role"]},
        "pages": [],
        "messages": [],
    }


class Line(NamedTuple):
    """One message: its ordinal, its digest (of its bytes), and what it is; None when it cannot be read."""

    number: int
    digest: str
    message: dict[str, Any] | None


def lines(site: Site, found: Conversation, start: int, count: int) -> Iterator[Line]:
    """`count` messages from ordinal `start` on. One that is damaged is given as such, and the rest goes on."""
    if site.store is None:
        yield from site.ask_now(lambda connection: _indexed(connection, found, start, count))
        return
    number, end = start, min(start + count, found.count)
    while number < end:
        try:
            for line in islice(site.store.lines(found.revision, number), end - number):
                yield Line(number, hashlib.blake2b(line, digest_size=16).hexdigest(), _message(site.store, line))
                number += 1
            return
        except (errors.DamageError, errors.StorageError):
            after = _after_page(found.revision, number)
            yield from (Line(gone, "", None) for gone in range(number, min(after, end)))
            number = after


def _message(store: Store, line: bytes) -> dict[str, Any] | None:
    from sessionstore import objects, references

    try:
        message = canonical.loads(line)
        if references.MARK in line:
            message = references.resolve(
                message, lambda name: store.objects.get(name, objects.VALUE, check=True).decode("utf-8", "replace")
            )
    except (errors.DamageError, errors.StorageError, ValueError):
        return None
    return message if isinstance(message, dict) else {"parts": [{"type": "record", "record": message}]}


def _after_page(revision: dict[str, Any], number: int) -> int:
    """The ordinal of the first message after the page that holds message `number`."""
    position = 0
    for page in revision["pages"]:
        position += page["n"]
        if position > number:
            return int(position)
    return int(revision["counts"]["messages"])


def _indexed(connection: sqlite3.Connection, found: Conversation, start: int, count: int) -> list[Line]:
    """Messages as far as the index knows them: their words, without their form."""
    base = (found.number or 0) << SHIFT
    sql = (
        "SELECT seq, message_id, role, kind, time, model, text, reasoning, tools, tool_input, tool_output"
        " FROM messages WHERE id BETWEEN ? AND ? ORDER BY id"
    )
    made = []
    for seq, name, role, kind, time, model, *texts in connection.execute(
        sql, (base | start, base | min(SEQ, start + count - 1))
    ):
        text, reasoning, tool, asked, answered = texts
        parts = [{"type": "reasoning", "content": reasoning}] if reasoning else []
        parts += [{"type": "text", "content": text}] if text else []
        parts += [{"type": "tool_call", "id": "", "name": tool or "?", "arguments": asked}] if asked else []
        parts += [{"type": "tool_call_response", "id": "", "response": answered}] if answered else []
        given = {"id": name, "role": role, "kind": kind, "time": time, "model": model, "parts": parts}
        made.append(Line(seq, f"{name}:{seq}", {key: value for key, value in given.items() if value is not None}))
    return made


def turns(
    connection: sqlite3.Connection, found: Conversation, start: int, end: int, size: int
) -> tuple[list[tuple[int, str]], int]:
    """The user's messages for a table of contents, ordinal and beginning, and how many there are. Of very many it has
    those from ordinal `start` up to `end`, and the first one of every other page of `size` messages."""
    if found.number is None:
        return [], 0
    base = found.number << SHIFT
    sql = (
        "SELECT m.id FROM messages m INDEXED BY messages_facts"
        " WHERE m.session_id = ? AND m.role = 'user' AND m.kind IS NULL ORDER BY m.id"
    )
    numbers = [number - base for (number,) in connection.execute(sql, (found.number,))]
    chosen = numbers
    if len(numbers) > _TURNS:
        firsts = {number // size: number for number in reversed(numbers)}
        chosen = sorted({*firsts.values(), *(number for number in numbers if start <= number < end)})[:_MOST]
    marks = ",".join(str(base + number) for number in chosen)
    rows = connection.execute(f"SELECT seq, substr(text, 1, 160) FROM messages WHERE id IN ({marks}) ORDER BY id")
    return [(seq, " ".join((text or "").split())) for seq, text in rows], len(numbers)


def place_of(site: Site, found: Conversation, message: str) -> int | None:
    """The ordinal of a message by its id; None when there is none such."""

    def ask(connection: sqlite3.Connection) -> int | None:
        sql = "SELECT seq FROM messages WHERE id BETWEEN ? AND ? AND message_id = ?"
        base = (found.number or 0) << SHIFT
        row = connection.execute(sql, (base, base | SEQ, message)).fetchone()
        return int(row[0]) if row else None

    return site.ask_now(ask) if found.number is not None else None


_outlines: OrderedDict[str, frozenset[int]] = OrderedDict()
_lock = threading.Lock()


def other_branches(site: Site, found: Conversation) -> frozenset[int]:
    """The ordinals of the messages that are not on the way to the active leaf, because a prompt or an answer was
    replaced. Answers of tools that ran beside each other are not branches. Empty for a session that is a line."""
    if site.store is None or not found.revision.get("active_leaf"):
        return frozenset()
    with _lock:
        known = _outlines.get(found.sha)
    if known is None:
        try:
            known = _off_path(site.store, found.revision)
        except (errors.DamageError, errors.StorageError):
            known = frozenset()
        with _lock:
            _outlines[found.sha] = known
            while len(_outlines) > _OUTLINES:
                _outlines.popitem(last=False)
    return known


def _off_path(store: Store, revision: dict[str, Any]) -> frozenset[int]:
    places: dict[str, int] = {}
    parents: list[int | None] = []
    tools: list[bool] = []
    for number, line in enumerate(store.lines(revision)):
        message = canonical.loads(line)
        before = number - 1 if number else None
        parents.append(places.get(message["parent"] or "") if "parent" in message else before)
        tools.append(message.get("role") in ("tool", "system") or message.get("kind") is not None)
        places[message["id"]] = number
    on_path = set()
    at = places.get(revision["active_leaf"])
    if at is None:
        return frozenset()
    while at is not None and at not in on_path:
        on_path.add(at)
        at = parents[at]
    off: set[int] = set()
    for number, parent in enumerate(parents):
        if number in on_path or (parent is not None and parent >= number):
            continue
        if parent in off or (parent in on_path and not tools[number]):
            off.add(number)
    return frozenset(off)
