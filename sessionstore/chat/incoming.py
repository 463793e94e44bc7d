"""What a program says, in whatever shape, as unified messages; and what of it the session does not hold yet."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sessionstore import errors
from sessionstore.exporters.content import texts
from sessionstore.importers.openai_messages_parts import chat_message

Message = dict[str, Any]
Said = str | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""A text by the user, a message, or several: unified ones, or those of OpenAI's chat."""


def messages(said: Said) -> list[Message]:
    """Unified messages, without ids where none are given. Raises `UsageError` for what is no message."""
    if isinstance(said, str):
        return [{"role": "user", "parts": [{"type": "text", "content": said}]}]
    if isinstance(said, Mapping):
        said = [said]
    return [_message(one) for one in said]


def _message(given: Any) -> Message:
    if isinstance(given, Mapping) and isinstance(given.get("parts"), list) and isinstance(given.get("role"), str):
        return dict(given)
    if isinstance(given, Mapping) and ({"content", "tool_calls"} & given.keys()):
        made = chat_message({name: value for name, value in given.items() if value is not None})
        if made is not None and made["role"] in ("system", "user", "assistant", "tool"):
            return made
    raise errors.UsageError(reason="a message needs a role and either parts or content; see docs/chat.md")


def tool_results(results: Mapping[str, Any]) -> list[Message]:
    """The message that answers tool calls: {call id: response}. An exception is a failed call."""
    parts = []
    for ident, response in results.items():
        part: Message = {"type": "tool_call_response", "id": ident, "response": response}
        if isinstance(response, BaseException):
            part |= {"response": f"{type(response).__name__}: {response}", "is_error": True}
        parts.append(part)
    return [{"role": "tool", "parts": parts}]


def attached(data: bytes, mime_type: str, name: str | None = None) -> Message:
    """Bytes as a part of a message."""
    part = {"type": "blob", "modality": mime_type.partition("/")[0], "mime_type": mime_type}
    return part | {"data": base64.b64encode(data).decode()} | ({"name": name} if name else {})


def split_system(said: Sequence[Message]) -> tuple[str | None, list[Message]]:
    """The text of the system messages at the beginning, and the other messages."""
    count = 0
    while count < len(said) and said[count]["role"] == "system" and "kind" not in said[count]:
        count += 1
    told = [text for message in said[:count] for text in texts(message["parts"])]
    return "\n\n".join(told) or None, list(said[count:])


def may_repeat(said: Sequence[Message]) -> bool:
    """Whether there may be anything in it that a session holds: one turn alone is always new."""
    return len(said) > 1 or any(one["role"] == "system" for one in said)


def tail(said: list[Message], history: Sequence[Message], system: Sequence[Any]) -> list[Message]:
    """What of `said` is new. A program that keeps no state of its own sends the whole conversation each time: then it
    begins with all that the session holds, and the rest is new. A system prompt the session has is not new either."""
    known = {text for part in system if isinstance(part, dict) for text in texts([part])}
    known |= {text for message in history if message["role"] == "system" for text in texts(message["parts"])}
    fresh = [one for one in said if one["role"] != "system" or not set(texts(one["parts"])) <= known]
    held = [_print(one) for one in history if one["role"] != "system" and "kind" not in one]
    talk = [one for one in fresh if one["role"] != "system"]
    if len(held) > 1 and [_print(one) for one in talk[: len(held)]] == held:
        old = {id(one) for one in talk[: len(held)]}
        return [one for one in fresh if id(one) not in old]
    return fresh


def _print(message: Message) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """By what a message is known again when it is sent once more: who says what, which calls it makes or answers."""
    calls = [str(part.get("id")) for part in message["parts"] if part["type"].startswith("tool_call")]
    return message["role"], tuple(text.strip() for text in texts(message["parts"])), tuple(calls)
