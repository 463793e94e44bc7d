"""Claude.ai data exports: zip file, unpacked folder, conversations of the website."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Message
from sessionstore.importers.claude_ai import ClaudeAi
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURES = FORMATS / "claude-ai"
IMPORTER = ClaudeAi()
BATCH = FIXTURES / "data-2026-03-02-00-00-00-batch-0000.zip"
SUM, OLD = "22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
PROJECT = "0b0b0b0b-0000-4000-8000-000000000001"


def read(*conversations: Any, companions: dict[str, bytes] | None = None) -> Imported:
    """Read a list of conversations."""
    return imported(IMPORTER, json.dumps(list(conversations)).encode(), "conversations.json", companions or {})


def one(**fields: Any) -> Message:
    """The message of a conversation that has one."""
    record = {"uuid": "m", "sender": "assistant", "text": "", "content": []} | fields
    return read({"uuid": "c", "name": "N", "chat_messages": [record]}).one()[1][0]


def block(**fields: Any) -> list[dict[str, Any]]:
    """The parts of a message with one content block."""
    parts: list[dict[str, Any]] = one(content=[fields])["parts"]
    return parts


def zipped(members: dict[str, Any]) -> bytes:
    """A zip file of JSON documents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in members.items():
            archive.writestr(name, json.dumps(value))
    return buffer.getvalue()


@pytest.mark.parametrize("name", [BATCH.name, "export/conversations.json", "captured.json", "broken.json"])
def test_exports_are_recognised_by_what_is_in_them(name: str) -> None:
    assert recognised(IMPORTER, FIXTURES / name)


@pytest.mark.parametrize("name", ["users.json", "projects.json", "memories.json"])
def test_files_beside_the_conversations_are_not_recognised(name: str) -> None:
    assert not recognised(IMPORTER, FIXTURES / "export" / name)


@pytest.mark.parametrize(
    "made",
    [[], {}, [{"uuid": "1", "name": "x"}], {"chat_messages": []}, {"a": {"uuid": "1", "chat_messages": []}}],
)
def test_documents_of_other_kinds_are_not_recognised(made: Any) -> None:
    assert not recognised(IMPORTER, json.dumps(made).encode())


def test_a_batch_that_holds_only_projects_is_recognised_and_read(tmp_path: Path) -> None:
    project = json.loads((FIXTURES / "export" / "projects.json").read_bytes())[0]
    batch = tmp_path / "batch.zip"
    batch.write_bytes(zipped({f"projects/{PROJECT}.json": project, "users.json": []}))
    assert recognised(IMPORTER, batch)
    assert list(imported(IMPORTER, batch).drafts) == [f"project-{PROJECT}"]
    batch.write_bytes(zipped({"projects/notes.json": {"name": "no project"}}))
    assert not recognised(IMPORTER, batch)


def test_the_zip_file_and_the_folder_give_the_same() -> None:
    root = FIXTURES / "export"
    beside = [root / name for name in ("users.json", "projects.json", "memories.json")]
    packed, unpacked = imported(IMPORTER, BATCH), imported(IMPORTER, root / "conversations.json", companions=beside)
    assert packed.sessions == unpacked.sessions
    assert packed.counts == unpacked.counts == (14, 11, 3, 0)


def test_a_conversation_keeps_its_fields() -> None:
    draft = imported(IMPORTER, BATCH).drafts[SUM]
    assert (draft.title, draft.project) == ("Sum of a list", "Kitchen")
    assert (draft.created_at, draft.updated_at) == ("2026-03-01T10:00:00.000000Z", "2026-03-01T10:05:00.000000Z")
    assert draft.x == {"account": {"uuid": "acc00000-0000-4000-8000-000000000001"}, "project_uuid": PROJECT}


def test_blocks_become_parts_in_their_order() -> None:
    answer = imported(IMPORTER, BATCH).sessions[SUM][1]
    assert answer["role"] == "assistant" and answer["time"] == "2026-03-01T10:00:02.123456Z"
    assert answer["parts"] == [
        {"type": "reasoning", "content": "Add them.", "summaries": [{"summary": "Adding"}]},
        {"type": "tool_call", "id": "toolu_1", "name": "repl", "arguments": {"code": "1+2"}, "message": "Adding"},
        {
            "type": "tool_call_response",
            "id": "toolu_1",
            "response": [{"type": "text", "text": "3", "uuid": "t1"}],
            "name": "repl",
        },
        {"type": "token_budget"},
        {"type": "text", "content": "The sum is 3.", "start_timestamp": "2026-03-01T10:00:01.000000Z"},
    ]
    assert answer["x"]["text"].startswith("```")


