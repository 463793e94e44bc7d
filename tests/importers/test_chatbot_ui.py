"""Chatbot UI's exported data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.chatbot_ui import ChatbotUi
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, recognised, roles

IMPORTER = ChatbotUi()
EXPORT = next((FORMATS / "chatbot-ui").rglob("*.json"))


def test_conversations_are_sessions() -> None:
    read = imported(IMPORTER, EXPORT)
    assert read.counts == (9, 6, 3, 0)
    first, second = read.source.drafts
    assert (first.native_id, first.title) == ("cb-1", "Moon")
    assert first.system == [{"type": "text", "content": "You are a helper."}]
    assert first.x == {"model": {"id": "gpt-4", "name": "GPT-4"}, "temperature": 0.5, "folderId": "f1", "folder": "Sky"}
    assert (second.native_id, second.title) == ("cb-1~2", "Again?")


def test_messages() -> None:
    first, second = imported(IMPORTER, EXPORT).sessions.values()
    assert roles(first) == ["user", "assistant"] and not any("x" in message for message in first)
    assert second[1]["parts"] == [{"type": "record", "record": {"role": "oracle", "content": "?"}}]


def test_what_is_no_conversation_is_rejected() -> None:
    document = json.loads(EXPORT.read_bytes())
    document["history"].append(5)
    read = imported(IMPORTER, json.dumps(document).encode(), "x.json")
    assert read.counts == (10, 6, 3, 1)


@pytest.mark.parametrize("change", [{"history": []}, {"history": [5]}, {"history": {}}, {"folders": None}])
def test_what_is_somebody_elses(change: dict[str, Any]) -> None:
    document = json.loads(EXPORT.read_bytes()) | change
    assert recognised(IMPORTER, json.dumps(document).encode(), "x.json") is ("folders" in change)
    del document["folders"]
    assert not recognised(IMPORTER, json.dumps(document).encode(), "x.json")


def test_a_document_without_conversations_is_refused() -> None:
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{"version": 4}', "x.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "chatbot-ui")
    assert [read.counts for read in found.values()] == [(12, 9, 3, 0)]
