"""What Hermes Agent exports of its sessions.

An archival export is a document of messages with ids, times and a `state`: one that was rewound is a branch beside
those after it. What the session has cost stands in it as a whole; a last message of kind `meta` bears the figures.

A trajectory (ATIF) is a document of steps: `source` says who, `metrics` what it has cost, `observation` what the tools
gave back, which becomes a message of its own. A step of an unknown source is kept verbatim, with its figures.

A log of events (ATOF) has one event a line: the start of a tool is its call, the end its result, the end of a request
to a model its answer or its error; all other events are kept verbatim. One file may hold events of several sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import (
    Record,
    below,
    count,
    entitle,
    said,
    take_text,
    take_time,
    tell,
    with_rest,
)
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.claude_code_parts import micro_dollars
from sessionstore.importers.common import stem
from sessionstore.importers.editor_parts import place
from sessionstore.importers.exports import Ids, meta, record_part
from sessionstore.importers.parsing import Unparsable

_SOURCES = {"user": "user", "agent": "assistant", "system": "system"}
_FIGURES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def _open(source: Source, own: Any, form: str) -> Draft:
    """The session of an export: named after the session's own id, which is an alias."""
    name = own if isinstance(own, str) and own.strip() else stem(source.name) or "session"
    draft = source.draft(f"{name}:{form}")
    if name == own:
        draft.aliases.append(name)
    return draft


def _with_cache(usage: Record) -> Record:
    """Figures whose input cannot be less than what of it came from or went to the cache; zeros left out."""
    cached = usage.get("cache_read_tokens", 0) + usage.get("cache_write_tokens", 0)
    usage["input_tokens"] = max(usage.get("input_tokens", 0), cached)
    return {name: figure for name, figure in usage.items() if figure}


# -- archival export ---------------------------------------------------------------------------------------------------


def archive(source: Source, document: Record) -> Iterator[tuple[Draft, Message]]:
    """The messages of an archival export. Raises `Unparsable` when there are none."""
    records = document.get("messages")
    if not isinstance(records, list):
        raise Unparsable("no list of messages")
    draft = _open(source, document.get("session_id"), "export")
    source.account.records += 1 + len(records)
    source.mapped()
    rest = said(document, "messages", "session_id")
    bill = _bill(rest)
    _describe(draft, rest)
    ids = Ids()
    before, held = None, None
    for number, record in enumerate(records, 1):
        own = record.get("message_id") if isinstance(record, dict) else None
        name = ids.take(own if isinstance(own, str) and own else f"m{number}")
        message = (_archived(name, record) if isinstance(record, dict) else None) or meta(name, record)
        tell(source, message)
        rewound = isinstance(record, dict) and record.get("state") == "rewound"
        if not rewound:
            below(message, held, before)
            held = name
        before = name
        entitle(draft, message)
        yield draft, message
    draft.active_leaf = held
    if bill is not None:
        usage, record = bill
        message = meta(ids.take("bill"), record) | {"usage": usage}
        below(message, held, before)
        draft.active_leaf = message["id"]
        yield draft, message


def _describe(draft: Draft, rest: Record) -> None:
    openai_chat.take_session_time(draft, rest, "created_at", "created_at")
    openai_chat.take_session_time(draft, rest, "ended_at", "updated_at")
    take_text(draft, "title", rest, "title")
    if isinstance(rest.get("repository_cwd"), str):
        place(draft, rest.pop("repository_cwd"))
    for name, key in (("git_branch", "branch"), ("git_repo_root", "remote")):
        if isinstance(rest.get(name), str):
            draft.git[key] = rest.pop(name)
    parent = rest.get("parent_session_id")
    if isinstance(parent, str) and parent.strip():
        draft.forked_from = {"key": f"hermes:{rest.pop('parent_session_id')}"}
        if rest.get("parent_relationship") in ("resume", "fork", "subagent"):
            draft.forked_from["relation"] = rest.pop("parent_relationship")
    openai_chat.keep_rest(draft, rest)


def _bill(rest: Record) -> tuple[Record, Record] | None:
    """What a session has cost as a whole, in the unified form and as the export has it, which leaves `rest` then."""
    counts, cost = rest.get("usage"), rest.get("cost")
    usage: Record = {}
    if isinstance(counts, dict):
        usage = {name: count(counts.get(name)) for name in _FIGURES}
    if isinstance(cost, dict):
        actual = micro_dollars(cost.get("actual_cost_usd"))
        usage["cost_microusd"] = actual or micro_dollars(cost.get("estimated_cost_usd"))
        if usage["cost_microusd"] and not actual:
            usage["estimated"] = True
    usage = _with_cache(usage)
    return (usage, {name: rest.pop(name) for name in ("usage", "cost") if name in rest}) if usage else None


