"""Sessions of Moonshot's kimi-code: a state, an event log for every agent, plans and media."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft, Message
from sessionstore.importers.kimi_code import KimiCode
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.finding import Roots, candidates
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

ID = "session_5b1f0c2e-7a6d-4c3b-9e8f-0a1b2c3d4e5f"
PLACE = FORMATS / "kimi-code" / ".kimi-code" / "sessions" / "wd_project_0123456789ab"
HEADER = {"type": "metadata", "protocol_version": "1.4", "created_at": 1782896400000}
USED = {"inputOther": 10, "output": 3, "inputCacheRead": 5, "inputCacheCreation": 2}


def lines(*records: Any) -> bytes:
    """Records, one on a line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def said(content: str, role: str = "user", **origin: Any) -> dict[str, Any]:
    """A message of the log."""
    message: dict[str, Any] = {"role": role, "content": [{"type": "text", "text": content}], "toolCalls": []}
    if origin:
        message["origin"] = origin
    return {"type": "context.append_message", "message": message, "time": 1782896400000}


def prompt(content: str, kind: str = "turn.prompt") -> dict[str, Any]:
    """A prompt as the log has it first."""
    return {"type": kind, "input": [{"type": "text", "text": content}], "origin": {"kind": "user"}}


def loop(kind: str, **event: Any) -> dict[str, Any]:
    """An event of a step."""
    return {"type": "context.append_loop_event", "event": {"type": kind, **event}, "time": 1782896401000}


def begin(uuid: str) -> dict[str, Any]:
    """The beginning of a step."""
    return loop("step.begin", uuid=uuid, turnId="0", step=1)


def part(uuid: str, content: str) -> dict[str, Any]:
    """A text of a step."""
    return loop("content.part", stepUuid=uuid, part={"type": "text", "text": content})


def end(uuid: str, usage: Any = None) -> dict[str, Any]:
    """The end of a step."""
    return loop("step.end", uuid=uuid, finishReason="end_turn", **({"usage": usage} if usage else {}))


def bill(usage: Any, scope: str = "turn") -> dict[str, Any]:
    """A bill."""
    return {"type": "usage.record", "model": "a/b", "usage": usage, "usageScope": scope}


def log(*records: Any, name: str = f"{ID}/agents/main/wire.jsonl") -> Imported:
    """A log alone."""
    return imported(KimiCode(), lines(HEADER, *records), name, {})


def whole(name: str) -> Imported:
    """A session directory of the fixtures."""
    directory = PLACE / name
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.name != "state.json"]
    return imported(KimiCode(), directory / "state.json", companions=files)


def active(draft: Draft, messages: Iterable[Message]) -> list[str]:
    """The texts on the active path, without what is no turn."""
    parents: dict[str, tuple[str | None, Message]] = {}
    before = None
    for message in messages:
        parents[message["id"]] = (message.get("parent", before), message)
        before = message["id"]
    node, path = draft.active_leaf or before, []
    while node is not None:
        node, message = parents[node]
        if message.get("kind") != "meta":
            path.append(text(message))
    return path[::-1]


def billed(found: Imported) -> dict[str, int]:
    """The figures of all messages."""
    total: dict[str, int] = {}
    for messages in found.sessions.values():
        for message in messages:
            for name, figure in message.get("usage", {}).items():
                total[name] = total.get(name, 0) + figure
    return total


def test_a_directory_is_one_source() -> None:
    found = candidates(
        Roots([str(PLACE.parent)], (".json", ".jsonl")), all_importers(), {}, on_error=lambda path, reason: None
    )
    names = sorted(Path(candidate.path).relative_to(PLACE.parent).as_posix() for candidate in found)
    assert names == [
        f"{PLACE.name}/ses_MindEase/state.json",
        f"{PLACE.name}/{ID}/state.json",
    ]


