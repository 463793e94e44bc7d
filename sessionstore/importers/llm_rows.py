"""What the generations of llm's database share: the tables that responses and turns refer to, sessions, usage."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import OWN_PARTS
from sessionstore.importers.database_rows import Ids, count, decoded, from_json, plain_row, stated
from sessionstore.importers.material import Database

Part = dict[str, Any]


class Session:
    """A session being read, from as many generations as have it."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.ids = Ids()
        self.last: str | None = None
        """the id of the last message"""
        self.trail: list[tuple[Any, str]] = []
        """what the second generation's messages say, with their ids"""
        self.responses: set[str] = set()
        """the ids of the second generation's responses"""
        self._tools: set[Any] = set()

    def tool(self, number: Any, tool: dict[str, Any]) -> None:
        """Name a tool that was offered, once."""
        if number not in self._tools:
            self._tools.add(number)
            self.draft.tools.append(tool)

    def message(self, wanted: Any, role: str, parts: list[Part], parent: str | None, **fields: Any) -> Message:
        """The next message; `parent` is stated only when it is not the message before. Fields that say nothing are
        left out."""
        message: Message = {"id": self.ids.take(wanted)}
        if parent != self.last:
            message["parent"] = parent
        message |= {"role": role, "parts": parts}
        message |= {name: value for name, value in fields.items() if value}
        self.last = message["id"]
        return message

    def record(self, kind: str, row: dict[str, Any]) -> Message:
        """The next message: a row that was not understood, verbatim."""
        part = {"type": "record", "record": {"table": kind, "row": plain_row(row)}}
        return self.message(None, "system", [part], self.last, kind="meta")


def said(message: Message) -> Any:
    """What a message says, to compare it with its repetition in another generation."""
    text = "\n".join(part["content"] for part in message["parts"] if part["type"] == "text")
    others = [
        (part.get("name"), part.get("response"))
        for part in message["parts"]
        if part["type"] in ("tool_call", "tool_call_response")
    ]
    return message["role"], text, others


class Library:
    """The tables that responses and turns refer to. Their rows are records as soon as something refers to them."""

    def __init__(self, source: Source, database: Database) -> None:
        self.source = source
        self.database = database
        self._counted: set[tuple[str, Any]] = set()
        self._tools: dict[Any, dict[str, Any]] = {}

    def row(self, table: str, number: Any) -> dict[str, Any] | None:
        """The row of a table that has this `id`."""
        for row in self.database.rows(table, where={"id": number}):
            if row["id"] == number:
                if (table, number) not in self._counted:
                    self._counted.add((table, number))
                    self.source.account.records += 1
                    self.source.mapped()
                return row
        return None

    def links(self, table: str, key: str, columns: Iterable[str] = ()) -> dict[Any, list[dict[str, Any]]]:
        """The rows of a table by what they belong to, in their own order. Every row is counted as a record, but what
        became of it is for the caller to say."""
        found: dict[Any, list[dict[str, Any]]] = {}
        for row in self.database.rows(table, tuple(columns), order="order, rowid"):
            self.source.account.records += 1
            found.setdefault(row.get(key), []).append(row)
        return found

    def tool(self, number: Any) -> dict[str, Any] | None:
        """A tool's definition."""
        if number not in self._tools:
            row = self.row("tools", number)
            if row is None:
                return None
            tool = stated({name: value for name, value in row.items() if name not in ("id", "hash")})
            tool["input_schema"] = decoded(self.source, row.get("input_schema"))
            self._tools[number] = tool
        return self._tools[number]

    def instance(self, number: Any) -> Any:
        """The configured toolbox that served a call."""
        row = self.row("tool_instances", number)
        if row is None:
            return number
        instance = stated({name: value for name, value in row.items() if name != "id"})
        if "arguments" in instance:
            instance["arguments"] = decoded(self.source, row["arguments"])
        return instance

    def schema(self, number: Any) -> Any:
        """The JSON schema an answer was asked to follow."""
        row = self.row("schemas", number)
        return {"id": number} if row is None else {"id": number, "content": decoded(self.source, row.get("content"))}

    def fragment(self, draft: Draft, number: Any) -> tuple[str, dict[str, Any]]:
        """A fragment's text, and what is known of it."""
        row = self.row("fragments", number)
        if row is None or not isinstance(row.get("content"), str):
            draft.issue("fragment-missing", "a fragment of a prompt is not in the file")
            return "", {"id": number}
        known = {name: row[name] for name in ("hash", "source", "datetime_utc") if isinstance(row.get(name), str)}
        return row["content"], known

    def attachment(self, draft: Draft, number: Any) -> Part:
        """An attachment as a blob, a link or a path."""
        row = self.row("attachments", number)
        if row is None:
            draft.issue("attachment-missing", "an attachment is not in the file")
            return {"type": "file", "id": number}
        kind = row.get("type") if isinstance(row.get("type"), str) else ""
        known: Part = {"id": number}
        if isinstance(row.get("path"), str):
            known["path"] = row["path"]
        content, url = row.get("content"), row.get("url")
        if isinstance(content, str):
            content = content.encode("utf-8", "replace")
        if isinstance(content, bytes) and content:
            if isinstance(url, str):
                known["url"] = url
            data = base64.b64encode(content).decode("ascii")
            mime_type = kind or "application/octet-stream"
            return {
                "type": "blob",
                "modality": mime_type.partition("/")[0],
                "mime_type": mime_type,
                "data": data,
            } | known
        draft.issue("attachment-not-in-file", "the file holds an attachment's path or link and not its bytes")
        if kind:
            known["mime_type"] = kind
        if isinstance(url, str):
            return {"type": "uri", "uri": url} | ({"modality": kind.partition("/")[0]} if kind else {}) | known
        return {"type": "file"} | known


