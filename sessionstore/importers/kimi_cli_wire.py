"""The event log of kimi-cli, `wire.jsonl`: what was shown on the screen, with times and the billed tokens.

The context file is what the model saw, without times; the log has the times and the bill. `Wire` reads the log into
messages and other events; `joined` lays it beside the messages of the context file: by the ids of tool calls and the
texts of the rest, from the end backwards (the log is younger than the first sessions), then by order where as many are
left on both sides. What only the log has becomes messages of its own, those of a turn that is still going on only when
it has ended: until then they wait in the session's `x["unfinished"]`, so that a session grows at its end only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.kimi_parts import (
    Json,
    content_part,
    content_parts,
    instant,
    meta,
    record_part,
    text_of,
    tool_call,
    usage_of,
)

_SILENT = frozenset({"TurnEnd"})
"""Events that say nothing besides that they were."""
_ENDS = frozenset({"TurnEnd", "StepInterrupted"})
_COMPACTS = "CompactionBegin"


@dataclass(slots=True, eq=False)
class Item:
    """A message or another event of the log."""

    message: Message
    talk: bool


def is_event(record: Json) -> bool:
    """Whether a record is an event of the log."""
    inner = record.get("message")
    stamp = record.get("timestamp")
    return (
        isinstance(stamp, int | float)
        and isinstance(inner, dict)
        and isinstance(inner.get("type"), str)
        and isinstance(inner.get("payload"), dict)
    )


class Wire:
    """Reads the events of one log, in order."""

    def __init__(self, source: Source, draft: Draft) -> None:
        """Count in this source's account and report to this draft."""
        self._source = source
        self._draft = draft
        self._step: Message | None = None
        self._call: Json | None = None
        self._pieces: list[str] = []
        """of the last text or of the last call's arguments, which the log has piece by piece"""
        self._whole: tuple[Json, str] | None = None
        """the part that the pieces make, and its field"""
        self._billed: set[str] = set()
        self._stamp: Any = None
        self.turn: Item | None = None
        """the prompt of the last turn while it has not ended"""
        self.items: list[Item] = []
        self.below: dict[str, list[Json]] = {}
        """the events of subagents, by the agent's id or the call that has started it"""

    def take(self, record: Json) -> None:
        """Take the next record."""
        if is_event(record):
            inner = record["message"]
            self._stamp = record["timestamp"]
            time = instant(self._stamp)
            known = not set(inner) - {"type", "payload"} and not set(record) - {"timestamp", "message"}
            handler = _HANDLERS.get(inner["type"]) if known and time else None
            if handler is not None and handler(self, inner["payload"], time):
                self._source.mapped()
                return
            if inner["type"] in _ENDS:
                self.turn = None
            if known and time and inner["type"] in _SILENT and not inner["payload"]:
                self._step = None
                self._source.mapped()
                return
            self._source.preserved()
            self._other(record if not (known and time) else inner, time)
        elif record.get("type") == "metadata" and "wire" not in self._draft.x:
            self._source.mapped()
            self._draft.x["wire"] = {key: value for key, value in record.items() if key != "type"}
        else:
            self._source.preserved()
            self._other(record, None)

    def finish(self) -> list[Item]:
        """The items; steps that came to nothing are left out unless they were billed."""
        self._join_pieces()
        found = []
        for item in self.items:
            message = item.message
            if message["role"] == "assistant" and not message["parts"]:
                if not (message.get("usage") or message.get("x")):
                    continue
                message |= {"role": "system", "kind": "meta"}
                item.talk = False
            found.append(item)
        return found

    def _other(self, record: Json, time: str | None) -> None:
        self.items.append(Item(_timed(meta(record), time), False))

    def _talk(self, message: Message, time: str | None) -> Message:
        self.items.append(Item(_timed(message, time), True))
        return message

    def _prompt(self, payload: Json, time: str) -> bool:
        if not isinstance(payload.get("user_input"), str | list):
            return False
        self._step = self._call = None
        message: Message = {"role": "user", "parts": content_parts(payload["user_input"])}
        if rest := _told(payload, "user_input"):
            message["x"] = rest
        self._talk(message, time)
        self.turn = self.items[-1]
        return True

    def _begin(self, payload: Json, time: str) -> bool:
        self._step = self._talk({"role": "assistant", "parts": []}, time)
        self._call = None
        return set(payload) <= {"n"}

    def _opened(self, time: str) -> Message:
        if self._step is None:
            self._step = self._talk({"role": "assistant", "parts": []}, time)
        self._step["time"] = time
        return self._step

    def _content(self, payload: Json, time: str) -> bool:
        inner = payload.get("part")
        part = content_part(inner if isinstance(inner, dict) and set(payload) == {"part"} else payload)
        parts = self._opened(time)["parts"]
        last = parts[-1] if parts else None
        plain = part.keys() == {"type", "content"} and isinstance(part["content"], str)
        if plain and last and last["type"] == part["type"] and last.keys() == part.keys():
            self._go_on(last, "content", part["content"])
        else:
            parts.append(part)
        return True

    def _go_on(self, part: Json, field: str, piece: str) -> None:
        if self._whole is None or self._whole[0] is not part:
            self._join_pieces()
            self._whole = part, field
            self._pieces = [part[field] or ""]
        self._pieces.append(piece)

    def _join_pieces(self) -> None:
        if self._whole is not None:
            part, field = self._whole
            part[field] = "".join(self._pieces)
        self._whole = None

    def _called(self, payload: Json, time: str) -> bool:
        self._call = tool_call(payload)
        self._opened(time)["parts"].append(self._call)
        return True

    def _called_on(self, payload: Json, time: str) -> bool:
        piece = payload.get("arguments_part")
        if self._call is None or not isinstance(piece, str | None):
            return False
        if piece:
            before = self._call.get("arguments")
            if self._call["type"] != "tool_call" or not isinstance(before, str | None):
                return False
            self._go_on(self._call, "arguments", piece)
        return not _told(payload, "arguments_part")

    def _status(self, payload: Json, time: str) -> bool:
        usage = usage_of(
            payload.get("token_usage"), "input_other", "output", "input_cache_read", "input_cache_creation"
        )
        name = payload.get("message_id")
        if usage and isinstance(name, str):
            if name in self._billed:
                usage = None
            self._billed.add(name)
        told = _told(payload)
        if self._step is None or not usage or "usage" in self._step:
            message = self._talk(meta({"type": "StatusUpdate", "payload": told}), time)
            self.items[-1].talk = False
        else:
            message = self._step
            message.setdefault("x", {})["status"] = told
        if usage:
            message["usage"] = usage
        return True

    def _result(self, payload: Json, time: str) -> bool:
        value, call_id = payload.get("return_value"), payload.get("tool_call_id")
        if not isinstance(value, dict) or not isinstance(call_id, str):
            return False
        rest = _told(value, "output")
        part = {"type": "tool_call_response", "id": call_id, "response": value.get("output")}
        if rest.get("is_error") is True:
            part["is_error"] = rest.pop("is_error")
        message: Message = {"role": "tool", "parts": [part]}
        extra = _told(payload, "return_value", "tool_call_id")
        if rest:
            extra["return_value"] = rest
        if extra:
            message["x"] = extra
        self._talk(message, time)
        return True

    def _again(self, payload: Json, time: str) -> bool:
        self._step = self._call = None
        return False

    def _subagent(self, payload: Json, time: str) -> bool:
        event = payload.get("event")
        names = (payload.get(key) for key in ("agent_id", "parent_tool_call_id", "task_tool_call_id"))
        name = next((name for name in names if isinstance(name, str) and name), None)
        if name is None or not isinstance(event, dict):
            return False
        rest = {key: value for key, value in payload.items() if key != "event" and value is not None}
        self.below.setdefault(name, []).append({"timestamp": self._stamp, "message": event, "agent": rest})
        return True