def test_the_state_describes_the_session() -> None:
    found = whole(ID)
    draft = found.source.drafts[0]
    assert (draft.native_id, draft.aliases) == (ID, [ID.removeprefix("session_")])
    assert (draft.title, draft.cwd) == ("Weather", "/home/ann/project")
    assert draft.created_at == "2026-07-01T09:00:00.000Z" and draft.updated_at == "2026-07-01T09:10:00.000Z"
    assert draft.forked_from == {
        "key": "kimi-code:session_00000000-0000-4000-8000-000000000000",
        "relation": "fork",
    }
    assert draft.system == [{"type": "text", "content": "You are Kimi Code."}]
    assert [tool["name"] for tool in draft.tools] == ["Bash"]
    assert draft.x["plans"] == {"quiet-fox.md": "# Plan\n\nLook out of the window.\n"}
    assert draft.x["state"]["lastPrompt"] == "bye"
    assert found.counts == (61, 57, 4, 0)


def test_a_step_is_one_message_with_its_bill_and_model() -> None:
    messages = whole(ID).sessions[ID]
    step = next(message for message in messages if message["id"] == "step-2")
    assert step["parts"] == [{"type": "text", "content": "I cannot tell."}]
    assert (step["model"], step["provider"], step["finish_reason"]) == ("kimi-k2.7-code", "kimi", "end_turn")
    assert step["usage"] == {"input_tokens": 180, "output_tokens": 10, "cache_read_tokens": 150}
    assert step["time"] == "2026-07-01T09:00:01.600Z"
    assert step["x"]["step"] == 2 and step["x"]["end"]["messageId"] == "msg-step-2"


def test_an_answer_whose_tools_were_waited_for_is_billed_behind_them() -> None:
    messages = whole(ID).sessions[ID]
    at = next(number for number, message in enumerate(messages) if message["id"] == "step-1")
    thought, approval, call, tool, bill = messages[at : at + 5]
    assert [one["type"] for one in thought["parts"]] == ["reasoning"] and approval["kind"] == "meta"
    assert call["role"] == "assistant" and call["parts"][0]["arguments"] == {"command": "curl wttr.in"}
    assert (bill["kind"], bill["finish_reason"], bill["model"]) == ("meta", "tool_use", "kimi-k2.7-code")
    assert bill["usage"] == {
        "input_tokens": 155,
        "output_tokens": 20,
        "cache_read_tokens": 50,
        "cache_write_tokens": 5,
    }
    assert tool["parts"] == [{"type": "tool_call_response", "id": "Bash_0", "response": "no network", "is_error": True}]
    assert tool["x"]["note"] == "<system>1 line</system>"


def test_every_bill_counts_once() -> None:
    found = whole(ID)
    assert billed(found) == {
        "input_tokens": 155 + 180 + 190 + 240 + 245 + 9 + 7,
        "output_tokens": 20 + 10 + 4 + 6 + 90 + 2 + 1,
        "cache_read_tokens": 50 + 150 + 180 + 180 + 240,
        "cache_write_tokens": 5,
    }


def test_what_was_undone_and_cleared_is_kept_beside_the_active_path() -> None:
    found = whole(ID)
    draft, messages = found.source.drafts[0], found.sessions[ID]
    assert active(draft, messages) == ["bye", "Bye."]
    users = [text(message) for message in messages if message["role"] == "user" and "kind" not in message]
    assert users == ["What is the weather?", "Wrong question", "Look at this", "bye"]
    parents = {text(message): message["parent"] for message in messages if "parent" in message}
    assert parents == {"never sent": "step-2", "bye": None}
    assert [text(message) for message in messages if message.get("kind") == "compaction"] == [
        "Earlier: the weather is unknown."
    ]


def test_media_come_from_their_files() -> None:
    (message,) = [one for one in whole(ID).sessions[ID] if text(one) == "Look at this"]
    assert message["parts"][1]["type"] == "blob" and message["parts"][1]["data"] == "iVBORw0KGgo="
    directory = PLACE / ID
    lone = imported(KimiCode(), directory / "agents" / "main" / "wire.jsonl", companions={})
    (message,) = [one for one in lone.sessions[ID] if text(one) == "Look at this"]
    assert message["parts"][1]["type"] == "uri" and message["parts"][1]["uri"].startswith("blobref:image/png;")
    assert {"media-missing", "state-missing"} <= set(lone.source.drafts[0].issues)


