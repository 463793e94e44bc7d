"""ChatGPT data exports: zip file, unpacked folder, split lists, one conversation."""

from __future__ import annotations

import base64
import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Message, Source
from sessionstore.importers.chatgpt import ChatGpt
from sessionstore.importers.exports import instant, micros, mime_type
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURES = FORMATS / "chatgpt"
BREAD, PICTURES = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
IMPORTER = ChatGpt()


def folder(name: str) -> Imported:
    """Read an unpacked export the way the program hands it over: the lead with everything beside it."""
    root = FIXTURES / name
    lead = next(path for pattern in IMPORTER.leads for path in sorted(root.glob(pattern)))
    return imported(IMPORTER, lead, companions=[p for p in sorted(root.rglob("*")) if p.is_file() and p != lead])


def node(name: str, parent: str | None, role: str = "user", time: float | None = None, **fields: Any) -> dict[str, Any]:
    """A node whose message says its own name."""
    body = {"id": name, "author": {"role": role}, "create_time": time, "content": {"parts": [name]}} | fields
    return {"id": name, "parent": parent, "message": body}


def conversation(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A conversation of nodes in the order given."""
    made = {"conversation_id": "c1", "title": "T", "mapping": {item["id"]: item for item in nodes}}
    return made | {"current_node": nodes[-1]["id"] if nodes else None} | fields


def read(*conversations: Any, **companions: bytes) -> Imported:
    """Read a list of conversations."""
    return imported(IMPORTER, json.dumps(list(conversations)).encode(), "conversations.json", companions)


def given(data: bytes) -> Imported:
    """Read bytes that have nothing beside them."""
    return imported(IMPORTER, data, "export", {})


def one(content: dict[str, Any], role: str = "assistant", **fields: Any) -> Message:
    """The message of a conversation that has one."""
    return read(conversation(node("n", None, role, 1.0, content=content, **fields))).one()[1][0]


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip file of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["export.zip", "export/conversations.json", "split/conversations-001.json"])
def test_exports_are_recognised_by_what_is_in_them(name: str) -> None:
    assert recognised(IMPORTER, FIXTURES / name)


@pytest.mark.parametrize("name", ["user.json", "message_feedback.json", "shared_conversations.json", "chat.html"])
def test_files_beside_the_conversations_are_not_recognised(name: str) -> None:
    assert not recognised(IMPORTER, FIXTURES / "export" / name)


@pytest.mark.parametrize(
    "made",
    [
        [],
        {},
        [{"mapping": {}}],
        {"mapping": {"a": "b"}, "name": "a table"},
        [{"id": "1", "title": "t", "inserted_at": "2026-01-01", "mapping": {}}],
        [{"uuid": "1", "name": "", "chat_messages": [{"mapping": {}, "title": ""}]}],
        {"session_id": "s", "messages": [{"content": '{"mapping": {}, "title": ""}'}]},
    ],
)
def test_documents_of_other_kinds_are_not_recognised(made: Any) -> None:
    assert not recognised(IMPORTER, json.dumps(made).encode())


def test_a_list_is_recognised_by_its_beginning_alone() -> None:
    made = conversation(node("a", None, content={"parts": ["x" * 200_000]}))
    data = json.dumps([made]).encode()
    assert recognised(IMPORTER, data) and recognised(IMPORTER, b"\xef\xbb\xbf" + data)
    assert recognised(IMPORTER, json.dumps([{"id": "corrupt"}, made]).encode())


def test_a_zip_file_of_something_else_is_not_recognised(tmp_path: Path) -> None:
    other = tmp_path / "a.zip"
    other.write_bytes(zipped({"conversations.json": b'[{"uuid":"1","chat_messages":[]}]', "notes.json": b"{}"}))
    assert not recognised(IMPORTER, other)
    other.write_bytes(b"PK\x03\x04 and no zip file")
    assert not recognised(IMPORTER, other)


def test_every_node_becomes_a_message_in_the_order_of_time_with_parents_first() -> None:
    draft, messages = imported(IMPORTER, FIXTURES / "conversation.json").one()
    ids = ["sys", "custom", "ask", "thoughts", "call", "result", "recap", "first", "again", "thanks"]
    assert [message["id"] for message in messages] == ids
    assert {message["id"]: message["parent"] for message in messages if "parent" in message} == {
        "again": "recap",
        "thanks": "first",
    }
    assert draft.active_leaf == "thanks"
    assert draft.title == "Bread" and draft.native_id == BREAD
    assert (draft.created_at, draft.updated_at) == ("2025-06-15T15:06:40.250000Z", "2025-06-15T15:16:40.250000Z")
    assert draft.x == {
        "is_archived": False,
        "is_starred": True,
        "default_model_slug": "gpt-4o",
        "nodes_without_message": [{"id": "root"}],
    }
    assert not draft.issues


def test_the_order_of_the_mapping_does_not_matter() -> None:
    made = json.loads((FIXTURES / "conversation.json").read_bytes())
    expected = read(made).one()[1]
    dice = random.Random(0)
    for _ in range(20):
        names = list(made["mapping"])
        dice.shuffle(names)
        assert read(made | {"mapping": {name: made["mapping"][name] for name in names}}).one()[1] == expected


def test_a_later_export_of_a_conversation_only_adds_at_the_end() -> None:
    made = json.loads((FIXTURES / "conversation.json").read_bytes())
    names = [message["id"] for message in read(made).one()[1]]
    whole = read(made).one()[1]
    for count in range(1, len(names)):
        there = {"root", *names[:count]}
        mapping = {
            name: item | {"children": [child for child in item["children"] if child in there]}
            for name, item in made["mapping"].items()
            if name in there
        }
        assert read(made | {"mapping": mapping, "current_node": names[count - 1]}).one()[1] == whole[:count]


def test_calls_and_results_are_paired_by_the_tree() -> None:
    messages = {message["id"]: message for message in imported(IMPORTER, FIXTURES / "conversation.json").one()[1]}
    assert messages["call"]["parts"] == [
        {"type": "tool_call", "id": "call", "name": "python", "arguments": "3000 / 600", "language": "python"}
    ]
    assert messages["result"]["parts"] == [
        {"type": "tool_call_response", "id": "call", "response": "5.0", "name": "python"}
    ]
    assert "recipient" not in messages["call"]["x"]


def test_several_results_belong_to_one_call_and_a_strangers_to_none() -> None:
    def quote(name: str, parent: str, tool: str) -> dict[str, Any]:
        content = {"content_type": "tether_quote", "url": "https://e.org", "text": "grey"}
        return node(name, parent, "tool", author={"role": "tool", "name": tool}, content=content)

    call = node("c", None, "assistant", recipient="browser.search", content={"content_type": "code", "text": "q"})
    messages = read(conversation(call, quote("r1", "c", "browser"), quote("r2", "r1", "browser.search"))).one()[1]
    assert [message["parts"][0]["id"] for message in messages[1:]] == ["c", "c"]
    assert messages[1]["parts"][0]["response"] == {"url": "https://e.org", "text": "grey"}
    strange = read(conversation(call, quote("r1", "c", "python"), quote("r2", "r1", "browser"))).one()[1]
    assert [message["parts"][0]["id"] for message in strange[1:]] == ["", ""]


def test_thoughts_and_recaps_are_reasoning() -> None:
    messages = {message["id"]: message for message in imported(IMPORTER, FIXTURES / "conversation.json").one()[1]}
    assert messages["thoughts"]["parts"] == [
        {"type": "reasoning", "content": "600 g a loaf.", "summary": "Weighing", "finished": True}
    ]
    assert messages["thoughts"]["model"] == "o3"
    assert messages["thoughts"]["x"]["content"] == {"source_analysis_msg_id": "x"}
    assert messages["recap"]["parts"] == [{"type": "reasoning", "content": "Thought for 2s"}]
    assert one({"content_type": "thoughts", "parts": ["As before."]})["parts"][0]["type"] == "reasoning"


def test_custom_instructions_and_hidden_messages_are_context() -> None:
    messages = {message["id"]: message for message in imported(IMPORTER, FIXTURES / "conversation.json").one()[1]}
    assert [messages[name]["kind"] for name in ("sys", "custom")] == ["context", "context"]
    assert [part["name"] for part in messages["custom"]["parts"]] == ["user_profile", "user_instructions"]
    assert "time" not in messages["custom"]
    assert messages["sys"]["x"]["weight"] == 0.0
    assert all("kind" not in message for name, message in messages.items() if name not in ("sys", "custom"))


def test_the_model_and_the_reason_of_the_end_belong_to_the_answer() -> None:
    messages = {message["id"]: message for message in imported(IMPORTER, FIXTURES / "conversation.json").one()[1]}
    assert messages["first"]["model"] == "gpt-4o" and messages["first"]["finish_reason"] == "stop"
    assert messages["first"]["x"]["metadata"] == {"finish_details": {"stop_tokens": [200002]}}
    assert "model" not in messages["ask"]


def assets(found: Imported) -> None:
    """What every form of the export must give for the conversation with pictures."""
    draft, messages = found.drafts[PICTURES], found.sessions[PICTURES]
    shown = messages[0]["parts"]
    assert [part["type"] for part in shown] == ["blob", "text", "blob", "blob"]
    assert [part.get("mime_type") for part in shown] == ["image/png", None, "audio/wav", "text/plain"]
    assert [part.get("modality") for part in shown] == ["image", None, "audio", "document"]
    assert (
        base64.b64decode(shown[0]["data"]).startswith(b"\x89PNG") and base64.b64decode(shown[3]["data"]) == b"flour\n"
    )
    assert shown[0]["asset"]["width"] == 1 and shown[1]["content"] == "What is this?" and shown[3]["name"] == "list.txt"
    drawn = messages[2]["parts"]
    assert [part["type"] for part in drawn] == ["tool_call_response", "blob", "uri"]
    assert drawn[1]["mime_type"] == "image/png" and drawn[1]["name"] == "loaf.png"
    assert drawn[2]["uri"] == "file-service://file-Lost0123456789Lost0000" and drawn[2]["modality"] == "image"
    assert draft.issues["asset-missing"][0] == 1
    assert found.source.file_issues["asset-not-shown"][0] == 1


def test_assets_come_from_the_folder_and_from_the_zip_file_alike() -> None:
    packed, unpacked = imported(IMPORTER, FIXTURES / "export.zip"), folder("export")
    assets(packed)
    assets(unpacked)
    assert packed.sessions == unpacked.sessions
    assert packed.counts == unpacked.counts == (32, 27, 5, 0)
    assert [draft.state() for draft in packed.source.drafts] == [draft.state() for draft in unpacked.source.drafts]


def test_without_the_files_pointers_stay_pointers_and_are_reported() -> None:
    found = imported(IMPORTER, FIXTURES / "export" / "conversations.json")
    assert [part["type"] for part in found.sessions[PICTURES][0]["parts"]] == ["uri", "text", "uri", "file"]
    assert found.drafts[PICTURES].issues["asset-missing"][0] == 5


def test_names_of_assets_are_never_paths() -> None:
    pointer = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://../../etc/passwd"}
    made = conversation(node("n", None, content={"content_type": "multimodal_text", "parts": [pointer]}))
    found = imported(IMPORTER, json.dumps([made]).encode(), "conversations.json", {"file-x.png": b"no"})
    assert found.one()[1][0]["parts"][0]["type"] == "uri"


def test_a_damaged_asset_is_reported_and_does_not_take_the_export_along() -> None:
    data = (FIXTURES / "export.zip").read_bytes()
    place = data.index(b"flour\n")
    damaged = data[:place] + b"FLOUR" + data[place + 5 :]
    found = given(damaged)
    assert found.drafts[PICTURES].issues["asset-unreadable"][0] == 1
    assert found.sessions[PICTURES][0]["parts"][3]["type"] == "file"


def test_contents_of_unknown_types_are_kept_verbatim() -> None:
    messages = {m["id"]: m for m in imported(IMPORTER, FIXTURES / "export.zip").sessions[PICTURES]}
    assert messages["new"]["parts"] == [{"type": "holo_deck", "scene": {"n": 1}}]
    assert messages["quote"]["parts"] == [{"type": "tether_quote", "url": "https://e.org", "text": "grey"}]
    assert one({"content_type": "blob", "a": 1})["parts"] == [
        {"type": "record", "record": {"content_type": "blob", "a": 1}}
    ]
    assert one({"content_type": 5, "parts": ["x"]})["x"]["content"] == {"content_type": 5}


def test_errors_are_marked() -> None:
    messages = {m["id"]: m for m in imported(IMPORTER, FIXTURES / "export.zip").sessions[PICTURES]}
    assert messages["failed"]["kind"] == "error"
    assert messages["failed"]["parts"][0]["is_error"] is True
    assert one({"content_type": "system_error", "name": "E", "text": "no"})["kind"] == "error"


def test_pointers_inside_other_content_are_followed() -> None:
    screenshot = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_1#p_0"}
    content = {"content_type": "computer_output", "screenshot": screenshot, "state": {"url": "x"}}
    made = conversation(node("n", None, "tool", content=content))
    found = imported(IMPORTER, json.dumps([made]).encode(), "conversations.json", {"file_1.dat": b"\xff\xd8\xff"})
    parts = found.one()[1][0]["parts"]
    assert parts[0]["response"]["state"] == {"url": "x"}
    assert parts[1]["mime_type"] == "image/jpeg"


def test_pictures_that_a_program_has_drawn_are_found_in_its_result() -> None:
    drawn = {"aggregate_result": {"messages": [{"message_type": "image", "image_url": "file-service://file-1"}]}}
    content = {"content_type": "execution_output", "text": "<Figure>"}
    made = conversation(node("n", None, "tool", content=content, metadata=drawn))
    found = imported(IMPORTER, json.dumps([made]).encode(), "conversations.json", {"file-1.png": b"\x89PNG\r\n\x1a\n"})
    parts = found.one()[1][0]["parts"]
    assert [part["type"] for part in parts] == ["tool_call_response", "blob"]
    assert parts[1]["asset"] == {"asset_pointer": "file-service://file-1"}


@pytest.mark.parametrize("recipient", ["all", "assistant", "", None, 5])
def test_a_message_to_no_tool_is_no_call(recipient: Any) -> None:
    assert one({"content_type": "text", "parts": ["Hi"]}, recipient=recipient)["parts"][0]["type"] == "text"


def test_a_list_in_utf_16_is_read_like_any_other() -> None:
    data = (FIXTURES / "conversation.json").read_bytes()
    assert given(data.decode().encode("utf-16")).sessions == given(data).sessions


def test_a_conversation_without_messages_is_kept_and_reported() -> None:
    found = folder("export")
    draft = found.drafts["c0ffee00-0000-4000-8000-000000000003"]
    assert draft.title == "No messages" and list(draft.issues) == ["mapping-missing"]
    assert found.sessions[draft.native_id][0]["kind"] == "meta"
    assert read(conversation()).one()[1] == []


def test_parents_that_are_missing_or_go_in_a_circle_are_reported() -> None:
    found = folder("export")
    loose, ring = (found.drafts[f"c0ffee00-0000-4000-8000-00000000000{n}"] for n in (4, 5))
    assert loose.issues["parent-missing"][0] == 1 and ring.issues["parent-cycle"][0] == 1
    assert found.sessions[loose.native_id][1]["parent"] is None
    assert found.sessions[loose.native_id][1]["x"]["node"] == {"parent": "nowhere"}
    assert [message["id"] for message in found.sessions[ring.native_id]] == ["x", "y"]


def test_where_a_conversation_stands_is_told_or_found() -> None:
    nodes = (node("a", None, time=1), node("b", "a", time=2), node("c", "a", time=3))
    assert read(conversation(*nodes, current_node="b")).one()[0].active_leaf == "b"
    for current in (None, "gone", 5):
        draft = read(conversation(*nodes, current_node=current)).one()[0]
        assert draft.active_leaf == "c" and list(draft.issues) == ["current-node-missing"]
    root = {"id": "root", "parent": "b", "message": None}
    assert read(conversation(*nodes, root)).one()[0].active_leaf == "b"


def test_a_node_without_a_message_is_passed_over_and_kept() -> None:
    empty = {"id": "e", "parent": "a", "message": None, "children": ["b", "zz"]}
    draft, messages = read(conversation(node("a", None, time=1), empty, node("b", "e", time=2))).one()
    assert [(message["id"], message.get("parent")) for message in messages] == [("a", None), ("b", None)]
    assert draft.x["nodes_without_message"] == [{"id": "e", "parent": "a", "children": ["b", "zz"]}]


def test_times_keep_their_microseconds_and_none_is_invented() -> None:
    assert instant(micros(1704629915.775304) or 0) == "2024-01-07T12:18:35.775304Z"
    assert instant(micros("1699543575.6077936") or 0) == "2023-11-09T15:26:15.607793Z"
    assert instant(micros(1784164500) or 0) == "2026-07-16T01:15:00Z"
    for value in (None, True, 0, -5.0, 1e20, 1.7e12, "soon", float("inf"), [], "9" * 50):
        assert micros(value) is None
    message = one({"parts": ["x"]}, create_time=1.7e12)
    assert "time" not in message and message["x"]["create_time"] == 1.7e12


def test_a_conversation_in_two_lists_is_one_session() -> None:
    found = folder("split")
    assert list(found.drafts) == [BREAD, "c0ffee00-0000-4000-8000-000000000004"]
    assert found.counts == (17, 16, 1, 0)
    assert found.source.file_issues["part-missing"][0] == 1


def test_a_conversation_in_two_states_is_two_sessions_and_reported() -> None:
    first = conversation(node("a", None, time=1))
    second = conversation(node("a", None, time=1), node("b", "a", time=2))
    found = read(first, second, first)
    assert list(found.drafts) == ["c1", "c1~2"]
    assert list(found.drafts["c1~2"].issues) == ["conversation-twice"]


def test_ids_are_the_conversations_own_or_made_of_what_stays() -> None:
    both = read(conversation(node("a", None), id="other")).one()[0]
    assert (both.native_id, both.aliases) == ("c1", ["other"])
    made = conversation(node("a", None, time=1), node("b", "a", time=2), conversation_id=None)
    shorter = conversation(node("a", None, time=1), conversation_id=None)
    draft = read(made).one()[0]
    assert draft.native_id == read(shorter).one()[0].native_id
    assert list(draft.issues) == ["id-missing"]


def test_ratings_and_share_links_go_to_their_conversation() -> None:
    found = folder("export")
    assert found.drafts[BREAD].x["feedback"][0]["rating"] == "thumbs_up"
    shares = json.dumps([{"id": "s", "conversation_id": "c1"}]).encode()
    draft = read(conversation(node("a", None)), **{"shared_conversations.json": shares}).one()[0]
    assert draft.x["shares"] == [{"id": "s", "conversation_id": "c1"}]


def test_account_data_does_not_become_messages() -> None:
    found = imported(IMPORTER, FIXTURES / "export.zip")
    assert "baker@example.org" not in json.dumps(
        [d.state() for d in found.source.drafts] + list(found.sessions.values())
    )


def test_an_unreadable_file_beside_the_conversations_is_reported() -> None:
    found = read(conversation(node("a", None)), **{"message_feedback.json": b'[{"id"'})
    assert "unreadable-file" in found.source.file_issues and found.counts == (3, 2, 1, 0)


def test_what_is_no_message_is_kept_verbatim() -> None:
    made = conversation(node("a", None))
    made["mapping"] |= {
        "s": "text",
        "n": {"parent": "a", "message": 5},
        "r": node("r", "a", "wizard"),
        "": node("", "a"),
    }
    draft, messages = read(made).one()
    assert {message["id"] for message in messages if message.get("kind") == "meta"} == {"s", "n", "r"}
    assert draft.native_id == "c1" and len(messages) == 5


def test_what_is_no_conversation_is_rejected() -> None:
    found = read("text", {"a": 1}, conversation(node("a", None)))
    assert [reason for _, reason in found.source.account.rejected] == ["not a JSON object", "not a conversation"]
    with pytest.raises(Unparsable, match="not a conversation"):
        read({"a": 1})


@pytest.mark.parametrize("cut", [1, 100, 3000, 10_000])
def test_a_list_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Unparsable):
        given((FIXTURES / "export" / "conversations.json").read_bytes()[:cut])
    with pytest.raises(Unparsable):
        given((FIXTURES / "export.zip").read_bytes()[:cut])


def test_a_zip_file_without_conversations_is_refused() -> None:
    with pytest.raises(Unparsable, match="no conversations"):
        given(zipped({"chat.html": b"<html>"}))


def test_what_macos_adds_to_zip_files_is_passed_over() -> None:
    data = json.dumps([conversation(node("a", None))]).encode()
    packed = {"x/conversations.json": data, "__MACOSX/x/._conversations.json": b"\0\5\x16\7", "__MACOSX/x/a.dat": b""}
    found = given(zipped(packed))
    assert found.counts == (2, 2, 0, 0) and not found.source.file_issues


def test_a_tree_as_deep_as_a_list_is_long_is_read_without_recursion() -> None:
    nodes = [node(f"n{number}", f"n{number - 1}" if number else None, time=number + 1) for number in range(20_000)]
    messages = read(conversation(*reversed(nodes))).one()[1]
    assert [message["id"] for message in messages[:2]] == ["n0", "n1"] and len(messages) == 20_000


def test_a_long_list_is_read_in_little_memory() -> None:
    made = json.dumps(conversation(node("a", None, content={"parts": ["x" * 100_000]}))).encode()

    def blocks() -> Any:
        yield b"["
        for number in range(300):
            yield made.replace(b'"c1"', b'"c%d"' % number) + (b"," if number < 299 else b"]")

    source = Source("conversations.json", blocks())
    tracemalloc.start()
    count = sum(1 for _ in IMPORTER.read(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300 and peak < 8 << 20


@pytest.mark.parametrize(
    ("data", "name", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n", "a.dat", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a.dat", "image/webp"),
        (b"\0\0\0\x18ftypM4A ", "a.dat", "audio/mp4"),
        (b"plain", "a.md", "text/markdown"),
        (b"plain", "a.dat", "application/octet-stream"),
        (b"", "", "application/octet-stream"),
    ],
)
def test_the_type_of_an_asset_is_told_from_its_bytes(data: bytes, name: str, mime: str) -> None:
    assert mime_type(data, name) == mime


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    paths = sorted((samples / "chatgpt-export").rglob("*.json"))
    found = {path.name: imported(IMPORTER, path) for path in paths if recognised(IMPORTER, path)}
    assert len(found) == len(paths) - 2  # a manifest of samples, and another program's wrapper around a conversation
    assert found["chatgpt-export.json"].counts == (25, 25, 0, 0)
    web = next(iter(found["chatgpt-export.json"].sessions.values()))
    assert roles(web)[:4] == ["system", "user", "assistant", "tool"]
    assert text(web[1]).startswith("What is the fuel consumption")