_HANDLERS: dict[str, Any] = {
    "TurnBegin": Wire._prompt,
    "SteerInput": Wire._prompt,
    "StepBegin": Wire._begin,
    "ContentPart": Wire._content,
    "ToolCall": Wire._called,
    "ToolCallPart": Wire._called_on,
    "StatusUpdate": Wire._status,
    "ToolResult": Wire._result,
    "StepRetry": Wire._again,
    "StepInterrupted": Wire._again,
    "SubagentEvent": Wire._subagent,
}
"""What makes something of an event; false when it is to be kept verbatim instead."""


def _told(payload: Json, *used: str) -> Json:
    """The fields of an event besides those used and those that say nothing."""
    return {
        key: value
        for key, value in payload.items()
        if key not in used and value is not None and value is not False and value not in ("", [])
    }


def _timed(message: Message, time: str | None) -> Message:
    if time:
        message["time"] = time
    return message


def joined(draft: Draft, messages: list[Message], items: list[Item], turn: Item | None = None) -> list[Message]:
    """The messages of the context files and what only the log has, in one order, with the log's times and figures.
    `turn`: the prompt of a turn that has not ended, and of which more may yet come into the context file."""
    partners = _match(messages, items)
    if items:
        lone = sum(1 for number, message in enumerate(messages) if number not in partners and _is_turn(message))
        if lone:
            draft.issue("message-without-wire", "a message of the context file is not in the event log", lone)
    merged: list[Message] = []
    waiting: list[Message] = []
    position = 0
    for number, message in enumerate(messages):
        place = partners.get(number)
        if place is None:
            waiting.append(message)
            continue
        end = place if items[place].talk else place + 1
        _add_unmatched(draft, merged, items, position, end)
        position = place + 1
        if items[place].talk:
            _join(message, items[place].message)
        merged += [*waiting, message]
        waiting = []
    end = next((place for place in range(len(items) - 1, -1, -1) if items[place] is turn), len(items))
    end = max(position, end)
    _add_unmatched(draft, merged, items, position, end)
    left = [item.message for item in items[end:]]
    if turn is not None and not any(map(_is_turn, waiting)):
        left, waiting = left + waiting, []
    if left:
        draft.x["unfinished"] = left
        draft.issue("unfinished-turn", "the last turn had not ended; what only the log has of it is in the session's x")
    return merged + waiting


