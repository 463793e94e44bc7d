"""LangSwarm's messages as they are stored, and as each version of its programs sees them.

A *record* is what a program sees of a message: the dictionary that version 1 writes, or the fields of version 2's
`SessionMessage`. It becomes a unified message by the importer's own mapping, so what was imported and what was written
here look the same. A record that could not be given back exactly is kept verbatim in the message's `x`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sessionstore import canonical, layout
from sessionstore.compose import USAGE
from sessionstore.exporters.content import texts
from sessionstore.importers.langswarm_parts import unified

Message = dict[str, Any]
Record = dict[str, Any]
VERBATIM = "langswarm"
"""The field of a message's `x` that holds records as they were, by version."""
ANSWERS_CALL = ("tool", "function")
NEVER = datetime(1970, 1, 1)


class Version(ABC):
    """How the programs of one version see messages."""

    name: str

    @abstractmethod
    def from_program(self, record: Record) -> Record:
        """A record with the fields that version 1 has, and a `timestamp` with its offset."""

    @abstractmethod
    def for_program(self, record: Record, moment: datetime) -> Record:
        """The other way round; `moment` is the time, naive when the source does not say of which zone."""

    def message(self, record: Record, model: str | None, provider: str | None, old: Message | None = None) -> Message:
        """The unified message of a record; `old` is what was stored of it before, whose other fields stay."""
        made = unified(self.from_program(record))
        if made is None:
            parts = [{"type": "record", "record": record}]
            made = {"id": record.get("id"), "role": _role(record), "parts": parts, "x": {}}
        ident = made.pop("id", None)
        x = {**_others(old, made), **made.pop("x")}
        message: Message = {"id": ident if isinstance(ident, str) and ident else layout.ulid(), **made}
        if usage := _usage(record.get("metadata")):
            message["usage"] = usage
        if message["role"] == "assistant":
            message |= {name: value for name, value in (("model", model), ("provider", provider)) if value}
        if old is not None:
            for name in ("usage", "model", "provider", "parent", "kind", "finish_reason"):
                if name in old and name not in record:
                    message.setdefault(name, old[name])
            if _says(self.record(old)) == _says(record):
                message["parts"] = old["parts"]
        cleaned: Message = canonical.clean({**message, "x": x})
        if self.record(cleaned) != record:
            cleaned["x"] = {**cleaned["x"], VERBATIM: {self.name: record}}
        if not cleaned["x"]:
            del cleaned["x"]
        return cleaned

    def record(self, message: Message, began: datetime = NEVER) -> Record:
        """What a program of this version sees of a stored message; `began` is the time of one that states none."""
        x = message.get("x") or {}
        kept = (x.get(VERBATIM) or {}).get(self.name)
        if isinstance(kept, dict) and "edited_at" not in x:
            return dict(kept)
        role = "function" if x.get("role") == "function" else message["role"]
        record: Record = {"id": x["id"] if isinstance(x.get("id"), str) else message["id"], "role": role}
        metadata = x.get("metadata")
        record |= {"content": _content(message), "metadata": dict(metadata) if isinstance(metadata, dict) else {}}
        calls = [_call(part) for part in message["parts"] if part["type"] in ("tool_call", "record")]
        record |= {"tool_calls": calls or None, "tool_call_id": _answered(message)}
        record |= {name: x.get(name) for name in ("provider_message_id", "token_count")}
        record["finish_reason"] = message.get("finish_reason")
        return self.for_program(record, moment_of(message, began))


class _One(Version):
    name = "v1"

    def from_program(self, record: Record) -> Record:
        return {**record, "timestamp": instant(record.get("timestamp"), utc=False)}

    def for_program(self, record: Record, moment: datetime) -> Record:
        del record["token_count"], record["finish_reason"]
        naive = moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment
        return {**record, "timestamp": naive.isoformat()}


class _Two(Version):
    """Version 2 has no fields for the use of tools; they are in the metadata."""

    name = "v2"

    def from_program(self, record: Record) -> Record:
        metadata = dict(record.get("metadata") or {})
        calls, answered = metadata.get("tool_calls"), metadata.get("tool_call_id")
        out: Record = {**record, "timestamp": instant(record.get("timestamp"), utc=True)}
        if isinstance(calls, list):
            out["tool_calls"] = metadata.pop("tool_calls")
        if isinstance(answered, str):
            out["tool_call_id"] = metadata.pop("tool_call_id")
        return {**out, "metadata": metadata}

    def for_program(self, record: Record, moment: datetime) -> Record:
        calls, answered = record.pop("tool_calls"), record.pop("tool_call_id")
        if calls:
            record["metadata"]["tool_calls"] = calls
        if answered:
            record["metadata"]["tool_call_id"] = answered
        naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        return {**record, "timestamp": naive.isoformat()}


ONE, TWO = _One(), _Two()


def instant(text: Any, *, utc: bool) -> Any:
    """A time that a program states, with its offset: a naive one is local (version 1) or UTC (version 2). What is no
    time is given back."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC) if utc else moment.astimezone()
        return moment.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return text


def moment_of(message: Message, began: datetime) -> datetime:
    """When a message was said; naive where the source does not say in which zone, `began` where it says nothing."""
    x = message.get("x") or {}
    for value in (message.get("time"), x.get("time"), x.get("timestamp")):
        if (moment := time_of(value)) is not None:
            return moment
    return began


def time_of(value: Any) -> datetime | None:
    """A stored time: a text, or what an importer made of one without an offset."""
    text = value.get("raw") if isinstance(value, dict) else value
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _says(record: Record) -> tuple[Any, ...]:
    """What of a record is in a message's parts."""
    metadata = record.get("metadata") or {}
    calls = (record.get("tool_calls"), metadata.get("tool_calls"))
    return record.get("role"), record.get("content"), calls, record.get("tool_call_id"), metadata.get("tool_call_id")


def _role(record: Record) -> str:
    role = record.get("role")
    return role if role in ("system", "user", "assistant") else "tool" if role in ANSWERS_CALL else "user"


def _others(old: Message | None, made: Message) -> dict[str, Any]:
    """What was kept of a message beside the fields that this version writes."""
    kept = dict((old or {}).get("x") or {})
    for name in (VERBATIM, "edited_at", "metadata", "provider_message_id", "timestamp", "time", "tool_call_id", "id"):
        kept.pop(name, None)
    return kept


def _usage(metadata: Any) -> dict[str, Any] | None:
    """The tokens that an answer's metadata tells of, in the unified vocabulary."""
    told = metadata.get("usage") if isinstance(metadata, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    return {name: told[name] for name in USAGE if type(told.get(name)) is int and told[name] >= 0} or None


def _content(message: Message) -> str:
    for part in message["parts"]:
        if part["type"] == "tool_call_response":
            response = part.get("response")
            return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
    return "\n\n".join(texts(message["parts"]))


def _answered(message: Message) -> str | None:
    """The id of the call that a tool's message answers."""
    x = message.get("x") or {}
    if isinstance(x.get("tool_call_id"), str):
        return str(x["tool_call_id"])
    return next((part["id"] or None for part in message["parts"] if part["type"] == "tool_call_response"), None)


def _call(part: Message) -> Any:
    """A call of a tool in OpenAI's form."""
    if part["type"] == "record":
        record = part["record"]
        return record["value"] if set(record) == {"value"} else record
    rest = {name: value for name, value in part.items() if name not in ("type", "id", "name", "arguments", "function")}
    arguments = part["arguments"]
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": part["name"], "arguments": told, **(part.get("function") or {})}
    return {"id": part["id"], "type": "function", "function": function, **rest}
