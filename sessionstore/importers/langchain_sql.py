"""LangChain's `SQLChatMessageHistory`: a table in a database the developer has chosen, on any system (of
which SQLite is read).

Recognised by a table of exactly the columns `id`, `session_id` and `message`, called `message_store`; under another
name (it can be chosen) only when the beginning of the file shows messages as LangChain writes them.

Records are the table's rows, in the order of their number; `message` is `{"type", "data"}`: human, ai, system, tool,
function and chat messages and chunks of them become messages, all else is kept verbatim. Calls come from `tool_calls`,
from the provider's own form in `additional_kwargs` only where there are none; content blocks that say a call again are
not repeated. `usage_metadata` is usage (its input includes the cache), `response_metadata` tells model and reason of
the end. What has no name stays in `x`. Sessions of several tables in one file are told apart by the table's name.

What the source has already lost: all times, titles, and rows that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.database_rows import Ids, count, from_json, plain_row
from sessionstore.importers.material import SQLITE

COLUMNS = frozenset({"id", "session_id", "message"})
TABLE = "message_store"
MARKS = (b'{"type": "', b'", "data": {')
ROLES = {
    "human": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
}
CHAT_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant", "system": "system"}
"""Roles of a `chat` message; it may name any, and those that are not known are kept verbatim."""
NAMELESS = "without-session-id"


class LangChainSql(Importer):
    """Reader of the table `message_store`."""

    source: ClassVar[str] = "langchain-sql"
    title: ClassVar[str] = "LangChain SQLChatMessageHistory"
    versions: ClassVar[str] = "SQLChatMessageHistory, old and new message shapes"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".sqlite", ".sqlite3")
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The working directory's databases of the names that the documentation uses."""
        for name in ("chat_history.db", "sqlite.db", "memory.db"):
            yield Place(machine.cwd / name)

    def recognise(self, head: Head) -> bool:
        """A table of exactly three columns, called `message_store` or holding LangChain's messages."""
        if not head.data.startswith(SQLITE):
            return False
        found = [name for name, columns in head.tables.items() if columns == COLUMNS]
        return TABLE in found or (bool(found) and all(mark in head.data for mark in MARKS))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every session of every such table. Raises `Unparsable` for a damaged database."""
        with source.database() as database:
            known: dict[str, tuple[str, _Session]] = {}
            for table, columns in database.tables.items():
                if columns != COLUMNS:
                    continue
                rows = database.rows(table, order="session_id, id")
                for given, group in groupby(rows, key=lambda row: row["session_id"]):
                    name = given if isinstance(given, str) and given else NAMELESS
                    if name in known and known[name][0] != table:
                        name = f"{table}/{name}"
                    if name not in known:
                        known[name] = table, _Session(source, source.draft(name))
                    session = known[name][1]
                    for row in group:
                        yield session.draft, session.message(row)
            for _, session in known.values():
                session.pairs.finish()


class _Session:
    """Makes the messages of one session."""

    def __init__(self, source: Source, draft: Draft) -> None:
        self.source = source
        self.draft = draft
        self.ids = Ids()
        self.pairs = openai_chat.ToolPairs(draft)

    def message(self, row: dict[str, Any]) -> Message:
        """The message of a row."""
        self.source.account.records += 1
        name = self.ids.take(str(row["id"]) if isinstance(row["id"], int) else None)
        record = from_json(self.source, row["message"])
        data = record.get("data") if isinstance(record, dict) else None
        made = _message(record, data) if isinstance(record, dict) and isinstance(data, dict) else None
        if made is None:
            self.source.preserved()
            kept = record if isinstance(record, dict) else plain_row(row)
            return {"id": name, "role": "system", "kind": "meta", "parts": [{"type": "record", "record": kept}]}
        self.source.mapped()
        message = {"id": name} | made
        self.pairs.see(message)
        if self.draft.title is None and message["role"] == "user":
            self.draft.title = title_line(openai_chat.text_of(message)) or None
        return message


def _message(record: dict[str, Any], data: dict[str, Any]) -> Message | None:
    kind = record.get("type")
    role = ROLES.get(kind) if isinstance(kind, str) else None
    rest = dict(data)
    if kind in ("chat", "ChatMessageChunk") and isinstance(rest.get("role"), str):
        role = CHAT_ROLES.get(rest["role"])
    content = rest.pop("content", None)
    if role is None or not (content is None or isinstance(content, str | list)):
        return None
    if rest.get("type") == kind:
        del rest["type"]
    x = {name: value for name, value in record.items() if name not in ("type", "data")}
    if kind not in ("human", "ai", "system", "tool"):
        x["type"] = kind
    if role == "tool":
        parts = [_result(rest, content)]
    else:
        calls = _calls(rest)
        parts = [*_content(content, calls), *calls]
    message: Message = {"role": role, "parts": parts}
    told = rest.get("response_metadata")
    if isinstance(told, dict) and role == "assistant":
        model = next((told[key] for key in ("model_name", "model") if isinstance(told.get(key), str)), "")
        reason = next((told[key] for key in ("finish_reason", "stop_reason") if isinstance(told.get(key), str)), "")
        message |= {key: value for key, value in (("model", model), ("finish_reason", reason)) if value}
    if role == "assistant" and (figures := _usage(rest.get("usage_metadata"))):
        message["usage"] = figures
    x |= {name: value for name, value in rest.items() if value not in (None, {}, [])}
    return message | ({"x": x} if x else {})


def _result(rest: dict[str, Any], content: Any) -> dict[str, Any]:
    call_id = rest.pop("tool_call_id") if isinstance(rest.get("tool_call_id"), str) else ""
    result = {"type": "tool_call_response", "id": call_id, "response": content}
    if rest.get("status") == "error":
        result["is_error"] = True
    return result


def _calls(rest: dict[str, Any]) -> list[dict[str, Any]]:
    """A message's calls; those of which the id, name or arguments are odd stay where they are."""
    given = rest.get("tool_calls")
    if isinstance(given, list) and given and all(_is_call(call) for call in given):
        del rest["tool_calls"]
        return [_call(call) for call in given]
    provider = rest.get("additional_kwargs")
    if given or not isinstance(provider, dict):
        return []
    raw = provider.get("tool_calls")
    found = raw if isinstance(raw, list) else [{"function": provider.get("function_call")}]
    calls = []
    for call in found:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            call_id = call["id"] if isinstance(call.get("id"), str) else ""
            arguments = function.get("arguments")
            calls.append({"type": "tool_call", "id": call_id, "name": function["name"], "arguments": arguments})
    return calls


