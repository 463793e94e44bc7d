"""OpenAI chat messages: a line `{"messages": [...], "tools"?: [...]}` for each session, as the Chat Completions
interface takes them and fine-tuning files hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.tools import definitions
from sessionstore.exporters.turns import Ids, Turn, turns

FORBIDDEN = "[^a-zA-Z0-9_-]"
"""What the id of a tool call may not hold."""
_SOUND = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """One line."""
    yield content.dumps(request(revision, messages, report)) + "\n"


def request(
    revision: dict[str, Any],
    messages: Iterable[dict[str, Any]],
    report: Report,
    *,
    forbidden: str = FORBIDDEN,
    thinker: str = "",
) -> dict[str, Any]:
    """The messages and tools of a request. A provider of this dialect whose models see what they have thought is the
    `thinker` (as `content.maker_of` names it): their reasoning goes along as `reasoning_content`."""
    listed: list[dict[str, Any]] = []
    system = content.texts([part for part in revision.get("system") or () if isinstance(part, dict)])
    listed += [{"role": "system", "content": text} for text in system]
    ids = Ids(forbidden, 40)
    for turn in turns(messages, report, ids, merged=False):
        thoughts = _thoughts(turn, revision, thinker) if thinker else ""
        listed += _turn(turn, report, thoughts)
    line: dict[str, Any] = {"messages": listed}
    if tools := definitions(revision, report):
        line["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": ids.fit(tool.name, "unnamed"),
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            }
            for tool in tools
        ]
    return line


def _thoughts(turn: Turn, revision: dict[str, Any], thinker: str) -> str:
    said = zip(turn.parts, turn.messages, strict=True)
    found = [
        content.plain_text(part)
        for part, message in said
        if isinstance(part, dict) and part["type"] == "reasoning" and content.maker_of(message, revision) == thinker
    ]
    return "\n\n".join(filter(None, found)) if turn.role == "assistant" else ""


def _turn(turn: Turn, report: Report, thoughts: str = "") -> Iterator[dict[str, Any]]:
    if turn.role == "user":
        said = _user_content(turn.speech, report)
        if said:
            yield {"role": "user", "content": said}
        return
    text = "\n\n".join(content.texts(turn.speech))
    if not thoughts:
        _count_unheld(turn, report)
    if turn.role == "system":
        if text:
            yield {"role": "system", "content": text}
        return
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if thoughts:
        message["reasoning_content"] = thoughts
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": content.arguments_string(call.arguments)},
            }
            for call in turn.calls
        ]
    if text or turn.calls:
        yield message
    for call in turn.calls:
        told = "\n".join(content.texts(call.result))
        report.count("images in tool results left out", sum(part["type"] != "text" for part in call.result))
        report.count("failure marks of tool results left out", int(call.is_error and call.answered))
        yield {"role": "tool", "tool_call_id": call.id, "content": told}


def _count_unheld(turn: Turn, report: Report) -> None:
    for part in turn.speech:
        if part["type"] == "reasoning":
            report.count("reasoning left out")
        elif part["type"] != "text":
            report.count(f"images and files of the {turn.role} left out")


def _user_content(parts: list[dict[str, Any]], report: Report) -> str | list[dict[str, Any]]:
    """A plain text, or a list of items as soon as something else is among them."""
    items = [item for part in parts if (item := _item(part, report)) is not None]
    if all(item["type"] == "text" for item in items):
        return "\n\n".join(item["text"] for item in items)
    return items


def _item(part: dict[str, Any], report: Report) -> dict[str, Any] | None:
    kind = part["type"]
    if kind == "text":
        text = content.plain_text(part)
        return {"type": "text", "text": text} if text.strip() else None
    if kind == "uri" and content.is_link(part.get("uri")) and part.get("modality", "image") == "image":
        return {"type": "image_url", "image_url": {"url": part["uri"]}}
    found = content.blob(part) if kind == "blob" else None
    if found is None:
        report.count("reasoning left out" if kind == "reasoning" else "images and files that cannot be read left out")
        return None
    mime, data = found
    if mime.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": content.data_uri(mime, data)}}
    if mime in _SOUND:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _SOUND[mime]}}
    return {"type": "file", "file": {"filename": "file", "file_data": content.data_uri(mime, data)}}
