"""Gemini's generateContent.

What it cannot take: reasoning as text (its own comes back by signatures on the parts that follow), system messages in
the midst (they move to the front). They stay in the session."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from enum import Enum
from typing import Any

from sessionstore import canonical
from sessionstore.adapters import usage
from sessionstore.adapters.base import Adapter, Ask, Delta, Gatherer, Json, Message
from sessionstore.exporters import gemini
from sessionstore.exporters.report import Report

FOREIGN_THOUGHT = base64.b64encode(b"skip_thought_signature_validator").decode()
"""What Gemini 3 takes in place of its own signature on a call that another model has made."""
_RESPONSE = frozenset({"responseId", "modelVersion", "candidates", "usageMetadata", "createTime", "sdkHttpResponse"})
_RESPONSE |= {"_request_id", "parsed", "automaticFunctionCallingHistory"}
_USAGE = frozenset(
    {
        "promptTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "totalTokenCount",
    }
)
_CONFIG = {
    "systemInstruction": "systemInstruction",
    "tools": "tools",
    "toolConfig": "toolConfig",
    "safetySettings": "safetySettings",
    "cachedContent": "cachedContent",
}
"""What stands beside `generationConfig` in the body and with its fields in the library's configuration."""


class Gemini(Adapter):
    """generateContent."""

    name = "gemini"
    provider = "google"
    title = "Gemini"
    library = "google-genai"
    extra = "gemini"
    url = "https://generativelanguage.googleapis.com"
    keys = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    url_names = ("GOOGLE_GEMINI_BASE_URL",)

    def request(self, ask: Ask, report: Report) -> Json:
        """The body as the exporter writes it, with configuration and safety settings."""
        body: Json = {"model": ask.model, **gemini.request(dict(ask.session), ask.messages, report)}
        if re.match(r"gemini-([3-9]|\d\d)", ask.model):
            _sign(body["contents"])
        wishes: Json = {"maxOutputTokens": ask.max_tokens, "temperature": ask.temperature, "topP": ask.top_p}
        wishes |= {"stopSequences": list(ask.stop) or None}
        if isinstance(ask.reasoning, str):
            wishes["thinkingConfig"] = {"includeThoughts": True, "thinkingLevel": ask.reasoning.upper()}
        elif ask.reasoning is not None:
            wishes["thinkingConfig"] = {"includeThoughts": True, "thinkingBudget": ask.reasoning}
        if found := {name: value for name, value in wishes.items() if value is not None}:
            body["generationConfig"] = found
        if ask.tool_choice and "tools" in body:
            body["toolConfig"] = {"functionCallingConfig": _choice(ask.tool_choice)}
        if ask.safety:
            body["safetySettings"] = [dict(one) for one in ask.safety]
        if ask.prefill:
            report.tell("the beginning of an answer is not taken by this interface")
        return body | dict(ask.extra)

    def message(self, response: Json) -> Message:
        """The first candidate; further ones stay in `x`. A prompt that was blocked is an answer without parts."""
        first, *others = response.get("candidates") or [{}]
        x = usage.without_nothing(response, _RESPONSE)
        kept = {"response_id": response.get("responseId"), "request_id": response.get("_request_id")}
        x |= usage.without_nothing(kept) | usage.without_nothing(first, ("content", "finishReason", "index"))
        if others:
            x["candidates"] = others
        raw = response.get("usageMetadata")
        if more := usage.rest(raw, _USAGE):
            x["usage"] = more
        if not first and "promptFeedback" not in x:
            raise ValueError("no candidate")
        parts = [part(one) for one in (first.get("content") or {}).get("parts") or ()]
        message: Message = {"role": "assistant", "parts": _joined(parts), "provider": self.provider}
        if isinstance(response.get("modelVersion"), str):
            message["model"] = response["modelVersion"]
        reason = first.get("finishReason") or (x.get("promptFeedback") or {}).get("blockReason")
        if isinstance(reason, str):
            message["finish_reason"] = reason
        return usage.put(message, _billed(raw), x)

    def gatherer(self) -> Gatherer:
        """For the pieces of a response."""
        return Pieces()

    def send(self, body: Json) -> Json:
        """`models.generate_content`."""
        return document(self.client().models.generate_content(**_arguments(body)))

    def open(self, body: Json) -> Iterator[Json]:
        """`models.generate_content_stream`. The library sends nothing before the first piece is wanted."""
        pieces = self.client().models.generate_content_stream(**_arguments(body))
        first = next(pieces, None)
        return _documents(first, pieces)

    async def send_async(self, body: Json) -> Json:
        """`models.generate_content` of the asynchronous client."""
        return document(await self.client_async().models.generate_content(**_arguments(body)))

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """The same as a stream."""
        pieces = await self.client_async().models.generate_content_stream(**_arguments(body))
        return _documents_async(await anext(pieces, None), pieces)

    def connect_async(self) -> Any:
        """The asynchronous client of the library."""
        return self.connect().aio

    def connect(self) -> Any:
        """The client of the library; it does not try again by itself."""
        try:
            from google import genai
        except ImportError:
            raise self.missing() from None
        settings = self.settings
        address, _, version = (settings.base_url or self.url).rstrip("/").rpartition("/")
        if not re.fullmatch(r"v\d\w*", version):
            address, version = f"{address}/{version}", "v1beta"
        options: Any = {
            "base_url": address,
            "api_version": version,
            "timeout": int(settings.timeout * 1000),
            "headers": dict(settings.headers),
            "retry_options": {"attempts": 1},
        }
        return genai.Client(api_key=self.key(), enterprise=False, http_options=options)


