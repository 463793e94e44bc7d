"""A conversation in the two forms of mcp-cli's `/export`, byte for byte."""

from __future__ import annotations

import json
from typing import Any

from sessionstore.compat._mcp_cli_shapes import present

LONGEST = 2000
"""Characters of a tool's result that Markdown shows."""


class MarkdownExporter:
    """A conversation for people. Tool results are cut: this is no form to read back."""

    @staticmethod
    def export(messages: list[dict[str, Any]], metadata: dict[str, Any] | None = None) -> str:
        """The whole document, without a newline at its end."""
        lines = ["# Chat Export", ""]
        if metadata:
            lines += ["## Metadata", "", *(f"- **{name}**: {value}" for name, value in metadata.items()), ""]
        lines += ["---", ""]
        for message in messages:
            lines += _section(message)
        return "\n".join(lines)


class JSONExporter:
    """A conversation for programs, and for `sessionstore migrate`."""

    @staticmethod
    def export(
        messages: list[dict[str, Any]],
        metadata: dict[str, Any] | None = None,
        token_usage: dict[str, Any] | None = None,
    ) -> str:
        """Two-space JSON in ASCII; what JSON does not know is written as its text."""
        document: dict[str, Any] = {"version": "1.0", "exported_at": present()}
        if metadata:
            document["metadata"] = metadata
        if token_usage:
            document["token_usage"] = token_usage
        document["messages"] = messages
        return json.dumps(document, indent=2, default=str)


def _section(message: dict[str, Any]) -> list[str]:
    role, text = message.get("role", "unknown"), _text(message.get("content", ""))
    if role == "system":
        return ["### System", "", f"> {text}", ""]
    if role == "user":
        return ["### User", "", text, ""]
    if role == "assistant":
        said = [text, ""] if text else []
        return ["### Assistant", "", *said, *(line for call in message.get("tool_calls") or () for line in _call(call))]
    if role == "tool":
        fenced = ["```", text[:LONGEST], "```", ""]
        return [f"### Tool Result (`{message.get('tool_call_id', '')}`)", "", *fenced]
    return []


def _call(call: Any) -> list[str]:
    function = call.get("function", {}) if isinstance(call, dict) else {}
    given = function.get("arguments", "{}")
    try:
        shown = json.dumps(json.loads(given) if isinstance(given, str) else given, indent=2)
    except (TypeError, ValueError):
        shown = str(given)
    return [f"**Tool Call**: `{function.get('name', 'unknown')}`", "", "```json", shown, "```", ""]


def _text(content: Any) -> str:
    """What a message says: a text as it is, the texts of a list of blocks, anything else as JSON."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "\n".join(_block(block) for block in content)
    return json.dumps(content, ensure_ascii=False, default=str)


def _block(block: Any) -> str:
    if isinstance(block, dict) and isinstance(block.get("text"), str):
        return str(block["text"])
    if isinstance(block, dict):
        return f"[{block.get('type', 'unknown')}]"
    return str(block)
