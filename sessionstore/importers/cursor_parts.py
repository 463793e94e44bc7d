"""Cursor's bubbles as messages that still lack their id and place, and the fields of its composers."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import is_instant, title_line
from sessionstore.importers.editor_parts import folder_of, place
from sessionstore.importers.epoch import millis

Record = dict[str, Any]
_ROLES = {1: "user", 2: "assistant", "user": "user", "ai": "assistant", "assistant": "assistant"}
_MOST_TOKENS = 1 << 53
_TIMES = {"createdAt": "created_at", "lastUpdatedAt": "updated_at", "lastSendTime": "updated_at"}
_TOOL = ("name", "toolCallId", "rawArgs", "params", "result", "status")


def kept(value: Any) -> Message:
    """A value that is no turn, verbatim."""
    record = value if isinstance(value, dict) else {"value": value}
    return {"role": "system", "kind": "meta", "parts": [{"type": "record", "record": record}]}


def messages_of(bubble: Record) -> list[Message] | None:
    """The message of a bubble, and a second one of role tool when it holds a tool's result. None when it is no turn."""
    kind = bubble.get("type")
    role = _ROLES.get(kind) if type(kind) in (int, str) else None
    if role is None:
        return None
    x = {name: value for name, value in bubble.items() if value is not None and name not in ("type", "bubbleId")}
    if "bubbleId" not in bubble and isinstance(x.get("id"), str):
        del x["id"]
    parts: list[Record] = []
    results: list[Record] = []
    _thinking(x, parts)
    text = next((name for name in ("text", "rawText") if isinstance(x.get(name), str) and x[name]), "text")
    if isinstance(x.get(text), str):
        content = x.pop(text)
        if content or not ("toolFormerData" in x or parts):
            parts.append({"type": "text", "content": content})
    _tool(x, parts, results)
    message: Message = {"role": role, "parts": parts}
    for name in ("createdAt", "timestamp"):
        value = x.get(name)
        time = value if is_instant(value) else millis(value)
        if time is not None and "time" not in message:
            message["time"] = time
            del x[name]
    _model(message, x)
    _usage(message, x)
    if x:
        message["x"] = x
    return [message, {"role": "tool", "parts": results}] if results else [message]


def _thinking(x: Record, parts: list[Record]) -> None:
    thinking = x.get("thinking")
    if not isinstance(thinking, dict) or not isinstance(thinking.get("text"), str):
        return
    rest = {name: value for name, value in thinking.items() if name != "text"}
    if {"type", "content"} & rest.keys() or not isinstance(rest.get("signature", ""), str):
        return
    if thinking["text"] or rest:
        parts.append({"type": "reasoning", "content": x.pop("thinking")["text"]} | rest)


def _tool(x: Record, parts: list[Record], results: list[Record]) -> None:
    """A bubble's use of a tool; arguments and result are the texts that the program keeps, often JSON."""
    tool = x.get("toolFormerData")
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        return
    ident = tool.get("toolCallId", "")
    source = "rawArgs" if tool.get("rawArgs") not in (None, "") else "params"
    known = {"name", source} | ({"toolCallId"} if isinstance(ident, str) else set())
    ident = ident if isinstance(ident, str) else ""
    call = {"type": "tool_call", "id": ident, "name": tool["name"], "arguments": tool.get(source)}
    if tool.get("result") is not None:
        known |= {"result", "status"}
        response = {"type": "tool_call_response", "id": ident, "response": tool["result"]}
        if tool.get("status") == "error":
            response["is_error"] = True
        elif "status" in tool:
            response["status"] = tool["status"]
        results.append(response)
    rest = {name: value for name, value in tool.items() if name not in known and value is not None}
    parts.append(call)
    del x["toolFormerData"]
    if rest:
        x["toolFormerData"] = rest


def _model(message: Message, x: Record) -> None:
    info = x.get("modelInfo")
    name = info.get("modelName") if isinstance(info, dict) else None
    if isinstance(name, str) and name:
        message["model"] = name
        if len(x["modelInfo"]) == 1:
            del x["modelInfo"]
    elif isinstance(x.get("modelType"), str) and x["modelType"]:
        message["model"] = x.pop("modelType")


def _usage(message: Message, x: Record) -> None:
    tokens = x.get("tokenCount")
    if not isinstance(tokens, dict):
        return
    figures = {"input_tokens": tokens.get("inputTokens"), "output_tokens": tokens.get("outputTokens")}
    usage = {name: value for name, value in figures.items() if type(value) is int and 0 < value < _MOST_TOKENS}
    if usage:
        message["usage"] = usage
        if tokens.keys() == {"inputTokens", "outputTokens"} and len(usage) == 2:
            del x["tokenCount"]


def describe(draft: Draft, fields: Record) -> None:
    """Take over what a composer (or a tab) says of itself."""
    for name, value in fields.items():
        if value is None or (name in ("composerId", "tabId") and value == draft.native_id):
            continue
        if name in ("name", "chatTitle") and isinstance(value, str):
            draft.title = draft.title or title_line(value) or None
            if draft.title != value and value.strip():
                draft.x[name] = value
        elif name in _TIMES and (time := value if is_instant(value) else millis(value)):
            if getattr(draft, _TIMES[name]) is None:
                setattr(draft, _TIMES[name], time)
            elif getattr(draft, _TIMES[name]) != time:
                draft.x[name] = value
        elif draft.x.setdefault(name, value) != value:
            draft.x.setdefault("record", {})[name] = value
    place(draft, _folder(fields.get("workspaceIdentifier")))
    info = fields.get("subagentInfo")
    parent = info.get("parentComposerId") if isinstance(info, dict) else None
    if isinstance(parent, str) and parent:
        draft.forked_from = {"key": f"cursor:{parent}", "relation": "subagent"}


def _folder(identifier: Any) -> str | None:
    uri = identifier.get("uri") if isinstance(identifier, dict) else None
    if isinstance(uri, str):
        return folder_of(uri)
    if not isinstance(uri, dict):
        return None
    path = uri.get("fsPath")
    return path if isinstance(path, str) and path else folder_of(uri.get("external"))
