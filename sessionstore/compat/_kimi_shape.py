"""Sessions in the shape of `.kimi_sessions/<id>.json`, and what of a list of messages a session does not hold yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sessionstore import canonical
from sessionstore.exporters import chat
from sessionstore.exporters.native import raw_time
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import LEFT_OUT, chosen
from sessionstore.importers.kimi import WINDOW
from sessionstore.importers.openai_chat import chat_message
from sessionstore.manager import Session

Message = dict[str, Any]
Record = dict[str, Any]
LEAST_OVERLAP = 2
"""A window must share so many messages with the end of a session to be taken for its continuation."""
_STAMPED = re.compile(r"_\d{8}_\d{4}")
_OWN = ("session_id", "messages", "metadata", "created", "last_accessed", "message_count", "topics")


def topics(session_id: str) -> list[str]:
    """What a session is about, by its id."""
    return session_id.split("_")[0].split("-")


def needs_stamp(session_id: str) -> bool:
    """Whether a new session's id is a keyword, to which the time is added."""
    ends_in_digit = any(session_id.endswith(f"_{digit}") for digit in range(10))
    return not ends_in_digit and "_" not in session_id[-5:]


def stamped(session_id: str) -> str:
    """The id of a new session: a keyword gets the minute, in local time."""
    return f"{session_id}_{datetime.now():%Y%m%d_%H%M}" if needs_stamp(session_id) else session_id


def names_one(session_id: str) -> bool:
    """Whether an id means the same session in every directory: it has a time, or it is one of another store."""
    return bool(_STAMPED.search(session_id)) or session_id.startswith("migrated_") or ":" in session_id


def now() -> str:
    """The present as the older program writes it."""
    return datetime.now().isoformat()


def local(stated: str) -> str:
    """A time as the older program writes it: local, without a zone."""
    moment = datetime.fromisoformat(stated)
    return (moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment).isoformat()


def unified(record: Any) -> Message:
    """A message of the older program in the unified form, without an id. What is no message is kept as a record."""
    made = chat_message(record) if isinstance(record, dict) else None
    if made is None:
        kept = record if isinstance(record, dict) else {"value": record}
        return {"role": "system", "kind": "meta", "parts": [{"type": "record", "record": kept}]}
    if made["role"] == "assistant" and made["x"].get("partial") is True:
        del made["x"]["partial"]
        made["kind"] = "prefill"
    if not made["x"]:
        del made["x"]
    return made


def records(message: Message) -> list[Record]:
    """A stored message as the older program has it: one record, or one for each result of a tool. Marks of a new
    beginning have none, nor have unfinished answers."""
    x = message.get("x") or {}
    if {"cleared", "emptied"} & x.keys() and not message["parts"]:
        return []
    if message.get("kind") == "error":
        return []
    if message.get("kind") == "meta" and [part["type"] for part in message["parts"]] == ["record"]:
        record = message["parts"][0]["record"]
        return [record["value"] if set(record) == {"value"} else record]
    own = "provider" not in message and not {"cleared", "emptied"} & x.keys()
    found = list(chat.records({**message, "kind": message.get("kind")}, own, Report()))
    for record in found:
        said = record.get("content")
        if not own and isinstance(said, list) and all(item.get("type") == "text" for item in said):
            record["content"] = "\n\n".join(item["text"] for item in said)
    return found


def path(session: Session) -> list[Message]:
    """The active path of a session, with the pre-filled beginnings and records that are in it."""
    found = session.messages()
    if found.straight:
        return list(found)
    return list(chosen(dict(session.revision), lambda: found, Report(), kinds=LEFT_OUT))


def document(session: Session) -> Record:
    """A session as the older program's file of it."""
    revision = session.revision
    x = {name: value for name, value in (revision.get("x") or {}).items() if name != "manager"}
    listed = [record for message in path(session) for record in records(message)]
    metadata = session.metadata or dict(x.get("metadata") or {})
    created, accessed = times(dict(revision), session.metadata)
    own = {
        "session_id": session.id,
        "messages": listed,
        "metadata": metadata,
        "created": created,
        "last_accessed": accessed,
        "message_count": len(listed),
        "topics": metadata.get("topics") or x.get("topics") or topics(session.id),
    }
    more = {name: value for name, value in x.items() if name not in (*_OWN, "created_at", "updated_at", "record")}
    return {**own, **more}


