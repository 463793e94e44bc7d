"""Gemini CLI's session documents and logs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical
from sessionstore.importers.base import Message, Source
from sessionstore.importers.gemini_cli import GeminiCli
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, text

TMP = FORMATS / "gemini-cli" / ".gemini" / "tmp"
CHATS = TMP / "shelf-app" / "chats"
REPLAYED = CHATS / "session-2026-05-04T09-00-5f0c1d1e.jsonl"
RESUMED = CHATS / "session-2026-05-04T09-50-77777777.jsonl"
DOCUMENT = TMP / "3f2a" / "chats" / "session-2026-05-04T09-00-0b0b0b0b.json"
HEADER = {"sessionId": "s-1", "projectHash": "p", "startTime": "2026-05-04T09:00:00Z"}
TOKENS = {"input": 10, "output": 5, "cached": 4, "thoughts": 2, "tool": 0, "total": 17}


def user(ident: str, content: Any = "hello", **fields: Any) -> dict[str, Any]:
    """A user's message record."""
    return {"id": ident, "timestamp": "2026-05-04T09:00:01.000Z", "type": "user", "content": content} | fields


def gemini(ident: str, content: Any = "hi", **fields: Any) -> dict[str, Any]:
    """A record of the model's."""
    return {"id": ident, "timestamp": "2026-05-04T09:00:02.000Z", "type": "gemini", "content": content} | fields


