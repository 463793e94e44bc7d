"""Factory Droid: the sessions of Factory's agent, and the output of `droid exec --output-format stream-json`.

Where: `~/.factory/sessions/<project>/<id>.jsonl` on Linux, macOS and Windows; the stream lies wherever its output was
redirected to.

How it is recognised: a session begins with a `session_start` that has an id; a stream has `tool_call` records with
`toolName`, a `completion` with `finalText`, or messages with a session id and `text`.

What the records are and how they map: a session's `message` is a message with Anthropic's content blocks and the id of
its parent; what only repeats reminders of the program is of kind `context`. In a stream `message`, `tool_call` and
`tool_result` are messages without parents; the `completion` is the last answer unless it only repeats it, and has the
run's bill, `error` is of kind `error`. All other records are kept verbatim. A stream's id is that of its session with
`:stream`, because it tells the same in another form; the session's own is an alias.

What it loses: token figures of stored sessions (the program keeps them in a settings file that is not read) and their
models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_lines import (
    Growing,
    Record,
    below,
    entitle,
    said,
    take_text,
    take_time,
    with_rest,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import (
    figures,
    is_context,
    parts_of,
    typed,
    unified_usage,
    unstated_usage,
)
from sessionstore.importers.common import stem
from sessionstore.importers.editor_parts import place
from sessionstore.importers.openai_chat import text_of

_SESSION_IDS = ("session_id", "sessionId")
_ROLES = frozenset({"user", "assistant", "system", "tool"})
_MARKS = (b'"session_start"', b'"toolName"', b'"finalText"', b'"text"')


class FactoryDroid(Importer):
    """Reader of Factory Droid's sessions and of its stream-json output."""

    source: ClassVar[str] = "factory-droid"
    title: ClassVar[str] = "Factory Droid"
    versions: ClassVar[str] = "session store and stream-json output"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        yield Place(machine.home / ".factory" / "sessions")

    def recognise(self, head: Head) -> bool:
        """A `session_start`, or the records of a stream."""
        if not any(mark in head.data for mark in _MARKS):
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        if records and _is_start(records[0]):
            return True
        votes = [_vote(record) for record in records]
        return votes.count(1) > votes.count(-1) and any(map(_is_telling, records))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record."""
        log = Growing(source, _begin, named=True)
        for draft, record in log.records():
            if _is_start(record) and record["id"] == draft.native_id and "begun" not in log.state:
                source.mapped()
                log.state["begun"] = True
                continue
            made = _stored(record) if isinstance(record.get("message"), dict) else _streamed(record, log.state)
            message = log.message(record, made, record.get("id"))
            if "parentId" in record and made is not None:
                _hang(message, record["parentId"], log, draft)
            log.state["last"] = message["id"]
            if message["role"] == "user":
                entitle(draft, message, typed(text_of(message)))
            yield draft, message


def _is_start(record: Record) -> bool:
    return record.get("type") == "session_start" and isinstance(record.get("id"), str) and bool(record["id"].strip())


def _is_telling(record: Record) -> bool:
    """Whether a record is one that only this program's stream has."""
    kind = record.get("type")
    if kind == "message":
        return isinstance(record.get("text"), str) and isinstance(record.get("role"), str) and _session_of(record) != ""
    return (kind == "completion" and "finalText" in record) or (kind == "tool_call" and "toolName" in record)


def _vote(record: Record) -> int:
    """1 for a record that the stream may have, -1 for one of something else, else 0."""
    if record.keys() & {"message", "payload", "uuid", "parentUuid", "data"} and record.get("type") != "error":
        return -1
    return int(_is_telling(record) or record.get("type") in ("tool_result", "tool_call", "system", "error"))


def _session_of(record: Record) -> str:
    return next((value for name in _SESSION_IDS if isinstance(value := record.get(name), str) and value.strip()), "")


def _begin(source: Source, record: Record) -> Draft:
    name = stem(source.name) or "session"
    if not _is_start(record):
        own = _session_of(record)
        draft = source.draft(f"{own or name}:stream")
        if own:
            draft.aliases.append(own)
    else:
        draft = source.draft(record["id"])
        rest = said(record, "type", "id")
        take_text(draft, "title", rest, "sessionTitle")
        if draft.title is not None and rest.get("title") == draft.title:
            del rest["title"]
        take_text(draft, "title", rest, "title")
        if isinstance(rest.get("cwd"), str):
            place(draft, rest.pop("cwd"))
        draft.x |= rest
        return draft
    if isinstance(record.get("cwd"), str):
        place(draft, record["cwd"])
    if isinstance(record.get("tools"), list):
        draft.tools = record["tools"]
    return draft


