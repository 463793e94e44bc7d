"""GitHub Copilot CLI: the event logs of the terminal program.

Where: `~/.copilot/session-state/<id>/events.jsonl` or `<id>.jsonl` (`$COPILOT_HOME` instead of `~/.copilot` when it is
set) on Linux, macOS and Windows; one JSON event a line, only ever appended to, also when a session is resumed.

How it is recognised: events whose type begins with `session.`, `user.`, `assistant.`, `tool.`, `hook.`, `subagent.` and
the like and which have an object `data` and an `id`; of early versions, prompts and answers with a `session_id`.

What the records are and how they map: one event is one message, but for `session.start`, which is the session. Prompts,
answers (their text, reasoning and tool calls) and results of tools are turns; what the model was shown instead of the
prompt stays in `x`. Errors, changes of model, compactions and notices have their kinds, answers of a sub-agent are of
kind `sidechain`; hooks, the beginnings and ends of turns, and events of unknown types are kept verbatim. Answers state
their output tokens; the end of a run (`session.shutdown`) states the rest, so that message has what the run's answers
do not have.

What it loses: the input tokens of a run that was killed, and which answer the input tokens of a run belong to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.database_rows import count
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept

_EVENT = re.compile(r"(session|user|assistant|tool|system|hook|subagent|permission|skill|external_tool)\.[\w.]+|abort")
_EARLY = {"user.message": "user", "userpromptsubmitted": "user"}
_EARLY |= {"assistant.message": "assistant", "assistantresponse": "assistant"}
_SAID = ("prompt", "output", "result")
_ENVELOPE = ("type", "data", "id", "timestamp", "parentId")
_GIT = {"branch": "branch", "headCommit": "commit", "repository": "repository"}
_FIGURES = (
    ("input_tokens", "inputTokens", "input"),
    ("output_tokens", "outputTokens", "output"),
    ("cache_read_tokens", "cacheReadTokens", "cache_read"),
    ("cache_write_tokens", "cacheWriteTokens", "cache_write"),
    ("reasoning_tokens", "reasoningTokens", "reasoning"),
)


class CopilotCli(Importer):
    """Reader of the event logs of Copilot CLI."""

    source: ClassVar[str] = "copilot-cli"
    title: ClassVar[str] = "GitHub Copilot CLI"

    def places(self, machine: Machine) -> Iterable[Place]:
        """`session-state` in the program's directory."""
        configured = machine.env.get("COPILOT_HOME")
        home = machine.cwd / configured if configured else machine.home / ".copilot"
        yield Place(home / "session-state")

    def recognise(self, head: Head) -> bool:
        """More events of this program than other records."""
        if b'"data"' not in head.data and b'"session_id"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        return sum(map(_is_event, records)) * 2 > len(records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's session."""
        reader: _Reader | None = None
        if source.resumed is not None:
            draft = Draft.resumed(source.resumed["draft"])
            source.drafts.append(draft)
            reader = _Reader(draft, Links(draft, source.resumed["links"]), source.resumed["answered"])
        for record in source.records():
            if reader is None:
                draft = _begin(source, record)
                reader = _Reader(draft, Links(draft))
            if record.get("type") == "session.start" and reader.start(record):
                source.mapped()
                continue
            message = reader.message(record)
            if is_verbatim(message, record):
                source.preserved()
            else:
                source.mapped()
            entitle(reader.draft, message)
            if "parentId" in record:
                message = reader.links.link(message, record.get("id"), record["parentId"])
            else:
                message = reader.links.take(message, record.get("id"))
            if reader.links.branched:
                reader.draft.active_leaf = reader.links.last
            yield reader.draft, message
        if reader is not None and (state := reader.links.state()) is not None:
            source.resume = {"draft": reader.draft.state(), "links": state, "answered": reader.answered}


def _is_event(record: Record) -> bool:
    kind = record.get("type")
    if not isinstance(kind, str) or "uuid" in record or "payload" in record:
        return False
    if isinstance(record.get("data"), dict) and isinstance(record.get("id"), str):
        return _EVENT.fullmatch(kind) is not None
    return kind in _EARLY and isinstance(record.get("session_id"), str) and any(name in record for name in _SAID)


def _begin(source: Source, record: Record) -> Draft:
    name, data = stem(source.name), record.get("data")
    above = source.name.split("/")[:-1]
    if name == "events" and above:
        name = above[-1]
    stated = data.get("sessionId") if isinstance(data, dict) and record.get("type") == "session.start" else None
    if stated is None:
        stated = record.get("session_id")
    draft = source.draft(stated if isinstance(stated, str) and stated else name or "session")
    if name and name != draft.native_id:
        draft.aliases.append(name)
    return draft


class _Reader:
    """Makes the messages of one session."""

    def __init__(self, draft: Draft, links: Links, answered: int = 0) -> None:
        self.draft = draft
        self.links = links
        self.answered = answered
        """output tokens of the answers since the last end of a run"""

    def start(self, record: Record) -> bool:
        """Describe the session by its first event; False for a later one, which is a message."""
        data = record.get("data")
        if not isinstance(data, dict) or "start" in self.draft.x or self.links.last is not None:
            return False
        x = {name: value for name, value in data.items() if name != "sessionId"}
        begun = x.get("startTime", record.get("timestamp"))
        if is_instant(begun):
            self.draft.created_at = begun
        context = data.get("context")
        if isinstance(context, dict):
            place(self.draft, context.get("cwd") if isinstance(context.get("cwd"), str) else None)
            for theirs, ours in _GIT.items():
                if isinstance(context.get(theirs), str) and context[theirs]:
                    self.draft.git[ours] = context[theirs]
        self.draft.x["start"] = x | {name: value for name, value in record.items() if name not in _ENVELOPE}
        self.links.skip(record.get("id"))
        return True

    def message(self, record: Record) -> Message:
        """The message of an event, without id and parent."""
        data, kind = record.get("data"), record.get("type")
        if not isinstance(data, dict):
            return _early(record) or _timed(meta(record), record)
        x = {name: value for name, value in record.items() if name not in _ENVELOPE}
        rest = {name: value for name, value in data.items() if value is not None}
        convert = _EVENTS.get(kind) if isinstance(kind, str) else None
        message = convert(rest) if convert else None
        if message is None:
            message = _timed(meta(record), record)
            if kind == "session.shutdown" and (figures := self._run(data)):
                message["usage"] = figures
            return message
        if kind == "assistant.message":
            made = count(rest.get("outputTokens"))
            if made:
                message["usage"] = {"output_tokens": made}
                self.answered += made
                del rest["outputTokens"]
        elif message.get("kind") is not None:
            x["type"] = kind
        if isinstance(rest.get("parentToolCallId"), str) and "kind" not in message:
            message["kind"] = "sidechain"
        if rest:
            x["data"] = rest
        timed(message, record.get("timestamp"), x)
        return finished(message, x)

    def _run(self, data: Record) -> Record:
        """What a run has cost beside what its answers state."""
        totals = dict.fromkeys((name for name, _, _ in _FIGURES), 0)
        metrics, details = data.get("modelMetrics"), data.get("tokenDetails")
        if isinstance(metrics, dict):
            for model in metrics.values():
                usage = model.get("usage") if isinstance(model, dict) else None
                if isinstance(usage, dict):
                    for name, theirs, _ in _FIGURES:
                        totals[name] += count(usage.get(theirs))
        if not any(totals.values()) and isinstance(details, dict):
            for name, _, theirs in _FIGURES:
                figure = details.get(theirs)
                totals[name] = count(figure.get("tokenCount")) if isinstance(figure, dict) else 0
        cached = totals["cache_read_tokens"] + totals["cache_write_tokens"]
        if cached > totals["input_tokens"]:
            totals["input_tokens"] += cached
        totals["output_tokens"] = max(0, totals["output_tokens"] - self.answered)
        self.answered = 0
        return {name: figure for name, figure in totals.items() if figure}


def _timed(message: Message, record: Record) -> Message:
    timed(message, record.get("timestamp"), {})
    return message


def _early(record: Record) -> Message | None:
    """A prompt or an answer of an early version."""
    role = _EARLY.get(record["type"]) if isinstance(record.get("type"), str) else None
    name = next((name for name in _SAID if isinstance(record.get(name), str)), None)
    if role is None or name is None:
        return None
    x = {key: value for key, value in record.items() if key not in ("type", "session_id", name)}
    message: Message = {"role": role, "parts": [text_part(record[name])]}
    if time := millis(x.get("timestamp")):
        message["time"] = time
        del x["timestamp"]
    return finished(message, x)


def _prompt(rest: Record) -> Message | None:
    if not isinstance(rest.get("content"), str):
        return None
    parts = [text_part(rest.pop("content"))]
    if rest.get("transformedContent") == parts[0]["content"]:
        del rest["transformedContent"]
    if isinstance(rest.get("attachments"), list):
        parts += [_attachment(one) for one in rest.pop("attachments")]
    return {"role": "user", "parts": parts}


def _attachment(item: Any) -> Part:
    if isinstance(item, dict) and item.get("type") == "file":
        return item
    return other(item)


def _answer(rest: Record) -> Message | None:
    calls = rest.get("toolRequests", [])
    if not isinstance(rest.get("content"), str) or not isinstance(calls, list):
        return None
    text = rest.pop("content")
    rest.pop("toolRequests", None)
    parts: list[Part] = []
    if isinstance(rest.get("reasoningText"), str) or isinstance(rest.get("reasoningOpaque"), str):
        parts.append({"type": "reasoning", "content": ""})
        if isinstance(rest.get("reasoningText"), str):
            parts[0]["content"] = rest.pop("reasoningText")
        if isinstance(rest.get("reasoningOpaque"), str):
            parts[0]["signature"] = rest.pop("reasoningOpaque")
    if text or not (parts or calls):
        parts.append(text_part(text))
    message: Message = {"role": "assistant", "parts": parts + [_call(call) for call in calls]}
    if isinstance(rest.get("model"), str) and rest["model"]:
        message["model"] = rest.pop("model")
    return message


def _call(call: Any) -> Part:
    if not isinstance(call, dict) or not all(isinstance(call.get(name), str) for name in ("toolCallId", "name")):
        return kept(call)
    part = {"type": "tool_call", "id": call["toolCallId"], "name": call["name"], "arguments": call.get("arguments")}
    known = ["toolCallId", "name", "arguments"] + (["type"] if call.get("type") == "function" else [])
    return part_with(part, call, *known)


def _reasoning(rest: Record) -> Message | None:
    if not isinstance(rest.get("content"), str):
        return None
    return {"role": "assistant", "parts": [{"type": "reasoning", "content": rest.pop("content")}]}


def _result(rest: Record) -> Message | None:
    ident = rest.get("toolCallId")
    if not isinstance(ident, str):
        return None
    del rest["toolCallId"]
    result = rest.pop("result", rest.pop("error", None) if "result" not in rest else None)
    if isinstance(result, dict) and isinstance(result.get("content"), str):
        stated = {name for name, value in result.items() if value is not None}
        result = result["content"] if stated == {"content"} else result
    part: Part = {"type": "tool_call_response", "id": ident, "response": result}
    if rest.get("success") is False:
        part["is_error"] = True
    if isinstance(rest.get("success"), bool):
        del rest["success"]
    return {"role": "tool", "parts": [part]}


def _notice(name: str, kind: str | None) -> Any:
    def convert(rest: Record) -> Message | None:
        if not isinstance(rest.get(name), str):
            return None
        message: Message = {"role": "system", "parts": [text_part(rest.pop(name))]}
        return message | ({"kind": kind} if kind else {})

    return convert


def _switch(rest: Record) -> Message | None:
    model = rest.get("newModel")
    if not isinstance(model, str) or not model:
        return None
    del rest["newModel"]
    return {"role": "system", "kind": "switch", "parts": [], "model": model}


_EVENTS = {
    "user.message": _prompt,
    "assistant.message": _answer,
    "assistant.reasoning": _reasoning,
    "tool.execution_complete": _result,
    "system.message": _notice("content", None),
    "system.notification": _notice("content", "context"),
    "session.info": _notice("message", "meta"),
    "session.warning": _notice("message", "meta"),
    "session.error": _notice("message", "error"),
    "session.model_change": _switch,
    "session.compaction_complete": _notice("summaryContent", "compaction"),
}