def times(revision: Message, metadata: Record) -> tuple[str, str]:
    """When a session was made and when something was said in it last; its own `metadata` counts first."""
    stated = revision.get("created_at")
    made = metadata.get("created") or raw_time(revision, "created_at") or (local(stated) if stated else None)
    last = revision.get("updated_at")
    accessed = local(last) if last else raw_time(revision, "updated_at")
    return str(made or "Unknown"), str(accessed or made or "Unknown")


def windowed(messages: list[Message], most: int, size: Callable[[Message], int]) -> list[Message]:
    """The system messages, and the last `WINDOW` others as far as they are not larger than `most` together. What is
    cut off never leaves the result of a tool without its call. The last message is always there."""
    system = [message for message in messages if message.get("role") == "system"]
    others = [message for message in messages if message.get("role") != "system"]
    start, left = len(others), most - sum(map(size, system))
    while start > 0 and len(others) - start < WINDOW and (start == len(others) or size(others[start - 1]) <= left):
        start -= 1
        left -= size(others[start])
    first = start
    while 0 < start < len(others) and others[start].get("role") == "tool":
        start += 1
    if start == len(others):  # nothing but results: they stay together with their call
        start = first
        while start > 0 and others[start].get("role") == "tool":
            start -= 1
    return system + others[start:]


class Step(NamedTuple):
    """How a session goes on: from after which of its messages (None: it begins anew), with which messages."""

    after: int | None
    fresh: list[Message]


def continuation(held: Sequence[Message], given: Iterable[Any]) -> Step:
    """How a session has to go on so that it says `given`, records of the older program. A list from whose beginning
    messages were cut off goes on where the session ends."""
    fresh = [unified(record) for record in given]
    wanted = [_print(message) for message in fresh]
    stored = [(number, mark) for number, message in enumerate(held) for mark in _prints(message)]
    same = 0
    while same < min(len(stored), len(wanted)) and stored[same][1] == wanted[same]:
        same += 1
    while 0 < same < len(stored) and stored[same - 1][0] == stored[same][0]:
        same -= 1  # not in the middle of a message
    if same == len(stored):
        return Step(len(held) - 1 if held else None, fresh[same:])
    if same < len(wanted):
        beyond = _beyond(held, fresh, wanted)
        if beyond is not None:
            return Step(len(held) - 1, beyond)
    return Step(stored[same - 1][0] if same else None, fresh[same:])


def _beyond(held: Sequence[Message], fresh: list[Message], wanted: list[bytes]) -> list[Message] | None:
    """What a window shows beyond the end of a session; None when it shows no such thing."""
    system = {mark for message in held if message["role"] == "system" for mark in _prints(message)}
    talk = [mark for message in held if message["role"] != "system" for mark in _prints(message)]
    shown = [mark for message, mark in zip(fresh, wanted, strict=True) if message["role"] != "system"]
    sizes = range(min(len(talk), len(shown)), LEAST_OVERLAP - 1, -1)
    overlap = next((size for size in sizes if talk[-size:] == shown[:size]), 0)
    told = {mark for message, mark in zip(fresh, wanted, strict=True) if message["role"] == "system"}
    if not overlap or (overlap == len(talk) and told != system):
        return None
    beyond, seen = [], 0
    for message, mark in zip(fresh, wanted, strict=True):
        if message["role"] == "system":
            if mark not in system:
                beyond.append(message)
            continue
        seen += 1
        if seen > overlap:
            beyond.append(message)
    return beyond


def _prints(message: Message) -> list[bytes]:
    return [canonical.dumps(canonical.clean(record)) for record in records(message)]


def _print(message: Message) -> bytes:
    return b"\n".join(_prints(message))


def estimate(record: Any) -> int:
    """About how many tokens a message has: a quarter of its characters."""
    content = record.get("content") if isinstance(record, dict) else record
    told = content if isinstance(content, str) else canonical.dumps(canonical.clean(content)).decode()
    calls = record.get("tool_calls") if isinstance(record, dict) else None
    return (len(told) + (len(canonical.dumps(canonical.clean(calls))) if calls else 0)) // 4
