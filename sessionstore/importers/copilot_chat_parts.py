"""A request of a VS Code chat as messages that still lack their place: what was asked, what was answered."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.base import Message
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import count, extended, kept

Record = dict[str, Any]
Part = dict[str, Any]
_ASKED = frozenset(
    {
        "message",
        "variableData",
        "workingSet",
        "isHidden",
        "shouldBeRemovedOnSend",
        "confirmation",
        "attempt",
        "locationData",
    }
)
"""The fields of a request that belong to the question; the others belong to the answer."""


def asked(request: Record) -> Message:
    """The question of a request, with all the fields that belong to it."""
    x = {name: value for name, value in request.items() if name in _ASKED and value is not None}
    body = x.pop("message", None)
    parts: list[Part] = []
    if isinstance(body, str):
        parts.append({"type": "text", "content": body})
    elif isinstance(body, dict) and isinstance(body.get("text"), str):
        parts.append({"type": "text", "content": body["text"]})
        if rest := {name: value for name, value in body.items() if name != "text"}:
            x["message"] = rest
    elif body is not None:
        parts.append(kept(body))
    message: Message = {"role": "user", "parts": parts}
    if time := millis(request.get("timestamp")):
        message["time"] = time
    elif request.get("timestamp") is not None:
        x["timestamp"] = request["timestamp"]
    if x:
        message["x"] = x
    return message


def answered(request: Record) -> list[Message]:
    """The answer: a message up to each tool's result, one of role tool for the results, and so on. Everything else that
    the request says of it is on the last one of the model's."""
    x = {
        name: value
        for name, value in request.items()
        if name not in _ASKED and name not in ("requestId", "responseId", "timestamp", "response") and value is not None
    }
    response = request.get("response")
    if not x and (response is None or response == []):
        return []
    if response is not None and not isinstance(response, list):
        x["response"], response = response, []
    calls = _Rounds(x.get("result"))
    made: list[Message] = [{"role": "assistant", "parts": []}]
    for item in response or []:
        part = _part(item)
        if part["type"] == "tool_call":
            result = calls.complete(part, item)
            _add(made, part)
            if result is not None:
                made.append({"role": "tool", "parts": [result]})
        else:
            _add(made, part)
    made = _together(made)
    last = next(message for message in reversed(made) if message["role"] == "assistant")
    model = x.get("modelId")
    if isinstance(model, str) and model:
        del x["modelId"]
        for message in made:
            if message["role"] == "assistant":
                message["model"] = model
    if usage := _usage(x):
        last["usage"] = usage
    if x:
        last["x"] = x
    return [*made, *_failure(x.get("result"))]


def _add(made: list[Message], part: Part) -> None:
    """Add a part to the latest message when it is the model's, else to a new one."""
    if made[-1]["role"] != "assistant":
        made.append({"role": "assistant", "parts": []})
    made[-1]["parts"].append(part)


def _together(made: list[Message]) -> list[Message]:
    """Tools that were used one after the other, without a word between, are one step: the calls, then the results."""
    found: list[Message] = []
    for message in made:
        only_calls = message["role"] == "assistant" and all(part["type"] == "tool_call" for part in message["parts"])
        if message["role"] == "tool" and found[-1]["role"] == "tool":
            found[-1]["parts"] += message["parts"]
        elif only_calls and message["parts"] and len(found) > 1 and found[-1]["role"] == "tool":
            found[-2]["parts"] += message["parts"]
        else:
            found.append(message)
    return found


def _part(item: Any) -> Part:
    if not isinstance(item, dict):
        return {"type": "text", "content": item} if isinstance(item, str) else kept(item)
    kind = item.get("kind")
    if kind in (None, "markdownContent") and isinstance(item.get("value"), str):
        return extended({"type": "text", "content": item["value"]}, item, ("value",))
    content = item.get("content")
    if kind == "markdownContent" and isinstance(content, dict) and isinstance(content.get("value"), str):
        rest = {name: value for name, value in content.items() if name != "value"}
        about = {name: value for name, value in item.items() if name != "content"} | (
            {"markdown": rest} if rest else {}
        )
        return extended({"type": "text", "content": content["value"]}, about, ())
    if kind == "thinking":
        value = item.get("value")
        if isinstance(value, str):
            return extended({"type": "reasoning", "content": value}, item, ("value", "kind"))
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return extended({"type": "reasoning", "content": "".join(value), "values": value}, item, ("value", "kind"))
    if kind == "toolInvocationSerialized" and isinstance(item.get("toolId"), str):
        ident = item.get("toolCallId", "")
        if isinstance(ident, str):
            known = ("kind", "toolId", "toolCallId", "resultDetails")
            return extended({"type": "tool_call", "id": ident, "name": item["toolId"], "arguments": None}, item, known)
    if kind == "inlineReference" and (uri := _uri(item.get("inlineReference"))):
        return extended({"type": "uri", "uri": uri}, item, ())
    return kept(item)


