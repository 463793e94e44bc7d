"""OpenAI's Chat Completions, and every server that speaks the same dialect (give its `base_url`).

What it cannot take: reasoning, images in tool results, pictures by the assistant. They stay in the session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, ClassVar

from sessionstore import errors
from sessionstore.adapters import aio, usage
from sessionstore.adapters.base import Adapter, Ask, Delta, Gatherer, Json, Message
from sessionstore.exporters import openai
from sessionstore.exporters.report import Report
from sessionstore.importers.openai_messages_parts import chat_message

_RESPONSE = frozenset({"id", "object", "created", "model", "choices", "usage", "_request_id"})
_USAGE = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.cache_write_tokens",
        "completion_tokens_details.reasoning_tokens",
    }
)


class OpenAIChat(Adapter):
    """Chat Completions."""

    name = "openai"
    provider = "openai"
    title = "OpenAI"
    library = "openai"
    extra = "openai"
    url = "https://api.openai.com/v1"
    keys: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    url_names: ClassVar[tuple[str, ...]] = ("OPENAI_BASE_URL",)
    limit = "max_completion_tokens"

    def request(self, ask: Ask, report: Report) -> Json:
        """Messages and tools as the exporter writes them, and the wishes of the question."""
        body: Json = {"model": ask.model, **self.conversation(ask, report)}
        wishes: Json = {self.limit: ask.max_tokens, "temperature": ask.temperature, "top_p": ask.top_p}
        wishes |= {"stop": list(ask.stop) or None}
        if ask.tool_choice and "tools" in body:
            wishes["tool_choice"] = choice(ask.tool_choice)
        body |= {name: value for name, value in wishes.items() if value is not None}
        self.wish(ask, body, report)
        return body | dict(ask.extra)

    def conversation(self, ask: Ask, report: Report) -> Json:
        """`messages` and `tools`."""
        return openai.request(dict(ask.session), ask.messages, report)

    def wish(self, ask: Ask, body: Json, report: Report) -> None:
        """Add to the body what the providers of this dialect do not agree upon."""
        if isinstance(ask.reasoning, str):
            body["reasoning_effort"] = ask.reasoning
        elif ask.reasoning is not None:
            report.tell("a number of tokens for reasoning is not taken by this interface")
        if ask.prefill:
            report.tell("the beginning of an answer is not taken by this interface")

    def message(self, response: Json) -> Message:
        """The first choice; further ones stay in `x`."""
        first, *others = response["choices"]
        record = usage.without_nothing(first["message"])
        refusal = record.pop("refusal", None)
        made = chat_message({"content": record.get("content") or refusal, **record, "role": "assistant"})
        if made is None:
            raise ValueError("no chat message")
        x = {**made.get("x", {}), **usage.without_nothing(response, _RESPONSE)}
        x |= usage.without_nothing({"response_id": response.get("id"), "request_id": response.get("_request_id")})
        x |= usage.without_nothing(first, ("index", "message", "finish_reason"))
        if refusal:
            x["refusal"] = True
        if others:
            x["choices"] = others
        raw = response.get("usage")
        if more := usage.rest(raw, _USAGE):
            x["usage"] = more
        parts = [part for part in made["parts"] if part != {"type": "text", "content": ""}]
        message: Message = {"role": "assistant", "parts": parts, "provider": self.provider}
        if isinstance(response.get("model"), str):
            message["model"] = response["model"]
        if isinstance(first.get("finish_reason"), str):
            message["finish_reason"] = first["finish_reason"]
        return usage.put(message, _usage(raw), x)

    def gatherer(self) -> Gatherer:
        """For chunks of a completion."""
        return Chunks()

    def send(self, body: Json) -> Json:
        """`chat.completions.create`."""
        raw = self.client().chat.completions.with_raw_response.create(**split(body, messages=[]))
        response = raw.parse()
        return {**document(response), "_request_id": raw.headers.get("x-request-id")}

    def open(self, body: Json) -> Iterator[Json]:
        """`chat.completions.create(stream=True)`, with the usage at the end."""
        body = {"stream_options": {"include_usage": True}, **body}
        events = self.client().chat.completions.create(**split(body, messages=[]), stream=True)
        return closing(events)

    async def send_async(self, body: Json) -> Json:
        """`chat.completions.create` of the asynchronous client."""
        client = self.client_async()
        raw = await client.chat.completions.with_raw_response.create(**split(body, messages=[]))
        return {**document(await aio.settled(raw.parse())), "_request_id": raw.headers.get("x-request-id")}

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """The same as a stream."""
        body = {"stream_options": {"include_usage": True}, **body}
        events = await self.client_async().chat.completions.create(**split(body, messages=[]), stream=True)
        return aio.closing(events, document)

    def connect(self) -> Any:
        """The client of the library; it does not try again by itself."""
        return self._made("OpenAI")

    def connect_async(self) -> Any:
        """The asynchronous client of the library."""
        return self._made("AsyncOpenAI")

    def _made(self, kind: str) -> Any:
        try:
            import openai
        except ImportError:
            raise self.missing() from None
        settings = self.settings
        return getattr(openai, kind)(
            api_key=self.key(),
            base_url=settings.base_url or self.url,
            timeout=settings.timeout,
            max_retries=0,
            default_headers=dict(settings.headers),
        )


def split(body: Json, **empty: Any) -> Json:
    """The body as arguments for the library. It has its wire form already; the libraries' own way to that form takes
    longer than all the rest (100 ms for 1,000 messages), and knows no field that is newer. So they are given the
    arguments they insist on, `empty`, and the body to send in their place."""
    return {"model": body["model"], **empty, "extra_body": body}


def choice(wanted: str) -> Any:
    """Which tool shall be used, in this dialect."""
    if wanted in ("auto", "none", "required"):
        return wanted
    return {"type": "function", "function": {"name": wanted}}


def document(response: Any) -> Json:
    """A library's object as the JSON it was made of."""
    if not hasattr(response, "to_dict"):
        raise errors.AnswerInvalid(provider="the provider", reason="it is no JSON object")
    found: Json = response.to_dict(mode="json")
    return found


