"""LangChain histories of mcp_coder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.mcp_coder_langchain import McpCoderLangchain

from .support import FORMATS, imported, recognised, roles, text

HISTORIES = FORMATS / "mcp-coder-langchain" / ".mcp_coder" / "sessions" / "langchain"
NEW = HISTORIES / "6f1d2c3b-0410-4a00-8000-000000000004.json"
OLD = HISTORIES / "6f1d2c3b-0310-4a00-8000-000000000007.json"


def read(*messages: Any) -> tuple[Draft, list[Message]]:
    """Read a history."""
    return imported(McpCoderLangchain(), json.dumps(messages, indent=2).encode(), "s-1.json", {}).one()


def entry(kind: str, **data: Any) -> dict[str, Any]:
    """An element of a history of the second form."""
    return {"type": kind, "data": {"content": "x"} | data}


def test_both_forms_are_recognised_and_nothing_like_them() -> None:
    assert recognised(McpCoderLangchain(), OLD) and recognised(McpCoderLangchain(), NEW)
    for other in (
        [],
        [{"role": "user", "content": "x"}],
        [{"type": "say", "ts": 1}],
        [{"type": "text", "data": {}}],
        {},
    ):
        assert not recognised(McpCoderLangchain(), json.dumps(other).encode())


def test_the_first_form_has_texts_only() -> None:
    draft, messages = imported(McpCoderLangchain(), OLD).one()
    assert draft.native_id == OLD.stem and draft.title == "Grüß Gott"
    assert messages == [
        {"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Grüß Gott"}]},
        {"id": "m2", "role": "assistant", "parts": [{"type": "text", "content": "Hello."}]},
    ]


def test_the_second_form_has_tools_models_and_figures() -> None:
    found = imported(McpCoderLangchain(), NEW)
    draft, messages = found.one()
    assert found.counts == (8, 8, 0, 0)
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant", "system", "user", "assistant"]
    assert messages[2] == {
        "id": "run--0001-0",
        "role": "assistant",
        "parts": [
            {"type": "text", "content": "Let me see."},
            {"type": "tool_call", "id": "call_1", "name": "read_file", "arguments": {"path": "a.txt"}},
        ],
        "model": "gpt-5-mini",
        "finish_reason": "tool_calls",
        "usage": {"input_tokens": 120, "output_tokens": 30, "cache_read_tokens": 100, "reasoning_tokens": 10},
        "x": {"response_metadata": {"system_fingerprint": "fp"}},
    }
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "call_1", "response": "hello"}]
    assert {code: n for code, (n, _) in draft.issues.items()} == {"system-prompt-repeated": 1}


def test_a_call_that_only_the_content_tells_of_is_one() -> None:
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    _, messages = read(entry("ai", content=[block], tool_calls=[]))
    assert messages[0]["parts"] == [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}}]


def test_failed_tools_and_lost_partners_are_reported() -> None:
    draft, messages = read(entry("tool", tool_call_id="c", status="error"), entry("human"))
    assert messages[0]["parts"][0]["is_error"] is True
    assert "orphan-tool-message" in draft.issues


def test_figures_that_have_no_name_stay() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 9, "output_token_details": {"audio": 1}}
    _, messages = read(entry("ai", usage_metadata=usage))
    assert messages[0]["usage"] == {"input_tokens": 5, "output_tokens": 2}
    assert messages[0]["x"]["usage_metadata"] == {"total_tokens": 9, "output_token_details": {"audio": 1}}


def test_what_says_nothing_is_left_out_and_a_zero_is_not_nothing() -> None:
    _, messages = read(entry("human", example=False, name=None, additional_kwargs={}, odd=0))
    assert messages[0]["x"] == {"odd": 0}


def test_ids_are_unique() -> None:
    _, messages = read(entry("ai", id="a"), entry("ai", id="a"), entry("ai", id="m4"), entry("ai"))
    assert [m["id"] for m in messages] == ["a", "m2", "m4", "m4~"]


@pytest.mark.parametrize(
    "odd",
    [5, None, {}, entry("unknown"), entry("ai", content=7), entry("ai", tool_calls=[5]), {"role": "x", "content": ""}],
)
def test_elements_of_other_shapes_are_kept(odd: Any) -> None:
    _, messages = read(entry("human"), odd)
    assert messages[1]["kind"] == "meta"
    assert messages[1]["parts"][0]["record"] == (odd if isinstance(odd, dict) else {"value": odd})


def test_a_torn_history_gives_what_is_whole_or_is_refused() -> None:
    data = NEW.read_bytes()
    for step in range(1, 10):
        source = Source.of(data[: len(data) * step // 10], NEW.name)
        try:
            messages = [message for _, message in McpCoderLangchain().read(source)]
        except ValueError:
            continue
        assert source.account.adds_up and all(text(m) is not None for m in messages)
