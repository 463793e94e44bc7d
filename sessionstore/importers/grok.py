"""Grok Build: the sessions of xAI's terminal agent.

Where: `~/.grok/sessions/<directory, percent-encoded>/<id>/` on Linux, macOS and Windows: `summary.json` describes the
session, `chat_history.jsonl` holds it, `updates.jsonl` (what was sent to the screen) and `signals.json` (counts) lie
beside. A sub-agent has a directory of its own.

How it is recognised: a summary with `info` and `chat_format_version` or the counts of messages; a history alone by
records with a `type` of this program and their `content` beside it. The older histories (format 0), which are plain
chat messages, are read only with their summary.

What the records are and how they map: a line of the history is a message: `system`, `user`, `assistant` with its tool
calls, `tool_result`; `reasoning` is a message of the model with its encrypted text as signature, `backend_tool_call` a
tool that ran at the provider. What the program wrote in the user's name (`synthetic_reason`) is of kind `context`, but
for interjections. The summary gives title, directory, branch and times, the counts go to `x["signals"]`;
`updates.jsonl` says the same as the history, it is preserved in the original and not made into messages.

What it loses: times and token figures of messages, results of tools that ran at the provider, images when scrubbed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import Record, entitle, said, take_text, tell, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.editor_parts import place
from sessionstore.importers.exports import Ids, meta, record_part
from sessionstore.importers.kimi_parts import companion_document, companion_records, content_part, tool_call
from sessionstore.importers.parsing import Unparsable

_HISTORY, _SUMMARY, _UPDATES, _SIGNALS = "chat_history.jsonl", "summary.json", "updates.jsonl", "signals.json"
_TYPES = frozenset({"system", "user", "assistant", "tool_result", "reasoning", "backend_tool_call"})
_FOREIGN = frozenset({"timestamp", "uuid", "sessionId", "session_id", "message", "payload", "role", "data", "parentId"})
_SIGNS = frozenset({"synthetic_reason", "prompt_index", "model_id", "tool_call_id", "tool_calls", "summary", "kind"})
_COUNTS = frozenset({"chat_format_version", "num_chat_messages", "current_model_id"})
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class Grok(Importer):
    """Reader of Grok Build's session directories."""

    source: ClassVar[str] = "grok"
    title: ClassVar[str] = "Grok Build"
    versions: ClassVar[str] = "session directories, current and legacy"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = (_SUMMARY, _HISTORY)
    companions: ClassVar[tuple[str, ...]] = (_HISTORY, _UPDATES, _SIGNALS)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        configured = machine.env.get("GROK_HOME")
        yield Place((machine.cwd / configured if configured else machine.home / ".grok") / "sessions")

    def recognise(self, head: Head) -> bool:
        """A summary, or a history with more records of this program than others."""
        if "info" in head.keys and head.keys & _COUNTS:
            document = head.document
            info = document.get("info") if isinstance(document, dict) else None
            return isinstance(info, dict) and isinstance(info.get("id"), str)
        if b'"content"' not in head.data or b'"type"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        votes = [_vote(record) for record in records]
        return votes.count(1) > votes.count(-1) and any(_SIGNS & record.keys() for record in records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the session. Raises `Unparsable` for a summary that is none."""
        if not source.name.lower().endswith(".jsonl"):
            draft = _summarised(source)
            history = source.companions.get(_HISTORY)
            if history is None:
                draft.issue("messages-missing", "there is no history beside the summary")
                return
            yield from _messages(source, draft, companion_records(source, history))
            return
        records = list(source.records())
        if records:
            yield from _messages(source, source.draft(_id_of(source.name)), records)


def _vote(record: Record) -> int:
    if record.keys() & _FOREIGN:
        return -1
    kind = record.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return 0
    return int("content" in record or kind in ("reasoning", "backend_tool_call"))


def _id_of(name: str) -> str:
    """The id of a history without a summary: its directory's name, and its own where it is not the usual one."""
    above, _, base = name.rpartition("/")
    directory = above.rpartition("/")[2]
    if base == _HISTORY:
        return directory or "session"
    return f"{directory}/{stem(base)}" if _ID.fullmatch(directory) else stem(base) or "session"


def _summarised(source: Source) -> Draft:
    """The session with all that its summary and its counts say."""
    document = source.document()
    info = document.get("info") if isinstance(document, dict) else None
    if not isinstance(info, dict) or not isinstance(info.get("id"), str) or not info["id"].strip():
        raise Unparsable("no session id")
    source.account.records += 1
    source.mapped()
    draft = source.draft(info["id"])
    rest = said(document, "info")
    if isinstance(info.get("cwd"), str):
        place(draft, info["cwd"])
    if more := said(info, "id", *(("cwd",) if draft.cwd else ())):
        rest["info"] = more
    take_text(draft, "title", rest, "generated_title")
    if draft.title is not None and rest.get("session_summary") == draft.title:
        del rest["session_summary"]
    take_text(draft, "title", rest, "session_summary")
    for name, field in (("created_at", "created_at"), ("updated_at", "updated_at")):
        if is_instant(rest.get(name)):
            setattr(draft, field, rest.pop(name))
    for name, key in (("head_branch", "branch"), ("head_commit", "commit")):
        if isinstance(rest.get(name), str):
            draft.git[key] = rest.pop(name)
    remotes = rest.get("git_remotes")
    if isinstance(remotes, list) and len(remotes) == 1 and isinstance(remotes[0], str):
        draft.git["remote"] = remotes[0]
        del rest["git_remotes"]
    parent = rest.get("parent_session_id")
    if isinstance(parent, str) and parent.strip():
        draft.forked_from = {"key": f"grok:{rest.pop('parent_session_id')}"}
        if rest.get("session_kind") == "subagent":
            draft.forked_from["relation"] = "subagent"
    draft.x |= rest
    if (signals := source.companions.get(_SIGNALS)) is not None:
        counts = companion_document(source, signals)
        if counts is not None:
            draft.x["signals"] = counts
    if _UPDATES in source.companions:
        source.account.records += 1
        source.preserved()
    return draft


def _messages(source: Source, draft: Draft, records: Iterable[Record]) -> Iterator[tuple[Draft, Message]]:
    ids = Ids()
    for number, record in enumerate(records, 1):
        message = _message(record) if "type" in record else _older(record)
        own = record.get("id") if record.get("type") == "reasoning" else None
        name = ids.take(own if isinstance(own, str) and own else f"m{number}")
        message = {"id": name} | message if message is not None else meta(name, record)
        tell(source, message)
        entitle(draft, message)
        yield draft, message


def _older(record: Record) -> Message | None:
    """A record of format 0, which is OpenAI's dialect."""
    message = openai_chat.chat_message(record)
    if message is None:
        return None
    return _named(message, message.pop("x"))


def _named(message: Message, x: Record) -> Message:
    if message["role"] == "assistant" and isinstance(x.get("model_id"), str) and x["model_id"]:
        message["model"] = x.pop("model_id")
    return with_rest(message, x)


def _message(record: Record) -> Message | None:
    """A record of format 1 as a message without its id."""
    x = said(record, "type")
    kind = record.get("type")
    convert = _CONVERT.get(kind) if isinstance(kind, str) else None
    message = convert(x) if convert is not None else None
    return None if message is None else _named(message, x)


def _talk(role: str, x: Record) -> Message | None:
    parts = _parts(x.pop("content", None))
    if parts is None:
        return None
    message: Message = {"role": role, "parts": parts}
    if role == "assistant" and isinstance(x.get("tool_calls"), list):
        if parts == [{"type": "text", "content": ""}] and x["tool_calls"]:
            parts.clear()
        parts += map(tool_call, x.pop("tool_calls"))
    if role == "user" and x.get("synthetic_reason") not in (None, "interjection"):
        message["kind"] = "context"
    return message


def _parts(content: Any) -> list[dict[str, Any]] | None:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(item) for item in content] if isinstance(content, list) else None