def test_extracted_text_is_text_and_a_file_is_known_by_name_only() -> None:
    found = imported(IMPORTER, BATCH)
    asked = found.sessions[SUM][0]
    assert asked["parts"][1:] == [
        {
            "type": "text",
            "content": "a,1\nb,2\n",
            "name": "list.csv",
            "attachment": {"file_size": 12, "file_type": "text/csv"},
        },
        {"type": "file", "name": "photo.jpg"},
    ]
    assert "x" not in asked
    assert found.drafts[SUM].issues["file-missing"][0] == 1


def test_the_plain_text_counts_where_there_are_no_blocks() -> None:
    found = imported(IMPORTER, BATCH)
    old, failed, note = found.sessions[OLD]
    assert old["parts"] == [{"type": "text", "content": "Older exports have no blocks."}]
    assert failed["parts"] == [
        {"type": "tool_call_response", "id": "", "response": "timeout", "is_error": True, "name": "web"}
    ]
    assert note["parts"] == [{"type": "text", "content": "Hello there", "title": "Note", "voice_note": True}]
    assert found.drafts[OLD].title == "Older exports have no blocks."


def test_a_time_without_a_zone_is_never_passed_off_as_utc() -> None:
    found = imported(IMPORTER, BATCH)
    note = found.sessions[OLD][2]
    assert "time" not in note
    assert note["x"]["time"] == {"raw": "2026-03-01T12:00:00.000001", "precision": "us", "zone": "unknown"}
    assert found.drafts[OLD].updated_at is None and found.drafts[OLD].x["updated_at"]["zone"] == "unknown"


def test_conversations_without_messages_are_kept() -> None:
    found = imported(IMPORTER, BATCH)
    lost, empty = (found.drafts[f"22222222-0000-4000-8000-00000000000{n}"] for n in (3, 4))
    assert list(lost.issues) == ["messages-missing"] and found.sessions[lost.native_id][0]["kind"] == "meta"
    assert not empty.issues and found.sessions[empty.native_id] == []


def test_a_project_is_a_session_of_what_stands_behind_conversations() -> None:
    found = imported(IMPORTER, BATCH)
    draft, messages = found.drafts[f"project-{PROJECT}"], found.sessions[f"project-{PROJECT}"]
    assert draft.title == "Kitchen" and draft.created_at == "2026-02-01T10:00:00.000000+00:00"
    assert [message["kind"] for message in messages] == ["context", "context", "context", "meta"]
    assert messages[1]["parts"] == [{"type": "text", "content": "Answer in grams.", "name": "prompt_template"}]
    assert text(messages[2]) == "Feed it daily." and messages[2]["time"] == "2026-02-01T11:00:00.000000+00:00"
    assert list(draft.issues) == ["document-missing"]


def test_memories_are_a_session() -> None:
    messages = imported(IMPORTER, BATCH).sessions["memory-acc00000-0000-4000-8000-000000000001"]
    assert [(m["id"], text(m)) for m in messages] == [
        ("conversations_memory", "Bakes at weekends."),
        (f"project/{PROJECT}", "Prefers rye."),
    ]


def test_account_data_does_not_become_messages() -> None:
    found = imported(IMPORTER, BATCH)
    assert "baker@example.org" not in json.dumps(
        [d.state() for d in found.source.drafts] + list(found.sessions.values())
    )


def test_a_damaged_file_beside_the_conversations_does_not_take_them_along() -> None:
    made = {"uuid": "c", "name": "N", "chat_messages": []}
    found = read(made, companions={"projects.json": b'[{"uuid":"p","docs":[]},', "memories.json": b"no JSON"})
    assert {"c", "project-p"} <= set(found.drafts) and "unreadable-file" in found.source.file_issues
    strange = read(made, companions={"projects/other.json": b'{"name": "package", "version": 1}'})
    assert list(strange.drafts) == ["c"] and strange.counts == (2, 1, 1, 0)


def test_a_tree_keeps_all_its_branches() -> None:
    draft, messages = imported(IMPORTER, FIXTURES / "captured.json").one()
    assert [message["id"][-1] for message in messages] == ["1", "2", "3", "4"]
    assert "parent" not in messages[0] and "parent" not in messages[1]
    assert messages[2]["parent"] == messages[0]["id"]
    assert messages[3]["parent"] is None and messages[3]["x"]["parent_message_uuid"].startswith("99999999")
    assert draft.active_leaf == messages[2]["id"] and draft.issues["parent-missing"][0] == 1
    assert messages[1]["finish_reason"] == "stop_sequence"
    assert draft.project == "Kitchen" and draft.x["model"] == "claude-sonnet-4-5" and draft.x["is_starred"] is True
    assert "model" not in messages[1]


