"""Crush, and the archived opencode written in Go that it came from: the databases of two terminal programs.

Where: `<project>/.crush/crush.db` and `<project>/.opencode/opencode.db` on Linux, macOS and Windows (SQLite; the latest
messages are in the write-ahead log beside it).

How it is recognised: a table `sessions` with `parent_session_id` and `message_count`, and a table `messages` with
`session_id`, `role` and `parts`.

What the records are and how they map: a record is a row of the two. A message's parts are JSON: texts, reasoning, tool
calls and results, pictures and files; `finish` says why the answer ended. The session of a sub-agent is named by the
call that started it and names its parent. Times are seconds, whatever the table's own comment says. Versions of edited
files (`files`) are not conversation and are not read; they stay in the kept original.

What it loses: tokens and costs of messages. A session's row has its cost, and the tokens of its latest request only;
they are in `x` of the session. The working directory is the one that holds the database's directory, which is not
stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import (
    Part,
    Record,
    entitle,
    file_part,
    finished,
    meta,
    other,
    part_with,
    text_part,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.database_rows import Ids, from_json, plain_row, stated
from sessionstore.importers.gemini_parts import kept
from sessionstore.importers.kimi_parts import instant
from sessionstore.importers.material import SQLITE, Database
from sessionstore.importers.parsing import Unparsable

SESSIONS = frozenset({"id", "parent_session_id", "title", "message_count"})
MESSAGES = frozenset({"id", "session_id", "role", "parts"})
ROLES = frozenset({"user", "assistant", "tool", "system"})
NAMELESS = "without-session-id"
_TIMES = {"created_at": "created_at", "updated_at": "updated_at"}
_EMPTY = (None, "", 0)


class Crush(Importer):
    """Reader of the databases of Crush and of opencode in Go."""

    source: ClassVar[str] = "crush"
    title: ClassVar[str] = "Crush"
    suffixes: ClassVar[tuple[str, ...]] = (".db",)
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The databases of the working directory's project."""
        yield Place(machine.cwd / ".crush")
        yield Place(machine.cwd / ".opencode")

    def recognise(self, head: Head) -> bool:
        """The tables of sessions with their parents and of messages with their parts."""
        if not head.data.startswith(SQLITE):
            return False
        return _is_layout(head.tables)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every session. Raises `Unparsable` for a damaged database."""
        with source.database() as database:
            if not _is_layout(database.tables):
                raise Unparsable("not a database of Crush")
            sessions = dict(_sessions(source, database))
            ids: dict[str, Ids] = {}
            for row in database.rows("messages", order="session_id, created_at, rowid"):
                source.account.records += 1
                given = row.pop("session_id")
                name = given if isinstance(given, str) and given else NAMELESS
                if name not in sessions:
                    sessions[name] = source.draft(name)
                    sessions[name].issue("session-row-missing", "the session's own row is not in the file")
                draft = sessions[name]
                message = {"id": ids.setdefault(name, Ids()).take(row["id"])} | _message(source, draft, row)
                entitle(draft, message)
                yield draft, message


def _is_layout(tables: dict[str, frozenset[str]]) -> bool:
    return tables.get("sessions", frozenset()) >= SESSIONS and tables.get("messages", frozenset()) >= MESSAGES


def _sessions(source: Source, database: Database) -> Iterator[tuple[str, Draft]]:
    known: set[str] = set()
    for row in database.rows("sessions", order="created_at, rowid"):
        source.account.records += 1
        name = row.pop("id")
        if not isinstance(name, str) or not name or name in known:
            source.reject("a session without an id of its own")
            continue
        known.add(name)
        source.mapped()
        draft = source.draft(name)
        parent, title = row.get("parent_session_id"), row.get("title")
        if isinstance(parent, str) and parent:
            draft.forked_from = {"key": f"{Crush.source}:{parent}", "relation": "subagent"}
            del row["parent_session_id"]
        if isinstance(title, str) and title.strip():
            draft.title = row.pop("title")
        for column in _TIMES:
            if time := instant(row.get(column)):
                setattr(draft, column, time)
                del row[column]
        draft.x |= {key: value for key, value in plain_row(row).items() if value not in _EMPTY}
        yield name, draft


def _message(source: Source, draft: Draft, row: Record) -> Message:
    """The message of a row, without its id."""
    row.pop("id")
    role, raw = row.pop("role"), row.pop("parts")
    items = from_json(source, raw)
    if not isinstance(role, str) or role not in ROLES or not isinstance(items, list):
        source.preserved()
        draft.issue("message-unreadable", "a row holds no message")
        return meta(stated(row | {"role": role, "parts": raw}))
    source.mapped()
    x = {key: value for key, value in stated(row).items() if value not in _EMPTY}
    message: Message = {"role": role, "parts": []}
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        data = item.get("data") if isinstance(item, dict) else None
        if kind == "finish" and isinstance(data, dict) and "finish_reason" not in message:
            _finish(message, data, x)
        else:
            message["parts"].append(_part(item, kind, data))
    created, updated = x.get("created_at"), x.get("updated_at")
    if time := instant(created):
        message["time"] = time
        del x["created_at"]
        if updated == created:
            del x["updated_at"]
    for name in ("model", "provider"):
        if isinstance(x.get(name), str):
            message[name] = x.pop(name)
    if x.get("is_summary_message") == 1:
        message["kind"] = "compaction"
    return finished(message, x)


def _finish(message: Message, data: Record, x: Record) -> None:
    reason = data.get("reason")
    rest = {name: value for name, value in data.items() if value not in _EMPTY}
    if isinstance(reason, str) and reason:
        message["finish_reason"] = rest.pop("reason")
    if rest:
        x["finish"] = rest


def _part(item: Any, kind: Any, data: Any) -> Part:
    if not isinstance(data, dict) or item.keys() != {"type", "data"}:
        return other(item)
    if kind == "text" and isinstance(data.get("text"), str):
        return part_with(text_part(data["text"]), data, "text")
    if kind == "reasoning" and isinstance(data.get("thinking"), str):
        part = {"type": "reasoning", "content": data["thinking"]}
        if isinstance(data.get("signature"), str):
            rest = {name: value for name, value in data.items() if name != "signature"}
            return part_with(part | ({"signature": data["signature"]} if data["signature"] else {}), rest, "thinking")
        return part_with(part, data, "thinking")
    if kind == "tool_call" and isinstance(data.get("id"), str) and isinstance(data.get("name"), str):
        part = {"type": "tool_call", "id": data["id"], "name": data["name"], "arguments": data.get("input")}
        known = {"id", "name", "input", *(("type",) if data.get("type") in ("function", "") else ())}
        known |= {"finished"} if data.get("finished") is True else set()
        return part_with(part, data, *known)
    if kind == "tool_result" and isinstance(data.get("tool_call_id"), str):
        part = {"type": "tool_call_response", "id": data["tool_call_id"], "response": data.get("content")}
        rest = {name: value for name, value in data.items() if name != "is_error" and value != ""}
        if data.get("is_error") is True:
            part["is_error"] = True
        return part_with(part, rest, "tool_call_id", "content")
    if kind == "image_url" and isinstance(data.get("url"), str):
        return part_with(file_part(data["url"], None, "image"), data, "url")
    return kept(item)
