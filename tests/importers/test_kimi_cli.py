"""Sessions of Moonshot's kimi-cli: session directories and the single files before them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Message
from sessionstore.importers.kimi_cli import KimiCli
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.finding import Roots, candidates
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

WORK = "0f343b0931126a20f133d67c2b018a3b"
ID = "7c0e2a44-90b3-4a56-8f10-2d5b6e1c9a01"
PLACE = FORMATS / "kimi-cli" / ".kimi" / "sessions" / WORK
OLD = FORMATS / "kimi-cli" / ".local" / "share" / "kimi" / "sessions" / WORK
PROMPT = {"role": "_system_prompt", "content": "Be terse."}
USER = {"role": "user", "content": "hello"}
BOT = {"role": "assistant", "content": "hi"}
CALL = {
    "role": "assistant",
    "content": [],
    "tool_calls": [{"type": "function", "id": "Shell:0", "function": {"name": "Shell", "arguments": '{"a":1}'}}],
}
TOOL = {"role": "tool", "content": "done", "tool_call_id": "Shell:0"}
COMPACTED = "<system>Previous context has been compacted. Here is the compaction output:</system>"
SUMMARY = {"role": "user", "content": [{"type": "text", "text": COMPACTED}, {"type": "text", "text": "in short"}]}


def lines(*records: Any) -> bytes:
    """Records, one on a line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def checkpoint(number: int) -> dict[str, Any]:
    """A checkpoint record."""
    return {"role": "_checkpoint", "id": number}


def event(kind: str, stamp: float = 1773309600.0, **payload: Any) -> dict[str, Any]:
    """An event of the log."""
    return {"timestamp": stamp, "message": {"type": kind, "payload": payload}}


def status(fresh: int, out: int, name: str | None = None) -> dict[str, Any]:
    """The event that tells what an answer has cost."""
    counts = {"input_other": fresh, "output": out, "input_cache_read": 0, "input_cache_creation": 0}
    return event("StatusUpdate", token_usage=counts, message_id=name)


def session(context: bytes, name: str = f"{WORK}/{ID}/context.jsonl", **beside: bytes) -> Imported:
    """A session directory; companions by name, `__` for a dot."""
    return imported(KimiCli(), context, name, {key.replace("__", "."): value for key, value in beside.items()})


