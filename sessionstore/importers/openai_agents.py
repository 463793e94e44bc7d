"""OpenAI Agents SDK, `SQLiteSession` and its relatives: a database the developer has named, on any system.

Recognised by two tables whose names can be chosen: sessions with exactly the columns `session_id`, `created_at` and
`updated_at`, and messages with `session_id` and `message_data`. The default names are `agent_sessions` and
`agent_messages`.

Records are the rows of both, and of `message_structure`, `turn_usage` and `branch_reservations` where the session is an
`AdvancedSQLiteSession`. A message row is one item of the Responses API, as JSON text: messages, reasoning, calls and
their outputs become messages of their own, in the order of the rows; other items are kept as parts of their own type.
`created_at` is SQLite's `CURRENT_TIMESTAMP`, which is UTC by definition. With `message_structure` a message follows the
one before it in the first branch it was put into, and the tokens of a turn belong to its last message, once.

What the source has already lost: the model, and without `turn_usage` all tokens; rows that were taken back
(`pop_item`, `clear_session`), of which only gaps in the numbers tell. Items of an `EncryptedSession` cannot be read:
they are kept, with an issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import OWN_PARTS, title_line
from sessionstore.importers.database_rows import Ids, count, decoded, from_json, plain_row, stated, utc
from sessionstore.importers.material import SQLITE, Database

SESSIONS = frozenset({"session_id", "created_at", "updated_at"})
MESSAGES = frozenset({"id", "session_id", "message_data"})
STRUCTURE = frozenset({"session_id", "message_id", "branch_id", "sequence_number"})
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
NAMELESS = "without-session-id"


class OpenAIAgents(Importer):
    """Reader of the databases of `SQLiteSession`."""

    source: ClassVar[str] = "openai-agents"
    title: ClassVar[str] = "OpenAI Agents SDK"
    versions: ClassVar[str] = "SQLiteSession and AdvancedSQLiteSession"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".sqlite", ".sqlite3")
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The working directory's databases of the names that the documentation uses."""
        for name in ("conversations.db", "conversation_history.db", "agents_session.db"):
            yield Place(machine.cwd / name)

    def recognise(self, head: Head) -> bool:
        """A table of sessions and one of `message_data`."""
        if not head.data.startswith(SQLITE):
            return False
        layouts = head.tables.values()
        return SESSIONS in layouts and any(columns >= MESSAGES for columns in layouts)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every session. Raises `Unparsable` for a damaged database."""
        with source.database() as database:
            yield from _Reader(source, database).read()


class _Reader:
    """Joins sessions with their messages."""

    def __init__(self, source: Source, database: Database) -> None:
        self.source = source
        self.database = database
        self.known: dict[str, tuple[str, _Session]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.usage: dict[Any, dict[str, Any]] = {}
        """by message: the turn that ended with it"""
        self.parents: dict[Any, Any] = {}

    def read(self) -> Iterator[tuple[Draft, Message]]:
        """All messages, session by session, table by table."""
        for table, columns in self.database.tables.items():
            if columns == SESSIONS:
                self._sessions(table)
        if self.database.tables.get("message_structure", frozenset()) >= STRUCTURE:
            self._structure()
        for table, columns in self.database.tables.items():
            if not columns >= MESSAGES:
                continue
            rows = self.database.rows(table, order="session_id, id")
            for given, group in groupby(rows, key=lambda row: row["session_id"]):
                session = self._session(table, given)
                for row in group:
                    self.source.account.records += 1
                    yield session.draft, session.message(row, self)
        for name in self.sessions:
            if name not in self.known:
                self._session("", name)
        for _, session in self.known.values():
            session.pairs.finish()

    def _sessions(self, table: str) -> None:
        for row in self.database.rows(table):
            self.source.account.records += 1
            name = row.pop("session_id")
            if not isinstance(name, str) or not name:
                self.source.reject("a session without an id")
                continue
            self.source.mapped()
            self.sessions.setdefault(name, row)

    def _session(self, table: str, given: Any) -> _Session:
        name = given if isinstance(given, str) and given else NAMELESS
        if name in self.known and self.known[name][0] != table:
            name = f"{table}/{name}"
        if name not in self.known:
            session = _Session(self.source, self.source.draft(name))
            self.known[name] = table, session
            row = self.sessions.get(given) if isinstance(given, str) else None
            if row is None:
                session.draft.issue("session-row-missing", "the session's own row is not in the file")
            else:
                session.draft.created_at, session.draft.updated_at = utc(row["created_at"]), utc(row["updated_at"])
                odd = {key: value for key, value in stated(row).items() if utc(value) is None}
                session.draft.x |= odd
        return self.known[name][1]

    def _structure(self) -> None:
        """What an advanced session knows of branches and turns."""
        last: dict[tuple[Any, Any], Any] = {}
        turns: dict[tuple[Any, Any, Any], Any] = {}
        for row in self.database.rows("message_structure", order="session_id, branch_id, sequence_number, id"):
            self.source.account.records += 1
            self.source.mapped()
            branch = (row["session_id"], row["branch_id"])
            if row["message_id"] not in self.parents or row["branch_id"] == "main":
                self.parents[row["message_id"]] = last.get(branch)
            last[branch] = row["message_id"]
            turns[(*branch, row.get("user_turn_number"))] = row["message_id"]
        reserved = self.database.count("branch_reservations")
        self.source.account.records += reserved
        self.source.mapped(reserved)
        for row in self.database.rows("turn_usage"):
            self.source.account.records += 1
            end = turns.get((row.get("session_id"), row.get("branch_id"), row.get("user_turn_number")))
            if end is None:
                self.source.reject("the usage of a turn that is gone")
                continue
            self.source.mapped()
            known = self.usage.setdefault(end, {})
            details = [decoded(self.source, row.get(f"{side}_tokens_details")) for side in ("input", "output")]
            for key, value in _usage(row, *details).items():
                known[key] = known.get(key, 0) + value


class _Session:
    """Makes the messages of one session."""

    def __init__(self, source: Source, draft: Draft) -> None:
        self.source = source
        self.draft = draft
        self.ids = Ids()
        self.names: dict[Any, str] = {}
        self.last: str | None = None
        self.pairs = openai_chat.ToolPairs(draft)

    def message(self, row: dict[str, Any], reader: _Reader) -> Message:
        """The message of a row."""
        number, raw = row.pop("id"), row.pop("message_data")
        name = self.ids.take(str(number) if isinstance(number, int) else None)
        message: Message = {"id": name}
        if number in reader.parents:
            parent = self.names.get(reader.parents[number])
            if parent != self.last:
                message["parent"] = parent
        self.names[number] = self.last = name
        item = from_json(self.source, raw)
        made = _message(item) if isinstance(item, dict) else None
        if made is None:
            self.source.preserved()
            if isinstance(item, dict) and "__enc__" in item:
                self.draft.issue("encrypted-items", "items are encrypted and cannot be read")
            else:
                self.draft.issue("item-unreadable", "a row holds no item of a conversation")
            kept = item if isinstance(item, dict) else {"message_data": plain_row({"": raw})[""]}
            message |= {"role": "system", "kind": "meta", "parts": [{"type": "record", "record": kept}]}
        else:
            self.source.mapped()
            message |= made
        x = message.pop("x", {}) | {key: value for key, value in stated(row).items() if key != "session_id"}
        created = row.get("created_at")
        if time := utc(created):
            message["time"] = time
            del x["created_at"]
        if figures := reader.usage.pop(number, None):
            message["usage"] = figures
        if x:
            message["x"] = x
        if "kind" not in message:
            self.pairs.see(message)
            if self.draft.title is None and message["role"] == "user":
                self.draft.title = title_line(openai_chat.text_of(message)) or None
        return message


def _message(item: dict[str, Any]) -> Message | None:
    """An item of the Responses API as a message without an id; None when it is none."""
    rest = dict(item)
    kind, role = rest.pop("type", "message"), rest.pop("role", None)
    if kind == "message":
        content = rest.pop("content", None)
        if not isinstance(role, str) or role not in ROLES or not isinstance(content, str | list):
            return None
        if role == "developer":
            rest["role"] = role
        parts = (
            [{"type": "text", "content": content}] if isinstance(content, str) else [_part(part) for part in content]
        )
        return {"role": ROLES[role], "parts": parts, "x": rest}
    if not isinstance(kind, str) or not kind or "__enc__" in item:
        return None
    if role is not None:
        rest["role"] = role
    call_id = rest.pop("call_id") if isinstance(rest.get("call_id"), str) else ""
    if kind == "function_call" and isinstance(rest.get("name"), str):
        call = {"type": "tool_call", "id": call_id, "name": rest.pop("name"), "arguments": rest.pop("arguments", None)}
        return {"role": "assistant", "parts": [call], "x": rest}
    if kind.endswith("_output"):
        if kind != "function_call_output":
            rest["type"] = kind
        result = {"type": "tool_call_response", "id": call_id, "response": rest.pop("output", None)}
        return {"role": "tool", "parts": [result], "x": rest}
    if kind == "reasoning":
        return {"role": "assistant", "parts": [_reasoning(rest)], "x": rest}
    part = {"type": "record", "record": item} if kind in OWN_PARTS else item
    return {"role": "assistant", "parts": [part], "x": {}}


def _reasoning(rest: dict[str, Any]) -> dict[str, Any]:
    """The summary of what the model thought; what it is made of stays in `x` unless it is plain text."""
    texts = []
    for name in ("summary", "content"):
        pieces = rest.get(name)
        if not isinstance(pieces, list) or not all(
            isinstance(piece, dict) and isinstance(piece.get("text"), str) and piece.keys() <= {"type", "text"}
            for piece in pieces
        ):
            continue
        texts += [piece["text"] for piece in pieces]
        del rest[name]
    part = {"type": "reasoning", "content": "\n".join(texts)}
    if isinstance(rest.get("encrypted_content"), str):
        part["signature"] = rest.pop("encrypted_content")
    return part


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "record", "record": {"value": part}}
    rest = dict(part)
    kind = rest.pop("type", None)
    if kind in ("input_text", "output_text", "text") and isinstance(rest.get("text"), str) and "content" not in rest:
        said = {"type": "text", "content": rest.pop("text")}
        return said | {key: value for key, value in rest.items() if value not in (None, [])}
    if kind == "input_image" and isinstance(rest.get("image_url"), str):
        url = rest.pop("image_url")
        made = openai_chat.chat_message({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
        if made is not None and not {"uri", "modality", "mime_type", "data", "object", "bytes"} & rest.keys():
            return dict(made["parts"][0]) | {key: value for key, value in rest.items() if value is not None}
    if isinstance(kind, str) and kind and kind not in OWN_PARTS:
        return part
    return {"type": "record", "record": part}


def _usage(row: dict[str, Any], given: Any, made: Any) -> dict[str, int]:
    figures = {
        "input_tokens": count(row.get("input_tokens")),
        "output_tokens": count(row.get("output_tokens")),
        "cache_read_tokens": count(given.get("cached_tokens")) if isinstance(given, dict) else 0,
        "reasoning_tokens": count(made.get("reasoning_tokens")) if isinstance(made, dict) else 0,
    }
    return {name: value for name, value in figures.items() if value}
