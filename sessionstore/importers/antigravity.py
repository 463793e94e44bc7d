"""Antigravity: the transcripts that Google's agent writes beside its own, encrypted conversations.

Where: `~/.gemini/antigravity/brain/<id>/.system_generated/logs/transcript.jsonl` on Linux, macOS and Windows, and the
same below `antigravity-cli` and `antigravity-ide`; beside it `transcript_full.jsonl`, which is read instead when it is
there. The conversations themselves (`conversations/*.pb`) are encrypted, the other files below `brain` are the agent's
notes; neither is read.

How it is recognised: records with `step_index`, `source`, `type` and `status`.

What the records are and how they map: a record is a step. `USER_INPUT` is the user's, `PLANNER_RESPONSE` the model's
answer with its thinking and tool calls, a `CHECKPOINT` a compaction, other steps of the system are of kind `context`,
and all others of the model's are what a tool gave back. Steps without content are kept verbatim. `step_index` is not
unique, so messages are numbered; it stays in `x` with `source`, `type` and all else. The steps of the shorter
transcript that the full one has not come after it.

What it loses: ids of tool calls and so which result is whose, token figures, the working directory, and what was cut
from long texts (`truncated_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_lines import Record, entitle, said, take_time, tell, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import stem
from sessionstore.importers.exports import meta, record_part
from sessionstore.importers.kimi_parts import companion_records

_KEYS = frozenset({"step_index", "source", "type", "status"})
_SHORT = "transcript.jsonl"
_REQUEST = re.compile(r"<USER_REQUEST>\s*(.*?)\s*(?:</USER_REQUEST>|$)", re.DOTALL)


class Antigravity(Importer):
    """Reader of Antigravity's transcripts."""

    source: ClassVar[str] = "antigravity"
    title: ClassVar[str] = "Antigravity"
    versions: ClassVar[str] = "transcripts of the agent"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("transcript_full.jsonl", _SHORT)
    companions: ClassVar[tuple[str, ...]] = (_SHORT,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """`brain` in each of the program's directories."""
        for name in ("antigravity", "antigravity-cli", "antigravity-ide"):
            yield Place(machine.home / ".gemini" / name / "brain")

    def recognise(self, head: Head) -> bool:
        """Steps with an index, a source, a type and a status."""
        if b'"step_index"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        return 2 * sum(record.keys() >= _KEYS for record in records) > len(records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every step."""
        draft: Draft | None = None
        number = 0
        seen: set[tuple[Any, ...]] = set()
        for record, again in _steps(source):
            if draft is None:
                draft = source.draft(_id_of(source.name))
            if again and _place(record) in seen:
                source.mapped()
                continue
            seen.add(_place(record))
            number += 1
            message = _message(f"m{number}", record, draft)
            tell(source, message)
            yield draft, message


def _steps(source: Source) -> Iterator[tuple[Record, bool]]:
    """The steps, and whether each is of the shorter transcript beside."""
    for record in source.records():
        yield record, False
    if (short := source.companions.get(_SHORT)) is not None:
        for record in companion_records(source, short):
            yield record, True


def _place(record: Record) -> tuple[Any, ...]:
    return tuple(value if isinstance(value := record.get(key), str | int) else None for key in ("step_index", "type"))


def _id_of(name: str) -> str:
    """The conversation's id: the directory that the program's own one lies in, else the file's name."""
    steps = name.split("/")
    if ".system_generated" in steps and (place := steps.index(".system_generated")) and steps[place - 1]:
        return steps[place - 1]
    return stem(name) or "session"


def _message(name: str, record: Record, draft: Draft) -> Message:
    x = said(record)
    kind, by, content = record.get("type"), record.get("source"), x.pop("content", None)
    if content is not None and not isinstance(content, str):
        return meta(name, record)
    if kind == "PLANNER_RESPONSE":
        parts = _answer(x, content)
        message: Message = {"id": name, "role": "assistant", "parts": parts}
    elif content is None:
        return meta(name, record)
    else:
        message = {"id": name, "role": "user", "parts": [{"type": "text", "content": content}]}
        if by == "SYSTEM" or not isinstance(kind, str):
            message |= {"role": "system", "kind": "compaction" if kind == "CHECKPOINT" else "context"}
        elif kind == "ERROR_MESSAGE":
            message |= {"role": "system", "kind": "error"}
        elif kind != "USER_INPUT":
            message |= {"role": "tool", "parts": [{"type": "tool_call_response", "id": "", "response": content}]}
    if x.get("truncated_fields"):
        draft.issue("text-truncated", "the program has cut long texts off")
    if x.get("status") == "DONE":
        del x["status"]
    take_time(message, x, "created_at")
    if message["role"] == "user":
        inside = _REQUEST.search(content or "")
        entitle(draft, message, inside[1] if inside else None)
    return with_rest(message, x)


def _answer(x: Record, content: str | None) -> list[dict[str, Any]]:
    """The parts of an answer; what they say leaves `x`."""
    parts: list[dict[str, Any]] = []
    if isinstance(x.get("thinking"), str):
        parts.append({"type": "reasoning", "content": x.pop("thinking")})
    if content is not None:
        parts.append({"type": "text", "content": content})
    if isinstance(x.get("tool_calls"), list):
        parts += map(_call, x.pop("tool_calls"))
    return parts


def _call(call: Any) -> dict[str, Any]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("id", ""), str):
        return record_part(call)
    rest = said(call, "name", "args", "id")
    if rest.keys() & {"type", "arguments"}:
        return record_part(call)
    return {"type": "tool_call", "id": call.get("id", ""), "name": call["name"], "arguments": call.get("args")} | rest