def closing(events: Any) -> Generator[Json]:
    """A library's events as JSON; the connection is closed when they end or are no longer wanted."""
    headers = getattr(getattr(events, "response", None), "headers", {})
    ident = headers.get("x-request-id") or headers.get("request-id")
    try:
        for event in events:
            yield {**document(event), "_request_id": ident}
    finally:
        events.close()


def _usage(raw: Any) -> Json:
    read = usage.figure(raw, "prompt_tokens_details", "cached_tokens") or usage.figure(raw, "cached_tokens")
    return usage.counted(
        input_tokens=usage.figure(raw, "prompt_tokens"),
        output_tokens=usage.figure(raw, "completion_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=usage.figure(raw, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=usage.figure(raw, "completion_tokens_details", "reasoning_tokens"),
    )


class Chunks(Gatherer):
    """Chunks put together: strings grow, calls by their index, anything else is as it was said last."""

    _GROWING = ("content", "refusal", "reasoning_content", "reasoning")

    def __init__(self) -> None:
        self._top: Json = {}
        self._message: Json = {}
        self._calls: dict[int, Json] = {}
        self._reason: str | None = None

    def take(self, event: Json) -> Iterator[Delta]:
        """A chunk."""
        choices = event.get("choices") or []
        self._top |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        for one in choices:
            if one.get("index", 0):
                continue
            yield from self._grow(one.get("delta") or {})
            if isinstance(one.get("usage"), dict):  # Moonshot puts it here
                self._top.setdefault("usage", one["usage"])
            if one.get("finish_reason"):
                self._reason = one["finish_reason"]
                self.finished = True

    def _grow(self, delta: Json) -> Iterator[Delta]:
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value or ():
                    yield from self._call(call)
            elif name in self._GROWING:
                if value:
                    self._message[name] = self._message.get(name, "") + value
                    yield Delta("reasoning" if name.startswith("reasoning") else "text", value)
            elif value is not None:
                self._message[name] = value

    def _call(self, piece: Json) -> Iterator[Delta]:
        index = piece.get("index", len(self._calls))
        call = self._calls.setdefault(index, {"type": "function", "function": {"name": "", "arguments": ""}})
        function = piece.get("function") or {}
        known = ("index", "function", "id", "type")
        call |= {name: value for name, value in piece.items() if name not in known and value is not None}
        call["id"] = piece.get("id") or call.get("id") or ""
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        call["function"]["name"] += name
        call["function"]["arguments"] += arguments
        yield Delta("tool_call", arguments, index, name or None, piece.get("id") or None)

    def response(self) -> Json:
        """The completion."""
        calls = [call for _, call in sorted(self._calls.items())]
        message = {**self._message, **({"tool_calls": calls} if calls else {})}
        return {**self._top, "choices": [{"index": 0, "message": message, "finish_reason": self._reason}]}
