"""opencode's sessions, messages and parts in the unified form; the database and the tree of files have the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sessionstore.importers.agent_parts import (
    Part,
    Record,
    entitle,
    file_part,
    finished,
    meta,
    other,
    part_with,
    text_part,
    usage_of,
)
from sessionstore.importers.base import Message, Source
from sessionstore.importers.database_rows import Ids, count
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept

Found = tuple[Any, Any, Record]
"""A part: its id, what it says, and the columns of its row."""

_IDS = ("id", "sessionID", "messageID")
_COLUMNS = frozenset({"id", "session_id", "message_id", "data"})
_ENDED = ("completed", "error", "success")
_EMPTY: dict[Any, Any] = {}


def is_session(info: Any) -> bool:
    """Whether a document describes a session."""
    if not isinstance(info, dict) or not isinstance(info.get("time"), dict):
        return False
    return all(isinstance(info.get(name), str) and info[name] for name in ("id", "projectID", "directory"))


def created_of(record: Record) -> float:
    """When a session or message began, to order them by; 0 when it does not say."""
    time = record.get("time")
    created = time.get("created") if isinstance(time, dict) else None
    return float(created) if isinstance(created, int | float) and abs(created) < 1e18 else 0


class Session:
    """Makes the messages of one session."""

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.draft = source.draft(name)
        self.parts = 0
        self._ids = Ids()

    def describe(self, info: Record, project: Record | None) -> None:
        """State what the session's own record says of it."""
        draft = self.draft
        x = {key: value for key, value in info.items() if key not in ("id", "directory") and value is not None}
        if isinstance(info.get("directory"), str):
            place(draft, info["directory"])
        if isinstance(info.get("title"), str) and info["title"].strip():
            draft.title = x.pop("title")
        if isinstance(info.get("parentID"), str) and info["parentID"]:
            draft.forked_from = {"key": f"opencode:{x.pop('parentID')}", "relation": "subagent"}
        times = dict(x.pop("time")) if isinstance(x.get("time"), dict) else {}
        for name in ("created", "updated"):
            if time := millis(times.get(name)):
                setattr(draft, f"{name}_at", time)
                del times[name]
        if times:
            x["times"] = times
        if project:
            x["project"] = project
        draft.x |= x

    def messages(self, ident: Any, record: Any, found: Sequence[Found], row: Record) -> Iterator[Message]:
        """The messages that a record and its parts are: itself, and what tools gave back. Everything is accounted
        for."""
        role = record.get("role") if isinstance(record, dict) else None
        columns = {name: value for name, value in row.items() if name not in _COLUMNS and not name.startswith("time_")}
        if role not in ("user", "assistant"):
            self.source.preserved(1 + len(found))
            whole = _without_ids(record) if isinstance(record, dict) else {"value": record, **row}
            whole |= {"parts": [_without_ids(part, name) for name, part, _ in found]} if found else {}
            yield {"id": self._ids.take(ident)} | meta(whole)
            return
        self.source.mapped()
        message: Message = {"role": role, "parts": []}
        results: list[Part] = []
        for name, part, around in found:
            made = _parts(name, part, around)
            self.source.preserved() if made[0]["type"] == "record" else self.source.mapped()
            message["parts"].append(made[0])
            results += made[1:]
        x = {key: value for key, value in record.items() if key not in ("role", *_IDS) and value is not None} | columns
        _times(message, x)
        if role == "assistant":
            _answer(message, x)
        elif found and all(isinstance(one[1], dict) and one[1].get("synthetic") is True for one in found):
            message["kind"] = "context"
        message = {"id": self._ids.take(ident)} | finished(message, x)
        entitle(self.draft, message)
        yield message
        if results:
            yield {"id": self._ids.take(f"{message['id']}:results"), "role": "tool", "parts": results}


