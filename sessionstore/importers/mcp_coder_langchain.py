"""LangChain message histories of mcp_coder: `~/.mcp_coder/sessions/langchain/<session id>.json`.

Where: the same below `~/.config/mcp_coder` on Linux and macOS until May 2026. LangChain's own `FileChatMessageHistory`
writes the same form to wherever a program tells it to.

How it is recognised: a JSON array whose first element is `{"role": "human" | "ai", ...}` (March 2026) or
`{"type": "human" | "ai" | ..., "data": {...}}`.

What the records are and how they map: every element of the array is one message. Of the second form, tool calls,
token counts (they include the cache), the model and the reason to stop have names in the unified model; everything
else stays in `x`, what is null, false or empty left out. The session id is the file's name; the stored answers
(`mcp-coder`) name the same one.

What the source has already lost: all times. The whole file is rewritten with every turn. System prompts were stored
again with every turn until August 2026 and are left out since; `issues` counts those that repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import figures, parts_of, unified_usage
from sessionstore.importers.common import stem, title_line

_BEGINNING = re.compile(
    rb'(\xef\xbb\xbf)?\s*\[\s*\{\s*("role"\s*:\s*"(human|ai)"\s*,\s*"content"\s*:'
    rb'|"type"\s*:\s*"(human|ai|tool|system|function|chat|remove|AIMessageChunk|HumanMessageChunk)"\s*,'
    rb'\s*"data"\s*:\s*\{)'
)
_ROLES = {
    "human": "user",
    "ai": "assistant",
    "tool": "tool",
    "system": "system",
    "AIMessageChunk": "assistant",
    "HumanMessageChunk": "user",
}


class McpCoderLangchain(Importer):
    """Reader of LangChain histories, both generations."""

    source: ClassVar[str] = "mcp-coder-langchain"
    title: ClassVar[str] = "LangChain histories of mcp_coder"
    versions: ClassVar[str] = "G1, both shapes"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """The histories' directory in its present and its former home."""
        yield Place(machine.home / ".mcp_coder" / "sessions" / "langchain")
        yield Place(machine.home / ".config" / "mcp_coder" / "sessions" / "langchain")

    def recognise(self, head: Head) -> bool:
        """An array that begins with a message in one of LangChain's forms."""
        return _BEGINNING.match(head.data) is not None

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every element of the array. Raises `Unparsable`."""
        draft = source.draft(stem(source.name) or "history")
        pairs = openai_chat.ToolPairs(draft)
        ids: set[str] = set()
        prompts: set[str] = set()
        for number, entry in enumerate(source.elements(), 1):
            message = langchain_message(entry)
            if message is None:
                source.preserved()
                record = entry if isinstance(entry, dict) else {"value": entry}
                parts = [{"type": "record", "record": record}]
                yield draft, {"id": f"m{number}", "role": "system", "kind": "meta", "parts": parts}
                continue
            source.mapped()
            native = message.get("id")
            message["id"] = native if native and native not in ids else f"m{number}"
            while message["id"] in ids:
                message["id"] += "~"
            ids.add(message["id"])
            pairs.see(message)
            text = openai_chat.text_of(message)
            if message["role"] == "system":
                if text in prompts:
                    draft.issue("system-prompt-repeated", "the same system prompt is stored again")
                prompts.add(text)
            elif draft.title is None and message["role"] == "user":
                draft.title = title_line(text) or None
            yield draft, message
        pairs.finish()


def langchain_message(entry: Any) -> Message | None:
    """An element of a history as a message (with an `id` only if it states one); None when it has neither form."""
    if not isinstance(entry, dict):
        return None
    data = entry.get("data")
    if isinstance(data, dict) and isinstance(entry.get("type"), str):
        rest = {name: value for name, value in entry.items() if name not in ("type", "data")}
        return _message(entry["type"], dict(data), rest)
    if "content" in entry and isinstance(entry.get("role"), str):
        return _message(entry["role"], {name: value for name, value in entry.items() if name != "role"}, {})
    return None


def _message(kind: str, data: dict[str, Any], rest: dict[str, Any]) -> Message | None:
    role = _ROLES.get(kind)
    if role is None:
        return None
    content = data.pop("content", None)
    calls = data.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    message: Message = {"role": role, "parts": []}
    if role == "tool":
        message["parts"] = [_response(data, content)]
    elif (parts := _content(content, calls)) is not None:
        message["parts"] = parts
    else:
        return None
    if calls and all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        message["parts"] += [_call(call) for call in calls]
        del data["tool_calls"]
    elif calls:
        return None
    if isinstance(data.get("id"), str) and data["id"]:
        message["id"] = data.pop("id")
    _take_answer(data, message)
    if data.get("type") == kind:
        del data["type"]
    kept = {name: value for name, value in data.items() if not _says_nothing(value)}
    if rest:
        kept["entry"] = rest
    if kept:
        message["x"] = kept
    return message


def _says_nothing(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, dict | list | str) and not value)


def _content(content: Any, calls: list[Any]) -> list[dict[str, Any]] | None:
    """The parts of a content; a call that `tool_calls` tells of is not told twice."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content or not calls else []
    if not isinstance(content, list):
        return None
    told = {call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)}
    own = [
        block
        for block in content
        if not (
            isinstance(block, dict)
            and block.get("type") == "tool_use"
            and isinstance(block.get("id"), str)
            and block["id"] in told
        )
    ]
    return parts_of(own)


