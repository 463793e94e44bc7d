"""Cursor's agent: the databases in which the terminal program keeps its chats.

Where: `~/.cursor/chats/<MD5 of the directory>/<id>/store.db` (SQLite) on Linux, macOS and Windows, with `meta.json`
beside it. The same chat's transcript is another source (`cursor-agent`), which has its sub-agents and lacks the tools'
results.

How it is recognised: a database with the tables `blobs` (`id`, `data`) and `meta` (`key`, `value`) and no others.

What the records are and how they map: a record is a row. `meta` has one, JSON written as hexadecimal digits, which
says the chat's id, name, time and latest root. A blob is named by its hash: a message as JSON in the form of Vercel's
AI SDK, or the program's binary state, of which the latest root is read for the order of the messages that it names.
Messages that it does not name (taken back, or summed up since) are kept in `x.blobs` of the session.

What it loses: times and models of messages, token figures. Binary blobs other than the latest root are earlier states
of it or attachments; they are rejected here and stay in the kept original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, title_line
from sessionstore.importers.editor_parts import place, workspace
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import extended, kept
from sessionstore.importers.parsing import Unparsable

Record = dict[str, Any]
_BESIDE = "meta.json"
_TABLES = {"blobs": {"id", "data"}, "meta": {"key", "value"}}
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_TIMES = {"createdAtMs": "created_at", "updatedAtMs": "updated_at", "createdAt": "created_at"}
_HASH = 32
"""The bytes of a blob's name."""


