"""Messages in the OpenAI chat dialect as the stores of llm-mcp-server hold them: ids stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report

Record = dict[str, Any]


def records(message: Record, own: bool, report: Report) -> Iterator[Record]:
    """The records of a message: one, and one more for each further tool result. `own` messages get back the fields
    that the model has no name for."""
    parts, role = message["parts"], message["role"]
    if own and message.get("kind") == "meta" and [part.get("type") for part in parts] == ["record"]:
        yield parts[0]["record"]
        return
    rest = {name: value for name, value in (message.get("x") or {}).items() if name != "time"} if own else {}
    results = [part for part in parts if part["type"] == "tool_call_response"]
    others = [part for part in parts if part["type"] != "tool_call_response"]
    for part in results:
        yield {"role": "tool", "tool_call_id": str(part.get("id") or ""), "content": _result(part, report), **rest}
    if results and not others:
        return
    record: Record = {"role": "user" if role == "tool" else role}
    said = [item for part in others if (item := _item(part, own, report)) is not None]
    if all(item.keys() == {"type", "text"} and item["type"] == "text" for item in said) and len(said) <= 1:
        record["content"] = said[0]["text"] if said else ""
    else:
        record["content"] = said
    thoughts = [content.plain_text(part) for part in others if part["type"] == "reasoning"]
    if any(thoughts):
        record["reasoning_content"] = "\n\n".join(filter(None, thoughts))
    calls = [_call(part) for part in others if part["type"] == "tool_call"]
    if calls:
        record["tool_calls"] = calls
    if message.get("kind") == "prefill":
        record["partial"] = True
    elif message.get("kind") not in (None, "switch"):
        report.count(f"marks of kind {message['kind']} left out")
    if said or calls or thoughts or not others:
        yield {**record, **rest}


def _result(part: Record, report: Report) -> str:
    found = content.contents(part.get("response"))
    report.count("images in tool results left out", sum(item["type"] != "text" for item in found))
    report.count("failure marks of tool results left out", int(part.get("is_error") is True))
    return "\n".join(item["content"] for item in found if item["type"] == "text")


def _item(part: Record, own: bool, report: Report) -> Record | None:
    kind = part["type"]
    if kind == "text":
        return {"type": "text", "text": content.plain_text(part)}
    if kind == "reasoning":
        report.count("signatures of reasoning left out", int(bool(part.get("signature"))))
        return None
    if kind == "tool_call":
        return None
    if kind == "uri" and isinstance(part.get("uri"), str) and part.get("modality", "image") == "image":
        return {"type": "image_url", "image_url": {"url": part["uri"]}}
    found = content.blob(part) if kind == "blob" else None
    if found and found[0].startswith("image/"):
        return {"type": "image_url", "image_url": {"url": content.data_uri(*found)}}
    if own and kind != "blob":
        record = part.get("record")
        return record if kind == "record" and isinstance(record, dict) else part
    report.count(f"parts of type {kind} left out")
    return None


def _call(part: Record) -> Record:
    function = {"name": str(part.get("name") or ""), "arguments": content.arguments_string(part.get("arguments"))}
    return {"id": str(part.get("id") or ""), "type": "function", "function": function}
