"""Anthropic's Messages.

What it cannot take: reasoning that it has not signed itself, pictures by the assistant, system messages in the midst
(they move to the front). They stay in the session."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from sessionstore.adapters import aio, usage
from sessionstore.adapters.base import Adapter, Ask, Delta, Gatherer, Json, Message
from sessionstore.adapters.openai_chat import closing, document, split
from sessionstore.exporters import anthropic
from sessionstore.exporters.report import Report

MAX_TOKENS = 8192
"""How long an answer may be when nothing is said; this interface wants a number."""
_RESPONSE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage", "_request_id"})
_USAGE = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens_details.thinking_tokens",
    }
)


class Anthropic(Adapter):
    """Messages."""

    name = "anthropic"
    provider = "anthropic"
    title = "Anthropic"
    library = "anthropic"
    extra = "anthropic"
    url = "https://api.anthropic.com"
    keys = ("ANTHROPIC_API_KEY",)
    url_names = ("ANTHROPIC_BASE_URL",)

    def request(self, ask: Ask, report: Report) -> Json:
        """The body as the exporter writes it, and the wishes of the question."""
        body = anthropic.request(dict(ask.session), ask.messages, report)
        body |= {"model": ask.model, "max_tokens": ask.max_tokens or MAX_TOKENS}
        wishes: Json = {"temperature": ask.temperature, "top_p": ask.top_p, "stop_sequences": list(ask.stop) or None}
        if ask.tool_choice and "tools" in body:
            wishes["tool_choice"] = _choice(ask.tool_choice)
        if ask.cache:
            wishes["cache_control"] = {"type": "ephemeral"}
        body |= {name: value for name, value in wishes.items() if value is not None}
        if "tools" not in body and (used := _used(body["messages"])):
            body |= {"tools": used, "tool_choice": {"type": "none"}}
        if ask.reasoning is not None:
            _think(ask.reasoning, body, report)
        if ask.prefill:
            body["messages"].append({"role": "assistant", "content": [{"type": "text", "text": ask.prefill.rstrip()}]})
        return body | dict(ask.extra)

    def message(self, response: Json) -> Message:
        """The blocks as parts; blocks that the model has no name for stay as they are."""
        x = usage.without_nothing(response, _RESPONSE)
        x |= usage.without_nothing({"response_id": response.get("id"), "request_id": response.get("_request_id")})
        raw = response.get("usage")
        if more := usage.rest(raw, _USAGE):
            x["usage"] = more
        parts = [part(block) for block in response["content"]]
        message: Message = {"role": "assistant", "parts": parts, "provider": self.provider}
        if isinstance(response.get("model"), str):
            message["model"] = response["model"]
        if isinstance(response.get("stop_reason"), str):
            message["finish_reason"] = response["stop_reason"]
        return usage.put(message, billed(raw), x)

    def gatherer(self) -> Gatherer:
        """For the events of a message."""
        return Events()

    def send(self, body: Json) -> Json:
        """`messages.create`."""
        raw = self.client().messages.with_raw_response.create(**split(body, messages=[], max_tokens=body["max_tokens"]))
        found: Json = raw.parse().to_dict(mode="json")
        return {**found, "_request_id": raw.headers.get("request-id")}

    def open(self, body: Json) -> Iterator[Json]:
        """`messages.create(stream=True)`."""
        return closing(
            self.client().messages.create(**split(body, messages=[], max_tokens=body["max_tokens"]), stream=True)
        )

    async def send_async(self, body: Json) -> Json:
        """`messages.create` of the asynchronous client."""
        given = split(body, messages=[], max_tokens=body["max_tokens"])
        raw = await self.client_async().messages.with_raw_response.create(**given)
        return {**document(await aio.settled(raw.parse())), "_request_id": raw.headers.get("request-id")}

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """The same as a stream."""
        given = split(body, messages=[], max_tokens=body["max_tokens"])
        return aio.closing(await self.client_async().messages.create(**given, stream=True), document)

    def connect(self) -> Any:
        """The client of the library; it does not try again by itself."""
        return self._made("Anthropic")

    def connect_async(self) -> Any:
        """The asynchronous client of the library."""
        return self._made("AsyncAnthropic")

    def _made(self, kind: str) -> Any:
        try:
            import anthropic as library
        except ImportError:
            raise self.missing() from None
        settings = self.settings
        return getattr(library, kind)(
            api_key=self.key(),
            base_url=settings.base_url or self.url,
            timeout=settings.timeout,
            max_retries=0,
            default_headers=dict(settings.headers),
        )


def _choice(wanted: str) -> Json:
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    return {"type": kinds[wanted]} if wanted in kinds else {"type": "tool", "name": wanted}


def _used(messages: list[Json]) -> list[Json]:
    """The tools that were used, by their names: a conversation in which some were is refused without any."""
    blocks = (block for message in messages for block in message["content"])
    names = dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use")
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def _think(much: str | int, body: Json, report: Report) -> None:
    """Let the model think, unless it goes on with a turn that was begun without: that would be refused."""
    spoken = [message for message in body["messages"] if message["role"] == "assistant"]
    if spoken and body["messages"][-1]["content"][0].get("type") == "tool_result":
        begun = spoken[-1]["content"]
        if begun and begun[0]["type"] not in ("thinking", "redacted_thinking"):
            report.tell("reasoning is off while the results of tools are answered that were called without it")
            return
    if isinstance(much, str):
        body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {"effort": much}
    else:
        body["thinking"] = {"type": "enabled", "budget_tokens": much}
        body["max_tokens"] = max(body["max_tokens"], much + 1024)
    for name in ("temperature", "top_p"):
        if body.pop(name, None) is not None:
            report.tell(f"{name} is not taken together with reasoning")


def part(block: Json) -> Json:
    """A content block as a part."""
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "content": block["text"], **usage.without_nothing(block, ("type", "text"))}
    if kind == "thinking":
        made: Json = {"type": "reasoning", "content": block["thinking"]}
        return made | ({"signature": block["signature"]} if block.get("signature") else {})
    if kind == "redacted_thinking":
        return {"type": "reasoning", "content": "", "signature": block["data"], "redacted": True}
    if kind == "tool_use":
        call = {"type": "tool_call", "id": block["id"], "name": block["name"], "arguments": block["input"]}
        return call | usage.without_nothing(block, ("type", "id", "name", "input"))
    return dict(block)


def billed(raw: Any) -> Json:
    """Anthropic counts what comes from the cache and goes to it apart from the input."""
    read, written = usage.figure(raw, "cache_read_input_tokens"), usage.figure(raw, "cache_creation_input_tokens")
    return usage.counted(
        input_tokens=usage.figure(raw, "input_tokens") + read + written,
        output_tokens=usage.figure(raw, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=usage.figure(raw, "output_tokens_details", "thinking_tokens"),
    )


class Events(Gatherer):
    """The events of a message put together."""

    _GROWING: ClassVar[dict[str, str]] = {
        "text_delta": "text",
        "thinking_delta": "thinking",
        "signature_delta": "signature",
    }

    def __init__(self) -> None:
        self._message: Json = {"content": []}
        self._blocks: dict[int, Json] = {}
        self._inputs: dict[int, str] = {}

    def take(self, event: Json) -> Iterator[Delta]:
        """An event."""
        kind = event.get("type")
        if kind == "message_start":
            self._message |= event["message"]
            self._message["_request_id"] = event.get("_request_id")
        elif kind == "content_block_start":
            yield from self._begin(event["index"], event["content_block"])
        elif kind == "content_block_delta":
            yield from self._grow(event["index"], event["delta"])
        elif kind == "message_delta":
            self._message |= usage.without_nothing(event.get("delta") or {})
            counted = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            self._message["usage"] = {**(self._message.get("usage") or {}), **counted}
            self.finished = self.finished or bool(self._message.get("stop_reason"))

    def _begin(self, index: int, block: Json) -> Iterator[Delta]:
        self._blocks[index] = dict(block)
        if block["type"] == "tool_use":
            yield Delta("tool_call", "", index, block.get("name"), block.get("id"))
        elif block.get("text"):
            yield Delta("text", block["text"], index)

    def _grow(self, index: int, delta: Json) -> Iterator[Delta]:
        block, kind = self._blocks[index], delta["type"]
        if kind == "input_json_delta":
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
            yield Delta("tool_call", delta["partial_json"], index)
        elif kind in self._GROWING:
            name = self._GROWING[kind]
            block[name] = (block.get(name) or "") + delta[name]
            if name != "signature":
                yield Delta("text" if name == "text" else "reasoning", delta[name], index)
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]

    def response(self) -> Json:
        """The message."""
        content = []
        for index, block in sorted(self._blocks.items()):
            if index in self._inputs:
                block = {**block, "input": _read(self._inputs[index])}
            content.append(block)
        return {**self._message, "content": content}


def _read(text: str) -> Any:
    """A call's input; as text when it is no JSON, because the answer was cut off."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
