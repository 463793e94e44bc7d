"""Sessions in the shape of `.kimi_sessions/<id>.json`, and what of a list of messages a session does not hold yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sessionstore import canonical
from sessionstore.dual.rendering import OWN, local, rendered
from sessionstore.exporters import chat
from sessionstore.exporters.native import raw_time
from sessionstore.exporters.report import Report
from sessionstore.importers.common import naive_time
from sessionstore.importers.kimi import WINDOW, Kimi
from sessionstore.importers.openai_chat import chat_message
from sessionstore.manager import Session

Message = dict[str, Any]
Record = dict[str, Any]
SOURCE = Kimi.source
LEAST_OVERLAP = 2
"""A window must share so many messages with the end of a session to be taken for its continuation."""
_STAMPED = re.compile(r"_\d{8}_\d{4}")


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


def unified(record: Any) -> Message:
    """A message of the older program in the unified form, without an id. What is no message is kept as a record."""
    made = chat_message(record) if isinstance(record, dict) else None
    if made is None:
        kept = record if isinstance(record, dict) else {"value": record}
        parts = [{"type": "record", "record": kept}]
        return {"role": "system", "kind": "meta", "parts": parts, "x": {OWN: SOURCE}}
    if made["role"] == "assistant" and made["x"].get("partial") is True:
        del made["x"]["partial"]
        made["kind"] = "prefill"
    made["x"][OWN] = SOURCE
    return made


class Told(NamedTuple):
    """A session in the older program's words: its document, its records, all of them, and the id of the message that
    each record is of."""

    document: Record
    records: list[Any]
    ids: list[str]


def told(session: Session) -> Told:
    """What a session says on its active path."""
    found = rendered(session.manager.store, dict(session.revision), SOURCE, session.id)
    listed = [_plain(record) for record in found.records]
    document = {**found.document, "session_id": session.id, "messages": listed, "message_count": len(listed)}
    return Told(document, listed, found.ids)


def records(message: Message) -> list[Any]:
    """A message of the program as its records."""
    extras = {name: value for name, value in (message.get("x") or {}).items() if name != OWN}
    return [_plain(record) for record in chat.records({**message, "x": extras}, True, Report())]


def _plain(record: Record) -> Any:
    """A record with one text where an answer came in several, and what is no record as it was."""
    if record.keys() == {"value"}:
        return record["value"]
    said = record.get("content")
    if record.get("role") == "assistant" and isinstance(said, list):
        texts = [item["text"] for item in said if isinstance(item, dict) and item.keys() == {"type", "text"}]
        if len(texts) == len(said):
            return {**record, "content": "\n\n".join(texts)}
    return record


def fields(session_id: str, metadata: Mapping[str, Any], x: Mapping[str, Any] | None = None) -> Record:
    """The field `x` of a session with what the program says about it, where importing its file would put that."""
    made = {**(x or {}), "metadata": dict(metadata), "topics": metadata.get("topics") or topics(session_id)}
    began = naive_time(metadata.get("created"))
    return {**made, "created_at": began} if began else made


def accessed(revision: Message) -> str:
    """When something was said last in a session, as text that sorts."""
    raw, stated = raw_time(revision, "updated_at") or "", revision.get("updated_at")
    return max(raw, local(stated) if stated else "")


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
    """How a session goes on: at its end, or else from after one of its messages (None: it begins anew), and with which
    new messages."""

    at_end: bool
    after: str | None
    fresh: list[Message]


def continuation(held: Told, given: Iterable[Any]) -> Step:
    """How a session has to go on so that it says `given`, records of the older program. A list from whose beginning
    messages were cut off goes on where the session ends."""
    fresh = [unified(record) for record in given]
    wanted = [_print(records(message)) for message in fresh]
    stored = [_print([record]) for record in held.records]
    same = 0
    while same < min(len(stored), len(wanted)) and stored[same] == wanted[same]:
        same += 1
    while 0 < same < len(stored) and held.ids[same - 1] == held.ids[same]:
        same -= 1  # not in the middle of a message
    if same == len(stored):
        return Step(True, None, fresh[same:])
    if same < len(wanted):
        beyond = _beyond(held, stored, fresh, wanted)
        if beyond is not None:
            return Step(True, None, beyond)
    same = _before_calls(held.records, same)
    return Step(False, held.ids[same - 1] if same else None, fresh[same:])


def _before_calls(said: list[Any], cut: int) -> int:
    """Where to cut so that a call keeps its results: they are shown with it, wherever they hang."""
    if not (isinstance(said[cut], dict) and said[cut].get("role") == "tool"):
        return cut
    while cut > 0 and isinstance(said[cut - 1], dict) and said[cut - 1].get("role") == "tool":
        cut -= 1
    return cut - 1 if cut > 0 and isinstance(said[cut - 1], dict) and said[cut - 1].get("tool_calls") else cut


def _beyond(held: Told, stored: list[bytes], fresh: list[Message], wanted: list[bytes]) -> list[Message] | None:
    """What a window shows beyond the end of a session; None when it shows no such thing."""
    instructions = [isinstance(one, dict) and one.get("role") == "system" for one in held.records]
    system = {mark for mark, is_system in zip(stored, instructions, strict=True) if is_system}
    talk = [mark for mark, is_system in zip(stored, instructions, strict=True) if not is_system]
    told_system = {mark for message, mark in zip(fresh, wanted, strict=True) if message["role"] == "system"}
    shown = [mark for message, mark in zip(fresh, wanted, strict=True) if message["role"] != "system"]
    sizes = range(min(len(talk), len(shown)), LEAST_OVERLAP - 1, -1)
    overlap = next((size for size in sizes if talk[-size:] == shown[:size]), 0)
    if not overlap or (overlap == len(talk) and told_system != system):
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


def _print(said: list[Any]) -> bytes:
    return b"\n".join(canonical.dumps(canonical.clean(record)) for record in said)


def estimate(record: Any) -> int:
    """About how many tokens a message has: a quarter of its characters."""
    content = record.get("content") if isinstance(record, dict) else record
    told = content if isinstance(content, str) else canonical.dumps(canonical.clean(content)).decode()
    calls = record.get("tool_calls") if isinstance(record, dict) else None
    return (len(told) + (len(canonical.dumps(canonical.clean(calls))) if calls else 0)) // 4
