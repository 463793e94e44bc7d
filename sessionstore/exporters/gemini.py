"""Gemini: the body of a `generateContent` request, one line for each session: `contents` with parts, `functionCall` and
`functionResponse` paired, `systemInstruction`, `tools`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.tools import definitions
from sessionstore.exporters.turns import BEGINNING, Call, Dialogue, Ids, Turn, split_system, turns

Part = dict[str, Any]


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """One line."""
    yield content.dumps(request(revision, messages, report)) + "\n"


def request(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> dict[str, Any]:
    """The body of the request."""
    ids = Ids("[^a-zA-Z0-9_.-]", 64)
    system, rest = split_system(revision, turns(messages, report, ids, merged=True), report)
    body: dict[str, Any] = {}
    if system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    body["contents"] = _alternating(rest, report)
    if tools := definitions(revision, report):
        declared = [
            {
                "name": ids.fit(tool.name, "unnamed"),
                "description": tool.description,
                "parametersJsonSchema": tool.schema,
            }
            for tool in tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
    return body


def _alternating(found: list[Turn], report: Report) -> list[dict[str, Any]]:
    """The contents; the responses to a turn's calls begin the user's next one."""
    dialogue = Dialogue("parts")
    for turn in found:
        role = "model" if turn.role == "assistant" else "user"
        dialogue.say(role, [made for part in turn.parts if (made := _part(part, report)) is not None])
        dialogue.say("user", [_response(call, report) for call in turn.calls])
    return dialogue.finish({"text": BEGINNING}, report)


def _part(part: Part | Call, report: Report) -> Part | None:
    if isinstance(part, Call):
        return _call(part, report)
    if part["type"] == "reasoning":
        report.count("reasoning left out")
        return None
    if part["type"] == "text":
        text = content.plain_text(part)
        return _signed({"text": text}, part) if text.strip() else None
    made = _media(part)
    if made is None:
        report.count("images and files that cannot be read left out")
    return made


def _call(call: Call, report: Report) -> Part:
    arguments, wrapped = content.arguments_object(call.arguments)
    report.count("tool arguments that are no object wrapped in one", int(wrapped))
    return _signed({"functionCall": {"id": call.id, "name": call.name, "args": arguments}}, call.part)


def _signed(made: Part, part: Part) -> Part:
    """With the signature that Gemini itself has given the part."""
    signature = part.get("thoughtSignature")
    if isinstance(signature, str) and signature and content.is_base64(signature):
        made["thoughtSignature"] = signature
    return made


def _response(call: Call, report: Report) -> Part:
    """The response to a call. An object stays one; text is `output`, or `error` when the call has failed."""
    if isinstance(call.response, dict) and not call.is_error:
        told = call.response
    else:
        told = {"error" if call.is_error else "output": "\n".join(content.texts(call.result))}
    response: Part = {"id": call.id, "name": call.name, "response": told}
    pictures = [_media(part) for part in call.result if part["type"] != "text"]
    if shown := [picture for picture in pictures if picture is not None]:
        response["parts"] = shown
    report.count("images and files that cannot be read left out", len(pictures) - len(shown))
    return {"functionResponse": response}


def _media(part: Part) -> Part | None:
    if part["type"] == "uri" and content.is_link(part.get("uri")):
        return {"fileData": {"fileUri": part["uri"]}}
    found = content.blob(part) if part["type"] == "blob" else None
    return {"inlineData": {"mimeType": found[0], "data": found[1]}} if found else None