def test_media_that_nothing_names_are_rejected_with_a_reason() -> None:
    state = (PLACE / "ses_MindEase" / "state.json").read_bytes()
    files = {"blobs/abc": b"AAAA", "agents/main/wire.jsonl": lines(HEADER, said("x"))}
    found = imported(KimiCode(), state, "ses_MindEase/state.json", files)
    assert found.counts == (4, 3, 0, 1)
    assert "blobs/abc" in found.source.account.rejected[0][1]


def test_a_subagent_is_a_session_of_its_own() -> None:
    found = whole(ID)
    child = found.drafts[f"{ID}/agent-0"]
    assert child.forked_from == {"key": f"kimi-code:{ID}", "relation": "subagent"}
    assert child.title == "Find the clouds" and child.cwd == "/home/ann/project"
    messages = found.sessions[f"{ID}/agent-0"]
    assert roles(message for message in messages if "kind" not in message) == ["user", "assistant"]


def test_a_session_taken_over_from_kimi_cli_keeps_its_old_id() -> None:
    draft, messages = whole("ses_MindEase").one()
    assert (draft.native_id, draft.aliases) == ("ses_MindEase", ["MindEase"])
    assert draft.created_at == "2026-06-30T06:13:20.000Z"
    assert roles(messages) == ["user", "assistant", "tool"]
    assert messages[1]["parts"][1] == {"type": "tool_call", "id": "Task:0", "name": "Task", "arguments": "{}"}
    assert not any("time" in message for message in messages)


def test_a_state_without_logs_is_kept_and_reported() -> None:
    state = (PLACE / ID / "state.json").read_bytes()
    draft, messages = imported(KimiCode(), state, "elsewhere/state.json", {}).one()
    assert draft.native_id == ID and "conversation-missing" in draft.issues
    assert messages[0]["kind"] == "meta" and messages[0]["parts"][0]["record"] == json.loads(state)


def test_undo_goes_back_by_prompts_and_over_injections() -> None:
    talk = [
        said("one", kind="user"),
        said("1", "assistant"),
        said("hint", kind="injection", variant="x"),
        said("two", kind="skill_activation", trigger="user-slash"),
        said("2", "assistant"),
        said("from a task", kind="background_task"),
    ]
    draft, messages = log(*talk, {"type": "context.undo", "count": 1}, said("three", kind="user")).one()
    assert active(draft, messages) == ["one", "1", "hint", "three"]
    draft, messages = log(*talk, {"type": "context.undo", "count": 2}, said("three", kind="user")).one()
    assert active(draft, messages) == ["three"]
    draft, messages = log(*talk, {"type": "context.undo", "count": 9}).one()
    assert "undo-beyond-beginning" in draft.issues and len(messages) == 7
    draft, messages = log(*talk, {"type": "context.undo", "count": 0}, said("three")).one()
    assert active(draft, messages)[-2:] == ["from a task", "three"]


def test_undo_stops_at_a_compaction_and_twice_goes_back_twice() -> None:
    compaction = {"type": "context.apply_compaction", "summary": "so far", "compactedCount": 1}
    talk = [said("one"), compaction, said("two"), said("2", "assistant"), said("three"), said("3", "assistant")]
    undo = {"type": "context.undo", "count": 1}
    draft, messages = log(*talk, undo, undo, said("four")).one()
    assert active(draft, messages) == ["one", "so far", "four"]
    draft, messages = log(*talk, undo, undo, undo, said("four")).one()
    assert active(draft, messages) == ["one", "so far", "four"]
    assert draft.issues["undo-beyond-beginning"][0] == 1