def call_fields(library: Library, row: dict[str, Any]) -> dict[str, Any]:
    """What a response's or a turn's row says of the call, for the answer's `x`; consumed columns are taken out."""
    x: dict[str, Any] = {}
    options = decoded(library.source, row.pop("options_json", None))
    if options not in (None, {}):
        x["options"] = options
    for column, name in (("token_details", "token_details"), ("response_json", "response_json")):
        value = decoded(library.source, row.pop(column, None))
        if value is not None:
            x[name] = value
    schema = row.pop("schema_id", None)
    if schema is not None:
        x["schema"] = library.schema(schema)
    return x


def usage(row: dict[str, Any], x: dict[str, Any]) -> dict[str, int]:
    """A call's tokens from its row, else from the provider's own answer (`response_json`, `debug`)."""
    total_in, total_out = count(row.pop("input_tokens", None)), count(row.pop("output_tokens", None))
    details = x.get("token_details")
    if not (total_in or total_out):
        for name in ("response_json", "debug"):
            told = x.get(name)
            told = told.get("usage") if isinstance(told, dict) else None
            if isinstance(told, dict) and (count(told.get("prompt_tokens")) or count(told.get("completion_tokens"))):
                total_in, total_out = count(told.get("prompt_tokens")), count(told.get("completion_tokens"))
                details = told
    figures = {"input_tokens": total_in, "output_tokens": total_out}
    if isinstance(details, dict):
        _details(figures, details)
    return {name: value for name, value in figures.items() if value}


def _details(figures: dict[str, int], details: dict[str, Any]) -> None:
    """Cache and reasoning, as each provider names them. Anthropic counts cache apart from the input."""

    def inside(name: str, *outer: str) -> int:
        return max((count(part.get(name)) for key in outer if isinstance(part := details.get(key), dict)), default=0)

    read, written = count(details.get("cache_read_input_tokens")), count(details.get("cache_creation_input_tokens"))
    figures["input_tokens"] += read + written
    figures["cache_read_tokens"] = (
        read
        or inside("cached_tokens", "prompt_tokens_details", "input_tokens_details")
        or count(details.get("cachedContentTokenCount"))
    )
    figures["cache_write_tokens"] = written
    thoughts = count(details.get("thoughtsTokenCount"))
    if thoughts and figures["output_tokens"] == count(details.get("candidatesTokenCount")):
        figures["output_tokens"] += thoughts
    figures["reasoning_tokens"] = thoughts or inside(
        "reasoning_tokens", "completion_tokens_details", "output_tokens_details"
    )


def extended(part: Part, extra: dict[str, Any]) -> Part:
    """A part with further fields of its source; those whose names are taken stay together under `record`."""
    taken = {name: value for name, value in extra.items() if name in part or name in ("type", "content", "is_error")}
    part |= {name: value for name, value in extra.items() if name not in taken and value is not None}
    if taken:
        part["record"] = taken
    return part


def other_part(kind: Any, row: dict[str, Any]) -> Part:
    """A part of a type that is not known, verbatim."""
    if isinstance(kind, str) and kind and kind not in OWN_PARTS:
        return {"type": kind, "record": plain_row(row)}
    return {"type": "record", "record": plain_row(row)}


def payload_of(source: Source, row: dict[str, Any]) -> dict[str, Any] | None:
    """A part's payload; None when it is no JSON object."""
    if row.get("payload") is None:
        return {}
    payload = from_json(source, row["payload"])
    return payload if isinstance(payload, dict) else None


def leftover(links: dict[str, dict[Any, list[dict[str, Any]]]]) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    """What is left of linked rows: (what they belong to, table, row), owner by owner."""
    owners = dict.fromkeys(owner for table in links.values() for owner in table)
    for owner in owners:
        for table, rows in links.items():
            for row in rows.get(owner, ()):
                yield owner, table, row
