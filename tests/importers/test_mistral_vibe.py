"""Mistral Vibe's session directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.mistral_vibe import MistralVibe
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, recognised, roles

IMPORTER = MistralVibe()
META = next((FORMATS / "mistral-vibe").rglob("meta.json"))
MESSAGES = META.with_name("messages.jsonl")


def test_a_session_is_its_description_and_its_messages() -> None:
    read = imported(IMPORTER, META, companions=[MESSAGES])
    draft, messages = read.one()
    assert read.counts == (6, 5, 1, 0)
    assert (draft.native_id, draft.title) == ("abc123de-0000-4000-8000-000000000000", "Sort the tools")
    assert (draft.created_at, draft.updated_at) == ("2026-06-01T10:00:00Z", "2026-06-01T10:05:00Z")
    assert (draft.cwd, draft.git) == ("/home/ada/src/shed", {"branch": "main", "commit": "abc123"})
    assert draft.forked_from == {"key": "mistral-vibe:00000000-aaaa-4000-8000-000000000000"}
    assert draft.aliases == [] and draft.x["stats"]["session_prompt_tokens"] == 100
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "system"]


def test_messages_keep_their_ids_and_calls() -> None:
    _, messages = imported(IMPORTER, META, companions=[MESSAGES]).one()
    assert [message["id"] for message in messages] == ["v1", "v2", "v3", "v3~2", "m5"]
    assert messages[1]["parts"][0] == {"type": "reasoning", "content": "By size."}
    call = {"type": "tool_call", "id": "c1", "name": "read_file", "arguments": {"path": "tools.txt"}, "index": 0}
    assert messages[1]["parts"][2] == call
    assert messages[2]["x"] == {"name": "read_file"}


def test_without_its_messages_a_session_says_so() -> None:
    read = imported(IMPORTER, META)
    assert read.counts == (1, 1, 0, 0) and "messages-missing" in read.one()[0].issues


def test_a_torn_last_message_is_rejected_and_the_rest_read() -> None:
    data = MESSAGES.read_bytes()[:-20]
    read = imported(IMPORTER, META, companions={"messages.jsonl": data})
    assert read.counts == (6, 5, 0, 1) and "torn-line-in-companion" in read.one()[0].issues


@pytest.mark.parametrize("change", [{"environment": 5}, {"session_id": None}, {"messages": []}])
def test_what_is_somebody_elses(change: dict[str, Any]) -> None:
    document = json.loads(META.read_bytes()) | change
    expected = "environment" not in change and "messages" not in change
    assert recognised(IMPORTER, json.dumps(document).encode(), "meta.json") is expected


def test_messages_alone_belong_to_nobody() -> None:
    assert not [name for name, other in all_importers().items() if recognised(other, MESSAGES)]
    with pytest.raises(Unparsable):
        imported(IMPORTER, b"[]", "meta.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "mistral-vibe")
    assert sorted(read.counts for read in found.values()) == [(5, 5, 0, 0), (6, 6, 0, 0)]
