"""OpenAI's Responses: reasoning goes along, encrypted, and OpenAI may keep the conversation itself.

Nothing is kept on OpenAI's side unless `server_state` is asked for. Then a request holds only what was said since the
last answer that OpenAI has kept (`previous_response_id`); an id in `extra["conversation"]` goes along as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, ClassVar

from sessionstore.adapters import aio, usage
from sessionstore.adapters.base import Ask, Delta, Gatherer, Json, Message
from sessionstore.adapters.openai_chat import OpenAIChat, closing, document, split
from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.tools import definitions
from sessionstore.exporters.turns import Call, Ids, Turn, turns

_RESPONSE = frozenset({"id", "object", "created_at", "model", "output", "usage", "status", "_request_id", "store"})
_ECHO = frozenset(
    {"instructions", "tools", "tool_choice", "temperature", "top_p", "reasoning", "text", "truncation", "metadata"}
    | {"max_output_tokens", "parallel_tool_calls", "user", "background", "prompt", "top_logprobs", "service_tier"}
)
"""What a response says again of its request."""
_USAGE = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "input_tokens_details.cached_tokens",
        "input_tokens_details.cache_write_tokens",
        "output_tokens_details.reasoning_tokens",
    }
)


class OpenAIResponses(OpenAIChat):
    """Responses."""

    name = "openai-responses"

    def request(self, ask: Ask, report: Report) -> Json:
        """Input items, instructions and tools."""
        ids = Ids("[^a-zA-Z0-9_-]", 64)
        body: Json = {"model": ask.model, "store": ask.server_state, "include": ["reasoning.encrypted_content"]}
        session = dict(ask.session)
        if system := content.texts([part for part in session.get("system") or () if isinstance(part, dict)]):
            body["instructions"] = "\n\n".join(system)
        items = _Items(session, report)
        found = turns(ask.messages, report, ids, merged=False)
        kept = _kept(found) if ask.server_state else None
        if kept is not None:
            body["previous_response_id"] = kept[0]
        body["input"] = [*items.results(found[kept[1]])] if kept else []
        body["input"] += [item for turn in found[kept[1] + 1 if kept else 0 :] for item in items.of(turn)]
        if tools := definitions(session, report):
            body["tools"] = [
                {
                    "type": "function",
                    "name": ids.fit(tool.name, "unnamed"),
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": False,
                }
                for tool in tools
            ]
        return body | self._wishes(ask, body, report) | dict(ask.extra)

    def _wishes(self, ask: Ask, body: Json, report: Report) -> Json:
        wishes: Json = {"max_output_tokens": ask.max_tokens, "temperature": ask.temperature, "top_p": ask.top_p}
        if ask.tool_choice and "tools" in body:
            named = ask.tool_choice not in ("auto", "none", "required")
            wishes["tool_choice"] = {"type": "function", "name": ask.tool_choice} if named else ask.tool_choice
        if isinstance(ask.reasoning, str):
            wishes["reasoning"] = {"effort": ask.reasoning, "summary": "auto"}
        elif ask.reasoning is not None:
            report.tell("a number of tokens for reasoning is not taken by this interface")
        for wanted, what in ((ask.stop, "where to stop"), (ask.prefill, "the beginning of an answer")):
            if wanted:
                report.tell(f"{what} is not taken by this interface")
        return {name: value for name, value in wishes.items() if value is not None}

    def message(self, response: Json) -> Message:
        """The output items as parts; items that the model has no name for stay as they are."""
        parts = [part for item in response["output"] for part in _parts(item)]
        x = usage.without_nothing(response, _RESPONSE | _ECHO)
        x |= usage.without_nothing({"response_id": response.get("id"), "request_id": response.get("_request_id")})
        if response.get("store") is True:
            x["stored"] = True
        raw = response.get("usage")
        if more := usage.rest(raw, _USAGE):
            x["usage"] = more
        message: Message = {"role": "assistant", "parts": parts, "provider": self.provider}
        if isinstance(response.get("model"), str):
            message["model"] = response["model"]
        if reason := _reason(response, parts):
            message["finish_reason"] = reason
        return usage.put(message, _billed(raw), x)

    def gatherer(self) -> Gatherer:
        """For the events of a response."""
        return Events()

    def send(self, body: Json) -> Json:
        """`responses.create`."""
        raw = self.client().responses.with_raw_response.create(**split(body, input=[]))
        found: Json = raw.parse().to_dict(mode="json")
        return {**found, "_request_id": raw.headers.get("x-request-id"), "store": body["store"]}

    def open(self, body: Json) -> Iterator[Json]:
        """`responses.create(stream=True)`."""
        return _with_store(closing(self.client().responses.create(**split(body, input=[]), stream=True)), body["store"])

    async def send_async(self, body: Json) -> Json:
        """`responses.create` of the asynchronous client."""
        raw = await self.client_async().responses.with_raw_response.create(**split(body, input=[]))
        found = document(await aio.settled(raw.parse()))
        return {**found, "_request_id": raw.headers.get("x-request-id"), "store": body["store"]}

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """The same as a stream."""
        events = await self.client_async().responses.create(**split(body, input=[]), stream=True)
        return _with_store_async(aio.closing(events, document), body["store"])


def _with_store(events: Generator[Json], store: bool) -> Iterator[Json]:
    """The events; the response says whether it is kept, also where the server does not."""
    try:
        for event in events:
            yield _marked(event, store)
    finally:
        events.close()


async def _with_store_async(events: AsyncGenerator[Json, None], store: bool) -> AsyncGenerator[Json, None]:
    try:
        async for event in events:
            yield _marked(event, store)
    finally:
        await events.aclose()


def _marked(event: Json, store: bool) -> Json:
    if isinstance(event.get("response"), dict):
        event["response"]["store"] = store
    return event


def _kept(found: list[Turn]) -> tuple[str, int] | None:
    """The id of the last answer, when OpenAI has kept it, and which turn it ends."""
    for number in range(len(found) - 1, -1, -1):
        if found[number].role == "assistant":
            message = found[number].messages[-1]
            x = message.get("x") or {}
            own = message.get("provider") == OpenAIResponses.provider and x.get("stored") is True
            ident = x.get("response_id")
            return (ident, number) if own and isinstance(ident, str) else None
    return None


class _Items:
    """Turns as input items."""

    def __init__(self, session: Json, report: Report) -> None:
        self._session, self._report = session, report

    def of(self, turn: Turn) -> Iterator[Json]:
        """The items of a turn; the outputs of its calls follow it."""
        if turn.role == "assistant":
            for part, message in zip(turn.parts, turn.messages, strict=True):
                yield from self._said(part, message)
        else:
            role = "developer" if turn.role == "system" else "user"
            if said := self._shown(turn.speech, files=role == "user"):
                yield {"type": "message", "role": role, "content": said}
        yield from self.results(turn)

    def results(self, turn: Turn) -> Iterator[Json]:
        """The outputs of a turn's calls."""
        for call in turn.calls:
            yield {"type": "function_call_output", "call_id": call.id, "output": self._output(call)}

    def _said(self, part: Json | Call, message: Message) -> Iterator[Json]:
        if isinstance(part, Call):
            told = content.arguments_string(part.arguments)
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": told}
        elif part["type"] == "text":
            if content.plain_text(part).strip():
                phase = {"phase": part["phase"]} if part.get("phase") in ("commentary", "final_answer") else {}
                yield {"type": "message", "role": "assistant", "content": content.plain_text(part), **phase}
        elif part["type"] == "reasoning":
            yield from self._thought(part, message)
        else:
            self._report.count("images and files of the assistant left out")

    def _thought(self, part: Json, message: Message) -> Iterator[Json]:
        ident, signature = part.get("id"), part.get("signature")
        own = content.maker_of(message, self._session) == "openai"
        if not (own and isinstance(ident, str) and isinstance(signature, str)):
            self._report.count("reasoning that OpenAI has not encrypted left out")
            return
        text = content.plain_text(part)
        summary = [{"type": "summary_text", "text": text}] if text else []
        yield {"type": "reasoning", "id": ident, "summary": summary, "encrypted_content": signature}

    def _output(self, call: Call) -> str | list[Json]:
        if all(part["type"] == "text" for part in call.result):
            return "\n".join(content.texts(call.result))
        return self._shown(call.result, files=True)

    def _shown(self, parts: list[Json], *, files: bool) -> list[Json]:
        found = []
        for part in parts:
            made = _input(part, files=files)
            if made is not None:
                found.append(made)
            elif part["type"] != "text":
                self._report.count("images and files that cannot be read left out")
        return found