def _part(item: Any) -> dict[str, Any]:
    """A part of content; an image as OpenAI's interface would write it."""
    if isinstance(item, dict) and item.keys() == {"type", "url"} and item["type"] == "image":
        return content_part({"type": "image_url", "image_url": {"url": item["url"]}})
    return content_part(item)


def _result(x: Record) -> Message | None:
    own, content = x.pop("tool_call_id", ""), x.pop("content", None)
    if not isinstance(own, str):
        return None
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": own, "response": content}]}


def _thought(x: Record) -> Message | None:
    summary = x.pop("summary", [])
    if not isinstance(summary, list):
        return None
    parts: list[dict[str, Any]] = []
    for item in summary:
        if isinstance(item, dict) and item.keys() == {"type", "text"} and isinstance(item["text"], str):
            parts.append({"type": "reasoning", "content": item["text"]})
        else:
            parts.append(record_part(item))
    if isinstance(x.get("encrypted_content"), str):
        parts = parts or [{"type": "reasoning", "content": ""}]
        if parts[-1]["type"] == "reasoning":
            parts[-1]["signature"] = x.pop("encrypted_content")
    if isinstance(x.get("id"), str):
        del x["id"]
    return {"role": "assistant", "parts": parts}


def _remote(x: Record) -> Message | None:
    """A tool that ran at the provider."""
    about = x.get("kind")
    if not isinstance(about, dict) or not isinstance(about.get("tool_type"), str):
        return None
    own = about.get("id", "")
    rest = said(about, "tool_type", "action", "id")
    if not isinstance(own, str) or rest.keys() & {"type", "name", "arguments"}:
        return None
    del x["kind"]
    part = {"type": "tool_call", "id": own, "name": about["tool_type"], "arguments": about.get("action")} | rest
    return {"role": "assistant", "parts": [part]}


_CONVERT: dict[str, Callable[[Record], Message | None]] = {
    "system": lambda x: _talk("system", x),
    "user": lambda x: _talk("user", x),
    "assistant": lambda x: _talk("assistant", x),
    "tool_result": _result,
    "reasoning": _thought,
    "backend_tool_call": _remote,
}
