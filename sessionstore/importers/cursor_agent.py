"""Cursor's agent: the transcripts that the terminal program and the editor's agents write.

Where: `~/.cursor/projects/<slug>/agent-transcripts/<id>.jsonl` or `<id>/<id>.jsonl` on Linux, macOS and Windows,
sub-agents in `subagents/` beside their parent's; one JSON record a line, only ever appended to. The older transcripts
as plain text (`.txt`) and the program's own databases (`~/.cursor/chats/`) are not read.

How it is recognised: records `{"role", "message": {"content": [...]}}` that have neither type nor id.

What the records are and how they map: one record is one message, in record order: text, thinking as reasoning, tools
used as calls. A line about an error is a message of kind `error`, one about anything else is kept verbatim. What a
person typed stands inside `<user_query>`, which stays in the text and not in the title.

What it loses: ids, times, models and token figures; what the tools gave back, and which call a result belongs to; the
working directory, whose slug cannot be turned back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import parts_of
from sessionstore.importers.common import stem, title_line

Record = dict[str, Any]
_ROLES = frozenset({"user", "assistant", "system", "tool"})
_NATIVE = frozenset({"uuid", "id", "sessionId", "timestamp"})
_WRAPPED = re.compile(r"<user_query>\s*(.*?)\s*(?:</user_query>|$)", re.DOTALL)


class CursorAgent(Importer):
    """Reader of the transcripts of Cursor's agent."""

    source: ClassVar[str] = "cursor-agent"
    title: ClassVar[str] = "Cursor agent"
    versions: ClassVar[str] = "agent transcripts of 2026, sub-agents"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of projects."""
        yield Place(machine.home / ".cursor" / "projects")

    def recognise(self, head: Head) -> bool:
        """Records with a role and a message with a list of content, and with neither type nor id."""
        if b'"message"' not in head.data or b'"role"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        turns = [record for record in records if _is_turn(record)]
        others = [record for record in records if not _is_turn(record) and not isinstance(record.get("type"), str)]
        return len(turns) > len(others) and not any(_NATIVE & record.keys() for record in records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record."""
        number, draft = 0, None
        if source.resumed is not None:
            draft, number = Draft.resumed(source.resumed["draft"]), source.resumed["count"]
            source.drafts.append(draft)
        for record in source.records():
            if draft is None:
                draft = _begin(source)
            number += 1
            message = _message(f"m{number}", record)
            if message["parts"] and message["parts"][0] == {"type": "record", "record": record}:
                source.preserved()
            else:
                source.mapped()
            if draft.title is None and message["role"] == "user":
                draft.title = _title(message)
            yield draft, message
        if draft is not None:
            source.resume = {"draft": draft.state(), "count": number}


def _is_turn(record: Record) -> bool:
    body, role = record.get("message"), record.get("role")
    if not isinstance(role, str) or role not in _ROLES or "type" in record:
        return False
    return isinstance(body, dict) and isinstance(body.get("content"), list)


def _begin(source: Source) -> Draft:
    """The session, named after its file; a sub-agent's names its parent as well."""
    draft = source.draft(stem(source.name) or "session")
    above = source.name.split("/")[:-1]
    if above[-1:] == ["subagents"] and len(above) > 1 and above[-2]:
        draft.forked_from = {"key": f"cursor-agent:{above[-2]}", "relation": "subagent"}
    return draft


def _message(name: str, record: Record) -> Message:
    parts = parts_of([_block(one) for one in record["message"]["content"]]) if _is_turn(record) else None
    if parts is None:
        error = record.get("error") if record.get("type") == "error" else None
        if isinstance(error, str):
            rest = {key: value for key, value in record.items() if key not in ("type", "error")}
            message = {"id": name, "role": "system", "kind": "error", "parts": [{"type": "text", "content": error}]}
            return message | ({"x": rest} if rest else {})
        return {"id": name, "role": "system", "kind": "meta", "parts": [{"type": "record", "record": record}]}
    x = {key: value for key, value in record.items() if key not in ("role", "message") and value is not None}
    if rest := {key: value for key, value in record["message"].items() if key != "content"}:
        x["message"] = rest
    role = record["role"]
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    message = {"id": name, "role": role, "parts": parts}
    if role == "assistant" and isinstance(x.get("model"), str) and x["model"]:
        message["model"] = x.pop("model")
    return message | ({"x": x} if x else {})


def _block(block: Any) -> Any:
    """A block of content; a tool call under its newer name in the form of the older."""
    if isinstance(block, dict) and block.get("type") == "tool_call" and "input" in block:
        return block | {"type": "tool_use"}
    return block


def _title(message: Message) -> str | None:
    for part in message["parts"]:
        if part["type"] == "text":
            inside = _WRAPPED.search(part["content"])
            return title_line(inside[1] if inside else part["content"]) or None
    return None
