"""Aider's chat history: many chats in one Markdown file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.importers.aider import Aider
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, recognised, roles, text

IMPORTER = Aider()
HISTORY = FORMATS / "aider" / "project" / ".aider.chat.history.md"
TRIMMED = FORMATS / "aider" / "notes" / "trimmed-history.md"
HEADER = "# aider chat started at 2026-01-02 03:04:05\n\n"


def test_every_header_begins_a_session() -> None:
    read = imported(IMPORTER, HISTORY)
    assert list(read.drafts) == ["2026-03-01T09:00:00", "2026-03-01T09:00:00~2", "2026-03-02T18:30:15"]
    assert read.counts == (15, 14, 1, 0)
    draft = read.source.drafts[0]
    assert draft.title == "Water the tomatoes at six."
    assert draft.x["created_at"] == {"raw": "2026-03-01 09:00:00", "precision": "s", "zone": "unknown"}
    assert draft.x["before"] == "left over from before"
    assert draft.created_at is None and "before" not in read.source.drafts[1].x


def test_marks_tell_who_has_said_what() -> None:
    messages = imported(IMPORTER, HISTORY).sessions["2026-03-01T09:00:00"]
    expected = ["system", "user", "assistant", "system", "user", "system", "user", "assistant", "system"]
    assert roles(messages) == expected
    assert text(messages[1]) == "Water the tomatoes at six.\n\nOnly when it is dry. 🍅"
    assert all(message["kind"] == "meta" for message in messages if message["role"] == "system")
    assert not any("time" in message for message in messages)


def test_what_the_program_would_have_ended_with_two_blanks_is_part_of_the_answer() -> None:
    answer = imported(IMPORTER, HISTORY).sessions["2026-03-01T09:00:00"][2]
    assert "#### Step one\n> quoted from the manual" in text(answer)


def test_answers_have_the_model_and_the_rounded_figures_of_the_notices() -> None:
    messages = imported(IMPORTER, HISTORY).sessions["2026-03-01T09:00:00"]
    assert [message.get("model") for message in messages if message["role"] == "assistant"] == [
        "anthropic/claude-sonnet-4-5",
        "gpt-5-mini",
    ]
    assert messages[2]["usage"] == {
        "input_tokens": 1200,
        "output_tokens": 210,
        "cache_read_tokens": 400,
        "cache_write_tokens": 300,
        "cost_microusd": 4200,
        "estimated": True,
    }
    assert messages[7]["usage"]["cost_microusd"] == 240


def test_several_figures_for_one_answer_are_added() -> None:
    line = "> Tokens: 1,000 sent, 10 received. Cost: $0.01 message, $0.01 session.  \n"
    _, messages = imported(IMPORTER, f"{HEADER}Hello\n\n{line}{line}".encode()).one()
    assert messages[0]["usage"]["input_tokens"] == 2000
    assert messages[0]["usage"]["cost_microusd"] == 20000


def test_a_history_without_trailing_blanks_is_read_by_its_marks_alone() -> None:
    draft, messages = imported(IMPORTER, TRIMMED).one()
    assert roles(messages) == ["user", "assistant", "system", "assistant"]
    assert text(messages[3]) == "# A heading that starts no chat"
    assert "roles-by-marks" in draft.issues


def test_a_chat_in_which_nothing_was_said_is_kept() -> None:
    messages = imported(IMPORTER, HISTORY).sessions["2026-03-01T09:00:00~2"]
    assert messages[0]["parts"] == [{"type": "record", "record": {"started": "2026-03-01 09:00:00"}}]


def test_line_ends_of_windows_change_nothing() -> None:
    whole = imported(IMPORTER, HISTORY)
    assert imported(IMPORTER, HISTORY.read_bytes().replace(b"\n", b"\r\n")).sessions == whole.sessions


def test_growth_only_adds() -> None:
    data = HISTORY.read_bytes()
    whole = imported(IMPORTER, data).sessions
    cut = data.index(b"# aider chat started at 2026-03-02")
    assert list(imported(IMPORTER, data[:cut]).sessions.items()) == list(whole.items())[:2]


def test_other_markdown_is_not_aiders() -> None:
    assert not recognised(IMPORTER, b"# aider chat started at noon\n", "x.md")
    assert not recognised(IMPORTER, b"See: # aider chat started at 2026-01-02 03:04:05\n", "x.md")
    assert recognised(IMPORTER, b"notes\n" + HEADER.encode(), "x.md")
    with pytest.raises(Unparsable):
        imported(IMPORTER, b"# Notes\n")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "aider")
    assert len(found) == 2
    large = max(found.values(), key=lambda read: len(read.sessions))
    assert len(large.sessions) == 1133
    messages = [message for part in large.sessions.values() for message in part]
    assert sum("usage" in message for message in messages) > 800