def _is_call(call: Any) -> bool:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or "args" not in call:
        return False
    return call.get("id") is None or isinstance(call["id"], str)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    other = {key: value for key, value in call.items() if key not in ("name", "args", "id", "type", "arguments")}
    return {"type": "tool_call", "id": call.get("id") or "", "name": call["name"], "arguments": call["args"]} | other


def _content(content: Any, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content or not calls else []
    called = {call["id"]: call for call in calls}
    blocks: list[Any] = []
    for block in content or []:
        if isinstance(block, dict) and block.get("type") == "tool_use" and isinstance(block.get("id"), str):
            call = called.get(block["id"])
            if call and (block.get("name"), block.get("input")) == (call["name"], call["arguments"]):
                continue
        if isinstance(block, dict) and block.get("type") == "thinking" and isinstance(block.get("thinking"), str):
            thought = {"type": "reasoning", "content": block["thinking"]}
            other = {key: value for key, value in block.items() if key not in ("type", "thinking", "content")}
            if isinstance(other.get("signature", ""), str) and "content" not in block:
                blocks.append(thought | other)
                continue
        blocks.append(block)
    made = openai_chat.chat_message({"role": "user", "content": [b for b in blocks if not _is_thought(b)]})
    rest = iter(made["parts"] if made else [])
    return [block if _is_thought(block) else next(rest) for block in blocks]


def _is_thought(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "reasoning" and isinstance(block.get("content"), str)


def _usage(told: Any) -> dict[str, int]:
    if not isinstance(told, dict):
        return {}

    def inside(outer: str, name: str) -> int:
        details = told.get(outer)
        return count(details.get(name)) if isinstance(details, dict) else 0

    figures = {
        "input_tokens": count(told.get("input_tokens")),
        "output_tokens": count(told.get("output_tokens")),
        "cache_read_tokens": inside("input_token_details", "cache_read"),
        "cache_write_tokens": inside("input_token_details", "cache_creation"),
        "reasoning_tokens": inside("output_token_details", "reasoning"),
    }
    return {name: value for name, value in figures.items() if value}
