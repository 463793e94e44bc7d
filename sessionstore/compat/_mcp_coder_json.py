"""Responses as JSON text, and what JSON has no form for."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sessionstore.compat._mcp_coder_types import LLMResponseDict

_BLOCKS = {
    "TextBlock": "text",
    "ThinkingBlock": "thinking",
    "ToolUseBlock": "tool_use",
    "ToolResultBlock": "tool_result",
}
_SPEAKERS = {"UserMessage": "user", "AssistantMessage": "assistant"}
_RECORDS = {"ResultMessage": "result", "SystemMessage": "system"}


def plain(value: Any) -> Any:
    """A value that JSON has no form for: messages of the Claude SDK in the form in which Claude Code streams them,
    other data classes and models as objects, everything else as its text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return _record(type(value).__name__, fields)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in fields.items() if value is not None}
    if name in _BLOCKS:
        return {"type": _BLOCKS[name], **said}
    if name in _SPEAKERS:
        inner = {key: said.pop(key) for key in ("content", "model") if key in said}
        return {"type": _SPEAKERS[name], "message": {"role": _SPEAKERS[name], **inner}, **said}
    if name in _RECORDS:
        data = said.pop("data", None)
        return {"type": _RECORDS[name], **said, **(data if isinstance(data, dict) else {})}
    return fields


def to_json_string(response: LLMResponseDict) -> str:
    """A response as JSON: indented by two, characters as they are."""
    return json.dumps(response, indent=2, ensure_ascii=False, default=plain)


def from_json_string(json_str: str) -> LLMResponseDict:
    """The response in a JSON text, with all its fields. Raises `ValueError` when it has no version or another one than
    1.x, `json.JSONDecodeError` for what is no JSON."""
    response: Any = json.loads(json_str)
    version = response.get("version") if isinstance(response, dict) else None
    if not version:
        raise ValueError("Missing 'version' field. This may not be a valid LLM response.")
    if not isinstance(version, str) or not version.startswith("1."):
        raise ValueError(
            f"Incompatible version: {version}. Expected version 1.x. This may require a newer version of the software."
        )
    found: LLMResponseDict = response
    return found


def encoded(text: str) -> bytes:
    """A JSON text in UTF-8; halves of characters, which UTF-8 has no form for, as JSON escapes."""
    return text.encode("utf-8", "backslashreplace")