def test_a_prompt_is_one_message_however_often_the_log_tells_it() -> None:
    found = log(
        prompt("hi"), said("hi", kind="user"), prompt("stop", "turn.steer"), prompt("hi"), said("hi", kind="user")
    )
    draft, messages = found.one()
    assert [(text(message), message.get("kind")) for message in messages] == [
        ("hi", None),
        ("stop", "meta"),
        ("hi", None),
    ]
    assert draft.issues["prompt-without-message"][0] == 1
    late = log(prompt("stop", "turn.steer"), {"type": "turn.cancel"}, said("stop", kind="user"))
    assert [message.get("kind") for message in late.one()[1]] == ["meta", "meta", None]
    assert "prompt-without-message" not in late.source.drafts[0].issues


def test_a_bill_before_the_end_of_its_step_is_the_same_bill() -> None:
    found = log(
        said("hi"), begin("a"), part("a", "x"), bill(USED), end("a", USED), begin("b"), end("b", USED), bill(USED)
    )
    assert billed(found)["input_tokens"] == 34
    assert [message.get("model") for message in found.one()[1]] == [None, None, "a/b", None, "a/b"]


def test_bills_of_no_step_stand_on_their_record() -> None:
    other = {**USED, "output": 99}
    found = log(begin("a"), part("a", "x"), end("a", USED), bill(other), bill(USED, "session"))
    messages = found.one()[1]
    assert [message["usage"]["output_tokens"] for message in messages] == [3, 99, 3]
    assert [message.get("kind") for message in messages] == [None, "meta", "meta"]


def test_an_answer_that_never_came_is_no_empty_turn() -> None:
    _, messages = log(said("hi"), begin("a"), {"type": "llm.request", "kind": "loop", "model": "m"}).one()
    assert roles(messages) == ["user", "system"]
    assert messages[1]["parts"][0]["record"]["model"] == "m"


def test_parts_of_unknown_steps_and_unknown_records_are_preserved() -> None:
    records = [part("nowhere", "x"), loop("tool.call", stepUuid="nowhere"), {"type": "swarm_mode.enter"}, {"a": 1}]
    found = log(*records, loop("step.end", uuid="nowhere"), loop("odd"))
    messages = found.one()[1]
    assert found.counts == (7, 1, 6, 0)
    assert [message["parts"][0]["record"].get("type") for message in messages][2:4] == ["swarm_mode.enter", None]


def test_message_ids_are_the_steps_own_and_stay_unique() -> None:
    _, messages = log(begin("m3"), said("x"), begin("m3"), begin(""), said("y")).one()
    ids = [message["id"] for message in messages]
    assert ids[0] == "m3" and len(set(ids)) == len(ids)


def test_a_growing_log_only_adds_messages_unless_it_is_read_between_records_of_one() -> None:
    data = (PLACE / ID / "agents" / "main" / "wire.jsonl").read_bytes()
    records = data.splitlines(keepends=True)
    full = imported(KimiCode(), data, "s/agents/main/wire.jsonl", {}).sessions["s"]
    whole_at = 0
    for count in range(1, len(records)):
        shown = imported(KimiCode(), b"".join(records[:count]), "s/agents/main/wire.jsonl", {}).sessions["s"]
        assert shown[:-1] == full[: max(len(shown) - 1, 0)]
        whole_at += shown == full[: len(shown)]
    assert whole_at > len(records) // 2
    tools = next(number for number, line in enumerate(records, 1) if b'"tool.call"' in line)
    for count in range(tools, tools + 2):
        shown = imported(KimiCode(), b"".join(records[:count]), "s/agents/main/wire.jsonl", {}).sessions["s"]
        assert shown == full[: len(shown)]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (lines(HEADER), True),
        (lines({"type": "metadata", "protocol_version": "1.10"}), False),
        (lines(said("x")), True),
        (lines(begin("x")), True),
        (lines({"type": "turn.prompt"}), False),
        (b'{"createdAt": 1, "agents": {"main": {"homedir": "x"}}}', True),
        (b'{"createdAt": 1, "agents": {}}', False),
        (b'{"createdAt": 1, "agents": {"main": 5}}', False),
        (b'{"version": 1, "approval": {}, "todos": []}', False),
        (b'{"createdAt": 1, "agents": {"main": ', False),
        (b"", False),
    ],
)
def test_recognition_is_by_content(data: bytes, wanted: bool) -> None:
    assert recognised(KimiCode(), data, "state.json") is wanted