def _archived(name: str, record: Record) -> Message | None:
    x = said(record, "message_id")
    role, text, thought = x.pop("role", None), x.pop("text", None), x.pop("reasoning", None)
    calls, results = x.pop("tool_calls", []), x.pop("tool_results", [])
    if not isinstance(role, str) or role not in openai_chat.ROLES:
        return None
    if not isinstance(text, str | None) or not isinstance(thought, str | None):
        return None
    if not isinstance(calls, list) or not isinstance(results, list):
        return None
    parts: list[Record] = [{"type": "reasoning", "content": thought}] if thought else []
    if text is not None:
        parts.append({"type": "text", "content": text})
    parts += [_part(call, "tool_call", "arguments_json") for call in calls]
    parts += [_part(result, "tool_call_response", "output_preview") for result in results]
    message: Message = {"id": name, "role": role, "parts": parts}
    take_time(message, x, "timestamp")
    if x.get("state") == "active":
        del x["state"]
    return with_rest(message, x)


def _part(value: Any, kind: str, field: str) -> Record:
    if not isinstance(value, dict) or not isinstance(value.get("action_id", ""), str):
        return record_part(value)
    part: Record = {"type": kind, "id": value.get("action_id", "")}
    known = ["action_id", field, "is_error"]
    if kind == "tool_call":
        if not isinstance(value.get("tool_name"), str):
            return record_part(value)
        part |= {"name": value["tool_name"], "arguments": value.get(field)}
        known.append("tool_name")
    else:
        part["response"] = value.get(field)
        if value.get("is_error") is True:
            part["is_error"] = True
    rest = said(value, *known)
    return record_part(value) if rest.keys() & part.keys() else part | rest


# -- trajectory --------------------------------------------------------------------------------------------------------


def trajectory(source: Source, document: Record) -> Iterator[tuple[Draft, Message]]:
    """The messages of a trajectory."""
    steps = document["steps"]
    draft = _open(source, document.get("session_id"), "atif")
    if isinstance(document.get("trajectory_id"), str) and document["trajectory_id"].strip():
        draft.aliases.append(document["trajectory_id"])
    source.account.records += 1 + len(steps)
    source.mapped()
    openai_chat.keep_rest(draft, said(document, "steps", "session_id"))
    if draft.aliases and draft.aliases[-1] == draft.x.get("trajectory_id"):
        del draft.x["trajectory_id"]
    ids = Ids()
    for number, step in enumerate(steps, 1):
        own = step.get("step_id") if isinstance(step, dict) else None
        name = ids.take(str(own) if type(own) in (int, str) and str(own) else f"m{number}")
        for place_, message in enumerate(_stepped(step)):
            made = {"id": ids.take(f"{name}:results") if place_ else name} | message
            if not place_:
                tell(source, made)
            entitle(draft, made)
            yield draft, made


def _stepped(step: Any) -> list[Message]:
    """The message of a step, and a second one when its tools have given something back."""
    message = _step(step) if isinstance(step, dict) else None
    if message is None:
        found: Message = {"role": "system", "kind": "meta", "parts": [record_part(step)]}
        if isinstance(step, dict):
            take_time(found, {"timestamp": step.get("timestamp")}, "timestamp")
            if usage := _metrics(step.get("metrics")):
                found["usage"] = usage
        return [found]
    x = message.pop("x")
    seen = x.get("observation")
    results = seen.get("results") if isinstance(seen, dict) else None
    made: list[Message] = [with_rest(message, x)]
    if isinstance(seen, dict) and isinstance(results, list) and results:
        del x["observation"]
        after: Message = {"role": "tool", "parts": [_seen(result) for result in results]}
        made.append(with_rest(after, said(seen, "results")))
        if not x:
            message.pop("x", None)
    return made


def _step(step: Record) -> Message | None:
    x = said(step, "step_id")
    who, text, calls = x.pop("source", None), x.pop("message", None), x.pop("tool_calls", [])
    if (
        not isinstance(who, str)
        or who not in _SOURCES
        or not isinstance(text, str | None)
        or not isinstance(calls, list)
    ):
        return None
    parts: list[Record] = []
    if isinstance(x.get("reasoning_content"), str):
        parts.append({"type": "reasoning", "content": x.pop("reasoning_content")})
    if text or not calls:
        parts.append({"type": "text", "content": text or ""})
    parts += map(_call, calls)
    message: Message = {"role": _SOURCES[who], "parts": parts}
    if message["role"] == "assistant" and isinstance(x.get("model_name"), str) and x["model_name"]:
        message["model"] = x.pop("model_name")
    if usage := _metrics(x.get("metrics")):
        message["usage"] = usage
    take_time(message, x, "timestamp")
    message["x"] = x
    return message


