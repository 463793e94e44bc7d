"""The small rules: whose model a name is, what a failure is called, what each interface is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sessionstore import adapters, errors
from sessionstore.adapters import patience
from sessionstore.adapters.base import Ask, Settings
from sessionstore.adapters.failures import failure, retry_after, told
from sessionstore.adapters.gemini import Gemini
from sessionstore.adapters.openai_responses import OpenAIResponses
from sessionstore.exporters.report import Report
from tests.exporters.support import PNG

# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "name", "rest"),
    [
        ("gpt-5", "openai", "gpt-5"),
        ("GPT-4o", "openai", "GPT-4o"),
        ("o3-mini", "openai", "o3-mini"),
        ("gpt-5-codex", "openai-responses", "gpt-5-codex"),
        ("openai-responses/gpt-5", "openai-responses", "gpt-5"),
        ("openai/meta/llama-3", "openai", "meta/llama-3"),
        ("claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("claude-code", "claude-code", ""),
        ("claude-code/opus", "claude-code", "opus"),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("kimi-k2", "kimi", "kimi-k2"),
        ("moonshot-v1-8k", "kimi", "moonshot-v1-8k"),
    ],
)
def test_a_models_name_says_who_answers(model: str, name: str, rest: str) -> None:
    kind, found = adapters.find(model)
    assert (kind.name, found) == (name, rest)


def test_every_family_has_its_adapter_and_every_adapter_its_place() -> None:
    assert {name for _, name in adapters.FAMILIES} == set(adapters.OWN)
    for name in adapters.OWN:
        assert adapters.named(name).name == name


def test_another_package_can_bring_an_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "grog-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: grog\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{adapters.GROUP}]\ngrog = tests.adapters.test_pieces:Grog\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert adapters.find("grog-1") == (Grog, "grog-1")
    assert adapters.find("grog/whatever") == (Grog, "whatever")
    with pytest.raises(errors.UnknownModel, match="grog"):
        adapters.find("rum-1")
    with pytest.raises(errors.UnknownModel):
        adapters.named("rum")


class Grog(Gemini):
    """An adapter of another package."""

    name = "grog"
    families = ("grog-",)


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, library in (("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google")):
        monkeypatch.setitem(__import__("sys").modules, library, None)
        with pytest.raises(errors.LibraryMissing, match="pip install"):
            adapters.named(name)(Settings("k")).answer(Ask("m", []))


# --- failures ------------------------------------------------------------------------------------------------


class Failed(Exception):
    """What a library raises."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        super().__init__("it failed")
        self.status_code, self.body = status, body
        self.response = SimpleNamespace(headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_when_to_ask_again_is_read_in_every_way_it_is_told() -> None:
    assert retry_after({"Retry-After": "7"}, {}) == 7
    assert retry_after({"retry-after": "9", "retry-after-ms": "250"}, {}) == 0.25
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (retry_after({"retry-after": later}, {}) or 0) <= 30
    assert retry_after({"retry-after": "soon"}, {}) is None
    assert retry_after({}, {"details": [{"@type": "…RetryInfo", "retryDelay": "12.5s"}]}) == 12.5
    assert retry_after({}, {"details": "none"}) is None


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        (Failed(429), errors.RateLimited, True),
        (Failed(429, {"error": {"code": "insufficient_quota", "message": "pay"}}), errors.RateLimited, False),
        (Failed(529), errors.ProviderDown, True),
        (Failed(500, None, x_should_retry="false"), errors.ProviderDown, False),
        (Failed(408), errors.ProviderDown, True),
        (Failed(402), errors.ProviderDenied, False),
        (Failed(413, {"message": "prompt is too long: 9 > 8"}), errors.ContextTooLong, False),
        (Failed(404), errors.ProviderRefused, False),
        (ConnectionResetError("gone"), errors.ProviderUnreachable, True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), errors.AnswerInvalid, False),
        (TypeError("what?"), errors.ProviderError, False),
    ],
)
def test_a_failure_has_its_kind(error: Exception, kind: type[errors.ProviderError], again: bool) -> None:
    made = failure("X", error, model="m")
    assert type(made) is kind
    assert isinstance(made, errors.ProviderError) and made.again is again


