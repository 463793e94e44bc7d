"""What the events of a chuk-ai-session-manager session are, and what they cost by its own guess."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import is_instant, title_line
from sessionstore.importers.openai_messages_parts import chat_message

ROLES = {"user": "user", "llm": "assistant", "system": "system"}
KINDS = {"summary": "compaction", "context_bridge": "context"}
UNKNOWN = "unknown"
"""What the program writes for a model or a provider that it was not told."""
MAX_COUNT = 2**53 - 1
"""Token counts and costs above this are not believed; they stay in `x`."""
_CALL_KEYS = frozenset({"tool", "arguments", "result", "error", "success"})
_EMPTY: tuple[Any, ...] = (None, {}, [])


class Events:
    """Makes messages of events, in their order."""

    def __init__(self, source: Source, draft: Draft) -> None:
        """Count in this source, report to this draft."""
        self._source = source
        self._draft = draft
        self._ids: dict[str, int] = {}
        self._count = 0

    def take(self, event: Any) -> Iterator[Message]:
        """The messages of one event, which has been counted."""
        self._count += 1
        own = event.get("id") if isinstance(event, dict) else None
        name = self._unique(own if isinstance(own, str) and own else f"m{self._count}")
        messages = _messages(event, name) if isinstance(event, dict) else None
        if messages is None:
            self._source.preserved()
            record = event if isinstance(event, dict) else {"value": event}
            messages = [{"role": "system", "kind": "meta", "parts": [{"type": "record", "record": record}]}]
        else:
            self._source.mapped()
        for number, message in enumerate(messages):
            if self._draft.title is None and message["role"] == "user":
                self._draft.title = title_line(openai_chat.text_of(message)) or None
            yield {"id": self._unique(f"{name}:result") if number else name} | message

    def _unique(self, name: str) -> str:
        found = name
        while found in self._ids:
            self._ids[name] += 1
            found = f"{name}~{self._ids[name]}"
        self._ids[found] = 1
        return found


def _messages(event: dict[str, Any], name: str) -> list[Message] | None:
    """An event as one or two messages without ids; None when it is no conversation."""
    kind, said = event.get("type"), event.get("message")
    role = ROLES.get(event["source"]) if isinstance(event.get("source"), str) else None
    if role is None or not isinstance(kind, str):
        return None
    if isinstance(said, str) and (kind == "message" or kind in KINDS):
        message: Message = {"role": role, "parts": [{"type": "text", "content": said}]}
        if kind in KINDS:
            message["kind"] = KINDS[kind]
        messages = [message]
    elif isinstance(said, dict) and kind in ("message", "tool_call"):
        messages = _tool_use(said, name) or _injected(said)
    else:
        return None
    if messages:
        _describe(messages, event)
    return messages or None


def _tool_use(said: dict[str, Any], name: str) -> list[Message]:
    """A call and its result, paired by the event's name. What went wrong is the result of a call that failed."""
    if not isinstance(said.get("tool"), str) or not {"arguments", "result"} <= said.keys():
        return []
    failed = said.get("success") is False or said.get("error") not in (None, "")
    response = said["error"] if failed and said["result"] is None and said.get("error") is not None else said["result"]
    call = {"type": "tool_call", "id": name, "name": said["tool"], "arguments": said["arguments"]}
    answer: dict[str, Any] = {"type": "tool_call_response", "id": name, "response": response}
    if failed:
        answer["is_error"] = True
    x = {key: value for key, value in said.items() if key not in _CALL_KEYS}
    if failed and response is not said.get("error") and said.get("error") is not None:
        x["error"] = said["error"]
    if "success" in said and said["success"] is not (not failed):
        x["success"] = said["success"]
    result: Message = {"role": "tool", "parts": [answer]}
    return [{"role": "assistant", "parts": [call]}, result | ({"x": x} if x else {})]


def _injected(said: dict[str, Any]) -> list[Message]:
    """A message of the chat interface that a program has put in between."""
    message = chat_message(said)
    return [] if message is None else [message]


def _describe(messages: list[Message], event: dict[str, Any]) -> None:
    """Give the messages the event's time, model, cost (the first of them) and everything that has no name."""
    first = messages[0]
    x = {key: value for key, value in event.items() if key not in ("id", "message", "source", "type")}
    if ROLES[event["source"]] != first["role"] and not (event["source"] == "system" and event["type"] == "tool_call"):
        x["source"] = event["source"]
    if is_instant(x.get("timestamp")):
        time = x.pop("timestamp")
        for message in messages:
            message["time"] = time
    if isinstance(x.get("metadata"), dict):
        metadata = x["metadata"] = dict(x["metadata"])
        for key in ("model", "provider") if first["role"] == "assistant" else ():
            if isinstance(metadata.get(key), str) and metadata[key] not in ("", UNKNOWN):
                first[key] = metadata.pop(key)
    _take_usage(first, x)
    x = {key: value for key, value in x.items() if value not in _EMPTY}
    if x:
        first["x"] = first.get("x", {}) | x if not first.get("x", {}).keys() & x.keys() else first["x"] | {"event": x}


def _take_usage(message: Message, x: dict[str, Any]) -> None:
    tokens = x.get("token_usage")
    if not isinstance(tokens, dict):
        return
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    usage: dict[str, Any] = {ours: n for theirs, ours in names.items() if (n := _count(tokens.get(theirs)))}
    if cost := _microdollars(tokens.get("estimated_cost_usd")):
        usage["cost_microusd"] = cost
    if usage:
        message["usage"] = usage | {"estimated": True}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT else 0


def _microdollars(value: Any) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < MAX_COUNT / 1_000_000:
        return 0
    return round(value * 1_000_000)
