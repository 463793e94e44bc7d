"""iFlow CLI's transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.iflow import IFlow
from tests.importers.support import FORMATS, imported, recognised, roles, text

SHELF = next((FORMATS / "iflow").rglob("session-*.jsonl"))


def test_a_transcript_is_read_like_claude_codes() -> None:
    result = imported(IFlow(), SHELF, companions={})
    draft, messages = result.one()
    assert result.counts == (4, 4, 0, 0)
    assert draft.native_id == "session-1f10aaaa-0000-4000-8000-000000000001"
    assert (draft.title, draft.cwd) == ("书架上有哪些书？", "/home/ann/shelf-app")
    assert roles(messages) == ["user", "assistant", "tool", "assistant"]
    assert text(messages[3]) == "Dune and Emma." and messages[3]["model"] == "glm-4.7"
    assert messages[2]["parts"][0]["response"]["resultDisplay"] == "Read all 2 lines"
    assert not any("usage" in message for message in messages)
    assert result.source.resume is not None


def test_it_is_told_apart_from_claude_code_and_qwen_code() -> None:
    assert recognised(IFlow(), SHELF) and not recognised(ClaudeCode(), SHELF)
    claude = SHELF.read_bytes().replace(b'"session-', b'"')
    assert recognised(ClaudeCode(), claude, "x.jsonl") and not recognised(IFlow(), claude, "x.jsonl")
    qwen = SHELF.read_bytes().replace(b'"userType"', b'"systemPayload"')
    assert not recognised(IFlow(), qwen, "x.jsonl")


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    for path in sorted((samples / "iflow").rglob("*.jsonl")):
        assert recognised(IFlow(), path) and not recognised(ClaudeCode(), path)
        assert imported(IFlow(), path, companions={}).counts == (16, 16, 0, 0)
