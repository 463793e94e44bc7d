"""Messages of the Claude SDK that were written down as Python's `repr` of them, read back without running anything.

    AssistantMessage(content=[TextBlock(text='Hi')], model='claude', parent_tool_use_id=None)

Only what such texts consist of is read: names with keyword arguments, lists, tuples, dictionaries, strings, numbers,
True, False and None. Each string is read by `ast.literal_eval` for itself, the rest by a reader of bounded depth.
Whatever else there is (other objects, sets, bytes) makes the text unreadable, and the caller keeps it as it is.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from sessionstore import canonical

MAX_LENGTH = 64 << 20
"""Longer texts are not read."""
_DEPTH = 64
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")"""
    r"""|(?P<number>-?(?:\d+\.?\d*(?:e[+-]?\d+)?))|(?P<name>[A-Za-z_]\w*)|(?P<mark>[][(){},:=]))""",
    re.ASCII | re.DOTALL,
)
_CONSTANTS = {"True": True, "False": False, "None": None}
_BLOCKS = {
    "TextBlock": "text",
    "ThinkingBlock": "thinking",
    "ToolUseBlock": "tool_use",
    "ToolResultBlock": "tool_result",
}
_MESSAGES = {"AssistantMessage": "assistant", "UserMessage": "user"}
_CLASS = "__class__"


class Unreadable(ValueError):
    """The text is not one that this module reads."""


def sdk_record(value: Any) -> dict[str, Any] | None:
    """A stored SDK message (its `repr`, or the object the program made of it) as the stream-json record it came
    from; None when it is none."""
    if isinstance(value, str):
        try:
            value = _Reader(value).whole()
        except Unreadable:
            return None
        name = value.pop(_CLASS, None) if isinstance(value, dict) else None
    elif isinstance(value, dict):
        value = dict(value)
        name = value.pop("type", None)
    else:
        return None
    return _record(name, value) if isinstance(name, str) else None


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    if name in _MESSAGES:
        model = {"model": fields.pop("model")} if "model" in fields else {}
        body = {"content": _blocks(fields.pop("content", None))} | model
        return {"type": _MESSAGES[name], "message": body} | {
            k: v for k, v in fields.items() if k not in ("type", "message")
        }
    if name == "SystemMessage":
        data = fields.get("data")
        if isinstance(data, dict) and data.get("type") == "system" and _CLASS not in data:
            return data
        return {"type": "system"} | {k: v for k, v in fields.items() if k != "type"}
    if name == "ResultMessage":
        return {"type": "result"} | {k: v for k, v in fields.items() if k != "type"}
    return None


def _blocks(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    blocks = []
    for block in content:
        if isinstance(block, dict) and _CLASS in block:
            block = dict(block)
            name = block.pop(_CLASS)
            block = {"type": _BLOCKS.get(name, name)} | block
        blocks.append(block)
    return blocks


class _Reader:
    """Reads one text, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Unreadable("too long")
        self._text = text
        self._at = 0
        self._kind, self._token = "", ""
        self._next()

    def whole(self) -> Any:
        """The value that the whole text is; a named object is a dictionary with its class under `__class__`."""
        value = self._value(0)
        if self._kind:
            raise Unreadable("more than one value")
        return canonical.clean(value)

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if self._text[self._at :].strip():
                raise Unreadable("an unknown character")
            self._kind = self._token = ""
            return
        self._kind = found.lastgroup or ""
        self._token = found[self._kind]
        self._at = found.end()

    def _take(self, mark: str) -> bool:
        """Whether the next token is `mark`; it is then behind us."""
        if self._kind != "mark" or self._token != mark:
            return False
        self._next()
        return True

    def _value(self, depth: int) -> Any:
        if depth > _DEPTH:
            raise Unreadable("nested too deeply")
        kind, token = self._kind, self._token
        if kind == "string":
            self._next()
            return _string(token)
        if kind == "number":
            self._next()
            return _number(token)
        if kind == "name":
            self._next()
            return self._object(token, depth) if self._take("(") else _constant(token)
        if self._take("["):
            return self._items("]", depth)
        if self._take("("):
            return self._items(")", depth)
        if self._take("{"):
            return self._pairs(depth)
        raise Unreadable("not a value")

    def _items(self, end: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self._take(end):
            if items and not self._take(","):
                raise Unreadable("a comma is missing")
            if items and self._take(end):
                break
            items.append(self._value(depth + 1))
        return items

    def _pairs(self, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while not self._take("}"):
            if pairs and not self._take(","):
                raise Unreadable("a comma is missing")
            key = self._value(depth + 1)
            if not isinstance(key, str) or key == _CLASS or not self._take(":"):
                raise Unreadable("not a key")
            pairs[key] = self._value(depth + 1)
        return pairs

    def _object(self, name: str, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {_CLASS: name}
        while not self._take(")"):
            if len(fields) > 1 and not self._take(","):
                raise Unreadable("a comma is missing")
            key = self._token
            if self._kind != "name" or key in fields:
                raise Unreadable("not a keyword")
            self._next()
            if not self._take("="):
                raise Unreadable("not a keyword")
            fields[key] = self._value(depth + 1)
        return fields


def _constant(name: str) -> Any:
    if name not in _CONSTANTS:
        raise Unreadable("an unknown name")
    return _CONSTANTS[name]


def _string(token: str) -> str:
    try:
        value = ast.literal_eval(token)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Unreadable("not a string") from None
    if not isinstance(value, str):
        raise Unreadable("not a string")
    return value


def _number(token: str) -> int | float | str:
    if token.lstrip("-").isdigit():
        return int(token) if len(token) < 19 else token
    try:
        value = float(token)
    except ValueError:
        raise Unreadable("not a number") from None
    return value if value - value == 0 else token