def test_a_state_that_is_no_object_is_refused() -> None:
    for data in (b"[]", b"5", b"", b"{"):
        with pytest.raises(Unparsable):
            imported(KimiCode(), data, "x/state.json", {})


HOSTILE: list[Any] = [
    {"type": "turn.prompt", "input": "text"},
    {"type": "turn.prompt", "input": [5, None, {"type": "text"}], "time": 1e300},
    {"type": "context.append_message", "message": {"role": "user", "content": {"a": 1}}},
    {"type": "context.append_message", "message": {"role": [], "content": "x"}},
    {"type": "context.append_message", "message": {"role": "user", "content": "x", "origin": {"kind": []}}},
    {"type": "context.append_message", "message": {"role": "tool", "content": None, "toolCallId": 5, "isError": "y"}},
    {"type": "context.append_message", "message": {"role": "assistant", "toolCalls": [None, {"id": 1}]}},
    {"type": "context.undo", "count": "1"},
    {"type": "context.undo", "count": 10**18},
    {"type": "context.apply_compaction", "summary": 5},
    {"type": "usage.record", "usage": {"inputOther": "x", "output": -5}},
    {"type": "usage.record", "usage": {"inputOther": 7}, "model": ""},
    {"type": "llm.request", "kind": "loop", "model": 5, "provider": []},
    {"type": "llm.tools_snapshot", "tools": [5]},
    {"type": "config.update", "systemPrompt": [], "cwd": 5},
    loop("step.begin", uuid=5),
    begin("s"),
    {"type": "llm.request", "kind": "loop", "model": 5, "provider": "p", "time": "x"},
    loop("content.part", stepUuid="s", part=None),
    loop("content.part", stepUuid="s", part={"type": "image_url", "imageUrl": {"url": "blobref:"}}),
    loop("tool.call", stepUuid="s", toolCallId="t", name="n", type_=[], id="mine"),
    loop("tool.result", toolCallId="t", result={"output": [{"type": "image_url", "imageUrl": {"url": "blobref:a;b"}}]}),
    loop("step.end", uuid="s", usage={"inputOther": 1, "more": {}}, finishReason=5),
    loop("step.end", uuid="s"),
    loop([]),
    {"type": []},
]


def test_hostile_records_are_kept_and_accounted_for() -> None:
    found = log(*HOSTILE)
    assert found.counts[0] == len(HOSTILE) + 1 and found.counts[3] == 0
    state = b'{"createdAt": [], "title": 5, "workDir": {}, "forkedFrom": 1, "agents": {"main": {"homedir": 5}}}'
    files = {
        "agents/main/wire.jsonl": lines(*HOSTILE),
        "agents/x/wire.jsonl": b"\xff\n[]\n",
        "agents/x/plans/a.md": b"\xff",
    }
    imported(KimiCode(), state, "x/state.json", files)


def test_many_undos_cost_no_more_than_their_number() -> None:
    found = log(*[said("note", kind="injection")] * 10_000, *[{"type": "context.undo", "count": 5}] * 10_000)
    assert found.counts[0] == 20_001


@pytest.mark.samples
def test_real_sessions_are_read_and_billed(samples: Path) -> None:
    files = sorted((samples / "kimi").rglob("*.json*"))
    assert files
    for path in files:
        assert recognised(KimiCode(), path), path
        found = imported(KimiCode(), path, companions={})
        assert found.counts[3] == 0
        if path.suffix != ".jsonl":
            continue
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        bills = [record["usage"] for record in records if record["type"] == "usage.record"]
        names = ("inputOther", "inputCacheRead", "inputCacheCreation")
        assert billed(found).get("input_tokens", 0) == sum(one[name] for one in bills for name in names)
        assert billed(found).get("output_tokens", 0) == sum(one["output"] for one in bills)
        talk = [m for messages in found.sessions.values() for m in messages if m["role"] == "tool"]
        results = [r for r in records if r.get("event", {}).get("type") == "tool.result"]
        assert len(talk) == len(results)
