"""The thread of a session: which session is meant, what waits for an answer, what a model is told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sessionstore import errors, layout
from sessionstore.chat.sessions import Session, Sessions
from sessionstore.exporters.content import texts
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import LEFT_OUT
from sessionstore.journal import now

Message = dict[str, Any]
_BESIDE = LEFT_OUT | {"switch", "error", "compaction", "context"}
"""Kinds of messages that neither ask nor answer."""
_ENDINGS = {
    "stop": {"stop", "end_turn", "stop_sequence", "STOP", "success", "completed"},
    "length": {"length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_context_window_exceeded"},
    "filter": {"content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION"},
}


def find(sessions: Sessions, name: str | None) -> Session | None:
    """The session that a program means, None for a new one. An id is not taken for the beginning of another one, or of
    several. Raises `Ambiguous` for an id that several sources have."""
    if name is None:
        return None
    try:
        session = sessions.get(name)
    except errors.Ambiguous as error:
        if name.startswith("@") or not _is_beginning(name, str(error.fields["candidates"]).split(", ")):
            raise
        return None
    except errors.NotFound:
        if name.startswith("@"):
            raise
        return None
    known = {session.key, session.id, *(session.revision.get("aliases") or ())}
    return session if name in known or name.startswith("@") else None


def _is_beginning(name: str, keys: Sequence[str]) -> bool:
    """Whether a name is no more than the beginning of these sessions' names."""
    for key in keys:
        native = key.partition(":")[2]
        if name in (key, native) or not (key.startswith((name, "…")) or native.startswith(name)):
            return False
    return True


def unanswered(history: Sequence[Message]) -> int | None:
    """The position of the last message that waits for an answer, None when the last word is the model's."""
    for position in range(len(history) - 1, -1, -1):
        message = history[position]
        if message.get("kind") in _BESIDE:
            continue
        if message["role"] in ("user", "tool"):
            return position
        if message["role"] == "assistant":
            return None
    return None


def told_of(messages: Iterable[Message]) -> list[Message]:
    """What of some messages a model is told. The record of a switch is told in the user's name, so that it keeps its
    place with every provider. An answer that was cut off and never asked for again is told as far as it came."""
    found = []
    for message in messages:
        if message.get("kind") == "switch":
            parts = [{"type": "text", "content": f"[note] {text}"} for text in texts(message["parts"])]
            found.append({**message, "role": "user", "kind": None, "parts": parts})
        elif message.get("kind") not in LEFT_OUT:
            found.append(message)
    return found


def spoken(messages: Iterable[Message]) -> list[Message]:
    """Messages in the form of OpenTelemetry's conventions, which is nearly our own: without bytes of files."""
    keep = ("role", "parts", "finish_reason")
    found = [{name: message[name] for name in keep if message.get(name)} for message in messages]
    for message in found:
        parts = message.get("parts") or ()
        message["parts"] = [{name: value for name, value in part.items() if name != "data"} for part in parts]
    return found


def stamped(message: Message) -> Message:
    """A message with an id and a time."""
    made = dict(message)
    if not made.get("id"):
        made["id"] = layout.ulid()
    made.setdefault("time", now())
    return made


def begun(message: Message, prefill: str) -> Message:
    """An answer together with the beginning it was given."""
    parts = [dict(part) for part in message["parts"]]
    first = next((part for part in parts if part["type"] == "text"), None)
    if first is None:
        parts.insert(0, {"type": "text", "content": prefill})
    elif not first["content"].startswith(prefill):
        first["content"] = prefill + first["content"]
    return {**message, "parts": parts, "x": {**message.get("x", {}), "prefill": prefill}}


def with_bytes(messages: Sequence[Message], read: Callable[[str], bytes], report: Report) -> list[Message]:
    """The messages with the bytes of their images and files; those that the store has lost stay out, and are named."""
    found = []
    for message in messages:
        if any("object" in part for part in message["parts"] if part["type"] == "blob"):
            message = {**message, "parts": [_part(part, read, report) for part in message["parts"]]}
        found.append(message)
    return found


def _part(part: Message, read: Callable[[str], bytes], report: Report) -> Message:
    if part["type"] != "blob" or "object" not in part:
        return part
    try:
        data = base64.b64encode(read(part["object"])).decode()
    except errors.DamageError:
        report.count("images and files whose bytes the store has lost")
        return part
    return {**{name: value for name, value in part.items() if name != "object"}, "data": data}


def ending(reason: str | None) -> str:
    """A provider's finish reason in the words that all have in common."""
    return next((name for name, reasons in _ENDINGS.items() if reason in reasons), "other")


def told(error: BaseException) -> str:
    """Why an answer is unfinished, on one line."""
    if isinstance(error, errors.SessionstoreError):
        return f"{type(error).__name__}: {error}"
    return "the reader has left" if isinstance(error, GeneratorExit) else type(error).__name__
