"""A provider that is none: answers without a network, always the same to the same words, and fails when it is told to.

For dry runs and tests of programs. The model's name says what happens, step by step, one step for each question (and
each try of it); after the last step it answers:

    simulated                   says how long the conversation is and what was said last
    simulated/echo              says what was said last
    simulated/tool              calls the session's first tool, once for each question
    simulated/429,500,echo      is refused twice, then answers; any status from 400 to 599
    simulated/cut               breaks off in the midst of the answer
    simulated/malformed         sends what is no JSON
    simulated/slow              takes a second; simulated/slow:0.2 takes 0.2 seconds
    simulated/long:500          answers in 500 words

Figures of tokens are estimates and say so, and it has the provider `simulated`: nobody takes it for a real model."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from sessionstore import errors
from sessionstore.adapters.base import Adapter, Ask, Json, Message
from sessionstore.adapters.openai_chat import OpenAIChat
from sessionstore.exporters.report import Report

STEPS = ("echo", "tool", "cut", "malformed", "slow", "long")
_WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do")


class _Refused(Exception):
    """What a library raises for an answer with an error's status."""

    def __init__(self, status: int, ident: str) -> None:
        super().__init__(f"simulated failure {status}")
        self.status_code, self.request_id = status, ident
        self.body = {"error": {"message": "this failure was asked for"}}
        self.response = _Response({"retry-after-ms": "20"} if status == 429 else {})


class _Response:
    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


class _Lost(ConnectionError):
    """What a library raises when the connection breaks."""


class Simulated(OpenAIChat):
    """No provider at all."""

    name = "simulated"
    provider = "simulated"
    title = "The simulation"
    library = ""
    extra = ""
    url = ""
    keys: ClassVar[tuple[str, ...]] = ()
    url_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._taken: dict[str, int] = {}
        self._count = threading.Lock()

    def request(self, ask: Ask, report: Report) -> Json:
        """The body, once it is clear that all steps are known. Raises `UsageError`."""
        steps(ask.model)
        return super().request(ask, report)

    def message(self, response: Json) -> Message:
        """The answer; its figures are marked as estimates."""
        made = super().message(response)
        if "usage" in made:
            made["usage"]["estimated"] = True
        return made

    def send(self, body: Json) -> Json:
        """The whole answer."""
        step, number = self._step(body)
        self._before(step, number)
        if step == "cut":
            raise _Lost("the connection was cut off, as was asked for")
        return _completion(body, step, number)

    def open(self, body: Json) -> Iterator[Json]:
        """The answer word by word."""
        step, number = self._step(body)
        self._before(step, number)
        return _chunks(_completion(body, step, number), cut=step == "cut")

    async def send_async(self, body: Json) -> Json:
        """In a thread: nothing here can be awaited."""
        return await Adapter.send_async(self, body)

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """In a thread, too."""
        return await Adapter.open_async(self, body)

    def connect(self) -> Any:
        """Nothing is connected to."""

    def key(self) -> str:
        """None is needed."""
        return "none"

    def _step(self, body: Json) -> tuple[str, int]:
        """What happens now, and how many steps were taken before."""
        planned = steps(body["model"])
        asked = hashlib.sha256(json.dumps([body["model"], _last(body)], sort_keys=True).encode()).hexdigest()
        with self._count:
            taken = self._taken[asked] = self._taken.get(asked, 0) + 1
        return planned[taken - 1] if taken <= len(planned) else "", taken - 1

    def _before(self, step: str, number: int) -> None:
        if step.isdigit():
            raise _Refused(int(step), f"simulated-{number}")
        if step == "malformed":
            raise errors.AnswerInvalid(provider=self.title, reason="it is not JSON, as was asked for")
        if step.startswith("slow"):
            time.sleep(float(step.partition(":")[2] or 1))


def steps(model: str) -> list[str]:
    """The steps that a model's name asks for. Raises `UsageError`."""
    found = [step for step in model.split(",") if step]
    for step in found:
        word, _, size = step.partition(":")
        known = (word.isdigit() and 400 <= int(word) < 600 and not size) or (
            word in STEPS and (not size or (word in ("slow", "long") and size.replace(".", "", 1).isdigit()))
        )
        if not known:
            listed = ", ".join(STEPS)
            raise errors.UsageError(reason=f"the simulation knows no {step!r}; it knows {listed} and statuses from 400")
    return found


def _last(body: Json) -> Any:
    return [len(body["messages"]), body["messages"][-1] if body["messages"] else None]


def _completion(body: Json, step: str, number: int) -> Json:
    """The body of a response as Chat Completions has it."""
    messages = body["messages"]
    said = _text(messages[-1]) if messages else ""
    tools = body.get("tools") or []
    answered = bool(messages) and messages[-1]["role"] == "tool"
    message: Json = {"role": "assistant", "content": _words(body, step, said, len(messages))}
    reason = "stop"
    if step == "tool" and tools and not answered:
        ident = f"call_{hashlib.sha256(f'{len(messages)}{said}'.encode()).hexdigest()[:12]}"
        function = tools[0]["function"]
        arguments = json.dumps(_arguments(function.get("parameters") or {}))
        call = {"id": ident, "type": "function", "function": {"name": function["name"], "arguments": arguments}}
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    spent = sum(len(_text(one)) for one in messages) // 4 + 1
    written = len(json.dumps(message)) // 4
    ident = hashlib.sha256(json.dumps([body["model"], messages, number], sort_keys=True).encode()).hexdigest()[:16]
    return {
        "id": f"simulated-{ident}",
        "object": "chat.completion",
        "model": f"simulated/{body['model']}" if body["model"] else "simulated",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": spent, "completion_tokens": written, "total_tokens": spent + written},
    }


def _words(body: Json, step: str, said: str, count: int) -> str:
    if step == "echo":
        return said
    if step.startswith("long"):
        return " ".join(_WORDS[n % len(_WORDS)] for n in range(min(int(float(step.partition(":")[2] or 200)), 100_000)))
    heard = " ".join(said.split())
    heard = heard if len(heard) <= 60 else heard[:59] + "…"
    return f'This is a simulated answer to message {count} of the conversation, which says: "{heard}"'


def _text(message: Json) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _arguments(schema: Json) -> Json:
    """Arguments that a tool's schema allows: the same ones each time."""
    plain: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}
    found = {}
    for name, one in (schema.get("properties") or {}).items():
        one = one if isinstance(one, dict) else {}
        if one.get("enum"):
            found[name] = one["enum"][0]
        else:
            found[name] = plain.get(str(one.get("type")), "simulated")
    return found


def _chunks(whole: Json, *, cut: bool) -> Iterator[Json]:
    """A completion as the chunks of a stream: word by word."""
    [choice] = whole["choices"]
    head = {name: whole[name] for name in ("id", "model")} | {"object": "chat.completion.chunk"}

    def chunk(delta: Json, reason: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant"})
    pieces = (choice["message"]["content"] or "").split(" ")
    for number, word in enumerate(pieces):
        if cut and number * 2 >= len(pieces):
            raise _Lost("the connection was cut off, as was asked for")
        yield chunk({"content": word if number == 0 else f" {word}"})
    for index, call in enumerate(choice["message"].get("tool_calls") or ()):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    yield chunk({}, choice["finish_reason"])
    yield {**head, "choices": [], "usage": whole["usage"]}
