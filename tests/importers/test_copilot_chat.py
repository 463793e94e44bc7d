"""VS Code's chat sessions: documents, logs of operations, exports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.copilot_chat import CopilotChat
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

USER = FORMATS / "copilot-chat" / ".config" / "Code" / "User"
WORKSPACE = USER / "workspaceStorage" / "33cc"
DOCUMENT = WORKSPACE / "chatSessions" / "c0ffee00-1111-4222-8333-000000000001.json"
LOG = USER / "globalStorage" / "emptyWindowChatSessions" / "c0ffee00-1111-4222-8333-000000000002.jsonl"
EXPORT = FORMATS / "copilot-chat" / "chat.json"
START: dict[str, Any] = {"version": 3, "sessionId": "s", "requests": []}


def request(ident: str, *response: Any, **fields: Any) -> dict[str, Any]:
    """A request with its answer."""
    return {"requestId": ident, "message": {"text": f"ask {ident}"}, "response": list(response)} | fields


def replay(*operations: Any, start: Any = None) -> Imported:
    """Read a log that begins with `start`."""
    first = {"kind": 0, "v": START | {"requests": start or []}}
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in (first, *operations))
    return imported(CopilotChat(), lines, "s.jsonl", {})


def document(*requests: Any, **fields: Any) -> Imported:
    """Read a document."""
    return imported(CopilotChat(), json.dumps(START | {"requests": list(requests)} | fields).encode(), "s.json", {})


def texts(result: Imported) -> list[str]:
    """The texts of the only session."""
    return [text(message) for message in result.one()[1]]


def test_a_document_is_questions_and_answers() -> None:
    result = imported(CopilotChat(), DOCUMENT, companions={"../workspace.json": WORKSPACE / "workspace.json"})
    draft, messages = result.one()
    assert result.counts == (4, 4, 0, 0)
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "user", "assistant", "system", "user"]
    assert (draft.title, draft.cwd, draft.project) == ("Books on the shelf", "/home/ann/shelf-app", "shelf-app")
    assert (draft.created_at, draft.updated_at) == ("2026-01-01T09:00:00.000Z", "2026-01-01T09:01:00.000Z")
    assert [m["id"] for m in messages][:4] == ["request_1", "response_1", "response_1:2", "response_1:3"]
    assert messages[0]["time"] == "2026-01-01T09:00:00.000Z" and "time" not in messages[1]
    assert messages[1]["model"] == messages[3]["model"] == "copilot/gpt-5"
    assert messages[6]["kind"] == "error" and text(messages[6]) == "Request was cancelled."
    assert text(messages[7]) == "old style"


def test_the_parts_of_an_answer_keep_their_order() -> None:
    _, messages = imported(CopilotChat(), DOCUMENT, companions={}).one()
    types = [part["type"] for part in messages[1]["parts"]]
    assert types == ["record", "reasoning", "text", "uri", "text", "tool_call", "tool_call"]
    assert messages[1]["parts"][3]["uri"] == "file:///home/ann/shelf-app/shelf.txt"
    first, second = messages[1]["parts"][5:]
    assert (first["id"], first["name"], first["arguments"]) == (
        "call_a",
        "copilot_readFile",
        '{"filePath":"shelf.txt"}',
    )
    assert second["arguments"] == '{"command":"wc -l shelf.txt"}' and second["toolSpecificData"]["kind"] == "terminal"
    shown = messages[2]["parts"]
    assert shown[0]["response"]["content"][0]["value"] == "Dune\nEmma" and isinstance(shown[0]["resultDetails"], list)
    assert shown[1]["response"] == [{"type": "embed", "isText": True, "value": "2 shelf.txt"}]
    assert text(messages[3]) == "Two books: Dune and Emma. 书"


def test_figures_of_the_latest_call_are_an_estimate_and_sums_are_not() -> None:
    _, messages = imported(CopilotChat(), DOCUMENT, companions={}).one()
    assert messages[3]["usage"] == {"input_tokens": 5200, "output_tokens": 80, "estimated": True}
    summed = imported(CopilotChat(), LOG, companions={}).one()[1][1]
    assert summed["usage"] == {"input_tokens": 750, "output_tokens": 25, "cache_read_tokens": 512}
    assert summed["x"]["modelTotals"][1]["model"] == "gpt-5-mini"
    plain = document(request("a", promptTokens=7, completionTokens=2)).one()[1][1]
    assert plain["usage"] == {"input_tokens": 7, "output_tokens": 2, "estimated": True}


def test_a_log_is_replayed_and_what_was_taken_back_is_a_branch() -> None:
    result = imported(CopilotChat(), LOG, companions={})
    draft, messages = result.one()
    assert result.counts == (18, 16, 2, 0)
    assert [m["id"] for m in messages if m["role"] == "user"] == ["request_11", "request_12", "request_13"]
    assert messages[4]["parent"] == "response_11" and "parent" not in messages[2]
    assert texts(result)[:4] == ["Name a bird.", "Wren.", "Another one, please.", "Robin."]
    assert draft.title == "Sea birds" and draft.active_leaf is None
    assert {"k": ["hasPendingEdits"], "v": False} in draft.x["superseded"]
    assert "hasPendingEdits" not in draft.x
    assert draft.issues["operation-unknown"][0] == 2 and draft.x["operations"][1]["kind"] == 9
    assert result.source.resume is None


def test_the_active_leaf_is_told_when_the_last_request_was_taken_back() -> None:
    cut = {"kind": 2, "k": ["requests"], "i": 1}
    draft, messages = replay(cut, start=[request("a", {"value": "1"}), request("b", {"value": "2"})]).one()
    assert draft.active_leaf == "a:answer" and [m["id"] for m in messages][-1] == "b:answer"


def test_a_request_told_again_under_its_id_is_its_newer_version() -> None:
    again = {"kind": 2, "k": ["requests"], "i": 0, "v": [request("a", {"value": "12"}), request("b")]}
    draft, messages = replay(again, start=[request("a", {"value": "1"})]).one()
    assert [m["id"] for m in messages] == ["a", "a:answer", "b"] and "superseded" not in draft.x
    other = {"kind": 1, "k": ["requests", 0], "v": request("a", {"value": "else"})}
    draft, messages = replay(other, start=[request("a", {"value": "1"})]).one()
    assert texts(replay(other, start=[request("a")])) == ["ask a", "else"]
    assert draft.x["superseded"][0]["v"]["response"] == [{"value": "1"}]


def test_a_state_told_anew_replaces_the_one_before() -> None:
    anew = {"kind": 0, "v": START | {"requests": [request("b", {"value": "2"})]}}
    _, messages = replay(anew, start=[request("a", {"value": "1"})]).one()
    assert [m["id"] for m in messages] == ["a", "a:answer", "b", "b:answer"] and messages[2]["parent"] is None


def test_growing_text_is_not_remembered_and_changed_text_is() -> None:
    path = ["requests", 0, "response"]
    grow = [
        {"kind": 2, "k": path, "v": [{"value": "one"}], "i": 0},
        {"kind": 2, "k": path, "v": [{"value": "one two"}], "i": 0},
    ]
    draft, _ = replay(*grow, start=[request("a")]).one()
    assert "superseded" not in draft.x
    draft, _ = replay(*grow, {"kind": 2, "k": path, "v": [{"value": "three"}], "i": 0}, start=[request("a")]).one()
    assert draft.x["superseded"] == [{"k": [*path, 0], "v": {"value": "one two"}}]


@pytest.mark.parametrize(
    "operation",
    [
        {"kind": 1, "k": [], "v": 1},
        {"kind": 1, "k": ["requests", 5], "v": 1},
        {"kind": 1, "k": ["requests", "x"], "v": 1},
        {"kind": 1, "k": [3], "v": 1},
        {"kind": 2, "k": ["version"], "v": [1]},
        {"kind": 2, "k": ["requests"], "v": 5},
        {"kind": 2, "k": ["requests"], "i": -1},
        {"kind": 2, "k": ["requests"], "i": "0"},
        {"kind": 3, "k": ["unknown"]},
        {"kind": 3, "k": ["requests", 9]},
        {"kind": True, "k": ["version"], "v": 1},
        {"kind": 0, "v": []},
        {"kind": [], "k": {}},
        {"k": [[]], "kind": 1},
    ],
)
def test_an_operation_that_does_not_fit_is_kept(operation: Any) -> None:
    result = replay(operation, start=[request("a", {"value": "1"})])
    assert result.counts == (2, 1, 1, 0)
    assert texts(result) == ["ask a", "1"] and result.one()[0].x["operations"] == [operation]


def test_an_export_gets_the_id_of_its_first_request() -> None:
    result = imported(CopilotChat(), EXPORT, companions={})
    draft, messages = result.one()
    assert draft.native_id == "request_21" and "id-missing" in draft.issues
    assert result.counts == (3, 2, 1, 0)
    assert messages[1]["parts"][0]["markdown"] == {"isTrusted": True}
    assert messages[1]["parts"][1]["content"] == "one two"
    assert messages[2]["parts"][0]["record"] == {"value": "odd"}


def test_recognition_is_by_content() -> None:
    assert all(recognised(CopilotChat(), path) for path in (DOCUMENT, LOG, EXPORT))
    long = {"kind": 0, "v": START | {"x": "y" * 200_000}}
    assert recognised(CopilotChat(), json.dumps(long).encode() + b"\n", "x.jsonl")
    for other in (
        {"requests": []},
        {"version": 1, "sessionId": "s", "messages": []},
        {"v": 5, "id": "T-1", "messages": []},
        {"kind": 1, "k": ["a"], "v": 2},
        {"folder": "file:///home/ann/requests"},
        [{"requests": []}],
    ):
        assert not recognised(CopilotChat(), json.dumps(other).encode(), "x.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b'{"requests": [', b'{"kind":0,"v":{"requests"'])
def test_what_is_no_chat_is_refused(data: bytes) -> None:
    with pytest.raises(Unparsable):
        list(CopilotChat().read(Source.of(data, "x.json")))


@pytest.mark.parametrize("value", [None, 5, True, "", "x", [], {}, [None], [[]], {"type": "text"}, {"value": 5}])
def test_fields_of_any_type_are_survived(value: Any) -> None:
    names = ("requestId", "responseId", "message", "response", "timestamp", "modelId", "result", "modelTotals", "agent")
    for name in names:
        document(request("a") | {name: value}, value, **{"creationDate": value, "customTitle": value, name: value})
        replay({"kind": 1, "k": ["requests", 0, name], "v": value}, {"kind": 2, "k": ["requests"], "v": [value, value]})
        replay({"kind": 1, "k": ["requests"], "v": value}, {"kind": 3, "k": ["requests"]}, start=[request("a"), value])
    kinds = ("markdownContent", "thinking", "toolInvocationSerialized", "inlineReference", None, value)
    items = [
        {"kind": kind, "toolId": "t"} | {name: value}
        for kind in kinds
        for name in ("value", "content", "toolId", "toolCallId", "resultDetails", "inlineReference")
    ]
    rounds = {"metadata": {"toolCallRounds": value, "toolCallResults": value}, "errorDetails": value}
    document(request("a", *items, result=rounds), request("b", result={"metadata": {"toolCallRounds": [value]}}))