def _arguments(body: Json) -> Json:
    """The body as the arguments of the library, which has the configuration in one place and bytes as bytes."""
    from google.genai import types

    contents = [types.Content.model_validate_json(json.dumps(one)) for one in body["contents"]]
    config = {**body.get("generationConfig", {}), **{name: body[name] for name in _CONFIG if name in body}}
    known = {"model", "contents", "generationConfig", *_CONFIG}
    if more := {name: value for name, value in body.items() if name not in known}:
        config["httpOptions"] = {"extraBody": more}
    made = types.GenerateContentConfig.model_validate_json(json.dumps(config))
    made.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
    return {"model": body["model"], "contents": contents, "config": made}


def document(response: Any) -> Json:
    """A library's object as JSON in the interface's own names; bytes are base64 again."""
    headers = getattr(getattr(response, "sdk_http_response", None), "headers", None) or {}
    dumped = response.model_dump(by_alias=True, exclude_none=True, exclude={"sdk_http_response", "parsed"})
    found: Json = canonical.clean(_plain(dumped))
    named = {name.lower(): value for name, value in headers.items()}
    ident = named.get("x-request-id") or named.get("x-goog-request-id")
    return {**found, "_request_id": ident}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


async def _documents_async(first: Any, pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[Json, None]:
    try:
        if first is not None:
            yield document(first)
        async for piece in pieces:
            yield document(piece)
    finally:
        await pieces.aclose()


def _documents(first: Any, pieces: Generator[Any]) -> Iterator[Json]:
    try:
        if first is not None:
            yield document(first)
        for piece in pieces:
            yield document(piece)
    finally:
        pieces.close()


def _choice(wanted: str) -> Json:
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    if wanted in modes:
        return {"mode": modes[wanted]}
    return {"mode": "ANY", "allowedFunctionNames": [wanted]}


def _sign(contents: list[Json]) -> None:
    """Give the calls of the turn that is under way a signature, where they have none because another model has made
    them: without one Gemini 3 refuses the request."""
    for item in reversed(contents):
        if item["role"] == "user" and not any("functionResponse" in one for one in item["parts"]):
            return
        called = next((one for one in item["parts"] if "functionCall" in one), None)
        if called is not None:
            called.setdefault("thoughtSignature", FOREIGN_THOUGHT)


def part(given: Json) -> Json:
    """A part of a content as one of ours."""
    signature = {"thoughtSignature": given["thoughtSignature"]} if given.get("thoughtSignature") else {}
    known = ("text", "thought", "thoughtSignature", "functionCall", "inlineData")
    more = usage.without_nothing(given, known)
    if "functionCall" in given:
        call = given["functionCall"]
        ident = call.get("id") or f"call_{uuid.uuid4().hex[:16]}"
        arguments = call.get("args") or {}
        return {"type": "tool_call", "id": ident, "name": call["name"], "arguments": arguments, **signature, **more}
    if "text" in given:
        kind = "reasoning" if given.get("thought") else "text"
        return {"type": kind, "content": given["text"], **signature, **more}
    if "inlineData" in given:
        data = given["inlineData"]
        mime = data["mimeType"]
        made = {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "data": data["data"]}
        return made | signature | more
    return {"type": "record", "record": given}


def _joined(parts: list[Json]) -> list[Json]:
    """The parts, where pieces of one text that came one after the other are one."""
    found: list[Json] = []
    for one in parts:
        last = found[-1] if found else {}
        alike = one["type"] in ("text", "reasoning") and last.get("type") == one["type"]
        if alike and "thoughtSignature" not in last:
            found[-1] = {**last, **one, "content": last["content"] + one["content"]}
        else:
            found.append(one)
    # Only a signature may come with an empty text: it belongs to what stands before.
    return [one for one in found if one.get("content") != "" or "thoughtSignature" in one]


def _billed(raw: Any) -> Json:
    thought = usage.figure(raw, "thoughtsTokenCount")
    return usage.counted(
        input_tokens=usage.figure(raw, "promptTokenCount") + usage.figure(raw, "toolUsePromptTokenCount"),
        output_tokens=usage.figure(raw, "candidatesTokenCount") + thought,
        cache_read_tokens=usage.figure(raw, "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )


class Pieces(Gatherer):
    """The pieces of a response put together: parts follow each other, anything else is as it was said last."""

    def __init__(self) -> None:
        self._top: Json = {}
        self._first: Json = {}
        self._parts: list[Json] = []

    def take(self, event: Json) -> Iterator[Delta]:
        """A piece."""
        self._top |= {name: value for name, value in event.items() if name != "candidates" and value is not None}
        self.finished = self.finished or bool((event.get("promptFeedback") or {}).get("blockReason"))
        for one in event.get("candidates") or ():
            if one.get("index", 0):
                continue
            parts = (one.get("content") or {}).get("parts") or []
            for given in parts:
                yield from self._grow(given)
            self._first |= {name: value for name, value in one.items() if name != "content"}
            self.finished = self.finished or bool(one.get("finishReason"))

    def _grow(self, given: Json) -> Iterator[Delta]:
        self._parts.append(given)
        if "functionCall" in given:
            call = given["functionCall"]
            arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
            yield Delta("tool_call", arguments, len(self._parts), call.get("name"), call.get("id"))
        elif given.get("text"):
            yield Delta("reasoning" if given.get("thought") else "text", given["text"])

    def response(self) -> Json:
        """The response."""
        first = {**self._first, "content": {"role": "model", "parts": self._parts}}
        blocked = not self._first and not self._parts and "promptFeedback" in self._top
        return {**self._top, "candidates": [] if blocked else [first]}