def _add_unmatched(draft: Draft, merged: list[Message], items: list[Item], start: int, end: int) -> None:
    for place in range(start, end):
        item = items[place]
        item.message["id"] = f"w{place + 1}"
        if item.talk:
            draft.issue("wire-only-message", "the event log shows a message that no context file holds")
        merged.append(item.message)


def _is_turn(message: Message) -> bool:
    return message.get("kind") not in ("meta", "context", "compaction")


def _may_pair(message: Message) -> bool:
    return message["role"] in ("user", "assistant") and _is_turn(message)


def _key(message: Message) -> tuple[Any, ...]:
    role, parts = message["role"], message["parts"]
    if message.get("kind") == "compaction":
        return (_COMPACTS,)
    if role == "tool":
        return role, next((part["id"] for part in parts if part["type"] == "tool_call_response"), "")
    calls = tuple(part["id"] for part in parts if part["type"] == "tool_call")
    return (role, calls) if calls else (role, text_of(parts).strip())


def _match(messages: list[Message], items: list[Item]) -> dict[int, int]:
    """Which message of the context files is which item of the log."""
    places: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        if item.talk:
            places[_key(item.message)].append(place)
        elif any(part.get("record", {}).get("type") == _COMPACTS for part in item.message["parts"]):
            places[(_COMPACTS,)].append(place)
    partners: dict[int, int] = {}
    bound = len(items)
    for number in range(len(messages) - 1, -1, -1):
        if messages[number].get("kind") == "meta":
            continue
        found = places.get(_key(messages[number]), [])
        while found and found[-1] >= bound:
            found.pop()
        if found:
            bound = partners[number] = found.pop()
    taken = set(partners.values())
    edges = [(-1, -1), *sorted(partners.items()), (len(messages), len(items))]
    for (number, place), (next_number, next_place) in pairwise(edges):
        here = [at for at in range(number + 1, next_number) if _may_pair(messages[at])]
        there = [
            at
            for at in range(place + 1, next_place)
            if items[at].talk and at not in taken and _may_pair(items[at].message)
        ]
        if [messages[at]["role"] for at in here] == [items[at].message["role"] for at in there]:
            partners |= dict(zip(here, there, strict=True))
    return partners


def _join(message: Message, other: Message) -> None:
    """Add what the log knows of a message."""
    for name in ("time", "usage"):
        if name in other and name not in message:
            message[name] = other[name]
    extra = dict(other.get("x", {}))
    mine, its = message["parts"], other["parts"]
    if message["role"] == "tool":
        part = next(part for part in its if part["type"] == "tool_call_response")
        own = next((part for part in mine if part["type"] == "tool_call_response"), None)
        if own is not None and part.get("is_error"):
            own["is_error"] = True
        if own is None or not _repeats(part["response"], own["response"]):
            extra.setdefault("return_value", {})["output"] = part["response"]
    elif text_of(mine).strip() != text_of(its).strip():
        extra["parts"] = [record_part(part)["record"] for part in its]
    if extra:
        message.setdefault("x", {})["wire"] = extra


def _repeats(output: Any, response: Any) -> bool:
    """Whether a tool's output is in what the model was told."""
    if output in (None, "", []):
        return True
    told: Iterable[Any] = response if isinstance(response, list) else [response]
    if isinstance(output, list):
        return isinstance(response, list) and all(part in response for part in output)
    texts = [part.get("text") if isinstance(part, dict) else part for part in told]
    return isinstance(output, str) and any(isinstance(text, str) and output in text for text in texts)
