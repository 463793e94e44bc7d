"""Goose: the sessions of Block's agent, in its database and in the logs that it wrote before.

Where: `~/.local/share/goose/sessions/` on Linux and macOS, `%APPDATA%\\Block\\goose\\data\\sessions` on Windows
(`$GOOSE_PATH_ROOT/data/sessions` when that is set): `sessions.db` (SQLite), before October 2025 a `<id>.jsonl` for each
session.

How it is recognised: a database with a table `sessions` with `working_dir` and a table `messages` with `content_json`;
a log by its first line, which has `working_dir` and `message_count`, `description` or `total_tokens` and no role.

What the records are and how they map: a record is a row of the two tables, or a line. Texts, thinking, tool requests,
responses and pictures become parts, other contents stay what they are. What a compaction has taken out of the model's
sight (`agentVisible` is false) is kept where it is, with that in `x`. Times of messages are seconds; those of sessions
are UTC without saying so.

What it loses: the model and the tokens of a message (some versions have a total), and the rows that a compaction or an
edit has replaced: the program deletes all messages and writes them again, so that the numbers and times of rows say
nothing and are left out. A session's own figures are in its `x`. The
ids of sessions count the sessions of a day and are unique in one database only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import (
    Part,
    Record,
    entitle,
    finished,
    meta,
    other,
    part_with,
    text_part,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import stem
from sessionstore.importers.database_rows import Ids, decoded, from_json, stated, utc
from sessionstore.importers.editor_parts import place
from sessionstore.importers.gemini_parts import kept
from sessionstore.importers.kimi_parts import instant
from sessionstore.importers.material import SQLITE, Database
from sessionstore.importers.parsing import Unparsable

SESSIONS = frozenset({"id", "working_dir"})
MESSAGES = frozenset({"session_id", "role", "content_json"})
ROLES = frozenset({"user", "assistant"})
NAMELESS = "without-session-id"
_DESCRIBING = frozenset({"message_count", "description", "total_tokens"})


class Goose(Importer):
    """Reader of Goose's database and of its older logs."""

    source: ClassVar[str] = "goose"
    title: ClassVar[str] = "Goose"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".jsonl")
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        configured = machine.env.get("GOOSE_PATH_ROOT")
        if configured:
            yield Place(machine.cwd / configured / "data" / "sessions")
            return
        yield Place(machine.home / ".local" / "share" / "goose" / "sessions")
        yield Place(machine.home / "AppData" / "Roaming" / "Block" / "goose" / "data" / "sessions")

    def recognise(self, head: Head) -> bool:
        """The two tables, or the describing first line of a log."""
        if head.data.startswith(SQLITE):
            return _is_layout(head.tables)
        return b'"working_dir"' in head.data and bool(head.records) and _is_header(head.records[0])

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every session. Raises `Unparsable` for a damaged database."""
        if source.name.lower().endswith(".jsonl"):
            yield from _log(source)
            return
        with source.database() as database:
            if not _is_layout(database.tables):
                raise Unparsable("not a database of Goose")
            yield from _database(source, database)


def _is_layout(tables: dict[str, frozenset[str]]) -> bool:
    return tables.get("sessions", frozenset()) >= SESSIONS and tables.get("messages", frozenset()) >= MESSAGES


def _is_header(record: Record) -> bool:
    return isinstance(record.get("working_dir"), str) and bool(_DESCRIBING & record.keys()) and "role" not in record


def _database(source: Source, database: Database) -> Iterator[tuple[Draft, Message]]:
    sessions: dict[str, Draft] = {}
    for row in database.rows("sessions", order="created_at, rowid"):
        source.account.records += 1
        name = row.pop("id")
        if not isinstance(name, str) or not name or name in sessions:
            source.reject("a session without an id of its own")
            continue
        source.mapped()
        sessions[name] = source.draft(name)
        _describe(source, sessions[name], row)
    ids: dict[str, Ids] = {}
    for row in database.rows("messages", order="session_id, id, rowid"):
        source.account.records += 1
        given = row.pop("session_id")
        name = given if isinstance(given, str) and given else NAMELESS
        if name not in sessions:
            sessions[name] = source.draft(name)
            sessions[name].issue("session-row-missing", "the session's own row is not in the file")
        # Rows are deleted and written anew, so that only the message's own id stays what it is.
        ident = row.get("message_id")
        content = from_json(source, row.get("content_json"))
        record = stated(row)
        if isinstance(content, list):
            record["content"] = content
            del record["content_json"]
        if "metadata_json" in record:
            record["metadata"] = decoded(source, record.pop("metadata_json"))
        record.pop("id", None)
        message = {"id": ids.setdefault(name, Ids()).take(ident)} | _message(source, record, "created_timestamp")
        entitle(sessions[name], message)
        yield sessions[name], message


def _describe(source: Source, draft: Draft, row: Record) -> None:
    title = row.get("name") or row.get("description")
    if isinstance(title, str) and title.strip():
        draft.title = title
    if isinstance(row.get("working_dir"), str):
        place(draft, row["working_dir"])
    for name in ("created_at", "updated_at"):
        if time := utc(row.get(name)):
            setattr(draft, name, time)
            del row[name]
    for name in [name for name in row if name.endswith("_json") or name == "extension_data"]:
        row[name] = decoded(source, row[name])
    draft.x |= {key: value for key, value in stated(row).items() if value not in ("", 0, {}) and key != "working_dir"}


def _log(source: Source) -> Iterator[tuple[Draft, Message]]:
    draft, ids = source.draft(stem(source.name) or "session"), Ids()
    first = True
    for record in source.records():
        if first and _is_header(record):
            source.mapped()
            _describe(source, draft, dict(record))
        else:
            message = {"id": ids.take(record.get("id"))} | _message(source, dict(record), "created")
            entitle(draft, message)
            yield draft, message
        first = False


def _message(source: Source, record: Record, clock: str) -> Message:
    """The message of a row or a line, without its id."""
    role, content = record.get("role"), record.get("content")
    if not isinstance(role, str) or role not in ROLES or not isinstance(content, list):
        source.preserved()
        return meta(record)
    source.mapped()
    parts = [_part(item) for item in content]
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    message: Message = {"role": role, "parts": parts}
    known = {"role", "content", "message_id", "id"}
    x = {key: value for key, value in record.items() if key not in known and value is not None}
    if time := instant(x.get(clock)):
        message["time"] = time
        del x[clock]
    if clock == "created_timestamp" and "time" in message and utc(x.get("timestamp")):
        del x["timestamp"]  # when the row was written, which is anew with every compaction
    if x.get("metadata") == {"userVisible": True, "agentVisible": True}:
        del x["metadata"]
    if any(isinstance(item, dict) and item.get("type") == "conversationCompacted" for item in content):
        message["kind"] = "compaction"
    return finished(message, x)


def _part(item: Any) -> Part:
    kind = item.get("type") if isinstance(item, dict) else None
    convert = _PARTS.get(kind) if isinstance(kind, str) else None
    return (convert(item) if convert else None) or other(item)


def _text(item: Part) -> Part | None:
    if not isinstance(item.get("text"), str):
        return None
    return part_with(text_part(item["text"]), item, "type", "text")


def _thinking(item: Part) -> Part | None:
    if not isinstance(item.get("thinking"), str) or not isinstance(item.get("signature", ""), str):
        return None
    part = {"type": "reasoning", "content": item["thinking"]}
    part |= {"signature": item["signature"]} if item.get("signature") else {}
    return part_with(part, {name: value for name, value in item.items() if name != "signature"}, "type", "thinking")


def _redacted(item: Part) -> Part | None:
    if not isinstance(item.get("data"), str):
        return None
    part = {"type": "reasoning", "content": "", "signature": item["data"], "redacted": True}
    return part_with(part, item, "type", "data")


def _image(item: Part) -> Part | None:
    if not isinstance(item.get("data"), str) or not isinstance(item.get("mimeType"), str):
        return None
    part = {"type": "blob", "modality": "image", "mime_type": item["mimeType"], "data": item["data"]}
    return part_with(part, item, "type", "data", "mimeType")


def _request(item: Part) -> Part | None:
    call, ident = item.get("toolCall"), item.get("id")
    value = call.get("value") if isinstance(call, dict) and call.get("status") == "success" else None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not isinstance(ident, str):
        return None
    part = {"type": "tool_call", "id": ident, "name": value["name"], "arguments": value.get("arguments")}
    rest = {name: given for name, given in item.items() if name not in ("type", "id", "toolCall")}
    if more := {name: given for name, given in value.items() if name not in ("name", "arguments")}:
        rest["toolCall"] = more
    found = part_with(part, rest)
    return found if found["type"] == "tool_call" else kept(item)


def _response(item: Part) -> Part | None:
    result, ident = item.get("toolResult"), item.get("id")
    if not isinstance(result, dict) or not isinstance(ident, str):
        return None
    value = result.get("value")
    failed = result.get("status") == "error" or (isinstance(value, dict) and value.get("isError") is True)
    part: Part = {"type": "tool_call_response", "id": ident, "response": result if value is None else value}
    if failed:
        part["is_error"] = True
    found = part_with(part, item, "type", "id", "toolResult")
    return found if found["type"] == "tool_call_response" else kept(item)


_PARTS = {
    "text": _text,
    "thinking": _thinking,
    "redactedThinking": _redacted,
    "image": _image,
    "toolRequest": _request,
    "toolResponse": _response,
}
