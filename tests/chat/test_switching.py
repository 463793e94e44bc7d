"""A long conversation with tools and images that goes from provider to provider and back: every request is what the
provider's library takes and keeps the provider's rules, and nothing is lost on the way. In two turns of three nobody
runs the tools that the model calls: such calls stay open in the store and are closed in every request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from sessionstore.chat import Chat
from tests.adapters.mocked import MODELS, Mocked
from tests.exporters.support import PNG
from tests.exporters.test_requests import sound_anthropic, sound_gemini, sound_openai, taken

RESPONSES = TypeAdapter(ResponseCreateParamsNonStreaming)
TOOL = {
    "name": "look_up",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
}
ORDER = ["openai", "anthropic", "gemini", "kimi", "openai-responses"]
TURNS, STAY = 200, 8


def sound_responses(request: Any) -> None:
    assert taken(RESPONSES.validate_python(request)) == request
    waiting: list[str] = []
    for item in request["input"]:
        if item["type"] == "function_call_output":
            assert item["call_id"] == waiting.pop(0)
        elif item["type"] == "function_call":
            waiting.append(item["call_id"])
        else:
            assert not waiting
    assert not waiting


def sound(name: str, body: dict[str, Any]) -> None:
    """Hold that what was sent is what the provider takes."""
    said = {field: value for field, value in body.items() if field != "stream"}
    if name in ("openai", "kimi"):
        sound_openai({field: said[field] for field in ("messages", "tools") if field in said})
    elif name == "anthropic":
        sound_anthropic(said)
        assert "tools" in said or "tool_use" not in str(said["messages"])
    elif name == "gemini":
        sound_gemini({field: said[field] for field in ("contents", "tools") if field in said})
    else:
        sound_responses(said)


def parts_of(turn: int) -> list[dict[str, Any]]:
    text = {"type": "text", "content": f'Question {turn:03}: "ünï" <b>&\n{turn}'}
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
    return [text, image] if turn % 5 == 0 else [text]


def look_up(**_: Any) -> Any:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    return [{"type": "text", "text": "found"}, picture]


@pytest.mark.timeout(280)
def test_two_hundred_turns_through_all_providers_and_back(
    talk: Chat, mocked: Mocked, reopened: Callable[[str], list[dict[str, Any]]]
) -> None:
    before: list[dict[str, Any]] = []
    answers: list[str] = []
    for turn in range(TURNS):
        name = ORDER[turn // STAY % len(ORDER)]
        options: dict[str, Any] = {"tools": [TOOL], "toolbox": {"look_up": look_up}} if turn % 3 == 0 else {}
        mocked.reset()
        said = [{"role": "user", "parts": parts_of(turn)}]
        if turn % 2:
            stream = talk.stream(said, MODELS[name], "long", consent=True, **options)
            answer = stream.answer
        else:
            answer = talk.ask(said, MODELS[name], "long", consent=True, **options)
        answers.append(answer.text)
        for request in mocked.asked():
            assert request["status"] == 200
            sound(name, request["body"])
        if turn % STAY == STAY - 1:
            now = reopened("native:long")
            assert now[: len(before)] == before
            before = now
    _all_is_there(reopened("native:long"), answers)
    talk.ask("The last one", MODELS["openai"], "long", consent=True)
    told = json.dumps(mocked.asked()[-1]["body"], ensure_ascii=False)
    for turn in range(TURNS):
        assert f"Question {turn:03}" in told
    assert all(json.dumps(text, ensure_ascii=False)[1:-1] in told for text in answers)
    assert told.count(PNG) == TURNS // 5


def _all_is_there(kept: list[dict[str, Any]], answers: list[str]) -> None:
    users = [one for one in kept if one["role"] == "user"]
    assert [one["parts"][0] for one in users] == [parts_of(turn)[0] for turn in range(TURNS)]
    assert [len(one["parts"]) for one in users] == [len(parts_of(turn)) for turn in range(TURNS)]
    spoken = [one for one in kept if one["role"] == "assistant"]
    calls = [part for one in spoken for part in one["parts"] if part["type"] == "tool_call"]
    results = [part for one in kept if one["role"] == "tool" for part in one["parts"]]
    answered = {result["id"] for result in results}
    assert [call["id"] for call in calls if call["id"] in answered] == [result["id"] for result in results]
    assert len(results) >= TURNS * 3 // 10 and len(calls) > len(results) + TURNS // 3
    texts = ["".join(p["content"] for p in one["parts"] if p["type"] == "text") for one in spoken]
    assert [text for text in texts if text] == [text for text in answers if text]
    assert sum(one.get("kind") == "switch" for one in kept) == TURNS // STAY - 1
    assert {one["provider"] for one in spoken} == {"openai", "anthropic", "google", "moonshot"}