def whole(directory: Path, lead: str) -> Imported:
    """A session directory of the fixtures, read as the program lays it out."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / lead]
    return imported(KimiCli(), directory / lead, companions=files)


def chain(messages: Iterable[Message], leaf: str | None) -> list[str]:
    """The ids on the active path."""
    parents: dict[str, str | None] = {}
    before = None
    for message in messages:
        parents[message["id"]] = message.get("parent", before)
        before = message["id"]
    path = []
    node = leaf or before
    while node is not None:
        path.append(node)
        node = parents[node]
    return path[::-1]


def test_a_directory_is_one_source_and_its_subagents_belong_to_it() -> None:
    root = FORMATS / "kimi-cli"
    found = candidates(Roots([str(root)], (".jsonl",)), all_importers(), {}, on_error=lambda path, reason: None)
    assert sorted(Path(candidate.path).relative_to(root).as_posix() for candidate in found) == [
        f".kimi/sessions/{WORK}/{ID}/context.jsonl",
        f".kimi/sessions/{WORK}/MindEase/wire.jsonl",
        f".local/share/kimi/sessions/{WORK}/2d3c6f1e-1111-4a2b-9c3d-4e5f60718293.jsonl",
        f".local/share/kimi/sessions/{WORK}/2d3c6f1e-1111-4a2b-9c3d-4e5f60718293_1.jsonl",
    ]


def test_the_context_files_are_one_history_and_nothing_is_there_twice() -> None:
    found = whole(PLACE / ID, "context.jsonl")
    draft, messages = found.source.drafts[0], found.sessions[ID]
    talk = [message for message in messages if "kind" not in message]
    assert [text(message) for message in talk if message["role"] == "user"] == [
        "List the files, please. 你好",
        "Delete everything",
        "Then only read a.txt",
        "What is in this picture?",
        "and this was lost",
    ]
    assert draft.title == "Files and a picture"
    assert draft.system == [{"type": "text", "content": "You are Kimi, a terse assistant."}]
    assert draft.x["state"]["todos"] == [{"title": "read a.txt", "status": "done"}]
    assert draft.x["metadata"]["title"] == "An older title"
    assert draft.x["wire"] == {"protocol_version": "1.6"}
    assert found.counts == (105, 101, 4, 0)


def test_what_was_gone_back_behind_is_a_side_branch() -> None:
    found = whole(PLACE / ID, "context.jsonl")
    messages = found.sessions[ID]
    by_text = {text(message): message["id"] for message in messages}
    active = chain(messages, found.source.drafts[0].active_leaf)
    assert by_text["Delete everything"] not in active and by_text["I would rather not."] not in active
    assert active.index(by_text["Then only read a.txt"]) > active.index(
        by_text["There are two files: a.txt and b.txt."]
    )
    assert active[-1] == messages[-1]["id"]


def test_a_compaction_names_what_the_model_still_saw() -> None:
    messages = whole(PLACE / ID, "context.jsonl").sessions[ID]
    (summary,) = [message for message in messages if message.get("kind") == "compaction"]
    kept = [message for message in messages if message["id"] in summary["x"]["kept"]]
    assert roles(kept) == ["assistant", "tool", "tool", "assistant"]
    assert "time" not in summary and "parent" not in summary


def test_times_and_bills_come_from_the_log_once() -> None:
    found = whole(PLACE / ID, "context.jsonl")
    messages = found.sessions[ID]
    assert messages[1]["time"] == "2026-03-12T10:00:00.500Z"
    assert all("time" not in message for message in messages if message.get("kind") in ("context", "compaction"))
    usage = [message["usage"] for message in messages if "usage" in message]
    assert len(usage) == 7
    assert sum(one["input_tokens"] for one in usage) == 1200 + 1300 + 1380 + 1420 + 1500 + 420 + 430
    assert sum(one["output_tokens"] for one in usage) == 40 + 20 + 15 + 25 + 5 + 6 + 9
    assert sum(one.get("cache_write_tokens", 0) for one in usage) == 10
    failed = [message for message in messages if any(part.get("is_error") for part in message["parts"])]
    assert [message["parts"][0]["id"] for message in failed] == ["Agent:1"]
    assert failed[0]["x"]["wire"]["return_value"]["message"] == "Failed"


def test_what_only_the_log_has_is_kept_and_reported() -> None:
    found = whole(PLACE / ID, "context.jsonl")
    assert found.source.drafts[0].issues["wire-only-message"][0] == 2
    assert [text(message) for message in found.sessions[ID][-2:]] == [
        "and this was lost",
        "An answer that no context file holds.",
    ]
    events = [
        part["record"]["type"]
        for m in found.sessions[ID]
        for part in m["parts"]
        if part["type"] == "record" and "type" in part["record"]
    ]
    assert events == ["ApprovalRequest", "ApprovalResponse", "CompactionBegin", "CompactionEnd"]


def test_a_subagent_is_a_session_of_its_own() -> None:
    found = whole(PLACE / ID, "context.jsonl")
    child = found.drafts[f"{ID}/a1b2c3d4"]
    assert child.forked_from == {"key": f"kimi-cli:{ID}", "relation": "subagent"}
    assert (child.title, child.cwd) == ("Count lines", "/home/ann/project")
    assert child.created_at == "2026-03-12T10:00:20.250Z"
    assert child.x["prompt"] == "count lines" and child.x["meta"]["launch_spec"]["effective_model"] == "kimi-k2"
    messages = found.sessions[f"{ID}/a1b2c3d4"]
    assert [text(message) for message in messages if "kind" not in message] == ["count lines", "One line."]
    assert messages[-1]["usage"] == {"input_tokens": 40, "output_tokens": 3}


def test_a_log_alone_is_read_with_the_subagents_it_tells_of() -> None:
    found = whole(PLACE / "MindEase", "wire.jsonl")
    draft = found.source.drafts[0]
    assert (draft.native_id, draft.aliases) == (f"{WORK}/MindEase", ["MindEase"])
    assert list(draft.issues) == ["context-missing"]
    assert roles(found.sessions[draft.native_id]) == ["user", "assistant", "tool", "system"]
    assert found.sessions[draft.native_id][1]["parts"][1]["arguments"] == "{}"
    child = f"{WORK}/MindEase/Task:0"
    assert [text(message) for message in found.sessions[child]] == ["hum", "Hmm."]
    assert found.counts == (10, 9, 1, 0)


def test_single_files_are_sessions_named_after_themselves() -> None:
    name = "2d3c6f1e-1111-4a2b-9c3d-4e5f60718293"
    draft, messages = imported(KimiCli(), OLD / f"{name}.jsonl").one()
    assert draft.native_id == name and list(draft.issues) == ["times-missing"]
    assert roles(messages) == ["system", "user", "system", "assistant"]
    rotated, _ = imported(KimiCli(), OLD / f"{name}_1.jsonl").one()
    assert rotated.forked_from == {"key": f"kimi-cli:{name}", "relation": "resume"}


def test_the_first_generation_is_known_by_its_content_and_its_place() -> None:
    data = lines(USER, BOT)
    for place in (".local/share/kimi/sessions/work", ".kimi/sessions/work"):
        assert recognised(KimiCli(), data, f"/home/ann/{place}/history.jsonl")
    assert not recognised(KimiCli(), data, "/home/ann/notes/history.jsonl")
    draft, messages = imported(KimiCli(), data, "/home/ann/.kimi/sessions/shed/history.jsonl", {}).one()
    assert draft.native_id == "shed" and [text(message) for message in messages] == ["hello", "hi"]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (lines(checkpoint(0), USER), True),
        (lines(PROMPT, USER), True),
        (lines({"role": "_usage", "token_count": 5}), True),
        (lines({"role": "_usage", "token_count": "5"}), False),
        (lines(event("TurnBegin", user_input="x")), True),
        (lines({"type": "metadata", "protocol_version": "1.10"}), True),
        (lines({"type": "metadata", "protocol_version": "1.4", "created_at": 1782896400000}), False),
        (lines(USER, {"role": "assistant", "content": [{"type": "think", "think": "x", "encrypted": None}]}), True),
        (lines(USER, BOT), False),
        (b'{"role": "_system_prompt", "content": "' + b"x" * 100_000 + b'"}\n', True),
        (b"", False),
    ],
)
def test_recognition_is_by_content(data: bytes, wanted: bool) -> None:
    assert recognised(KimiCli(), data, "context.jsonl") is wanted


def test_a_session_grows_by_messages_at_its_end() -> None:
    first = lines(PROMPT, checkpoint(0), USER, BOT, checkpoint(1), {"role": "user", "content": "wrong"})
    second = lines(PROMPT, checkpoint(0), USER, BOT, CALL, TOOL)
    third = lines(PROMPT, checkpoint(0), SUMMARY, CALL, TOOL, {"role": "user", "content": "more"})
    fourth = lines(PROMPT, {"role": "user", "content": "anew"})
    states = [
        session(first[: len(first) // 2]),
        session(first),
        session(second, context_1__jsonl=first),
        session(third, context_1__jsonl=first, context_2__jsonl=second),
        session(fourth, context_1__jsonl=first, context_2__jsonl=second, context_3__jsonl=third),
    ]
    known: list[Message] = []
    for state in states:
        messages = state.one()[1]
        assert messages[: len(known)] == known
        assert len(messages) >= len(known)
        known = messages
    assert [text(message) for message in known if message["role"] == "user"] == [
        "hello",
        "wrong",
        f"{COMPACTED}\nin short",
        "more",
        "anew",
    ]
    assert [message["parent"] for message in known if "parent" in message] == ["m3", None]


def test_ten_rotations_are_read_in_the_order_of_their_numbers() -> None:
    files = {f"context_{number}__jsonl": lines({"role": "user", "content": f"n{number}"}) for number in range(1, 12)}
    _, messages = session(lines({"role": "user", "content": "n12"}), **files).one()
    assert [text(message) for message in messages] == [f"n{number}" for number in range(1, 13)]


def test_equal_tool_ids_of_different_turns_are_told_apart_by_their_order() -> None:
    log = []
    for number in range(3):
        function = {"name": "Shell", "arguments": '{"a":1}'}
        log += [
            event("TurnBegin", 1000.0 + number, user_input="hello"),
            event("StepBegin", 1000.1 + number, n=1),
            event("ToolCall", 1000.2 + number, type="function", id="Shell:0", function=function),
            event("ToolResult", 1000.3 + number, tool_call_id="Shell:0", return_value={"output": "done"}),
        ]
    found = session(lines(*[USER, CALL, TOOL] * 3), wire__jsonl=lines(*log))
    messages = found.one()[1]
    stamps = [message["time"] for message in messages]
    assert stamps == sorted(stamps) and len(set(stamps)) == 9
    assert not found.source.drafts[0].issues


def test_a_log_that_began_later_gives_no_times_to_what_was_before() -> None:
    log = lines(
        event("TurnBegin", user_input="hello"), event("StepBegin", n=1), event("ContentPart", type="text", text="hi")
    )
    found = session(lines(USER, BOT, USER, BOT), wire__jsonl=log)
    draft, messages = found.one()
    assert ["time" in message for message in messages] == [False, False, True, True]
    assert draft.issues["message-without-wire"][0] == 2


def test_a_bill_that_is_told_twice_counts_once() -> None:
    log = [
        event("TurnBegin", user_input="hello"),
        event("StepBegin", n=1),
        event("ContentPart", type="text", text="hi"),
    ]
    log += [status(5, 2, "one"), status(5, 2, "one"), event("TurnEnd"), status(7, 1, "two")]
    messages = session(lines(USER, BOT), wire__jsonl=lines(*log)).one()[1]
    assert sum(message.get("usage", {}).get("input_tokens", 0) for message in messages) == 12


def test_a_text_that_differs_between_context_and_log_is_kept_from_both() -> None:
    log = [
        event("TurnBegin", user_input="/init"),
        event("StepBegin", n=1),
        event("ContentPart", type="text", text="hi"),
    ]
    _, messages = session(lines({"role": "user", "content": "Explore the project"}, BOT), wire__jsonl=lines(*log)).one()
    assert messages[0]["x"]["wire"]["parts"] == [{"type": "text", "content": "/init"}]
    assert messages[0]["time"] and len(messages) == 2


def test_a_retried_step_is_a_message_of_its_own() -> None:
    log = [event("TurnBegin", user_input="hello"), event("StepBegin", n=1), event("ContentPart", type="text", text="h")]
    log += [event("StepRetry", n=1), event("ContentPart", type="text", text="hi")]
    found = session(lines(USER, BOT), wire__jsonl=lines(*log))
    assert [text(m) for m in found.one()[1] if m["role"] == "assistant"] == ["h", "hi"]
    assert found.source.drafts[0].issues["wire-only-message"][0] == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("<system>CHECKPOINT 3</system>", "meta"),
        ("<system-reminder>\nx\n</system-reminder>", "context"),
        ("<notification id=1>x</notification>", "context"),
        ("<task-notification>x</task-notification>", "context"),
        ([{"type": "text", "text": COMPACTED}, {"type": "text", "text": "x"}], "compaction"),
        ([{"type": "text", "text": "<system>note</system>"}, {"type": "text", "text": "mine"}], None),
        ("what is <system>?", None),
    ],
)
def test_what_the_program_wrote_in_the_users_name_is_marked(content: Any, kind: str | None) -> None:
    _, messages = session(lines(checkpoint(0), {"role": "user", "content": content})).one()
    assert messages[1].get("kind") == kind


def test_parts_of_every_kind_are_kept() -> None:
    content = [
        {"type": "think", "think": "hm", "encrypted": "abc"},
        {"type": "text", "text": "t"},
        {"type": "audio_url", "audio_url": {"url": "https://example.org/a.mp3", "id": None}},
        {"type": "image", "url": "data:image/png;base64,iVBORw0KGgo=", "id": "i1"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,broken"}},
        {"type": "hologram", "depth": 3},
        5,
    ]
    _, messages = session(lines(checkpoint(0), {"role": "user", "content": content, "name": "ann"})).one()
    assert messages[1]["parts"] == [
        {"type": "reasoning", "content": "hm", "signature": "abc"},
        {"type": "text", "content": "t"},
        {"type": "uri", "modality": "audio", "uri": "https://example.org/a.mp3"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "iVBORw0KGgo=", "id": "i1"},
        {"type": "uri", "modality": "image", "uri": "data:image/png;base64,broken"},
        {"type": "hologram", "depth": 3},
        {"type": "record", "record": {"value": 5}},
    ]
    assert messages[1]["x"] == {"name": "ann"}


def test_damaged_lines_are_skipped_as_the_program_does_and_told() -> None:
    data = (
        lines(checkpoint(0))
        + b'{"role":"user","content":"a\x01\xffb"}\nnot json\n[1]\n{"role":"narrator"}\n{"role":"us'
    )
    found = session(data)
    _, messages = found.one()
    assert text(messages[1]) == "a\x01\ufffdb"
    assert found.counts == (6, 2, 1, 3)
    assert {"control-character", "invalid-utf8", "torn-last-line", "unparsable-record"} <= set(
        found.source.drafts[0].issues
    )


def test_a_damaged_companion_costs_only_itself() -> None:
    found = session(lines(USER, BOT), wire__jsonl=b"\xff\xff\n{", state__json=b"{oops", metadata__json=b"[1]")
    draft, messages = found.one()
    assert len(messages) == 2
    assert found.counts == (6, 2, 0, 4)
    assert {"companion-unreadable", "torn-line-in-companion"} <= set(draft.issues)


def test_what_a_crash_has_left_is_looked_through() -> None:
    left = lines(PROMPT, USER, BOT, {"role": "user", "content": "unsaved"})
    found = session(lines(USER, BOT), context__tmp=left)
    draft, messages = found.one()
    assert draft.issues["leftover-temporary-file"][0] == 1
    assert [message["parts"][0]["record"] for message in messages[2:]] == [
        PROMPT,
        {"role": "user", "content": "unsaved"},
    ]
    assert found.counts == (6, 4, 2, 0)


def test_older_subagents_lie_beside_the_session() -> None:
    log = [
        event("TurnBegin", user_input="hello"),
        event(
            "SubagentEvent",
            task_tool_call_id="T:0",
            event={"type": "ContentPart", "payload": {"type": "text", "text": "one"}},
        ),
        event(
            "SubagentEvent",
            task_tool_call_id="T:1",
            event={"type": "ContentPart", "payload": {"type": "text", "text": "two"}},
        ),
    ]
    files = {"context_sub.jsonl": lines(USER, {"role": "assistant", "content": "two"})}
    files["wire.jsonl"] = lines(*log)
    found = imported(KimiCli(), lines(USER, BOT), f"{WORK}/{ID}/context.jsonl", files)
    assert list(found.drafts) == [ID, f"{ID}/context_sub", f"{ID}/T:0"]
    assert [text(message) for message in found.sessions[f"{ID}/context_sub"]] == ["hello", "two"]
    assert "time" in found.sessions[f"{ID}/context_sub"][1]
    assert [text(message) for message in found.sessions[f"{ID}/T:0"]] == ["one"]


def test_a_subagents_file_alone_has_the_key_it_has_with_its_session() -> None:
    found = imported(KimiCli(), lines(checkpoint(0), USER), f"/h/{WORK}/{ID}/subagents/abc/context.jsonl", {})
    draft, _ = found.one()
    assert draft.native_id == f"{ID}/abc"
    assert draft.forked_from == {"key": f"kimi-cli:{ID}", "relation": "subagent"}


def test_a_file_without_any_name_is_refused() -> None:
    with pytest.raises(Unparsable):
        imported(KimiCli(), lines(checkpoint(0), USER), "", {})


def test_many_pieces_cost_no_more_than_their_length() -> None:
    pieces = [event("ContentPart", type="text", text="x" * 50) for _ in range(30_000)]
    messages = session(
        b"", wire__jsonl=lines(event("TurnBegin", user_input="go"), event("StepBegin", n=1), *pieces)
    ).one()[1]
    assert len(text(messages[1])) == 1_500_000


@pytest.mark.parametrize("step", range(12))
def test_a_directory_cut_anywhere_is_read(step: int) -> None:
    directory = PLACE / ID
    files = {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    lead = files.pop("context.jsonl")
    cut = {name: data[: len(data) * step // 12] for name, data in files.items()}
    imported(KimiCli(), lead[: len(lead) * (12 - step) // 12], str(directory / "context.jsonl"), cut)


HOSTILE = [
    {"timestamp": 1e300, "message": {"type": "TurnBegin", "payload": {"user_input": None}}},
    event("TurnBegin", user_input={"a": 1}),
    event("StepBegin", n=[1], extra={}),
    event("ContentPart", part={"type": "text", "text": 5}),
    event("ContentPart"),
    event("ToolCall", id=5, function=[]),
    event("ToolCallPart", arguments_part={"a": 1}),
    event("ToolCallPart", arguments_part="x"),
    event("StatusUpdate", token_usage=[1], message_id={}),
    event("StatusUpdate", token_usage={"input_other": -1, "output": 2**70, "input_cache_read": "x"}),
    event("ToolResult", tool_call_id=None, return_value=5),
    event("ToolResult", tool_call_id="Shell:0", return_value={"output": [{"type": "text"}], "is_error": "yes"}),
    event("SubagentEvent", event=5),
    event("SubagentEvent", agent_id="../x", event={"type": 5, "payload": []}),
    {"role": "tool", "tool_call_id": [], "content": {"a": 1}},
    {"role": "assistant", "tool_calls": [None, {"type": "function"}, {"id": "x", "function": {"name": 5}}]},
    {"role": "_checkpoint", "id": "x"},
    {"role": "_system_prompt", "content": "y", "type": "blob"},
    {"role": "user", "content": [[{"type": "text", "content": 3}]]},
]


def test_hostile_records_are_kept_and_accounted_for() -> None:
    data = lines(checkpoint(0), *HOSTILE, USER)
    found = imported(
        KimiCli(), data, "x/context.jsonl", {"wire.jsonl": data, "subagents/q/meta.json": b'{"launch_spec":5}'}
    )
    assert found.counts[0] == 2 * (len(HOSTILE) + 2) + 1
    imported(
        KimiCli(), data, "x/wire.jsonl", {"context_1.jsonl": data, "context_x.jsonl": data, "context_01.jsonl": data}
    )


def test_an_emptied_context_leaves_the_log_to_stand_for_the_session(tmp_path: Path) -> None:
    directory = tmp_path / WORK / ID
    (directory / "subagents" / "abc").mkdir(parents=True)
    (directory / "context.jsonl").touch()
    (directory / "context_1.jsonl").write_bytes(lines(checkpoint(0), USER, BOT))
    (directory / "wire.jsonl").write_bytes(lines(event("TurnBegin", user_input="hello")))
    (directory / "subagents" / "abc" / "context.jsonl").write_bytes(lines(checkpoint(0), USER))
    found = candidates(Roots([str(tmp_path)], (".jsonl",)), all_importers(), {}, on_error=lambda path, reason: None)
    names = [Path(candidate.path).relative_to(directory).as_posix() for candidate in found]
    assert names == ["wire.jsonl"]
    files = {path: (directory / path).read_bytes() for path in ("context_1.jsonl", "subagents/abc/context.jsonl")}
    made = imported(KimiCli(), directory / "wire.jsonl", companions=files)
    assert [text(message) for message in made.sessions[ID] if message["role"] != "system"] == ["hello", "hi"]
    assert list(made.drafts) == [ID, f"{ID}/abc"]


def test_fields_that_later_versions_add_are_kept() -> None:
    log = [event("TurnBegin", user_input="hello", origin="web"), event("StepBegin", n=1, retry=2)]
    log += [event("ToolCall", type="function", id="Shell:0", function={"name": "Shell", "arguments": ""})]
    log += [event("ToolCallPart", arguments_part='{"a":1}', index=3)]
    log += [event("ToolResult", tool_call_id="Shell:0", return_value={"output": "done", "code": 0}, seconds=2)]
    messages = session(lines(USER, CALL, TOOL), wire__jsonl=lines(*log)).one()[1]
    assert messages[0]["x"]["wire"] == {"origin": "web"}
    by_role = {message["role"]: message for message in messages if "kind" not in message}
    assert by_role["tool"]["x"]["wire"] == {"seconds": 2, "return_value": {"code": 0}}
    events = [m["parts"][0]["record"]["payload"] for m in messages if m.get("kind") == "meta"]
    assert events == [{"n": 1, "retry": 2}, {"arguments_part": '{"a":1}', "index": 3}]


def test_a_session_that_is_going_on_only_grows_wherever_it_is_read() -> None:
    function = {"name": "Shell", "arguments": '{"a":1}'}
    usage: dict[str, Any] = {"role": "_usage", "token_count": 9}
    writes: list[tuple[str, Any]] = [
        ("wire", event("MCPLoadingBegin")),
        ("wire", event("TurnBegin", user_input="hello")),
        ("context", checkpoint(0)),
        ("context", USER),
        ("wire", event("StepBegin", n=1)),
        ("wire", event("ContentPart", type="text", text="hm")),
        ("wire", event("ToolCall", type="function", id="Shell:0", function=function)),
        ("wire", status(9, 1, "one")),
        ("context", usage),
        ("wire", event("ApprovalRequest", id="a")),
        ("wire", event("ApprovalResponse", request_id="a")),
        ("wire", event("ToolResult", tool_call_id="Shell:0", return_value={"output": "done"})),
        ("context", CALL),
        ("context", TOOL),
        ("wire", event("StatusUpdate", context_usage=0.5)),
        ("wire", event("StepBegin", n=2)),
        ("wire", event("ContentPart", type="text", text="hi")),
        ("wire", status(3, 1, "two")),
        ("context", usage),
        ("context", BOT),
        ("wire", event("TurnEnd")),
        ("wire", event("CompactionBegin")),
        ("rotate", None),
        ("context", [SUMMARY, BOT]),
        ("wire", event("CompactionEnd")),
        ("wire", event("TurnBegin", user_input="and then?")),
        ("context", {"role": "user", "content": "and then?"}),
        ("wire", event("StepBegin", n=1)),
        ("wire", event("ContentPart", type="text", text="broken off")),
        ("wire", event("StepInterrupted")),
    ]
    files: dict[str, list[Any]] = {"context": [], "wire": []}
    known: list[Message] = []
    for place, record in writes:
        if place == "rotate":
            files["context_1"], files["context"] = files["context"], []
        else:
            files[place] += record if isinstance(record, list) else [record]
        beside = {f"{name}.jsonl": lines(*made) for name, made in files.items() if name != "context"}
        messages = imported(KimiCli(), lines(*files["context"]), f"{ID}/context.jsonl", beside).one()[1]
        if files["context"]:
            assert messages[: len(known)] == known, (place, record)
            known = messages
    assert [text(message) for message in known if "kind" not in message and message["role"] != "tool"] == [
        "hello",
        "",
        "hi",
        "and then?",
        "broken off",
    ]
