"""Markdown transcripts of mcp_coder's workflow."""

from __future__ import annotations

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.mcp_coder_transcript import McpCoderTranscript
from sessionstore.importers.parsing import Unparsable

from .support import FORMATS, ROOT, imported, recognised, roles, text

CONVERSATIONS = FORMATS / "mcp-coder-transcript" / "pr_info" / ".conversations"
TASK = CONVERSATIONS / "step_1.md"
FIX = CONVERSATIONS / "step_0_mypy_2.md"


def test_only_transcripts_are_recognised() -> None:
    assert recognised(McpCoderTranscript(), TASK) and recognised(McpCoderTranscript(), FIX)
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        assert not recognised(McpCoderTranscript(), path), path
    assert not recognised(McpCoderTranscript(), b"# CI Failure Analysis\n\nThe pipeline failed.\n")


def test_a_transcript_is_a_prompt_and_an_answer() -> None:
    found = imported(McpCoderTranscript(), TASK)
    draft, messages = found.one()
    assert found.counts == (3, 3, 0, 0)
    assert draft.title == "Implementation Task: Add a till" and draft.aliases == ["step_1"]
    assert roles(messages) == ["system", "user", "assistant"]
    assert text(messages[1]) == "Implement it.\n\nStep by step."
    assert text(messages[2]) == "Done.\n\n---\nAll of it."
    assert messages[1]["x"]["time"] == {"raw": "2025-10-29T08:37:58.090542", "precision": "us", "zone": "unknown"}
    assert list(draft.issues) == ["id-missing"]


def test_what_came_before_the_prompt_is_kept() -> None:
    _, messages = imported(McpCoderTranscript(), FIX).one()
    assert messages[0]["parts"][0]["record"]["heading"] == '# Mypy Fix Attempt 2\n\n## Mypy Errors:\n{"file": "a.py"}'
    assert (text(messages[1]), text(messages[2])) == ("Fix the errors.", "Fixed ✅")


def test_transcripts_of_the_same_name_are_different_sessions() -> None:
    ids = {
        imported(McpCoderTranscript(), TASK.read_bytes() + more, "step_1.md", {}).one()[0].native_id
        for more in (b"", b"x")
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("body", "said", "issues"),
    [
        ("p", ["p"], {"id-missing", "answer-missing"}),
        ("p\n\n## LLM Response:\na", ["p", "a"], {"id-missing"}),
        (
            "p\n\n## LLM Response:\na\n\n## LLM Response:\nb",
            ["p", "a\n\n## LLM Response:\nb"],
            {"id-missing", "ambiguous-transcript"},
        ),
        ("p\n\n## LLM Response:\n\n\n---\nGenerated on: 2025-10-29T08:37:58", ["p", ""], {"id-missing"}),
        (
            "p\n\n## LLM Response:\na\n\n---\nGenerated on: yesterday",
            ["p", "a\n\n---\nGenerated on: yesterday"],
            {"id-missing"},
        ),
    ],
)
def test_incomplete_and_ambiguous_transcripts(body: str, said: list[str], issues: set[str]) -> None:
    made = f"# T\n\n## Prompt Sent to LLM:\n{body}".encode()
    draft, messages = imported(McpCoderTranscript(), made, "step_2.md", {}).one()
    assert [text(m) for m in messages[1:]] == said
    assert set(draft.issues) == issues


def test_a_transcript_without_a_prompt_is_refused() -> None:
    with pytest.raises(Unparsable):
        list(McpCoderTranscript().read(Source.of(TASK.read_bytes()[:20], "step_1.md")))
