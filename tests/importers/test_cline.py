"""The tasks of Cline and its forks, and the session directories of Cline's SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.cline import Cline
from sessionstore.importers.cline_sdk import ClineSdk
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.bundles import members_of
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

TASK, SHOWN = sorted((FORMATS / "cline").rglob("ui_messages.json"))
LEAD = next((FORMATS / "cline-sdk").rglob("*.messages.json"))


def whole(importer: Any, lead: Path) -> Imported:
    """Read a source with all files that belong to it."""
    return imported(importer, lead, companions={one.name: Path(one.path) for one in members_of(importer, str(lead))})


def test_a_task_is_its_history_with_the_times_and_costs_of_what_was_shown() -> None:
    result = whole(Cline(), TASK)
    draft, messages = result.one()
    assert result.counts == (9 + 4 + 1, 12, 2, 0)
    assert draft.native_id == "1770000000000" and draft.cwd == "/home/ann/shelf-app"
    assert draft.forked_from == {"key": "cline:1760000000000", "relation": "subagent"}
    assert roles(messages) == ["user", "assistant", "system", "tool", "assistant", "system"]
    assert messages[0]["time"] == "2026-02-02T02:40:00.001Z"
    answer = messages[1]
    assert answer["time"] == "2026-02-02T02:40:00.002Z" and answer["model"] == "large-1"
    assert answer["usage"] == {
        "input_tokens": 112,
        "output_tokens": 30,
        "cache_read_tokens": 100,
        "cache_write_tokens": 10,
        "cost_microusd": 12500,
    }
    assert messages[2]["parts"][0]["record"]["say"] == "checkpoint_created"
    assert messages[3]["time"] == "2026-02-02T02:40:00.003Z"
    assert messages[4]["usage"] == {"input_tokens": 5, "output_tokens": 1}


def test_without_its_history_a_task_is_what_was_shown() -> None:
    result = imported(Cline(), SHOWN, companions={})
    draft, messages = result.one()
    assert "history-missing" in draft.issues and draft.title == "How many books? 书"
    assert result.counts == (9, 4, 5, 0)
    assert roles(messages)[:3] == ["user", "system", "assistant"]
    assert messages[0]["parts"][1]["mime_type"] == "image/png"
    assert sum(message.get("usage", {}).get("output_tokens", 0) for message in messages) == 31
    assert messages[7]["kind"] == "error"


def test_times_are_no_ids() -> None:
    _, messages = imported(Cline(), SHOWN, companions={}).one()
    assert messages[2]["time"] == messages[3]["time"] and len({message["id"] for message in messages}) == 9


@pytest.mark.parametrize("history", [b"", b"{}", b"[", b"5", b"[null, 5, {}]", b'[{"role": [], "content": 5}]'])
def test_a_broken_history_costs_nothing_of_what_was_shown(history: bytes) -> None:
    result = imported(Cline(), TASK, companions={"api_conversation_history.json": history})
    assert result.source.account.records >= 9


@pytest.mark.parametrize("value", [[], [5], {}, [{"type": "say", "say": "x"}], [{"role": "user", "content": "x"}]])
def test_other_documents_are_not_recognised(value: Any) -> None:
    assert not recognised(Cline(), json.dumps(value).encode())


def test_a_session_of_the_sdk_and_its_shortened_copy() -> None:
    result = whole(ClineSdk(), LEAD)
    draft, messages = result.one()
    assert result.counts == (1 + 1 + 4 + 1 + 3, 10, 0, 0)
    assert draft.native_id == "1770000000000_abcde" and draft.title == "Books"
    assert draft.forked_from == {"key": "cline-sdk:1760000000000_zzzzz", "relation": "fork"}
    assert draft.system == [{"type": "text", "content": "You are helpful."}]
    assert [message["id"] for message in messages] == ["c1", "c2", "c3", "c4", "m5", "c1~2"]
    assert roles(messages[:4]) == ["user", "assistant", "tool", "assistant"]
    assert [part["type"] for part in messages[0]["parts"]] == ["text", "file"]
    assert messages[4]["kind"] == "compaction" and messages[4]["parent"] is None and text(messages[4])
    assert messages[5]["kind"] == "context" and draft.active_leaf == "c4"


def test_the_input_of_the_sdk_includes_the_cache() -> None:
    _, messages = whole(ClineSdk(), LEAD).one()
    assert messages[1]["usage"] == {
        "input_tokens": 112,
        "output_tokens": 30,
        "cache_read_tokens": 100,
        "cache_write_tokens": 10,
        "cost_microusd": 12500,
    }
    assert sum(message.get("usage", {}).get("output_tokens", 0) for message in messages) == 60
    assert (messages[1]["model"], messages[1]["provider"]) == ("large-1", "anthropic")


def test_another_agent_of_the_directory_is_a_session_of_its_own() -> None:
    document = json.loads(LEAD.read_bytes())
    document["agent"] = "helper"
    result = imported(ClineSdk(), LEAD, companions={"helper.messages.json": json.dumps(document).encode()})
    own, sub = result.source.drafts
    assert sub.native_id == f"{own.native_id}/helper"
    assert sub.forked_from == {"key": f"cline-sdk:{own.native_id}", "relation": "subagent"}


def test_a_shortened_copy_alone_is_read_and_reported() -> None:
    lead = LEAD.with_name("basic.compaction.json")
    draft, messages = imported(ClineSdk(), lead, companions={}).one()
    assert "messages-missing" in draft.issues and len(messages) == 3


def test_a_session_cut_off_is_refused() -> None:
    for end in (0, 20, 900):
        with pytest.raises(Unparsable):
            imported(ClineSdk(), LEAD.read_bytes()[:end], "x.messages.json", {})


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    paths = sorted((samples / "cline-sdk").rglob("*.messages.json"))
    assert paths
    for path in paths:
        assert recognised(ClineSdk(), path)
        assert not whole(ClineSdk(), path).source.account.rejected


def test_what_a_request_has_cost_is_never_lost() -> None:
    told = json.dumps({"tokensIn": 7, "tokensOut": 3})
    request = {"ts": 1, "type": "say", "say": "api_req_started", "text": told}
    rows = [request, {**request, "conversationHistoryIndex": 0}, {**request, "conversationHistoryIndex": -1}]
    rows += [{**request, "conversationHistoryIndex": -1}, {**request, "conversationHistoryIndex": 99}]
    history = json.dumps([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]).encode()
    beside = {"api_conversation_history.json": history}
    result = imported(Cline(), json.dumps(rows).encode(), "t/ui_messages.json", beside)
    messages = result.one()[1]
    assert sum(message.get("usage", {}).get("input_tokens", 0) for message in messages) == 35
    assert next(one for one in messages if one["role"] == "assistant")["usage"]["input_tokens"] == 14
    assert result.counts == (7, 4, 3, 0)
