"""Messages between mcp-cli's shape, which is OpenAI's, and the store's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from sessionstore import errors
from sessionstore.chat.thread import told_of, with_bytes
from sessionstore.exporters import openai
from sessionstore.exporters.content import arguments_string
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import response_text
from sessionstore.importers.openai_messages_parts import chat_message

Message = dict[str, Any]


class Listed(list[Message]):
    """A list of messages that may also be awaited: the design document asks for them at once, its program awaited
    them."""

    def __await__(self) -> Generator[None, None, Listed]:
        yield from ()
        return self


def unified(message: Message) -> Message:
    """A message of OpenAI's shape as the store keeps it, without an id. Raises `UsageError` for what is none."""
    made = chat_message({name: value for name, value in message.items() if value is not None})
    if made is None:
        raise errors.UsageError(reason=f"this is no message of a chat: role {message.get('role')!r}; see docs/compat")
    return made


def plain_calls(calls: Sequence[Any] | None) -> list[Message]:
    """Tool calls as OpenAI writes them, given so, or as the objects of its library or of mcp-cli. Raises `UsageError`
    for what is none."""
    return [_plain_call(call) for call in calls or ()]


def _plain_call(call: Any) -> Message:
    for dump in ("model_dump", "to_dict"):
        if not isinstance(call, dict) and hasattr(call, dump):
            call = getattr(call, dump)()
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise errors.UsageError(reason="a tool call needs an id, and a function with a name and arguments")
    if not isinstance(call.get("id"), str) or not call["id"]:
        raise errors.UsageError(reason=f"the call of {function['name']} has no id")
    return {"type": "function", **call, "function": {"arguments": "{}", **function}}


def for_model(messages: Sequence[Message], read: Callable[[str], bytes]) -> Listed:
    """Messages of the store in OpenAI's shape; `read` gives the bytes of an image or file by its object."""
    names = {part["id"]: part.get("name") for message in messages for part in message["parts"] if _is(part, "call")}
    return Listed(_openai(message, names) for message in with_bytes(told_of(messages), read, Report()))


def _is(part: Message, kind: str) -> bool:
    return part.get("type") == f"tool_{kind}"


def _openai(message: Message, names: dict[str, Any]) -> Message:
    role, parts = message["role"], message["parts"]
    made: Message = {"role": role}
    if role == "tool":
        part = next(part for part in parts if _is(part, "call_response"))
        name = (message.get("x") or {}).get("name") or names.get(part["id"])
        made |= {"tool_call_id": part["id"], "content": response_text(part.get("response"))}
        return {**made, "name": name} if name else made
    made["content"] = _content(message)
    calls = [part for part in parts if _is(part, "call")]
    if calls:
        made["content"] = made["content"] or None
        made["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": arguments_string(call.get("arguments"))},
            }
            for call in calls
        ]
    return made


def _content(message: Message) -> Any:
    """A text, or a list of items when there is something else than text."""
    spoken = [part for part in message["parts"] if part.get("type") in ("text", "blob", "uri")]
    if message["role"] == "user" and any(part["type"] != "text" for part in spoken):
        made = openai.request({}, [{**message, "parts": spoken}], Report())["messages"]
        return made[0]["content"] if made else ""
    return "\n".join(str(part.get("content") or "") for part in spoken if part["type"] == "text")