class CursorChats(Importer):
    """Reader of the chat databases of Cursor's agent."""

    source: ClassVar[str] = "cursor-chats"
    title: ClassVar[str] = "Cursor agent's chats"
    versions: ClassVar[str] = "store.db of the command line agent"
    suffixes: ClassVar[tuple[str, ...]] = (".db",)
    by_line: ClassVar[bool] = False
    companions: ClassVar[tuple[str, ...]] = (_BESIDE,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of chats."""
        yield Place(machine.home / ".cursor" / "chats")

    def recognise(self, head: Head) -> bool:
        """The tables `blobs` and `meta` with their two columns each, and no others."""
        return {name: set(columns) for name, columns in head.tables.items()} == _TABLES

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the chat. Raises `Unparsable` for a damaged database."""
        with source.database() as database:
            if not database.tables.keys() >= _TABLES.keys():
                raise Unparsable("not a chat's database")
            meta = [(row["key"], _described(row["value"])) for row in database.rows("meta", ("key", "value"))]
            rows = list(database.rows("blobs", ("id", "data")))
        source.account.records += len(meta)
        draft = _begin(source, meta)
        blobs: dict[str, Any] = {}
        for row in rows:
            source.account.records += 1
            if isinstance(row["id"], str) and row["id"] not in blobs:
                blobs[row["id"]] = row["data"]
            else:
                source.reject("a blob without a name of its own")
        root = draft.x.get("latestRootBlobId")
        order = _named(blobs.get(root)) if isinstance(root, str) else []
        if isinstance(root, str) and order:
            source.mapped()
            del blobs[root]
        found = _parsed(source, blobs)
        yield from _messages(source, draft, found, [name for name in order if name in found] or list(found))
        for name in (name for name in blobs if name not in found):
            source.reject(f"the binary state {name[:12]} of the program is not read")
        if len(set(order)) > len(found.keys() & set(order)):
            missing = len(set(order) - found.keys())
            draft.issue("blob-missing", "the chat names messages that the database does not hold", missing)


def _described(value: Any) -> Any:
    """A value of `meta`: JSON as hexadecimal digits, or as it is."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return value
    try:
        return Source.of(bytes.fromhex(text)).document()
    except (ValueError, Unparsable):
        return text


def _begin(source: Source, meta: list[tuple[Any, Any]]) -> Draft:
    above = source.name.split("/")[-2:-1]
    name = above[0] if above else ""
    fields: Record = next((value for _, value in meta if isinstance(value, dict)), {})
    ident = fields.get("agentId")
    draft = source.draft(ident if isinstance(ident, str) and ident else name or "chat")
    if name and name != draft.native_id:
        draft.aliases.append(name)
    beside = workspace(source, _BESIDE)
    folder = beside.get("cwd")
    place(draft, folder if isinstance(folder, str) else None)
    for about in (fields, beside):
        for key, value in about.items():
            time = (value if is_instant(value) else millis(value)) if key in _TIMES else None
            if time and getattr(draft, _TIMES[key]) in (None, time):
                setattr(draft, _TIMES[key], time)
            elif key in ("name", "title") and isinstance(value, str) and draft.title is None and title_line(value):
                draft.title = title_line(value)
            elif (key, value) not in (("agentId", draft.native_id), ("cwd", draft.cwd)) and draft.x.setdefault(
                key, value
            ) != value:
                draft.x.setdefault("record", {})[key] = value
    for key, value in meta:
        if value is fields:
            source.mapped()
        else:
            source.preserved()
            draft.x.setdefault("meta", []).append({"key": _plain(key), "value": _plain(value)})
    return draft


def _plain(value: Any) -> Any:
    """A value of a row as JSON can say it."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) else value


def _named(root: Any) -> list[str]:
    """The blobs that a root names, in its order: the values of its first field that are as long as a hash. What is
    malformed ends it."""
    data = root if isinstance(root, bytes) else b""
    found: list[str] = []
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        kind = tag & 7
        if kind == 0:
            _, at = _number(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _number(data, at)
            if tag >> 3 == 1 and size == _HASH and at + size <= len(data):
                found.append(data[at : at + size].hex())
            at += size
        else:
            break
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number as protobuf writes it, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, at


def _parsed(source: Source, blobs: dict[str, Any]) -> dict[str, Any]:
    """The blobs that are JSON."""
    found = {}
    for name, data in blobs.items():
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        if isinstance(raw, bytes) and raw.lstrip()[:1] == b"{":
            try:
                found[name] = source.parsed(raw)
            except Unparsable:
                continue
    return found


def _messages(source: Source, draft: Draft, found: dict[str, Any], order: list[str]) -> Iterator[tuple[Draft, Message]]:
    seen: dict[str, int] = {}
    for name in order:
        seen[name] = seen.get(name, 0) + 1
        message = _message(found[name])
        if seen[name] == 1:
            (source.preserved if message.get("kind") == "meta" else source.mapped)()
        message["id"] = name if seen[name] == 1 else f"{name}~{seen[name]}"
        if draft.title is None and message["role"] == "user":
            texts = (part["content"] for part in message["parts"] if part["type"] == "text")
            draft.title = next((line for text in texts if (line := title_line(text)) and line[0] != "<"), None)
        yield draft, message
    rest = {name: value for name, value in found.items() if name not in seen}
    if rest:
        source.preserved(len(rest))
        draft.x["blobs"] = rest


def _message(value: Record) -> Message:
    role, content = value.get("role"), value.get("content")
    if not isinstance(role, str) or role not in _ROLES or not isinstance(content, str | list):
        return {"role": "system", "kind": "meta", "parts": [kept(value)]}
    parts = [{"type": "text", "content": content}] if isinstance(content, str) else [_part(item) for item in content]
    x = {name: one for name, one in value.items() if name not in ("role", "content")}
    return {"role": role, "parts": parts} | ({"x": x} if x else {})


def _part(item: Any) -> Record:
    if not isinstance(item, dict):
        return {"type": "text", "content": item} if isinstance(item, str) else kept(item)
    kind, ident = item.get("type"), item.get("toolCallId")
    if kind in ("text", "reasoning") and isinstance(item.get("text"), str):
        if isinstance(item.get("signature", ""), str):
            return extended({"type": kind, "content": item["text"]}, item, ("type", "text"))
    elif kind == "tool-call" and isinstance(ident, str) and isinstance(item.get("toolName"), str):
        part = {"type": "tool_call", "id": ident, "name": item["toolName"], "arguments": item.get("args")}
        return extended(part, item, ("type", "toolCallId", "toolName", "args"))
    elif kind == "tool-result" and isinstance(ident, str) and "result" in item:
        part = {"type": "tool_call_response", "id": ident, "response": item["result"]}
        if item.get("isError") is True:
            part["is_error"] = True
        return extended(part, item, ("type", "toolCallId", "result", "isError"))
    return kept(item)
