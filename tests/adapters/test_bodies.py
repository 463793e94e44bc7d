"""What each provider really sends, byte for byte: reasoning with signatures, tools, tokens from the cache, finish
reasons, ids; whole and as a stream, which must come to the same message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessionstore import adapters, errors
from sessionstore.adapters.base import Adapter, Ask, Settings
from sessionstore.exporters.report import Report
from sessionstore.models import Message
from tests.adapters.server import Reply, Server, document, events

ASK = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Weather in Oslo?"}]}]
CALL = {"type": "tool_call", "id": "call_1", "name": "weather"}


@pytest.fixture
def made(server: Server) -> Iterator[Any]:
    """Makes adapters for the server."""
    found: list[Adapter] = []

    def make(name: str, **more: Any) -> Adapter:
        found.append(adapters.named(name)(Settings("k-secret", server.url, 20, **more)))
        return found[-1]

    yield make
    for adapter in found:
        adapter.close()


def checked(message: dict[str, Any]) -> dict[str, Any]:
    Message.model_validate({"id": "m2", **message})
    return message


# --- OpenAI chat, Kimi ---------------------------------------------------------------------------------------

CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 25, "accepted_prediction_tokens": 3},
}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-5-2026-01-01",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "I look.",
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": CHAT_USAGE,
}


def chunks() -> Iterator[dict[str, Any]]:
    top = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000}
    top |= {"model": "gpt-5-2026-01-01", "system_fingerprint": "fp_1"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**top, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    yield chunk({"content": "I "})
    yield chunk({"content": "look."})
    piece = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    yield chunk({"tool_calls": [piece]})
    yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]})
    yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]})
    yield chunk({}, "tool_calls")
    yield {**top, "choices": [], "usage": CHAT_USAGE}


CHAT_MESSAGE = {
    "role": "assistant",
    "parts": [{"type": "text", "content": "I look."}, {**CALL, "arguments": '{"city": "Oslo"}'}],
    "provider": "openai",
    "model": "gpt-5-2026-01-01",
    "finish_reason": "tool_calls",
    "usage": {"input_tokens": 100, "output_tokens": 40, "cache_read_tokens": 64, "reasoning_tokens": 25},
    "x": {
        "response_id": "chatcmpl-1",
        "system_fingerprint": "fp_1",
        "usage": {"completion_tokens_details": {"accepted_prediction_tokens": 3}},
    },
}

# --- OpenAI responses ----------------------------------------------------------------------------------------

ITEMS: list[dict[str, Any]] = [
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Think."}],
        "encrypted_content": "gAAA",
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"city":"Oslo"}',
    },
]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_760_000_000,
    "status": "completed",
    "model": "gpt-5-2026-01-01",
    "output": ITEMS,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 7},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 25},
        "total_tokens": 140,
    },
}


def response_events() -> Iterator[dict[str, Any]]:
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "sequence_number": 0, "response": begun}
    number = 1
    for index, item in enumerate(ITEMS):
        empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
        empty = {**item, "summary": []} if item["type"] == "reasoning" else empty
        yield {"type": "response.output_item.added", "sequence_number": number, "output_index": index, "item": empty}
        kind = ("reasoning_summary_text", "output_text", "function_call_arguments")[index]
        text = ("Think.", "I look.", '{"city":"Oslo"}')[index]
        for piece in (text[:3], text[3:]):
            event = {"type": f"response.{kind}.delta", "item_id": item["id"], "output_index": index, "delta": piece}
            yield {**event, "content_index": 0, "summary_index": 0, "logprobs": [], "sequence_number": number + 1}
        yield {"type": "response.output_item.done", "sequence_number": number + 2, "output_index": index, "item": item}
        number += 3
    yield {"type": "response.completed", "sequence_number": number, "response": RESPONSE}


RESPONSE_MESSAGE = {
    "role": "assistant",
    "parts": [
        {"type": "reasoning", "content": "Think.", "signature": "gAAA", "id": "rs_1"},
        {"type": "text", "content": "I look."},
        {**CALL, "arguments": '{"city":"Oslo"}', "item_id": "fc_1"},
    ],
    "provider": "openai",
    "model": "gpt-5-2026-01-01",
    "finish_reason": "tool_calls",
    "usage": {
        "input_tokens": 100,
        "output_tokens": 40,
        "cache_read_tokens": 64,
        "cache_write_tokens": 7,
        "reasoning_tokens": 25,
    },
    "x": {"response_id": "resp_1"},
}

# --- Anthropic -----------------------------------------------------------------------------------------------

BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Think.", "signature": "EqRk"},
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
]
CLAUDE_USAGE = {
    "input_tokens": 20,
    "cache_read_input_tokens": 64,
    "cache_creation_input_tokens": 16,
    "output_tokens": 40,
    "service_tier": "standard",
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-6",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": CLAUDE_USAGE,
}


def claude_events() -> Iterator[dict[str, Any]]:
    begun = {**CLAUDE, "content": [], "stop_reason": None, "usage": {**CLAUDE_USAGE, "output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    empty: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "", "signature": ""},
        BLOCKS[1],
        {"type": "text", "text": ""},
        {**BLOCKS[3], "input": {}},
    ]
    deltas: list[list[dict[str, Any]]] = [
        [{"type": "thinking_delta", "thinking": "Thi"}, {"type": "thinking_delta", "thinking": "nk."}],
        [],
        [{"type": "text_delta", "text": "I "}, {"type": "text_delta", "text": "look."}],
        [
            {"type": "input_json_delta", "partial_json": '{"city": "'},
            {"type": "input_json_delta", "partial_json": 'Oslo"}'},
        ],
    ]
    deltas[0].append({"type": "signature_delta", "signature": "EqRk"})
    for index, block in enumerate(empty):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas[index]:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = {"output_tokens": 40}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


CLAUDE_MESSAGE = {
    "role": "assistant",
    "parts": [
        {"type": "reasoning", "content": "Think.", "signature": "EqRk"},
        {"type": "reasoning", "content": "", "signature": "c2VjcmV0", "redacted": True},
        {"type": "text", "content": "I look."},
        {**CALL, "arguments": {"city": "Oslo"}},
    ],
    "provider": "anthropic",
    "model": "claude-opus-4-6",
    "finish_reason": "tool_use",
    "usage": {"input_tokens": 100, "output_tokens": 40, "cache_read_tokens": 64, "cache_write_tokens": 16},
    "x": {"response_id": "msg_1", "usage": {"service_tier": "standard"}},
}

# --- Gemini --------------------------------------------------------------------------------------------------

SIGNATURE = "+/8="
GEMINI_PARTS: list[dict[str, Any]] = [
    {"text": "Think.", "thought": True},
    {"text": "I look."},
    {"functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": SIGNATURE},
]
GEMINI_USAGE = {
    "promptTokenCount": 90,
    "toolUsePromptTokenCount": 10,
    "candidatesTokenCount": 15,
    "thoughtsTokenCount": 25,
    "cachedContentTokenCount": 64,
    "totalTokenCount": 140,
}
GEMINI: dict[str, Any] = {
    "candidates": [
        {
            "content": {"role": "model", "parts": GEMINI_PARTS},
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
        }
    ],
    "usageMetadata": GEMINI_USAGE,
    "modelVersion": "gemini-3-pro",
    "responseId": "r-1",
}


def gemini_pieces() -> Iterator[dict[str, Any]]:
    top = {"modelVersion": "gemini-3-pro", "responseId": "r-1"}
    for part in ({"text": "Thi", "thought": True}, {"text": "nk.", "thought": True}, {"text": "I "}, {"text": "look."}):
        yield {**top, "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
    last = {**GEMINI["candidates"][0], "content": {"role": "model", "parts": [GEMINI_PARTS[2]]}}
    yield {**top, "candidates": [last], "usageMetadata": GEMINI_USAGE}


GEMINI_MESSAGE = {
    "role": "assistant",
    "parts": [
        {"type": "reasoning", "content": "Think."},
        {"type": "text", "content": "I look."},
        {**CALL, "arguments": {"city": "Oslo"}, "thoughtSignature": SIGNATURE},
    ],
    "provider": "google",
    "model": "gemini-3-pro",
    "finish_reason": "STOP",
    "usage": {"input_tokens": 100, "output_tokens": 40, "cache_read_tokens": 64, "reasoning_tokens": 25},
    "x": {
        "response_id": "r-1",
        "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
    },
}

CASES: list[tuple[str, Any, Any, dict[str, Any], dict[str, Any]]] = [
    ("openai", CHAT, chunks, {"done": True}, CHAT_MESSAGE),
    ("openai-responses", RESPONSE, response_events, {"named": True}, RESPONSE_MESSAGE),
    ("anthropic", CLAUDE, claude_events, {"named": True}, CLAUDE_MESSAGE),
    ("gemini", GEMINI, gemini_pieces, {}, GEMINI_MESSAGE),
]
each = pytest.mark.parametrize(("name", "body", "streamed", "form", "meant"), CASES, ids=[case[0] for case in CASES])


@each
def test_a_response_becomes_the_message_that_is_meant(
    name: str, body: Any, streamed: Any, form: Any, meant: Any, made: Any, server: Server
) -> None:
    server.replies = [document(body), events(streamed(), **form)]
    adapter = made(name)
    assert checked(adapter.answer(Ask("m", ASK))) == meant
    stream = adapter.stream(Ask("m", ASK))
    kinds = [piece.kind for piece in stream]
    assert {"text", "tool_call"} <= set(kinds)
    assert checked(stream.message()) == {**meant, "x": {**meant["x"], "request_id": "req-7"}}


@each
def test_the_providers_id_of_a_request_is_kept(
    name: str, body: Any, streamed: Any, form: Any, meant: Any, made: Any, server: Server
) -> None:
    server.replies = [document(body, request_id="req-1", x_request_id="req-1"), document({"error": {}}, 400)]
    server.replies[1].headers |= {"request-id": "req-2", "x-request-id": "req-2"}
    adapter = made(name)
    assert adapter.answer(Ask("m", ASK))["x"]["request_id"] == "req-1"
    with pytest.raises(errors.ProviderRefused) as caught:
        adapter.answer(Ask("m", ASK))
    assert caught.value.request_id == "req-2"


@each
@pytest.mark.parametrize("after", range(1, 9))
def test_a_stream_cut_at_any_event_leaves_what_came_before(
    name: str, body: Any, streamed: Any, form: Any, meant: Any, after: int, made: Any, server: Server
) -> None:
    told = list(streamed())
    last = {"openai": 2, "openai-responses": 1, "anthropic": 2, "gemini": 1}[name]
    server.replies = [events(told[: min(after, len(told) - last)], named=form.get("named", False), cut=True)]
    stream = made(name).stream(Ask("m", ASK))
    with pytest.raises(errors.AnswerCut):
        list(stream)
    partial = stream.partial()
    if partial is not None:
        checked(partial)
        assert not [part for part in partial["parts"] if part["type"] == "tool_call"]
        said = "".join(part.get("content", "") for part in partial["parts"])
        assert "Think.I look.".startswith(said) or "I look.".startswith(said)


@each
@pytest.mark.parametrize(
    "broken",
    [
        Reply([b'{"id": '], headers={"content-type": "application/json"}),
        Reply([b"<html>gateway</html>"], headers={"content-type": "text/html"}),
        document([]),
        document({"id": 1, "choices": [], "content": "x", "output": None, "candidates": None}),
        document({"choices": [{"message": "text"}], "content": [{}], "output": [{}], "candidates": [{"content": 1}]}),
        document("text"),
    ],
    ids=["torn", "html", "list", "empty", "shape", "string"],
)
def test_nonsense_is_no_answer(
    name: str, body: Any, streamed: Any, form: Any, meant: Any, broken: Reply, made: Any, server: Server
) -> None:
    server.replies = [broken]
    with pytest.raises(errors.ProviderError) as caught:
        made(name, retries=0).answer(Ask("m", ASK))
    assert isinstance(caught.value, errors.AnswerInvalid | errors.ProviderError)
    assert "\n" not in str(caught.value) and "k-secret" not in str(caught.value)


@each
def test_an_answer_goes_back_to_its_own_provider_as_it_came(
    name: str, body: Any, streamed: Any, form: Any, meant: Any, made: Any, server: Server
) -> None:
    result = {"type": "tool_call_response", "id": "call_1", "response": "-3C"}
    path = [*ASK, {"id": "m2", **meant}, {"id": "m3", "role": "tool", "parts": [result]}]
    sent = made(name).request(Ask("gemini-3-pro" if name == "gemini" else "m", path), Report())
    if name == "anthropic":
        assert sent["messages"][1]["content"] == BLOCKS
    elif name == "gemini":
        assert sent["contents"][1]["parts"] == GEMINI_PARTS[1:]
    elif name == "openai-responses":
        assert [item["type"] for item in sent["input"]][1:] == [
            "reasoning",
            "message",
            "function_call",
            "function_call_output",
        ]
        assert sent["input"][1]["encrypted_content"] == "gAAA" and sent["input"][1]["id"] == "rs_1"
    else:
        assert sent["messages"][1]["tool_calls"] == CHAT["choices"][0]["message"]["tool_calls"]  # type: ignore[index]


# --- particular wishes ---------------------------------------------------------------------------------------


def test_an_error_inside_a_stream_has_its_kind(made: Any, server: Server) -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    told = list(claude_events())[:4]
    server.replies = [events([*told, overloaded], named=True)]
    with pytest.raises(errors.ProviderDown):
        list(made("anthropic").stream(Ask("m", ASK)))
    failed = {"type": "response.failed", "sequence_number": 1, "response": {**RESPONSE, "status": "failed"}}
    failed["response"]["error"] = {"code": "rate_limit_exceeded", "message": "slow down"}  # type: ignore[index]
    server.replies = [events([next(response_events()), failed], named=True)]
    with pytest.raises(errors.RateLimited):
        list(made("openai-responses").stream(Ask("m", ASK)))


def test_kimi_goes_on_with_a_given_beginning_and_sees_its_own_thoughts(made: Any, server: Server) -> None:
    thought = {"type": "reasoning", "content": "Hm."}
    path = [
        *ASK,
        {"id": "m2", "role": "assistant", "model": "kimi-k2-thinking", "parts": [thought, {**CALL, "arguments": {}}]},
        {"id": "m3", "role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "-3C"}]},
    ]
    body = {**CHAT, "usage": {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 5}}
    server.replies = [document(body)]
    message = made("kimi").answer(Ask("kimi-k2-thinking", path, prefill="It is", max_tokens=9))
    _, headers, sent = server.requests[0]
    assert sent["messages"][1]["reasoning_content"] == "Hm."
    assert sent["messages"][-1] == {"role": "assistant", "content": "It is", "partial": True}
    assert sent["max_tokens"] == 9 and headers["authorization"] == "Bearer k-secret"
    assert message["usage"]["cache_read_tokens"] == 5 and message["provider"] == "moonshot"


def test_openai_can_keep_the_conversation_itself(made: Any, server: Server) -> None:
    server.replies = [document(RESPONSE), document(RESPONSE)]
    adapter = made("openai-responses")
    first = adapter.answer(Ask("gpt-5", ASK, server_state=True))
    result = {"type": "tool_call_response", "id": "call_1", "response": "-3C"}
    path = [*ASK, {"id": "m2", **first}, {"id": "m3", "role": "tool", "parts": [result]}]
    adapter.answer(Ask("gpt-5", path, server_state=True))
    sent = server.requests[1][2]
    assert sent["previous_response_id"] == "resp_1" and sent["store"] is True
    assert sent["input"] == [{"type": "function_call_output", "call_id": "call_1", "output": "-3C"}]


def test_gemini_is_told_the_safety_settings_and_gets_signatures_it_insists_on(made: Any, server: Server) -> None:
    server.replies = [document(GEMINI)]
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    foreign = {"id": "m2", "role": "assistant", "model": "gpt-5", "parts": [{**CALL, "arguments": "{}"}]}
    result = {"type": "tool_call_response", "id": "call_1", "response": "-3C"}
    path = [*ASK, foreign, {"id": "m3", "role": "tool", "parts": [result]}]
    made("gemini").answer(Ask("gemini-3-pro", path, safety=safety, reasoning="low", tool_choice="auto"))
    sent = server.requests[0][2]
    assert sent["safetySettings"] == safety
    thinking = {
        name.replace("_", "").lower(): value for name, value in sent["generationConfig"]["thinkingConfig"].items()
    }
    assert thinking == {"includethoughts": True, "thinkinglevel": "LOW"}  # either spelling is taken
    assert sent["contents"][1]["parts"][0]["thoughtSignature"]


def test_a_blocked_prompt_is_an_answer_that_says_so(made: Any, server: Server) -> None:
    server.replies = [document({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": GEMINI_USAGE})]
    message = checked(made("gemini").answer(Ask("gemini-2.5-pro", ASK)))
    assert message["parts"] == [] and message["finish_reason"] == "SAFETY"


def test_anthropic_thinks_only_where_it_may(made: Any) -> None:
    adapter = made("anthropic")
    wished = adapter.request(Ask("claude-opus-4-6", ASK, reasoning=2000, temperature=0.5, max_tokens=500), Report())
    assert wished["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert wished["max_tokens"] == 3024 and "temperature" not in wished
    foreign = {"id": "m2", "role": "assistant", "model": "gpt-5", "parts": [{**CALL, "arguments": "{}"}]}
    result = {"type": "tool_call_response", "id": "call_1", "response": "-3C"}
    path = [*ASK, foreign, {"id": "m3", "role": "tool", "parts": [result]}]
    assert "thinking" not in adapter.request(Ask("claude-opus-4-6", path, reasoning="high"), Report())
    assert adapter.request(Ask("m", ASK, cache=True), Report())["cache_control"] == {"type": "ephemeral"}


def test_further_fields_of_a_provider_go_along_as_they_are(made: Any, server: Server) -> None:
    server.replies = [document(CHAT), document(CLAUDE), document(RESPONSE), document(GEMINI)]
    for name in ("openai", "anthropic", "openai-responses", "gemini"):
        made(name).answer(Ask("m", ASK, extra={"service_tier": "flex", "brand_new": {"a": 1}}))
        assert server.requests[-1][2]["brand_new"] == {"a": 1}, name