def test_no_explanation_tells_a_secret_or_is_long() -> None:
    for secret in ("sk-proj-abcdef123456", "AIzaSyA1234567890abc", "ya29.abcdef-123"):
        assert secret not in told(f"bad key {secret}!")
    assert told("Authorization: Bearer abcdefgh12345678") == "Authorization: Bearer ***"
    assert "hunter2hunter2" not in told("https://me:hunter2hunter2@host/?key=hunter2hunter2&x=1")
    assert told("mykey is mykey", ["mykey"]) == "*** is ***"
    assert len(told("x" * 5000)) == 300 and told("a\n\x1b[31mb") == "a [31mb"


def test_waits_grow_and_end() -> None:
    slow = errors.ProviderDown(provider="X", reason="r", again=True)
    waits = [patience.wait(slow, attempt) for attempt in range(8)]
    assert all(0.3 < seconds <= 8 for seconds in waits) and waits[6] > 5
    slept: list[float] = []

    def never() -> None:
        raise slow

    with pytest.raises(errors.ProviderDown):
        patience.insist(never, 3, 60, slept.append, lambda *_: None)
    assert len(slept) == 3


# --- wishes --------------------------------------------------------------------------------------------------

TOOL = {"name": "ls", "parameters": {"type": "object"}}


def say(number: int, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    listed = [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts]
    return {"id": f"m{number}", "role": role, "parts": listed, **more}


def request(name: str, messages: list[dict[str, Any]], **wishes: Any) -> tuple[dict[str, Any], list[str]]:
    report = Report()
    session = {"tools": [TOOL], "system": [{"type": "text", "content": "Be brief."}]}
    return adapters.named(name)().request(Ask("m", messages, session, **wishes), report), report.lines


@pytest.mark.parametrize(
    ("wanted", "openai", "anthropic", "gemini"),
    [
        ("auto", "auto", {"type": "auto"}, {"mode": "AUTO"}),
        ("none", "none", {"type": "none"}, {"mode": "NONE"}),
        ("required", "required", {"type": "any"}, {"mode": "ANY"}),
        (
            "ls",
            {"type": "function", "function": {"name": "ls"}},
            {"type": "tool", "name": "ls"},
            {"mode": "ANY", "allowedFunctionNames": ["ls"]},
        ),
    ],
)
def test_which_tool_shall_be_used_is_said_in_every_dialect(
    wanted: str, openai: Any, anthropic: Any, gemini: Any
) -> None:
    hello = [say(1, "user", "Hello")]
    assert request("openai", hello, tool_choice=wanted)[0]["tool_choice"] == openai
    assert request("anthropic", hello, tool_choice=wanted)[0]["tool_choice"] == anthropic
    assert request("gemini", hello, tool_choice=wanted)[0]["toolConfig"]["functionCallingConfig"] == gemini
    responses = request("openai-responses", hello, tool_choice=wanted)[0]["tool_choice"]
    assert responses == ({"type": "function", "name": "ls"} if wanted == "ls" else wanted)


def test_what_an_interface_does_not_take_is_named() -> None:
    hello = [say(1, "user", "Hello")]
    wishes: dict[str, Any] = {"prefill": "Well,", "reasoning": 1000, "stop": ["END"]}
    assert len(request("openai", hello, **wishes)[1]) == 2
    assert len(request("openai-responses", hello, **wishes)[1]) == 3
    assert request("gemini", hello, **wishes)[1] == ["the beginning of an answer is not taken by this interface"]
    assert request("kimi", hello, **wishes)[1] == ["how much to think is not taken by this interface"]
    assert request("anthropic", hello, prefill="Well, ")[0]["messages"][-1]["content"][0]["text"] == "Well,"
    assert request("gemini", hello, **wishes)[0]["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1000
    assert request("openai", hello, reasoning="low")[0]["reasoning_effort"] == "low"


def test_responses_are_asked_with_everything_they_can_take() -> None:
    def blob(mime: str) -> dict[str, Any]:
        return {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "data": PNG}

    foreign = {"type": "reasoning", "content": "hm", "signature": "c2ln"}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    link = {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"}
    call = {"type": "tool_call", "id": "c", "name": "ls", "arguments": {"a": 1}}
    path = [
        say(1, "user", "Look", blob("image/png"), blob("application/pdf"), link, {"type": "uri", "uri": "file:///x"}),
        say(2, "assistant", foreign, "Hm.", blob("image/png"), call, model="claude-opus-4"),
        say(3, "tool", {"type": "tool_call_response", "id": "c", "response": [picture]}),
        say(4, "system", "Be kind."),
    ]
    sent, lines = request("openai-responses", path, reasoning="high", max_tokens=9)
    assert [piece["type"] for piece in sent["input"][0]["content"]] == [
        "input_text",
        "input_image",
        "input_file",
        "input_image",
    ]
    assert [item["type"] for item in sent["input"][1:]] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert sent["input"][3]["output"][0]["type"] == "input_image" and sent["input"][4]["role"] == "developer"
    assert sent["instructions"] == "Be brief." and sent["max_output_tokens"] == 9
    assert sent["reasoning"] == {"effort": "high", "summary": "auto"} and sent["store"] is False
    assert len(lines) == 3


def test_what_a_response_says_besides_is_kept() -> None:
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}, {"type": "odd", "a": 1}]}
    searched = {"type": "web_search_call", "id": "ws", "status": "completed"}
    body = {"id": "r", "model": "gpt-5", "status": "incomplete", "output": [refused, searched]}
    message = OpenAIResponses().message({**body, "incomplete_details": {"reason": "max_output_tokens"}})
    assert message["finish_reason"] == "max_output_tokens"
    assert message["parts"] == [
        {"type": "text", "content": "No.", "refusal": True},
        {"type": "odd", "a": 1},
        searched,
    ]