def _hang(message: Message, parent: Any, log: Growing, draft: Draft) -> None:
    """State a message's parent, when it is not the one before it. The first message's is the session itself."""
    before = log.state.get("last")
    if parent is None or parent == draft.native_id:
        below(message, None, before)
    elif isinstance(parent, str) and log.knows(parent):
        below(message, parent, before)
    else:
        draft.issue("parent-missing", "a message whose parent is not in the file")


def _stored(record: Record) -> Message | None:
    """A record of a stored session as a message without its id."""
    body = record.get("message")
    if record.get("type") != "message" or not isinstance(body, dict):
        return None
    role, parts = body.get("role"), parts_of(body.get("content"))
    if not isinstance(role, str) or role not in _ROLES or parts is None:
        return None
    x = said(record, "type", "id", "parentId", "message")
    if rest := said(body, "role", "content"):
        x["message"] = rest
    message: Message = {"role": role, "parts": parts}
    if role == "user" and parts:
        if all(part["type"] == "tool_call_response" for part in parts):
            message["role"] = "tool"
        elif is_context(record, parts):
            message["kind"] = "context"
    take_time(message, x, "timestamp")
    return with_rest(message, x)


def _streamed(record: Record, state: dict[str, Any]) -> Message | None:
    """A record of a stream as a message without its id; the model and the last answer are remembered in `state`."""
    x = said(record, "id", *_SESSION_IDS)
    kind = x.pop("type", None)
    if kind == "system" and isinstance(x.get("model"), str):
        state["model"] = x["model"]
    convert: dict[str, Callable[[Record, Record, dict[str, Any]], Message | None]] = {
        "message": _said,
        "tool_call": _called,
        "tool_result": _answered,
        "completion": _ended,
        "error": _failed,
    }
    message = convert[kind](x, record, state) if isinstance(kind, str) and kind in convert else None
    if message is None:
        return None
    take_time(message, x, "timestamp")
    if message["role"] == "assistant" and state.get("model"):
        message["model"] = state["model"]
    if message["role"] == "assistant":
        state["said"] = text_of(message)[-200:]
    return with_rest(message, x)


def _said(x: Record, record: Record, state: dict[str, Any]) -> Message | None:
    role, text = x.pop("role", None), x.pop("text", None)
    if not isinstance(role, str) or role not in _ROLES - {"tool"} or not isinstance(text, str):
        return None
    message: Message = {"role": role, "parts": [{"type": "text", "content": text}]}
    if role == "user" and is_context(record, message["parts"]):
        message["kind"] = "context"
    return message


def _call_id(x: Record, record: Record) -> str:
    own = x.pop("toolCallId") if isinstance(x.get("toolCallId"), str) else record.get("id")
    return own if isinstance(own, str) else ""


def _called(x: Record, record: Record, state: dict[str, Any]) -> Message | None:
    name = x.pop("toolName", None)
    if not isinstance(name, str):
        return None
    part = {"type": "tool_call", "id": _call_id(x, record), "name": name, "arguments": x.pop("parameters", None)}
    return {"role": "assistant", "parts": [part]}


def _answered(x: Record, record: Record, state: dict[str, Any]) -> Message | None:
    if "value" not in record and not isinstance(x.get("error"), dict | str):
        return None
    value = x.pop("value", None) if "value" in record else x.pop("error")
    part = {"type": "tool_call_response", "id": _call_id(x, record), "response": value}
    if x.get("isError") is True:
        part["is_error"] = x.pop("isError")
    return {"role": "tool", "parts": [part]}


def _ended(x: Record, record: Record, state: dict[str, Any]) -> Message | None:
    text = x.pop("finalText", None)
    if not isinstance(text, str):
        return None
    message: Message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
    if text and text[-200:] == state.get("said"):
        message = {"role": "system", "kind": "meta", "parts": []}
    if isinstance(x.get("usage"), dict):
        counted = figures(x["usage"], 0)
        if usage := unified_usage(counted):
            message["usage"] = usage
        if rest := unstated_usage(x.pop("usage"), counted):
            x["usage"] = rest
    return message


def _failed(x: Record, record: Record, state: dict[str, Any]) -> Message | None:
    text = x.pop("message", None)
    if not isinstance(text, str):
        return None
    return {"role": "system", "kind": "error", "parts": [{"type": "text", "content": text}]}