def _uri(value: Any) -> str | None:
    """The URI of a reference to a file or to a place in one."""
    if not isinstance(value, dict):
        return None
    inner = value.get("uri")
    place = inner if isinstance(inner, dict) else value
    if isinstance(place.get("external"), str):
        return str(place["external"])
    scheme, host, path = place.get("scheme"), place.get("authority", ""), place.get("path")
    return (
        f"{scheme}://{host}{path}"
        if isinstance(scheme, str) and isinstance(host, str) and isinstance(path, str)
        else None
    )


class _Rounds:
    """What the request's result says of tool calls: their arguments and what they gave back."""

    def __init__(self, result: Any) -> None:
        metadata = result.get("metadata") if isinstance(result, dict) else None
        metadata = metadata if isinstance(metadata, dict) else {}
        self.arguments: dict[str, Any] = {}
        rounds, results = metadata.get("toolCallRounds"), metadata.get("toolCallResults")
        self.results = results if isinstance(results, dict) else {}
        for one in rounds if isinstance(rounds, list) else []:
            calls = one.get("toolCalls") if isinstance(one, dict) else None
            for call in calls if isinstance(calls, list) else []:
                if isinstance(call, dict) and isinstance(call.get("id"), str) and "arguments" in call:
                    self.arguments[call["id"]] = call["arguments"]

    def complete(self, part: Part, item: Record) -> Part | None:
        """Give a call its arguments; its result when there is one."""
        details, ident = item.get("resultDetails"), part["id"]
        shown = details if isinstance(details, dict) else {}
        part["arguments"] = self.arguments.get(ident, shown.get("input"))
        result: Part = {"type": "tool_call_response", "id": ident, "response": None}
        if ident and ident in self.results:
            result["response"] = self.results[ident]
        elif "output" in shown:
            result["response"] = shown["output"]
        elif details is None:
            return None
        if shown.get("isError") is True:
            result["is_error"] = True
        exact = shown.keys() <= {"input", "output", "isError"} and result["response"] is shown.get("output")
        if not (exact and part["arguments"] is shown.get("input")):
            result["resultDetails"] = details
        if details is None:
            del result["resultDetails"]
        return result


def _usage(x: Record) -> dict[str, Any]:
    """What the answer has cost: whole-turn sums where the program has them, else what it says of the latest call, which
    is then marked as an estimate. The figures stay where they are as well."""
    totals = x.get("modelTotals")
    result = x.get("result")
    metadata = result.get("metadata") if isinstance(result, dict) else None
    figures = [0, 0, 0]
    usage: dict[str, Any] = {}
    if isinstance(totals, list):
        for one in totals:
            if isinstance(one, dict):
                for place, name in enumerate(("inputTokens", "outputTokens", "cachedTokens")):
                    figures[place] += count(one.get(name))
    else:
        about = metadata if isinstance(metadata, dict) else {}
        figures[0] = count(x.get("promptTokens")) or count(about.get("promptTokens"))
        figures[1] = count(x.get("completionTokens")) or count(about.get("outputTokens"))
        usage = {"estimated": True} if any(figures) else {}
    names = ("input_tokens", "output_tokens", "cache_read_tokens")
    return {name: figure for name, figure in zip(names, figures, strict=True) if figure} | usage


def _failure(result: Any) -> list[Message]:
    details = result.get("errorDetails") if isinstance(result, dict) else None
    text = details.get("message") if isinstance(details, dict) else None
    if not isinstance(text, str) or not text:
        return []
    return [{"role": "system", "kind": "error", "parts": [{"type": "text", "content": text}]}]