def _without_ids(record: Any, name: Any = None) -> Record:
    """A record that was not understood as the tree and the database both have it."""
    if not isinstance(record, dict):
        return {"value": record}
    return {key: value for key, value in record.items() if key not in _IDS} | ({"part_id": name} if name else {})


def _times(message: Message, x: Record) -> None:
    times = dict(x.pop("time")) if isinstance(x.get("time"), dict) else {}
    if time := millis(times.get("created")):
        message["time"] = time
        del times["created"]
    if times:
        x["times"] = times


def _answer(message: Message, x: Record) -> None:
    for theirs, ours in (("modelID", "model"), ("providerID", "provider"), ("finish", "finish_reason")):
        if isinstance(x.get(theirs), str) and x[theirs]:
            message[ours] = x.pop(theirs)
    if figures := _usage(x.get("tokens"), x.get("cost")):
        message["usage"] = figures
    said = any(part["type"] in ("text", "reasoning", "tool_call") for part in message["parts"])
    if x.get("summary") is True:
        message["kind"] = "compaction"
    elif "error" in x and not said:
        message["kind"] = "error"


def _usage(tokens: Any, cost: Any) -> Record:
    if not isinstance(tokens, dict):
        tokens = _EMPTY
    cache = tokens.get("cache") if isinstance(tokens.get("cache"), dict) else _EMPTY
    output, reasoning = count(tokens.get("output")), count(tokens.get("reasoning"))
    read, written = count(cache.get("read")), count(cache.get("write"))
    # Reasoning is counted beside the output, unless the total says that it is a part of it.
    if count(tokens.get("total")) != count(tokens.get("input")) + output + read + written:
        output += reasoning
    return usage_of(tokens.get("input"), output, read, written, reasoning, cost)


def _parts(name: Any, part: Any, around: Record) -> list[Part]:
    """The part of a message, and the tool's result when it is there."""
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        return [kept(part if isinstance(part, dict) else {"value": part, **around})]
    item = {key: value for key, value in part.items() if key not in _IDS}
    stated = part.get("id", name)
    named = {"part_id": stated} if isinstance(stated, str) else {}
    if kind in ("text", "reasoning") and isinstance(item.get("text"), str):
        said = text_part(item["text"]) if kind == "text" else {"type": kind, "content": item["text"]}
        return [part_with(said, item | named, "type", "text")]
    if kind == "tool" and isinstance(item.get("tool"), str) and isinstance(item.get("callID", ""), str):
        return _tool(item | named, part)
    if kind == "file" and isinstance(item.get("url"), str):
        made = file_part(item["url"], item.get("mime"))
        known = ["type", "url", *(("mime",) if item.get("mime") == made.get("mime_type") else ())]
        return [part_with(made, item | named, *known)]
    found = other(item | named)
    return [kept(part) if found["type"] == "record" else found]


def _tool(item: Record, part: Record) -> list[Part]:
    state = item.get("state")
    if not isinstance(state, dict):
        return [kept(part)]
    call = {"type": "tool_call", "id": item.get("callID", ""), "name": item["tool"], "arguments": state.get("input")}
    about = {name: value for name, value in state.items() if name != "input"}
    rest = {name: value for name, value in item.items() if name not in ("type", "callID", "tool", "state")}
    if state.get("status") not in _ENDED:
        return [_checked(part_with(call, rest | ({"state": about} if about else {})), part)]
    made = part_with(call, rest)
    failed = state["status"] == "error"
    name = "error" if failed and "error" in state else "output"
    result: Part = {"type": "tool_call_response", "id": call["id"], "response": state.get(name)}
    if failed:
        result["is_error"] = True
    known = (name, "status") if state["status"] in ("completed", "error") else (name,)
    answer = part_with(result, about, *known)
    if made["type"] == "record" or answer["type"] == "record":
        return [kept(part)]
    return [made, answer]


def _checked(made: Part, part: Record) -> Part:
    return made if made["type"] == "tool_call" else kept(part)