def log(*records: Any, header: dict[str, Any] | None = None) -> bytes:
    """A log with its header."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in (header or HEADER, *records))


def read(*records: Any) -> Imported:
    """Read a log."""
    return imported(GeminiCli(), log(*records), "session-x.jsonl", {})


def path_of(result: Imported) -> list[str]:
    """The texts on the active path, first to last, notes of the program left out."""
    draft, messages = result.one()
    parents: dict[str, str | None] = {}
    by_id: dict[str, Message] = {}
    before = None
    for message in messages:
        parents[message["id"]] = message.get("parent", before)
        by_id[message["id"]] = message
        before = message["id"]
    leaf = draft.active_leaf or before
    found = []
    while leaf is not None:
        if by_id[leaf].get("kind") != "meta":
            found.append(text(by_id[leaf]))
        leaf = parents[leaf]
    return found[::-1]


def test_a_log_is_replayed_and_every_version_kept() -> None:
    result = imported(GeminiCli(), REPLAYED)
    draft, messages = result.one()
    assert result.counts == (14, 14, 0, 0)
    assert draft.title == "Sorting the shelf"
    assert (draft.created_at, draft.updated_at) == ("2026-05-04T09:00:00.125Z", "2026-05-04T09:00:45.125Z")
    assert path_of(result) == [
        "Which books are on the shelf? 书架",
        "I will look.",
        "",
        "Dune and Emma.",
        "Sort them by year, oldest first.",
        "Emma (1815), Dune (1965).",
    ]
    assert [text(m) for m in messages if "Dune, Emma" in text(m)] == ["Dune, Emma."]


def test_a_newer_version_of_a_record_stands_beside_the_older_and_adds_no_tokens_again() -> None:
    _, messages = imported(GeminiCli(), REPLAYED).one()
    old, new, results = messages[1:4]
    assert new["id"] == old["id"] + "~2" and new["parent"] == messages[0]["id"]
    assert old["usage"] == {"input_tokens": 1200, "output_tokens": 55, "reasoning_tokens": 35}
    assert "usage" not in new and new["x"]["tokens"]["input"] == 1200
    assert results["role"] == "tool" and "parent" not in results
    assert results["parts"][0]["response"] == {"output": "Dune\nEmma"}
    assert [part["type"] for part in new["parts"]] == ["reasoning", "text", "tool_call"]
    grown = read(gemini("a"), gemini("a", tokens=TOKENS), gemini("a", tokens=TOKENS | {"output": 9})).one()[1]
    assert [m.get("usage", {}).get("output_tokens", 0) for m in grown] == [0, 7, 4]


def test_a_record_written_again_unchanged_is_one_message() -> None:
    result = read(user("a"), gemini("b"), gemini("b"))
    assert result.counts == (4, 4, 0, 0)
    assert len(result.one()[1]) == 2 and result.one()[0].active_leaf is None


def test_a_rewind_takes_back_a_message_and_what_follows() -> None:
    result = read(user("a", "one"), gemini("b", "two"), user("c", "three"), {"$rewindTo": "b"}, user("d", "four"))
    assert path_of(result) == ["one", "four"]
    assert [text(m) for m in result.one()[1]] == ["one", "two", "three", "", "four"]
    again = read(user("a", "one"), {"$rewindTo": "a"}, user("a", "one"))
    assert path_of(again) == ["one"]
    assert [m["id"] for m in again.one()[1]] == ["a", "m2", "a~2"]


def test_a_rewind_to_nothing_known_clears_everything() -> None:
    result = read(user("a", "one"), {"$rewindTo": "zz"}, user("b", "two"))
    assert path_of(result) == ["two"]
    assert "rewind-to-unknown" in result.one()[0].issues


def test_a_checkpoint_keeps_what_is_the_same_and_replaces_the_rest() -> None:
    result = imported(GeminiCli(), RESUMED)
    draft, messages = result.one()
    assert result.counts == (11, 9, 2, 0)
    assert path_of(result) == ["Count to three.", "1 2 3", "And to four?", "1 2 3 4"]
    assert draft.aliases[-1] == "88888888-7a42-4b7c-9d5e-0a8a6f6f1c03"
    assert set(draft.issues) == {"session-id-changes", "late-update"}
    assert messages[-1]["id"].endswith("012~2")
    same = read(user("a"), {"$set": {"messages": [user("a")], "lastUpdated": "2026-05-04T09:00:09Z"}})
    assert len(same.one()[1]) == 1 and same.one()[0].updated_at == "2026-05-04T09:00:09Z"
    shorter = read(user("a", "one"), user("b", "two"), {"$set": {"messages": [user("a", "one"), 5]}})
    assert path_of(shorter) == ["one"]


def test_changes_of_the_session_are_told_where_they_happen() -> None:
    draft, messages = read(user("a"), {"$set": {"summary": "A talk", "directories": ["/b"]}}, user("b")).one()
    assert draft.title == "A talk" and draft.x["directories"] == ["/b"]
    assert messages[1]["parts"][0]["record"] == {"$set": {"summary": "A talk", "directories": ["/b"]}}
    assert len(read(user("a"), {"$set": {"lastUpdated": "2026-05-04T09:00:09Z"}}).one()[1]) == 1


def test_a_document_is_read_like_a_log() -> None:
    result = imported(GeminiCli(), DOCUMENT)
    draft, messages = result.one()
    assert result.counts == (7, 7, 0, 0)
    assert [(m["role"], m.get("kind")) for m in messages] == [
        ("user", None),
        ("assistant", None),
        ("assistant", None),
        ("system", "meta"),
        ("tool", None),
        ("user", None),
    ]
    assert messages[1]["parts"][0] == {
        "type": "reasoning",
        "content": "A short one.",
        "subject": "Greeting",
        "timestamp": "2026-05-04T09:00:02.125Z",
    }
    assert "time" not in messages[5] and messages[5]["x"]["time"]["zone"] == "unknown"
    assert draft.x["directories"] == ["/home/ann/books"] and result.source.resume is None


def test_the_same_turns_as_document_and_as_log_give_the_same_messages() -> None:
    turns = [user("a"), gemini("b", tokens=TOKENS, thoughts=[{"description": "hm"}])]
    document = json.dumps(HEADER | {"messages": turns}).encode()
    assert imported(GeminiCli(), document, "s-1.json", {}).one()[1] == read(*turns).one()[1]


def test_tool_calls_without_results_and_failed_ones() -> None:
    draft, messages = imported(GeminiCli(), CHATS / "parent-1" / "sub-1.jsonl").one()
    cancelled, failed = messages[1]["parts"]
    assert cancelled["status"] == "cancelled" and "status" not in failed
    assert messages[2]["parts"][0]["is_error"] is True and messages[2]["parts"][0]["id"] == "ls_2"
    assert messages[1]["usage"] == {"input_tokens": 57, "output_tokens": 5}
    assert draft.forked_from == {"key": "gemini-cli:parent-1", "relation": "subagent"}


def test_a_result_that_says_more_than_its_call_is_kept_whole() -> None:
    result = [{"functionResponse": {"id": "other", "name": "f", "response": {"output": "x"}}}, {"text": "more"}]
    call = {"id": "c", "name": "f", "args": {}, "result": result, "status": "success"}
    assert read(gemini("a", toolCalls=[call])).one()[1][1]["parts"][0]["response"] == result
    call["result"] = result[:1]
    assert read(gemini("a", toolCalls=[call])).one()[1][1]["parts"][0]["response"] == result[:1]


def test_tokens_that_say_more_than_the_figures_are_kept() -> None:
    message = read(gemini("a", tokens=TOKENS)).one()[1][0]
    assert message["usage"] == {
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read_tokens": 4,
        "reasoning_tokens": 2,
    }
    assert "x" not in message
    assert read(gemini("a", tokens=TOKENS | {"total": 99})).one()[1][0]["x"]["tokens"]["total"] == 99


def test_the_working_directory_is_stated_only_when_it_fits_the_hash() -> None:
    root = b"/home/ann/shelf-app"
    beside = {"../.project_root": root}
    draft = imported(GeminiCli(), REPLAYED, companions=beside).one()[0]
    assert (draft.cwd, draft.project) == ("/home/ann/shelf-app", "shelf-app")
    assert draft.x["projectHash"] == hashlib.sha256(root).hexdigest()
    assert imported(GeminiCli(), RESUMED, companions={"../.project_root": b"/elsewhere"}).one()[0].cwd is None
    assert imported(GeminiCli(), RESUMED).one()[0].cwd is None


@pytest.mark.parametrize("path", [REPLAYED, RESUMED], ids=lambda path: path.stem)
def test_growth_gives_what_one_read_gives(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    whole = imported(GeminiCli(), path).one()
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]), str(path))
        before = [message for _, message in GeminiCli().read(first)]
        state = canonical.loads(canonical.dumps(first.resume))
        second = Source(str(path), [b"".join(lines[cut:])], account=first.account, resumed=state)
        after = [message for _, message in GeminiCli().read(second)]
        assert before + after == whole[1]
        assert second.drafts[0].state() == whole[0].state()


def test_a_log_without_a_header_is_named_after_its_file() -> None:
    draft, messages = imported(GeminiCli(), log(user("a"), header=gemini("b")), "x/session-7.jsonl", {}).one()
    assert draft.native_id == "session-7" and "id-missing" in draft.issues and len(messages) == 2


def test_recognition_leaves_other_formats_alone() -> None:
    def known(*records: Any) -> bool:
        return recognised(GeminiCli(), log(*records[1:], header=records[0]), "session-x.jsonl")

    assert known(HEADER) and known(gemini("a")) and known({"$set": {"lastUpdated": "x"}})
    assert not known({"uuid": "u", "parentUuid": None, "sessionId": "s", "type": "user", "message": {"role": "user"}})
    assert not known({"timestamp": "t", "type": "session_meta", "payload": {}})
    assert not known({"role": "user", "content": "hello"})
    whole = HEADER | {"messages": [user("a")], "lastUpdated": "2026-05-04T09:00:00Z"}
    assert recognised(GeminiCli(), json.dumps(whole, indent=1).encode(), "x.json")
    assert recognised(GeminiCli(), json.dumps(whole).encode(), "x.json")
    other = {"sessionId": "s", "version": 1, "updated_at": "t", "agent": "lead", "messages": [{"role": "user"}]}
    assert not recognised(GeminiCli(), json.dumps(other, indent=1).encode(), "x.json")


@pytest.mark.parametrize(
    "data", [b"{\n", b'{\n "sessionId": "x", "messages": [{"type"', b'{"sessionId": 1, "messages": [']
)
def test_a_document_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(Unparsable):
        list(GeminiCli().read(Source.of(data, "x.json")))


@pytest.mark.parametrize("value", [None, 5, [], {}, [None], "x", [[1]], {"text": 5}])
def test_fields_of_any_type_are_survived(value: Any) -> None:
    for name in ("content", "thoughts", "toolCalls", "tokens", "model", "timestamp", "id", "type"):
        read(
            gemini("a") | {name: value}, gemini("a", tokens=value, thoughts=[value], toolCalls=[value, {"name": value}])
        )
    read({"$set": {"messages": value, "sessionId": value, "summary": value}}, {"$rewindTo": value}, {"$set": value})
    imported(GeminiCli(), json.dumps(HEADER | {"messages": value, "lastUpdated": value}).encode(), "x.json", {})


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    found = 0
    for path in sorted((samples / "gemini-cli").rglob("session-*.jsonl")):
        assert recognised(GeminiCli(), path)
        assert imported(GeminiCli(), path).counts[3] == 0
        found += 1
    assert found