def _response(data: dict[str, Any], content: Any) -> dict[str, Any]:
    call = data.pop("tool_call_id") if isinstance(data.get("tool_call_id"), str) else ""
    part = {"type": "tool_call_response", "id": call, "response": content}
    if data.get("status") == "error":
        part["is_error"] = True
    if data.get("status") in ("error", "success"):
        del data["status"]
    return part


def _call(call: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in call.items() if name not in ("type", "id", "name", "args")}
    ident = call.get("id")
    part = {"type": "tool_call", "id": ident if isinstance(ident, str) else "", "name": call["name"]}
    part["arguments"] = call.get("args")
    if "arguments" in rest:
        rest = {"call": rest}
    return part | rest


def _take_answer(data: dict[str, Any], message: Message) -> None:
    """Model, reason to stop and usage of an answer."""
    about = data.get("response_metadata")
    if isinstance(about, dict):
        about = data["response_metadata"] = dict(about)
        names = ("model_name", "model", "finish_reason", "stop_reason")
        for name in names:
            field = "model" if name.startswith("model") else "finish_reason"
            if isinstance(about.get(name), str) and about[name] and message.get(field, about[name]) == about[name]:
                message[field] = about.pop(name)
    usage = data.get("usage_metadata")
    if not isinstance(usage, dict):
        return
    inner, outer = usage.get("input_token_details"), usage.get("output_token_details")
    inner, outer = (value if isinstance(value, dict) else {} for value in (inner, outer))
    counted = figures(
        {
            "input_tokens": usage.get("input_tokens"),
            "cache_read_input_tokens": inner.get("cache_read"),
            "cache_creation_input_tokens": inner.get("cache_creation"),
            "output_tokens": usage.get("output_tokens"),
            "output_tokens_details": {"thinking_tokens": outer.get("reasoning")},
        },
        0,
    )
    counted[0] = max(0, counted[0] - counted[1] - counted[2])
    if stated := unified_usage(counted):
        message["usage"] = stated
        exact = {"input_tokens": stated.get("input_tokens", 0), "output_tokens": stated.get("output_tokens", 0)}
        exact["total_tokens"] = sum(exact.values())
        rest = {name: value for name, value in usage.items() if value is not None and exact.get(name) != value}
        known_inner = {"cache_read": counted[1], "cache_creation": counted[2]}
        if all(known_inner.get(name) == value for name, value in inner.items()):
            rest.pop("input_token_details", None)
        if all(name == "reasoning" and value == counted[4] for name, value in outer.items()):
            rest.pop("output_token_details", None)
        data["usage_metadata"] = rest
