"""Counting tokens: what was billed where a provider has said so, else an estimate that is marked as one.

The estimate needs no tokenizer: about four characters of Latin text a token, one for each character of the unspaced
scripts, and a fixed price for an image. A program that has a tokenizer gives its own counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from sessionstore import canonical

Message = Mapping[str, Any]
Counter = Callable[[Message], int]
"""The tokens of one message."""
IMAGE = 1_100
"""Tokens of an image of usual size."""
FRAME = 4
"""Tokens that each message costs beside its content."""


class Count(NamedTuple):
    """A number of tokens, and whether any of it is an estimate."""

    tokens: int
    estimated: bool


def estimate(message: Message) -> int:
    """About how many tokens a message has."""
    return FRAME + sum(_part(part) for part in message["parts"])


def of_text(text: str) -> int:
    """About how many tokens a text has."""
    if text.isascii():
        return (len(text) + 3) // 4
    unspaced = sum(1 for character in text if "⺀" <= character <= "鿿" or "가" <= character <= "힯")
    return unspaced + (len(text.encode("utf-8", "replace")) - 3 * unspaced + 3) // 4


def _part(part: Mapping[str, Any]) -> int:
    kind = part.get("type")
    if kind in ("text", "reasoning"):
        return of_text(_text(part.get("content"))) + of_text(_text(part.get("signature"))) // 2
    if kind == "tool_call":
        return FRAME + of_text(_text(part.get("name"))) + of_text(_text(part.get("arguments")))
    if kind == "tool_call_response":
        return FRAME + of_text(_text(part.get("response")))
    if kind in ("blob", "uri", "file"):
        return IMAGE
    return of_text(_text(part))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def billed(message: Message) -> int:
    """What the context came to with an answer, as its provider has billed it; 0 when it has not."""
    usage = message.get("usage") or {}
    if message["role"] != "assistant" or not usage.get("input_tokens") or usage.get("estimated"):
        return 0
    return int(usage["input_tokens"]) + int(usage.get("output_tokens", 0))


def of_context(messages: Iterable[Message], counter: Counter = estimate) -> Count:
    """How many tokens a conversation takes as a model's context. The last answer that was billed says what everything
    up to it came to; only what follows is counted."""
    total, estimated = 0, False
    for message in messages:
        if known := billed(message):
            total, estimated = known, False
        else:
            total, estimated = total + counter(message), True
    return Count(total, estimated)
