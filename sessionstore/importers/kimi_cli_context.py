"""The model-facing history of kimi-cli: `context.jsonl`, and the rotated files that hold what it held before.

The program sets the file aside (`context_1.jsonl`, `context_2.jsonl`, ...) and begins a new one when it compacts,
clears or goes back to a checkpoint. Read in the order of their numbers they are one history in the order of time:

- after going back, the new file begins with the same records as the old one: those are not repeated, and the first
  new message gets the last shared one as its parent, so that what was undone is a side branch;
- after compaction, the new file begins with a summary and the last messages before it: those are not repeated, and
  the summary names them in `x["kept"]`;
- after clearing, the first message of the new file has no parent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sessionstore import canonical
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.kimi_parts import ROLES, Json, content_parts, meta, record_part, text_of, tool_call

CONTROL = {"_system_prompt": str, "_checkpoint": int, "_usage": int}
"""Roles of the records that are no messages, and the type of what they state."""
CONTROL_VALUE = {"_system_prompt": "content", "_checkpoint": "id", "_usage": "token_count"}
COMPACTED = "<system>Previous context has been compacted"
_SYNTHETIC = re.compile(r"\s*<(system|system-reminder|notification|task-notification)[ >]")
_CHECKPOINT = re.compile(r"\s*<system>CHECKPOINT \d+</system>\s*")


def is_control(record: Json) -> bool:
    """Whether a record is one of those that only this program writes."""
    role = record.get("role")
    return isinstance(role, str) and role in CONTROL and isinstance(record.get(CONTROL_VALUE[role]), CONTROL[role])


def is_message(record: Json) -> bool:
    """Whether a record has the shape of a message."""
    calls, content = record.get("tool_calls"), record.get("content")
    return (
        isinstance(record.get("role"), str)
        and record["role"] in ROLES
        and isinstance(content, str | list | None)
        and isinstance(calls, list | None)
    )


def to_message(record: Json) -> Message:
    """A record that has the shape of a message, as one that still lacks its id."""
    rest = dict(record)
    role, content, calls = rest.pop("role"), rest.pop("content", None), rest.pop("tool_calls", None)
    message: Message = {"role": role}
    if role == "tool":
        call_id = rest.pop("tool_call_id") if isinstance(rest.get("tool_call_id"), str) else ""
        message["parts"] = [{"type": "tool_call_response", "id": call_id, "response": content}]
    else:
        message["parts"] = [] if content == "" and calls else content_parts(content)
    message["parts"] += map(tool_call, calls or [])
    if kind := _kind(role, message["parts"]):
        message["kind"] = kind
    elif rest.get("partial") is True:
        del rest["partial"]
        message["kind"] = "prefill"
    if rest:
        message["x"] = rest
    return message


def _kind(role: str, parts: Sequence[Json]) -> str | None:
    """What a message is that the program wrote in the user's name."""
    if role == "system":
        return "context"
    texts = [part["content"] for part in parts if part["type"] == "text"]
    if role != "user" or not texts:
        return None
    if texts[0].startswith(COMPACTED):
        return "compaction"
    if _CHECKPOINT.fullmatch("".join(texts)):
        return "meta"
    return "context" if len(texts) == len(parts) and all(map(_SYNTHETIC.match, texts)) else None


class Contexts:
    """Joins the context files of one session, oldest first, into one list of messages."""

    def __init__(self, source: Source, draft: Draft) -> None:
        """Count in this source's account and set this draft's system prompt."""
        self._source = source
        self._draft = draft
        self.messages: list[Message] = []
        self._prompts: set[bytes] = set()
        self._before: list[tuple[Json, str | None]] = []
        """the records of the file before, each with the id of its message"""

    def add(self, records: list[Json]) -> None:
        """Take the next file."""
        shared = self._shared(records)
        self._source.mapped(shared)
        now = [(record, known[1]) for record, known in zip(records[:shared], self._before, strict=False)]
        rest = records[shared:]
        parent: Any = ...
        kept: dict[int, str] = {}
        names = [name for record, name in now if name and is_message(record)]
        if names:
            parent = max(names, key=lambda name: int(name[1:]))
        elif self._before:
            now = [(record, None) for record, _ in now]
            first = next(filter(is_message, rest), None)
            if first is not None and _is_summary(first):
                kept = self._kept(rest)
            else:
                parent = None
        for position, record in enumerate(rest):
            message = None
            if position in kept:
                self._source.mapped()
            elif message := self._take(record):
                if kept and message.get("kind") == "compaction":
                    message.setdefault("x", {})["kept"] = list(kept.values())
                self._emit(message, parent)
                parent = ...
            now.append((record, message["id"] if message else kept.get(position)))
        self._before = now

    def _shared(self, records: list[Json]) -> int:
        """How many records the file has in common with the beginning of the one before."""
        count = 0
        for (known, _), record in zip(self._before, records, strict=False):
            if known != record:
                break
            count += 1
        return count

    def _kept(self, records: list[Json]) -> dict[int, str]:
        """Which records behind a compaction are those that the file before ended with, and their messages' ids."""
        after = [position for position, record in enumerate(records) if is_message(record)][1:]
        before = [(record, name) for record, name in self._before if name and is_message(record)]
        for count in range(min(len(before), len(after), 64), 0, -1):
            tail = before[-count:]
            if all(records[position] == record for position, (record, _) in zip(after, tail, strict=False)):
                return {position: str(name) for position, (_, name) in zip(after, tail, strict=False)}
        return {}

    def _take(self, record: Json) -> Message | None:
        """The message of a record; None when it is told of in the draft only."""
        if is_message(record):
            self._source.mapped()
            return to_message(record)
        if is_control(record):
            self._source.mapped()
            if record["role"] != "_system_prompt":
                return meta(record)
            prompt = {"type": "text"} | {key: value for key, value in record.items() if key != "role"}
            text = canonical.dumps(prompt)
            if text not in self._prompts:
                self._prompts.add(text)
                self._draft.system.append(prompt)
            return None
        self._source.preserved()
        return meta(record)

    def _emit(self, message: Message, parent: Any) -> None:
        message["id"] = f"m{len(self.messages) + 1}"
        if parent is not ... and self.messages and parent != self.messages[-1]["id"]:
            message["parent"] = parent
        self.messages.append(message)

    def leftover(self, records: list[Json], name: str) -> None:
        """Take a temporary file that a crash has left: what it holds besides what is known already is kept."""
        if not records:
            return
        self._draft.issue("leftover-temporary-file", "a temporary file was left by a write that did not finish")
        known = [record for record, _ in self._before]
        for position, record in enumerate(records):
            if record in known[max(0, position - 2) : position + 3]:
                self._source.mapped()
                continue
            self._source.preserved()
            message: Message = {"role": "system", "kind": "meta", "parts": [record_part(record)], "x": {"file": name}}
            self._emit(message, ...)


def _is_summary(record: Json) -> bool:
    return record.get("role") == "user" and text_of(content_parts(record.get("content"))).startswith(COMPACTED)
