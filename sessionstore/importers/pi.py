"""pi and its relatives: the session logs of the coding agents pi, OpenClaw and OhMyPi.

Where: on Linux, macOS and Windows, `~/.pi/agent/sessions/--<directory>--/<time>_<id>.jsonl`,
`~/.openclaw/agents/<agent>/sessions/*.jsonl` and `~/.omp/agent/sessions/`; one JSON record a line, only ever appended
to, though a newer program rewrites the files of an older one when it loads them.

How it is recognised: the header, a record of type `session` with an `id` and a `cwd`. The programs write the same
records, so a file does not tell which of them wrote it.

What the records are and how they map: one record is one message, the header is the session itself. Texts, thinking,
tool calls and tool results become parts; compactions and summaries of branches are messages of kind `compaction` and
`context`, changes of model and of thinking level of kind `switch`, commands that the person ran a call and its result.
Entries of other types (`custom`, `label`, unknown ones) are kept verbatim. In a version 1 file the entries follow each
other; later ones name the entry before them, and all branches are kept: the last entry is the end of the active one. A
session that was branched off another has that one's history copied in. Input tokens include those of the cache.

What it loses: what was said on other branches of a version 1 session, which are files of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import (
    Links,
    Part,
    Record,
    entitle,
    finished,
    is_verbatim,
    meta,
    other,
    part_with,
    text_part,
    timed,
    usage_of,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept

_ROLES = {"user": "user", "assistant": "assistant", "toolResult": "tool", "system": "system"}
_NOTES = {"custom": "context", "hookMessage": "context", "branchSummary": "context", "compactionSummary": "compaction"}
_ENTRY = ("type", "id", "parentId", "timestamp")


class Pi(Importer):
    """Reader of the session logs of pi, OpenClaw and OhMyPi."""

    source: ClassVar[str] = "pi"
    title: ClassVar[str] = "pi, OpenClaw, OhMyPi"

    def places(self, machine: Machine) -> Iterable[Place]:
        """The directories of sessions of the three programs."""
        yield Place(machine.home / ".pi" / "agent" / "sessions")
        yield Place(machine.home / ".openclaw" / "agents")
        yield Place(machine.home / ".omp" / "agent" / "sessions")

    def recognise(self, head: Head) -> bool:
        """The header of a session."""
        return b'"cwd"' in head.data and any(map(_is_header, head.records[:20]))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's session."""
        draft: Draft | None = None
        links: Links | None = None
        if source.resumed is not None:
            draft = Draft.resumed(source.resumed["draft"])
            source.drafts.append(draft)
            links = Links(draft, source.resumed["links"])
        for record in source.records():
            if draft is None or links is None:
                draft = _begin(source, record)
                links = Links(draft)
                if _is_header(record):
                    source.mapped()
                    links.skip(record["id"])
                    continue
            message = _message(record, draft)
            if is_verbatim(message, record):
                source.preserved()
            else:
                source.mapped()
            entitle(draft, message)
            if "parentId" in record:
                message = links.link(message, record.get("id"), record["parentId"])
            else:
                message = links.take(message, record.get("id"))
            for part in message["parts"]:
                if part["type"] == "tool_call":  # OpenClaw names the call as what a result follows
                    links.also(part["id"])
            if links.branched:
                draft.active_leaf = links.last
            yield draft, message
        if draft is not None and links is not None and (state := links.state()) is not None:
            source.resume = {"draft": draft.state(), "links": state}


def _is_header(record: Record) -> bool:
    return record.get("type") == "session" and all(isinstance(record.get(name), str) for name in ("id", "cwd"))


def _begin(source: Source, record: Record) -> Draft:
    """The session by its header; by the file's name when it has none."""
    name = stem(source.name)
    if not _is_header(record):
        draft = source.draft(name or "session")
        draft.issue("header-missing", "the file does not begin with the session's header; its name was taken for an id")
        return draft
    draft = source.draft(record["id"] or name or "session")
    if name and name != draft.native_id:
        draft.aliases.append(name)
    x = {key: value for key, value in record.items() if key not in ("type", "id", "cwd", "timestamp")}
    if is_instant(record.get("timestamp")):
        draft.created_at = record["timestamp"]
    elif "timestamp" in record:
        x["timestamp"] = record["timestamp"]
    place(draft, record["cwd"])
    parent = record.get("branchedFrom", record.get("parentSession"))
    if isinstance(parent, str) and (origin := PurePosixPath(parent.replace("\\", "/")).stem.rpartition("_")[2]):
        draft.forked_from = {"key": f"{Pi.source}:{origin}", "relation": "fork"}
    draft.x |= x
    return draft