def _input(part: Json, *, files: bool) -> Json | None:
    if part["type"] == "text":
        text = content.plain_text(part)
        return {"type": "input_text", "text": text} if text.strip() else None
    if not files:
        return None
    if part["type"] == "uri" and content.is_link(part.get("uri")) and part.get("modality", "image") == "image":
        return {"type": "input_image", "image_url": part["uri"], "detail": "auto"}
    found = content.blob(part) if part["type"] == "blob" else None
    if found is None:
        return None
    if found[0].startswith("image/"):
        return {"type": "input_image", "image_url": content.data_uri(*found), "detail": "auto"}
    return {"type": "input_file", "filename": str(part.get("name") or "file"), "file_data": content.data_uri(*found)}


def _parts(item: Json) -> Iterator[Json]:
    kind = item["type"]
    if kind == "message":
        phase = {"phase": item["phase"]} if item.get("phase") else {}
        for piece in item["content"]:
            text = piece.get("text") if piece.get("type") == "output_text" else piece.get("refusal")
            if not isinstance(text, str):
                yield dict(piece)
                continue
            more = usage.without_nothing(piece, ("type", "text", "refusal"))
            refused = {"refusal": True} if piece.get("type") == "refusal" else {}
            yield {"type": "text", "content": text, **phase, **refused, **more}
    elif kind == "reasoning":
        told = [*(item.get("summary") or ()), *(item.get("content") or ())]
        made: Json = {"type": "reasoning", "content": "\n\n".join(one["text"] for one in told)}
        kept = {"signature": item.get("encrypted_content"), "id": item.get("id")}
        yield made | usage.without_nothing(kept)
    elif kind == "function_call":
        made = {"type": "tool_call", "id": item["call_id"], "name": item["name"], "arguments": item["arguments"]}
        yield made | usage.without_nothing({"item_id": item.get("id"), "namespace": item.get("namespace")})
    else:
        yield dict(item)


