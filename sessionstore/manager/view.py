"""A conversation as a model can take it. Only what is sent is fitted; what is stored stays as it was.

The rule for tools: each call is followed at once by its result, under an id of its own that the provider accepts. A
call without a result is answered with an error, a result without its call is told as text. Reasoning that another maker
has signed, images and tools that the model does not know, and instructions in places it does not allow are left out or
told as text. The same messages always give the same view.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters.content import maker_of
from sessionstore.exporters.text import arguments_text, response_text
from sessionstore.exporters.turns import NO_RESULT, ORPHAN, OpenCalls
from sessionstore.manager.capabilities import Capabilities, capabilities_of

Message = dict[str, Any]
Part = dict[str, Any]
UNSEEN = frozenset({"meta", "error", "sidechain"})
"""Kinds of messages that no model is shown."""
_MAKER = {"anthropic": "anthropic", "openai": "openai", "google": "google"}


def fitted(messages: Iterable[Message], model: str, capabilities: Capabilities | None = None) -> list[Message]:
    """The messages as `model` can take them."""
    able = capabilities or capabilities_of(model)
    shown = [message for message in messages if message.get("kind") not in UNSEEN]
    return list(_Fitting(able, shown).run())


class _Fitting:
    """One conversation on its way to one model."""

    def __init__(self, able: Capabilities, messages: list[Message]) -> None:
        self.able, self.messages = able, messages
        self.answers: dict[tuple[int, int], tuple[Message, Part]] = {}
        """by the place of a call: the message and the part that answer it"""
        self.orphans: set[tuple[int, int]] = set()
        self._ids: set[str] = set()
        self._pair()

    def _pair(self) -> None:
        waiting: OpenCalls[tuple[int, int]] = OpenCalls()
        for number, message in enumerate(self.messages):
            for place, part in enumerate(message["parts"]):
                if part.get("type") == "tool_call":
                    waiting.add(str(part.get("id") or ""), (number, place))
                elif part.get("type") == "tool_call_response":
                    call = waiting.answer(str(part.get("id") or ""))
                    if call is None:
                        self.orphans.add((number, place))
                    else:
                        self.answers[call] = message, part

    def run(self) -> Iterator[Message]:
        begun = False
        for number, message in enumerate(self.messages):
            if message["role"] == "system":
                yield from self._system(message, begun)
                continue
            begun = True
            if message["role"] == "assistant":
                yield from self._assistant(number, message)
            else:
                yield from self._said(number, message)

    def _system(self, message: Message, begun: bool) -> Iterator[Message]:
        if self.able.system and (self.able.later_system or not begun):
            yield message
            return
        text = "\n".join(str(part.get("content") or "") for part in message["parts"] if part.get("type") == "text")
        if text:
            yield {**message, "role": "user", "parts": [_text(f"[instruction] {text}")]}

    def _said(self, number: int, message: Message) -> Iterator[Message]:
        """What a person says, and what stands beside the results in a tool's message."""
        parts: list[Part] = []
        for place, part in enumerate(message["parts"]):
            if part.get("type") != "tool_call_response":
                parts.append(self._part(part))
            elif (number, place) in self.orphans:
                parts += [_text(f"{ORPHAN} {response_text(part.get('response'))}")]
        if parts:
            yield {**message, "role": "user", "parts": parts}

    def _assistant(self, number: int, message: Message) -> Iterator[Message]:
        parts: list[Part] = []
        results: list[Message] = []
        readable = self.able.reasoning and maker_of(message, {}) in ("", _MAKER.get(self.able.provider, ""))
        for place, part in enumerate(message["parts"]):
            if part.get("type") == "reasoning":
                parts += [part] if readable else []
            elif part.get("type") != "tool_call":
                parts.append(self._part(part))
            elif self.able.tools:
                name = self._fit_id(str(part.get("id") or ""), number, place)
                parts.append({**part, "id": name})
                results.append(self._result((number, place), name, message))
            else:
                parts.append(_text(f"[used {part.get('name')}: {arguments_text(part.get('arguments'))}]"))
                if (number, place) in self.answers:
                    results.append(self._told((number, place)))
        if parts:
            yield {**message, "parts": parts}
        yield from results

    def _result(self, call: tuple[int, int], name: str, asked: Message) -> Message:
        if call in self.answers:
            message, part = self.answers[call]
            return {**message, "parts": [{**part, "id": name}]}
        closing = {"type": "tool_call_response", "id": name, "response": NO_RESULT, "is_error": True}
        return {"id": f"{asked['id']}-{name}", "role": "tool", "parts": [closing]}

    def _told(self, call: tuple[int, int]) -> Message:
        message, part = self.answers[call]
        return {**message, "role": "user", "parts": [_text(f"[result: {response_text(part.get('response'))}]")]}

    def _part(self, part: Part) -> Part:
        if part.get("type") in ("blob", "uri") and not self.able.images and part.get("modality") in (None, "image"):
            return _text(f"[an image is left out: {part.get('mime_type') or part.get('uri') or 'unknown'}]")
        return part

    def _fit_id(self, given: str, number: int, place: int) -> str:
        """An id that the provider accepts and that was not used before; the call's own where it is one."""
        able, name, again = self.able, given, 0
        while not _fits(name, able) or name in self._ids:
            seed = f"{given}/{number}/{place}/{again}".encode("utf-8", "replace")
            name = "c" + base64.b32encode(hashlib.sha256(seed).digest()).decode().lower()[: min(23, able.id_length - 1)]
            again += 1
        self._ids.add(name)
        return name


def _fits(name: str, able: Capabilities) -> bool:
    if not 0 < len(name) <= able.id_length:
        return False
    return not (able.id_forbidden and re.search(able.id_forbidden, name))


def _text(content: str) -> Part:
    return {"type": "text", "content": content}