def test_what_gemini_says_besides_is_kept() -> None:
    parts: list[Any] = [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"text": "", "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "ls"}},
    ]
    others = [{"content": {"parts": [{"text": "or so"}]}}]
    message = Gemini().message({"candidates": [{"content": {"parts": parts}}, *others]})
    assert [part["type"] for part in message["parts"]] == ["blob", "record", "text", "tool_call"]
    assert message["parts"][3]["id"].startswith("call_") and message["x"]["candidates"] == others


def test_a_refusal_and_further_choices_of_openai_are_kept() -> None:
    first = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"}
    other = {"index": 1, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    message = adapters.named("openai")().message({"id": "c", "model": "gpt-5", "choices": [first, other]})
    assert message["parts"] == [{"type": "text", "content": "No."}]
    assert message["x"]["refusal"] is True and message["x"]["choices"] == [other]


def test_anthropic_blocks_of_every_kind_are_kept_also_from_a_stream() -> None:
    citation = {"type": "char_location", "cited_text": "x", "document_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "claude-opus-4-6", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "c2VjcmV0"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "It "}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "is."}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": citation}},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "ls"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a": '}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 3}},
    ]
    adapter = adapters.named("anthropic")()
    gatherer = adapter.gatherer()
    pieces = [piece for event in events for piece in gatherer.take(event)]
    assert "".join(piece.text for piece in pieces if piece.kind == "text") == "It is."
    assert adapter.message(gatherer.response())["parts"] == [
        {"type": "reasoning", "content": "", "signature": "c2VjcmV0", "redacted": True},
        {"type": "text", "content": "It is.", "citations": [citation]},
        {"type": "tool_call", "id": "t1", "name": "ls", "arguments": '{"a": '},
    ]


def test_anthropic_takes_no_temperature_together_with_reasoning() -> None:
    report = Report()
    said = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    ask = Ask("claude-opus-4-6", said, reasoning=2048, temperature=0.5, top_p=0.9, max_tokens=100)
    body = adapters.named("anthropic")().request(ask, report)
    assert "temperature" not in body and "top_p" not in body and body["max_tokens"] == 2048 + 1024
    assert report.lines[-2:] == [f"{name} is not taken together with reasoning" for name in ("temperature", "top_p")]


def test_further_choices_of_a_stream_do_not_mix_with_the_first() -> None:
    adapter = adapters.named("openai")()
    gatherer = adapter.gatherer()
    for index, text, reason in ((0, "Yes", None), (1, "No", None), (1, "", "stop"), (0, ".", "stop")):
        choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
        list(gatherer.take({"id": "c1", "model": "gpt-5", "choices": [choice]}))
    message = adapter.message(gatherer.response())
    assert message["parts"] == [{"type": "text", "content": "Yes."}]
    gemini = adapters.named("gemini")()
    other = gemini.gatherer()
    for index, text in ((0, "Yes."), (1, "No.")):
        content = {"role": "model", "parts": [{"text": text}]}
        list(other.take({"candidates": [{"index": index, "content": content, "finishReason": "STOP"}]}))
    assert gemini.message(other.response())["parts"] == [{"type": "text", "content": "Yes."}]