def _reason(response: Json, parts: list[Json]) -> str | None:
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        return str((details or {}).get("reason") or status)
    if status == "completed":
        return "tool_calls" if any(part["type"] == "tool_call" for part in parts) else "stop"
    return status if isinstance(status, str) else None


def _billed(raw: Any) -> Json:
    return usage.counted(
        input_tokens=usage.figure(raw, "input_tokens"),
        output_tokens=usage.figure(raw, "output_tokens"),
        cache_read_tokens=usage.figure(raw, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=usage.figure(raw, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=usage.figure(raw, "output_tokens_details", "reasoning_tokens"),
    )


class StreamError(Exception):
    """An error that came inside a stream; `body` says which."""

    def __init__(self, body: Json) -> None:
        super().__init__(str(body.get("message") or "the provider has given up"))
        self.body = body


class Events(Gatherer):
    """The events of a response put together: whole items as they are done, pieces of those that are not yet."""

    _GROWING: ClassVar[dict[str, tuple[str, str]]] = {
        "response.output_text.delta": ("text", "message"),
        "response.refusal.delta": ("text", "message"),
        "response.reasoning_summary_text.delta": ("reasoning", "reasoning"),
        "response.reasoning_text.delta": ("reasoning", "reasoning"),
        "response.function_call_arguments.delta": ("tool_call", "function_call"),
    }

    def __init__(self) -> None:
        self._response: Json = {"output": []}
        self._items: dict[int, Json] = {}
        self._begun: dict[int, Json] = {}
        self._ident: str | None = None

    def take(self, event: Json) -> Iterator[Delta]:
        """An event."""
        kind = event.get("type", "")
        self._ident = event.get("_request_id")
        if kind in ("response.completed", "response.incomplete"):
            self._response, self.finished = event["response"], True
        elif kind == "response.failed":
            raise StreamError(event["response"].get("error") or {})
        elif kind == "error":
            raise StreamError(event)
        elif kind in ("response.created", "response.in_progress"):
            self._response = event["response"]
        elif kind == "response.output_item.added":
            yield from self._begin(event["output_index"], event["item"])
        elif kind == "response.output_item.done":
            self._items[event["output_index"]] = event["item"]
        elif kind in self._GROWING:
            told, _ = self._GROWING[kind]
            begun = self._begun.setdefault(event["output_index"], {"type": self._GROWING[kind][1]})
            begun["grown"] = begun.get("grown", "") + event["delta"]
            yield Delta(told, event["delta"], event["output_index"])

    def _begin(self, index: int, item: Json) -> Iterator[Delta]:
        self._begun[index] = dict(item)
        if item["type"] == "function_call":
            yield Delta("tool_call", "", index, item.get("name"), item.get("call_id"))

    def response(self) -> Json:
        """The response."""
        if self.finished:
            return {**self._response, "_request_id": self._ident}
        output = [self._items.get(index) or _grown(item) for index, item in sorted(self._begun.items())]
        return {**self._response, "output": output, "status": None, "_request_id": self._ident}


def _grown(item: Json) -> Json:
    """An item that is not done, as far as it has grown."""
    text = item.pop("grown", "")
    if item["type"] == "message":
        return {**item, "content": [{"type": "output_text", "text": text}]}
    if item["type"] == "reasoning":
        return {**item, "summary": [{"type": "summary_text", "text": text}], "content": None}
    if item["type"] == "function_call":
        return {"call_id": "", "name": "", **item, "arguments": text}
    return item
