"""The parts of a message as Claude Code's content blocks, tool calls and results under ids that pair them."""

from __future__ import annotations

from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.anthropic import media, thinking
from sessionstore.exporters.report import Report
from sessionstore.exporters.turns import Ids, OpenCalls

Block = dict[str, Any]
_KNOWN = {
    "text": {"type", "content"},
    "reasoning": {"type", "content", "signature", "redacted"},
    "tool_call": {"type", "id", "name", "arguments"},
    "tool_call_response": {"type", "id", "response", "is_error"},
    "blob": {"type", "modality", "mime_type", "data", "object", "bytes"},
    "uri": {"type", "modality", "uri"},
}
_NESTED = frozenset({"text", "image", "document", "search_result", "tool_reference"})
"""Blocks that a tool result may hold, as Claude Code writes them."""


class Blocks:
    """Turns the parts of one session's messages into blocks."""

    def __init__(self, revision: dict[str, Any], report: Report) -> None:
        self.revision, self.report = revision, report
        self.own = revision.get("source") == "claude-code"
        self._ids = Ids("[^a-zA-Z0-9_-]", 64)
        self._open: OpenCalls[str] = OpenCalls()

    def of(self, message: dict[str, Any]) -> list[Block]:
        """The content of a message."""
        found = (self._block(part, message) for part in message["parts"])
        return [block for block in found if block is not None]

    def _block(self, part: dict[str, Any], message: dict[str, Any]) -> Block | None:
        kind = part["type"]
        block: Block | None = None
        if kind == "text":
            block = {"type": "text", "text": content.plain_text(part)}
        elif kind == "reasoning":
            block = thinking(part, content.maker_of(message, self.revision), self.report)
            if block is None:
                return None
        elif kind == "tool_call":
            block = self._call(part)
        elif kind == "tool_call_response":
            block = self._result(part)
        elif kind in ("blob", "uri"):
            block = media(part)
        elif self.own:
            return _verbatim(part)
        if block is None:
            self.report.count(f"parts of type {kind} left out")
            return None
        if self.own:
            block |= {name: value for name, value in part.items() if name not in _KNOWN[kind] and name not in block}
        return block

    def _call(self, part: dict[str, Any]) -> Block:
        raw = str(part.get("id") or "")
        ident = raw if self.own else self._ids.unique(raw)
        self._open.add(raw, ident)
        arguments: Any = part.get("arguments")
        if not (self.own and isinstance(arguments, dict)):
            arguments, wrapped = content.arguments_object(arguments)
            self.report.count("tool arguments that are no object wrapped in one", int(wrapped))
        return {"type": "tool_use", "id": ident, "name": str(part.get("name") or ""), "input": arguments}

    def _result(self, part: dict[str, Any]) -> Block:
        raw = str(part.get("id") or "")
        ident = raw if self.own else self._open.answer(raw) or self._ids.fit(raw, "call")
        block: Block = {"type": "tool_result", "tool_use_id": ident}
        told = self._told(part.get("response"))
        if told is not None:
            block["content"] = told
        if part.get("is_error") is True:
            block["is_error"] = True
        return block

    def _told(self, response: Any) -> Any:
        if response is None or isinstance(response, str):
            return response
        if isinstance(response, list):
            return [found for item in response if (found := self._nested(item)) is not None]
        return "\n".join(content.texts(content.contents(response)))

    def _nested(self, item: Any) -> Block | None:
        if isinstance(item, dict) and item.get("type") in _NESTED and ("content" not in item or self.own):
            return item
        [part] = content.contents([item])
        if part["type"] == "text":
            return {"type": "text", "text": content.plain_text(part)}
        block = media(part)
        self.report.count("images in tool results left out", int(block is None))
        return block


def _verbatim(part: dict[str, Any]) -> Block:
    """A block that was not understood when it was imported, as it was."""
    record = part.get("record")
    return dict(record) if part["type"] == "record" and isinstance(record, dict) else part