def _message(record: Record, draft: Draft) -> Message:
    """The message of an entry, without id and parent."""
    kind = record.get("type")
    x = {name: value for name, value in record.items() if name not in _ENTRY}
    message: Message | None = None
    if kind == "message" and isinstance(record.get("message"), dict):
        message = _said(x.pop("message"), x, record.get("timestamp"))
    elif kind in ("compaction", "branch_summary") and isinstance(record.get("summary"), str):
        message = {"role": "system", "kind": "compaction" if kind == "compaction" else "context"}
        message["parts"] = [text_part(x.pop("summary"))]
        x["type"] = kind
    elif kind in ("model_change", "thinking_level_change"):
        message = {"role": "system", "kind": "switch", "parts": []}
        x["type"] = kind
        if isinstance(record.get("modelId"), str) and record["modelId"]:
            message["model"] = x.pop("modelId")
            if isinstance(record.get("provider"), str) and record["provider"]:
                message["provider"] = x.pop("provider")
    elif kind == "custom_message" and (parts := _parts(record.get("content"))) is not None:
        del x["content"]
        x["type"] = kind
        message = {"role": "system", "kind": "context", "parts": parts}
    elif kind == "session_info" and isinstance(record.get("name"), str) and record["name"]:
        draft.title = record["name"]
    if message is None:
        message = meta(record)
        timed(message, record.get("timestamp"), {})
        return message
    timed(message, record.get("timestamp"), x)
    return finished(message, x)


def _said(said: Record, x: Record, entry_time: Any) -> Message | None:
    """What a person, the model or a tool said. Its further fields go to `x`."""
    rest = {name: value for name, value in said.items() if value is not None}
    role, content = rest.pop("role", None), rest.pop("content", None)
    if not isinstance(role, str):
        return None
    if role == "bashExecution" and isinstance(rest.get("command"), str):
        call = {"type": "tool_call", "id": "", "name": role, "arguments": {"command": rest.pop("command")}}
        result = {"type": "tool_call_response", "id": "", "response": rest.pop("output", None)}
        x |= {"content": content} if content is not None else {}
        return _with(rest, {"role": "user", "kind": "context", "parts": [call, result]}, x, entry_time)
    if role in _NOTES:
        content = rest.pop("summary") if content is None and isinstance(rest.get("summary"), str) else content
        x["role"] = role
    parts = _parts(content)
    if parts is None or (role not in _ROLES and role not in _NOTES):
        return None
    if role in _NOTES:
        return _with(rest, {"role": "system", "kind": _NOTES[role], "parts": parts}, x, entry_time)
    if role == "toolResult":
        ident = rest.pop("toolCallId", "")
        if not isinstance(ident, str):
            return None
        only_text = len(parts) == 1 and parts[0].keys() == {"type", "content"} and parts[0]["type"] == "text"
        result = {"type": "tool_call_response", "id": ident, "response": parts[0]["content"] if only_text else content}
        if rest.pop("isError", False) is True:
            result["is_error"] = True
        return _with(rest, {"role": "tool", "parts": [result]}, x, entry_time)
    message: Message = {"role": _ROLES[role], "parts": parts}
    if role == "assistant":
        _answer(message, rest)
    return _with(rest, message, x, entry_time)


def _with(rest: Record, message: Message, x: Record, entry_time: Any) -> Message:
    """The message, what it says besides in `x`. Its own time is that of the entry but for some milliseconds, and is
    kept beside it."""
    if "timestamp" in rest and millis(rest["timestamp"]) == entry_time:
        del rest["timestamp"]
    if rest:
        x["message"] = rest
    return message


def _answer(message: Message, rest: Record) -> None:
    for name in ("model", "provider"):
        if isinstance(rest.get(name), str) and rest[name]:
            message[name] = rest.pop(name)
    if isinstance(rest.get("stopReason"), str) and rest["stopReason"]:
        message["finish_reason"] = rest.pop("stopReason")
    usage = rest.get("usage")
    if isinstance(usage, dict):
        cost = usage.get("cost")
        figures = usage_of(
            usage.get("input"),
            usage.get("output"),
            usage.get("cacheRead"),
            usage.get("cacheWrite"),
            cost=cost.get("total") if isinstance(cost, dict) else None,
        )
        if figures:
            message["usage"] = figures


def _parts(content: Any) -> list[Part] | None:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(item) for item in content] if isinstance(content, list) else None


def _part(item: Any) -> Part:
    if not isinstance(item, dict):
        return text_part(item) if isinstance(item, str) else kept(item)
    kind = item.get("type")
    if kind == "text" and isinstance(item.get("text"), str):
        return part_with(text_part(item["text"]), item, "type", "text")
    if kind == "thinking" and isinstance(item.get("thinking"), str):
        part = {"type": "reasoning", "content": item["thinking"]}
        if isinstance(item.get("thinkingSignature"), str):
            part["signature"] = item["thinkingSignature"]
            item = {name: value for name, value in item.items() if name != "thinkingSignature"}
        return part_with(part, item, "type", "thinking")
    if kind == "toolCall" and isinstance(item.get("id"), str) and isinstance(item.get("name"), str):
        call = {"type": "tool_call", "id": item["id"], "name": item["name"], "arguments": item.get("arguments")}
        return part_with(call, item, "type", "id", "name", "arguments")
    if kind == "image" and isinstance(item.get("data"), str) and isinstance(item.get("mimeType"), str):
        blob = {"type": "blob", "modality": "image", "mime_type": item["mimeType"], "data": item["data"]}
        return part_with(blob, item, "type", "data", "mimeType")
    return other(item)