def _metrics(metrics: Any) -> Record:
    if not isinstance(metrics, dict):
        return {}
    more = metrics.get("extra")
    more = more if isinstance(more, dict) else {}
    return _with_cache(
        {
            "input_tokens": count(metrics.get("prompt_tokens")),
            "output_tokens": count(metrics.get("completion_tokens")),
            "cache_read_tokens": count(metrics.get("cached_tokens", more.get("cache_read_tokens"))),
            "cache_write_tokens": count(more.get("cache_write_tokens")),
            "reasoning_tokens": count(more.get("reasoning_tokens")),
            "cost_microusd": micro_dollars(metrics.get("cost_usd")),
        }
    )


def _call(call: Any) -> Record:
    if not isinstance(call, dict) or not isinstance(call.get("function_name"), str):
        return record_part(call)
    own, rest = call.get("tool_call_id", ""), said(call, "tool_call_id", "function_name", "arguments")
    if not isinstance(own, str) or rest.keys() & {"type", "id", "name"}:
        return record_part(call)
    return {"type": "tool_call", "id": own, "name": call["function_name"], "arguments": call.get("arguments")} | rest


def _seen(result: Any) -> Record:
    own = result.get("source_call_id") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(own, str | None):
        return record_part(result)
    rest = said(result, "source_call_id", "content")
    if rest.keys() & {"type", "id", "response", "is_error"}:
        return record_part(result)
    return {"type": "tool_call_response", "id": own or "", "response": result.get("content")} | rest


# -- events ------------------------------------------------------------------------------------------------------------


def is_event(record: Record) -> bool:
    """Whether a record is an event of such a log."""
    return "atof_version" in record and "kind" in record


def events(source: Source, records: Iterator[Record]) -> Iterator[tuple[Draft, Message]]:
    """The messages of a log of events, by the session that each event names, else by the one before it."""
    drafts: dict[str, tuple[Draft, Ids]] = {}
    last = ""
    for number, record in enumerate(records, 1):
        about = record.get("metadata")
        stated = about.get("session_id") if isinstance(about, dict) else None
        last = stated if isinstance(stated, str) and stated.strip() else last
        if last not in drafts:
            drafts[last] = (_open(source, last, "atof"), Ids())
        draft, ids = drafts[last]
        own = record.get("uuid")
        end = ":end" if record.get("scope_category") == "end" else ""
        name = ids.take(f"{own}{end}" if isinstance(own, str) and own else f"m{number}")
        message = _event(record, about if isinstance(about, dict) else {})
        message = {"id": name} | message if message is not None else meta(name, record)
        if message.get("kind") == "meta":
            take_time(message, {"timestamp": record.get("timestamp")}, "timestamp")
        tell(source, message)
        yield draft, message


def _event(record: Record, about: Record) -> Message | None:
    if record.get("kind") != "scope":
        return None
    x = said(record, "data", "kind", "uuid")
    data, end = record.get("data"), record.get("scope_category") == "end"
    if record.get("category") == "tool" and isinstance(record.get("name"), str):
        own = about.get("tool_call_id")
        own = own if isinstance(own, str) else record["uuid"] if isinstance(record.get("uuid"), str) else ""
        if end:
            parts: list[Record] = [{"type": "tool_call_response", "id": own, "response": data}]
        else:
            parts = [{"type": "tool_call", "id": own, "name": record["name"], "arguments": data}]
        message: Message = {"role": "tool" if end else "assistant", "parts": parts}
    elif record.get("category") == "llm" and end and isinstance(data, dict):
        text, failed = data.get("assistant_message"), data.get("error")
        if isinstance(text, str):
            message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
            data = said(data, "assistant_message")
        elif isinstance(failed, str):
            message = {"role": "system", "kind": "error", "parts": [{"type": "text", "content": failed}]}
            data = said(data, "error")
        else:
            return None
        if data:
            x["data"] = data
    else:
        return None
    if message["role"] == "assistant" and isinstance(about.get("model"), str) and about["model"]:
        message["model"] = about["model"]
        if isinstance(about.get("provider"), str) and about["provider"]:
            message["provider"] = about["provider"]
    take_time(message, x, "timestamp")
    return with_rest(message, x)