def test_a_leaf_that_is_not_there_is_reported() -> None:
    draft = read({"uuid": "c", "current_leaf_message_uuid": "x", "chat_messages": []}).one()[0]
    assert list(draft.issues) == ["current-leaf-missing"] and draft.x["current_leaf_message_uuid"] == "x"


def test_wrong_shapes_are_kept_and_reported() -> None:
    found = imported(IMPORTER, FIXTURES / "broken.json")
    draft, messages = found.one()
    assert found.counts == (10, 6, 2, 2)
    assert {code: count for code, (count, _) in draft.issues.items()} == {
        "content-malformed": 2,
        "block-malformed": 3,
        "message-id-twice": 1,
    }
    assert [text(message) for message in messages[:3]] == ["No content", "A text that is null", "A plain text"]
    assert messages[1]["parts"][0] == {"type": "record", "record": {"type": "text", "text": None}}
    assert messages[2]["x"]["text"] == "something else"
    assert [m.get("kind") for m in messages] == [None, None, None, None, "meta", None, "meta"]
    assert messages[5]["id"].endswith("4~2")
    assert [reason for _, reason in found.source.account.rejected] == ["not a JSON object", "not a conversation"]


def test_what_is_no_conversation_at_all_is_refused() -> None:
    with pytest.raises(Unparsable, match="not a conversation"):
        read({"invalid": "x"})
    with pytest.raises(Unparsable, match="no conversations"):
        imported(IMPORTER, zipped({"users.json": []}), "a.zip", {})


def test_blocks_of_unknown_types_are_kept_verbatim() -> None:
    assert block(type="hologram", a={"b": 1}) == [{"type": "hologram", "a": {"b": 1}}]
    assert block(type="blob", a=1) == [{"type": "record", "record": {"type": "blob", "a": 1}}]
    assert block(type="tool_use", name="x") == [{"type": "record", "record": {"type": "tool_use", "name": "x"}}]


def test_fields_of_a_block_never_take_the_place_of_a_parts_own() -> None:
    parts = block(type="text", text="Hello", content="else", id=7, citations=[{"url": "u"}])
    assert parts == [
        {"type": "text", "content": "Hello", "citations": [{"url": "u"}], "block": {"content": "else", "id": 7}}
    ]


def test_thinking_keeps_its_signature_and_images_become_blobs() -> None:
    assert block(type="thinking", thinking="Hm", signature="c2ln", cut_off=True) == [
        {"type": "reasoning", "content": "Hm", "signature": "c2ln", "cut_off": True}
    ]
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert block(type="image", source=source) == [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "iVBORw0KGgo="}
    ]
    assert block(type="image", source=source | {"data": "!"})[0]["type"] == "record"


def test_the_plain_text_is_left_out_where_the_blocks_say_the_same() -> None:
    blocks = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    for said in ("AB", "A\nB", "A\n\nB", ""):
        assert "x" not in one(content=blocks, text=said)
    assert one(content=blocks, text="C")["x"] == {"text": "C"}


def test_the_same_conversation_twice_is_one_session() -> None:
    made = {"uuid": "c", "name": "N", "chat_messages": []}
    found = read(made, made, made | {"name": "M"})
    assert list(found.drafts) == ["c", "c~2"] and found.counts == (3, 3, 0, 0)
    assert list(found.drafts["c~2"].issues) == ["conversation-twice"]


def test_many_messages_of_one_id_cost_no_more_than_others() -> None:
    record = {"uuid": "m", "sender": "human", "text": "x", "content": []}
    messages = read({"uuid": "c", "chat_messages": [record] * 20_000}).one()[1]
    assert len({message["id"] for message in messages}) == 20_000


@pytest.mark.parametrize("cut", [1, 500, 1000, 2000])
def test_an_export_that_is_cut_off_is_refused(cut: int) -> None:
    for name in (BATCH.name, "export/conversations.json", "captured.json"):
        with pytest.raises(Unparsable):
            imported(IMPORTER, (FIXTURES / name).read_bytes()[:cut], "conversations.json", {})


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    paths = sorted((samples / "claude-ai-export").rglob("*.json"))
    found = {path.name: imported(IMPORTER, path) for path in paths if recognised(IMPORTER, path)}
    assert len(found) == len(paths) - 2  # a manifest of samples, and what is no conversation on purpose
    draft, messages = found["claude-bakery-chat.json"].one()
    assert roles(messages) == ["user", "assistant", "user", "assistant"]
    assert draft.active_leaf == messages[-1]["id"] and not any("parent" in message for message in messages)
    assert found["conversations-multiple-errors.json"].counts == (9, 8, 1, 0)
