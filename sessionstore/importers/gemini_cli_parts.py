"""Gemini CLI's message records as messages that still lack their id and place."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.base import Message
from sessionstore.importers.common import is_instant, naive_time
from sessionstore.importers.gemini_parts import Part, count, extended, kept, parts_of

Record = dict[str, Any]
_MODEL = ("gemini", "model", "assistant")
_NOTICES = {"info": "meta", "warning": "meta", "error": "error"}
_FIGURES = {"input", "output", "cached", "thoughts", "tool", "total"}


def messages_of(record: Record) -> list[Message]:
    """The message of a record, and a second one of role tool when the record holds the results of its tool calls. A
    record that is not understood is one message of kind meta that holds it verbatim."""
    x = dict(record)
    x.pop("id", None)
    name, kind = ("content" if "content" in x else "parts"), x.pop("type", None)
    parts = parts_of(x.pop(name, ""))
    calls, thoughts = x.get("toolCalls"), x.get("thoughts")
    if parts is None or not (isinstance(kind, str) and (kind in _MODEL or kind in _NOTICES or kind == "user")):
        message: Message = {"role": "system", "kind": "meta", "parts": [kept(record)]}
        return [_timed(message, {"timestamp": record.get("timestamp")}, keep=False)]
    message = {"role": "user", "parts": parts}
    if kind in _NOTICES:
        message = {"role": "system", "kind": _NOTICES[kind], "parts": parts}
        x["type"] = kind
    elif kind == "user":
        if parts and all(part["type"] == "tool_call_response" for part in parts):
            message["role"] = "tool"
    else:
        message["role"] = "assistant"
        if kind != "gemini":
            x["type"] = kind
    results: list[Part] = []
    if message["role"] == "assistant":
        if parts == [{"type": "text", "content": ""}] and (calls or thoughts):
            message["parts"] = []
        if isinstance(thoughts, list):
            del x["thoughts"]
            message["parts"] = [*map(_thought, thoughts), *message["parts"]]
        if isinstance(calls, list):
            del x["toolCalls"]
            for call in calls:
                made, result = _tool(call)
                message["parts"].append(made)
                results += result
        if isinstance(x.get("model"), str) and x["model"]:
            message["model"] = x.pop("model")
    _timed(message, x)
    if x:
        message["x"] = x
    return [message, {"role": "tool", "parts": results}] if results else [message]


def _timed(message: Message, x: Record, keep: bool = True) -> Message:
    time = x.get("timestamp")
    if is_instant(time):
        message["time"] = x.pop("timestamp")
    elif keep and "time" not in x and (naive := naive_time(time)):
        del x["timestamp"]
        x["time"] = naive
    return message


def _thought(thought: Any) -> Part:
    if not isinstance(thought, dict):
        return {"type": "reasoning", "content": thought} if isinstance(thought, str) else kept(thought)
    for name in ("description", "subject"):
        if isinstance(thought.get(name), str):
            return extended({"type": "reasoning", "content": thought[name]}, thought, (name,))
    return kept(thought)


def _tool(call: Any) -> tuple[Part, list[Part]]:
    """The part of a tool call, and that of its result if it is there. What the program shows of the result, and how it
    ended, goes with the result."""
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("id", ""), str):
        return kept(call), []
    ident, about = call.get("id", ""), ("result", "resultDisplay", "status")
    made: Part = {"type": "tool_call", "id": ident, "name": call["name"], "arguments": call.get("args")}
    if call.get("result") is None and "resultDisplay" not in call:
        made = extended(made, call, ("id", "name", "args", "result"))
        return made, []
    made = extended(made, call, ("id", "name", "args", *about))
    if made["type"] == "record":
        return made, []
    result: Part = {"type": "tool_call_response", "id": ident, "response": _response(call)}
    if call.get("status") == "error":
        result["is_error"] = True
    return made, [result | {name: call[name] for name in about[1:] if name in call}]


def _response(call: Record) -> Any:
    """What a tool gave back, without the wrapping that only repeats the call's id and name."""
    result = call.get("result")
    first = result[0] if isinstance(result, list) and len(result) == 1 else None
    answer = first.get("functionResponse") if isinstance(first, dict) and len(first) == 1 else None
    if isinstance(answer, dict) and "response" in answer and len(answer) <= 3:
        rest = {name: value for name, value in answer.items() if name != "response"}
        if all(name in call and call[name] == value for name, value in rest.items()):
            return answer["response"]
    return result


def figures_of(message: Message) -> list[int]:
    """What an answer has cost, in the order of `usage_of`; the record's `tokens` leave its `x` when that says all."""
    x = message.get("x", {})
    tokens = x.get("tokens")
    if message["role"] != "assistant" or not isinstance(tokens, dict):
        return []
    # `input` includes `cached`; thoughts and the tools' own prompts are counted beside output and input.
    fresh, output, cached, thoughts, tool, total = (
        count(tokens.get(name)) for name in ("input", "output", "cached", "thoughts", "tool", "total")
    )
    exact = tokens.keys() <= _FIGURES and all(type(value) is int and value == count(value) for value in tokens.values())
    if exact and not tool and total == fresh + output + thoughts:
        del x["tokens"]
        if not x:
            del message["x"]
    return [fresh + tool, output + thoughts, cached, thoughts]
