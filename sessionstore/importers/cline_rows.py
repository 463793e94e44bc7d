"""The rows of what Cline and its forks showed to the person: what kind they are, what they cost, what they say."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.agent_parts import Record, file_part, finished, meta, text_part, usage_of
from sessionstore.importers.base import Message
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept
from sessionstore.importers.parsing import Unparsable, parse

_PERSON = frozenset({"task", "user_feedback"})
_MODEL = frozenset({"text", "completion_result"})
REQUEST = "api_req_started"
SHOWN = _PERSON | _MODEL | {"reasoning", "tool", "command", "command_output", REQUEST}
"""Rows that show what the history of the conversation says."""


def is_row(value: Any) -> bool:
    """Whether something was asked or said."""
    if not isinstance(value, dict) or type(value.get("ts")) is not int:
        return False
    kind = value.get("type")
    return isinstance(kind, str) and kind in ("ask", "say") and isinstance(value.get(kind), str)


def cost_of(row: Record) -> Record:
    """What a request has cost, which stands as JSON in its text."""
    text = row.get("text")
    try:
        told = parse(text.encode("utf-8", "replace"))[0] if isinstance(text, str) else None
    except Unparsable:
        told = None
    if not isinstance(told, dict):
        return {}
    return usage_of(
        told.get("tokensIn"),
        told.get("tokensOut"),
        told.get("cacheReads"),
        told.get("cacheWrites"),
        cost=told.get("cost"),
    )


def row_message(row: Any) -> Message:
    """The message of a row of a task whose history is not there, without its id."""
    if not is_row(row):
        return meta(row)
    said, text = row.get("say"), row.get("text")
    x = {key: value for key, value in row.items() if value is not None and value != []}
    message: Message | None = None
    if isinstance(said, str) and isinstance(text, str):
        if said in _PERSON or said in _MODEL:
            message = {"role": "user" if said in _PERSON else "assistant", "parts": [text_part(text)]}
        elif said == "reasoning":
            message = {"role": "assistant", "parts": [{"type": "reasoning", "content": text}]}
        elif said == "error":
            message = {"role": "system", "kind": "error", "parts": [text_part(text)]}
    if message is None:
        message = meta(row)
        if time := millis(row["ts"]):
            message["time"] = time
        if said == REQUEST and (figures := cost_of(row)):
            message["usage"] = figures
        return message
    for name in ("text", "type"):
        del x[name]
    if isinstance(x.get("images"), list):
        message["parts"] += [
            file_part(one, None, "image") if isinstance(one, str) else kept(one) for one in x.pop("images")
        ]
    if time := millis(x.get("ts")):
        message["time"] = time
        del x["ts"]
    return finished(message, x)
