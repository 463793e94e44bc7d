"""Anthropic Messages: the body of a request, as `messages.create` takes it, one line for each session.

`model` is the one that spoke last, `max_tokens` has to be there and is a usual value: set both to what you want.
Reasoning is taken along where its signature is Anthropic's; any other would be refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.tools import definitions
from sessionstore.exporters.turns import BEGINNING, Call, Dialogue, Ids, Turn, split_system, turns

Block = dict[str, Any]
MAX_TOKENS = 4096
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """One line."""
    yield content.dumps(request(revision, messages, report)) + "\n"


def request(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> dict[str, Any]:
    """The body of the request."""
    ids = Ids("[^a-zA-Z0-9_-]", 64)
    system, rest = split_system(revision, turns(messages, report, ids, merged=True), report)
    model = _model(rest, revision)
    if not model:
        report.tell("no model is known; set one")
    body: dict[str, Any] = {"model": model or "unknown", "max_tokens": MAX_TOKENS}
    if system:
        body["system"] = [{"type": "text", "text": text} for text in system]
    body["messages"] = _alternating(rest, revision, report)
    if tools := definitions(revision, report):
        body["tools"] = [
            {"name": ids.fit(tool.name, "unnamed"), "description": tool.description, "input_schema": tool.schema}
            for tool in tools
        ]
    return body


def _model(found: list[Turn], revision: dict[str, Any]) -> str:
    said = (message.get("model") for turn in reversed(found) for message in reversed(turn.messages))
    return next((str(model) for model in said if model), "") or str((revision.get("models") or [""])[-1])


def _alternating(found: list[Turn], revision: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    """The messages; the results of a turn's calls begin the user's next one."""
    dialogue = Dialogue("content")
    for turn in found:
        dialogue.say(turn.role, _blocks(turn, revision, report))
        dialogue.say("user", [_result(call, report) for call in turn.calls])
    return dialogue.finish({"type": "text", "text": BEGINNING}, report)


def _blocks(turn: Turn, revision: dict[str, Any], report: Report) -> list[Block]:
    blocks = []
    for part, message in zip(turn.parts, turn.messages, strict=True):
        if isinstance(part, Call):
            arguments, wrapped = content.arguments_object(part.arguments)
            report.count("tool arguments that are no object wrapped in one", int(wrapped))
            blocks.append({"type": "tool_use", "id": part.id, "name": part.name, "input": arguments})
        elif part["type"] == "reasoning":
            maker = content.maker_of(message, revision) if turn.role == "assistant" else ""
            if (block := thinking(part, maker, report)) is not None:
                blocks.append(block)
        elif turn.role == "assistant" and part["type"] != "text":
            report.count("images and files of the assistant left out")
        elif (block := _block(part, report)) is not None:
            blocks.append(block)
    return blocks


def thinking(part: dict[str, Any], maker: str, report: Report) -> Block | None:
    """A reasoning part as a thinking block; None for one that Anthropic has not signed."""
    signature = part.get("signature")
    if not isinstance(signature, str) or not signature:
        report.count("reasoning without signature left out")
        return None
    if maker != "anthropic":
        report.count("reasoning signed by another provider left out")
        return None
    if part.get("redacted") is True:
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": content.plain_text(part), "signature": signature}


def _result(call: Call, report: Report) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": call.id}
    inside = [found for part in call.result if (found := _block(part, report)) is not None]
    if inside:
        block["content"] = inside
    if call.is_error:
        block["is_error"] = True
    return block


def _block(part: dict[str, Any], report: Report) -> Block | None:
    """Text, an image or a document as a content block."""
    if part["type"] == "text":
        text = content.plain_text(part)
        return {"type": "text", "text": text} if text.strip() else None
    block = media(part)
    if block is None:
        report.count("images and files of a kind this interface does not take left out")
    return block


def media(part: dict[str, Any]) -> Block | None:
    """A blob or uri part as an image or document block; None for what is neither."""
    if part["type"] == "uri" and content.is_link(part.get("uri")):
        modality = part.get("modality", "image")
        kind = {"image": "image", "document": "document"}.get(str(modality))
        return {"type": kind, "source": {"type": "url", "url": part["uri"]}} if kind else None
    found = content.blob(part) if part["type"] == "blob" else None
    if found is None:
        return None
    mime, data = found
    kind = "image" if mime in _IMAGES else "document" if mime == "application/pdf" else None
    return {"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}} if kind else None
