"""The records of Kiro's generations as messages of the unified form."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.agent_parts import Part, Record, finished, meta, part_with, text_part, timed
from sessionstore.importers.base import Draft, Message
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept

_KINDS = {"Prompt": "user", "AssistantMessage": "assistant", "ToolResults": "tool"}
_CHAT = {"human": "user", "bot": "assistant", "tool": "tool"}


def line_message(record: Record) -> Message:
    """The message of a line of the terminal program's log, without its id."""
    kind, data = record.get("kind"), record.get("data")
    role = _KINDS.get(kind) if isinstance(kind, str) else None
    content = data.get("content") if isinstance(data, dict) else None
    if role is None or not isinstance(data, dict) or not isinstance(content, list):
        return meta(record)
    message: Message = {"role": role, "parts": [_part(item) for item in content]}
    x = {name: value for name, value in record.items() if name not in ("kind", "data") and value is not None}
    if rest := {name: value for name, value in data.items() if name not in ("content", "message_id")}:
        x["data"] = rest
    if "timestamp" in x:
        timed(message, x.pop("timestamp"), x)
    return finished(message, x)


def _part(item: Any) -> Part:
    if not isinstance(item, dict):
        return kept(item)
    kind, data = item.get("kind"), item.get("data")
    rest = {name: value for name, value in item.items() if name not in ("kind", "data")}
    if kind == "text" and isinstance(data, str):
        return _whole(text_part(data), rest, item)
    if kind == "toolUse" and isinstance(data, dict) and isinstance(data.get("name"), str):
        ident = data.get("toolUseId", "")
        if isinstance(ident, str):
            part = {"type": "tool_call", "id": ident, "name": data["name"], "arguments": data.get("input")}
            more = {name: value for name, value in data.items() if name not in ("toolUseId", "name", "input")}
            return _whole(part, rest | more, item)
    if kind == "toolResult" and isinstance(data, dict):
        return _result(data, "toolUseId", item, rest)
    return kept(item)


def _whole(part: Part, rest: Record, item: Any) -> Part:
    whole = part_with(part, rest)
    return whole if whole["type"] == part["type"] else kept(item)


def _result(data: Record, name: str, item: Any, rest: Record) -> Part:
    ident = data.get(name, "")
    if not isinstance(ident, str):
        return kept(item)
    part: Part = {"type": "tool_call_response", "id": ident, "response": data.get("content")}
    if isinstance(data.get("status"), str) and data["status"].lower() == "error":
        part["is_error"] = True
    return _whole(part, rest | {key: value for key, value in data.items() if key not in (name, "content")}, item)


def turn_messages(turn: Any, draft: Draft) -> list[Message]:
    """The prompt and the answer of one entry of a conversation's history."""
    if not isinstance(turn, dict):
        return [meta(turn)]
    asked, answer = _asked(turn.get("user"), draft), _answered(turn.get("assistant"))
    if asked is None or (answer is None and turn.get("assistant") is not None):
        return [meta(turn)]
    rest = {name: value for name, value in turn.items() if name not in ("user", "assistant") and value is not None}
    if answer is None:
        return [finished(asked, asked.pop("x", {}) | rest)]
    about = rest.get("request_metadata")
    if isinstance(about, dict):
        ended = millis(about.get("stream_end_timestamp_ms"))
        if ended:
            answer["time"] = ended
            more = {name: value for name, value in about.items() if name != "stream_end_timestamp_ms"}
            rest = rest | {"request_metadata": more}
            if not more:
                del rest["request_metadata"]
        if isinstance(about.get("model_id"), str) and about["model_id"]:
            answer["model"] = about["model_id"]
    return [asked, finished(answer, answer.pop("x", {}) | rest)]


def _asked(user: Any, draft: Draft) -> Message | None:
    content = user.get("content") if isinstance(user, dict) else None
    if not isinstance(content, dict) or len(content) != 1:
        return None
    (kind, inner), x = next(iter(content.items())), {}
    if not isinstance(inner, dict):
        return None
    if isinstance(inner.get("prompt"), str):
        message: Message = {"role": "user", "parts": [text_part(inner["prompt"])]}
        used = "prompt"
    elif isinstance(inner.get("tool_use_results"), list):
        results = [
            _result(one, "tool_use_id", one, {}) if isinstance(one, dict) else kept(one)
            for one in inner["tool_use_results"]
        ]
        message = {"role": "tool" if all(one["type"] != "record" for one in results) else "user", "parts": results}
        used = "tool_use_results"
    else:
        return None
    if rest := {name: value for name, value in inner.items() if name != used and value is not None}:
        x["content"] = rest
    if kind not in ("Prompt", "ToolUseResults"):
        x["kind"] = kind
    x |= {name: value for name, value in user.items() if name not in ("content", "timestamp") and value is not None}
    timed(message, user.get("timestamp"), x)
    context = user.get("env_context")
    state = context.get("env_state") if isinstance(context, dict) else None
    where = state.get("current_working_directory") if isinstance(state, dict) else None
    place(draft, where if isinstance(where, str) else None)
    return finished(message, x)


def _answered(assistant: Any) -> Message | None:
    if not isinstance(assistant, dict) or len(assistant) != 1:
        return None
    kind, said = next(iter(assistant.items()))
    if kind not in ("Response", "ToolUse") or not isinstance(said, dict) or not isinstance(said.get("content"), str):
        return None
    rest = {name: value for name, value in said.items() if name != "content" and value is not None}
    calls = rest.pop("tool_uses", [])
    if not isinstance(calls, list):
        return None
    parts = [text_part(said["content"])] if said["content"] or not calls else []
    message: Message = {"role": "assistant", "parts": parts + [_call(call) for call in calls]}
    if isinstance(rest.get("message_id"), str):
        message = {"id": rest.pop("message_id")} | message
    return finished(message, rest)


def _call(call: Any) -> Part:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("id"), str):
        return kept(call)
    part = {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call.get("args")}
    return _whole(part, {name: value for name, value in call.items() if name not in ("id", "name", "args")}, call)


def chat_turn(entry: Any, about: Any) -> Message:
    """A message of the editor's chat."""
    role = entry.get("role") if isinstance(entry, dict) else None
    role = _CHAT.get(role) if isinstance(role, str) else None
    if role is None or not isinstance(entry.get("content"), str):
        return meta(entry)
    if role == "tool":
        parts: list[Part] = [{"type": "tool_call_response", "id": "", "response": entry["content"]}]
    else:
        parts = [text_part(entry["content"])]
    message: Message = {"role": role, "parts": parts}
    model = about.get("modelId") if isinstance(about, dict) else None
    if role == "assistant" and isinstance(model, str) and model:
        message["model"] = model
    return finished(message, {name: value for name, value in entry.items() if name not in ("role", "content")})
