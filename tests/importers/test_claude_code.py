"""Claude Code transcripts (`~/.claude/projects`). What every importer promises is in `test_contract.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import HEAD, Draft, Head, Machine, Message, Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.parsing import Unparsable

PROJECTS = Path(__file__).resolve().parents[2] / "fixtures" / "legacy" / "home" / ".claude" / "projects"
SHOP, KITCHEN = "-home-ada-src-tinyshop", "C--Users-Ada-cookbook"
MAIN = f"{SHOP}/4f0c1d2e-1111-4a4a-9b9b-000000000001"
INLINE = f"{SHOP}/4f0c1d2e-2222-4a4a-9b9b-000000000002"
RESUMED = f"{KITCHEN}/4f0c1d2e-4444-4a4a-9b9b-000000000004"
BRANCHED = f"{KITCHEN}/4f0c1d2e-6666-4a4a-9b9b-000000000006"
BOOKKEEPING = f"{KITCHEN}/4f0c1d2e-7777-4a4a-9b9b-000000000007"
SID = "0d0d0d0d-0000-4000-8000-000000000000"
RAW = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


def read(data: bytes, name: str = "x.jsonl", resumed: Any = None, before: Source | None = None) -> Any:
    """Read bytes; gives the source and its messages, each with the native id of its session."""
    account = before.account if before else None
    source = Source(name, [data], size=len(data), resumed=resumed, account=account)
    messages = [(draft.native_id, message) for draft, message in ClaudeCode().read(source)]
    assert source.account.adds_up
    return source, messages


def fixture(name: str) -> tuple[Draft, list[Message], Source]:
    """Read a fixture; the first session and its messages."""
    source, messages = read((PROJECTS / f"{name}.jsonl").read_bytes(), f"projects/{name}.jsonl")
    return source.drafts[0], [message for native, message in messages if native == source.drafts[0].native_id], source


def lines(*records: Any) -> bytes:
    """Records as the program writes them."""
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


def user(content: Any, n: int = 1, **fields: Any) -> dict[str, Any]:
    """A user record."""
    message = {"role": "user", "content": content}
    return {"type": "user", "uuid": f"u{n}", "parentUuid": None, "sessionId": SID, "message": message} | fields


def answer(n: int, output: int, response: Any = "msg_1", **fields: Any) -> dict[str, Any]:
    """An assistant record of a response."""
    usage = {"input_tokens": 2, "cache_read_input_tokens": 30, "output_tokens": output, "service_tier": "standard"}
    content = [{"type": "text", "text": f"part {n}"}]
    body = {"id": response, "role": "assistant", "model": "claude-x", "content": content, "usage": usage}
    envelope = {"type": "assistant", "uuid": f"a{n}", "parentUuid": None, "sessionId": SID, "requestId": "req_1"}
    return envelope | {"message": body} | fields


def one(*records: Any, name: str = "x.jsonl") -> Message:
    """The message of the last record."""
    message: Message = read(lines(*records), name)[1][-1][1]
    return message


def by_id(messages: list[Message], end: str) -> Message:
    """The message whose id ends so."""
    return next(message for message in messages if message["id"].endswith(end))


def bill(messages: list[Message]) -> dict[str, int]:
    """The usage of messages, added up."""
    total: dict[str, int] = {}
    for message in messages:
        for name, figure in message.get("usage", {}).items():
            total[name] = total.get(name, 0) + figure
    return total


def recognised(data: bytes, name: str = "x.jsonl") -> bool:
    """Whether bytes are taken for Claude Code's."""
    return ClaudeCode().recognise(Head(name, data[:HEAD], len(data) <= HEAD, lambda: [data]))


# -- one record, one message -------------------------------------------------------------------------------------------


def test_every_record_becomes_one_message_in_record_order() -> None:
    raw = [json.loads(line) for line in (PROJECTS / f"{MAIN}.jsonl").read_text("utf-8").splitlines()]
    _, messages, source = fixture(MAIN)
    assert [message["id"] for message in messages] == [r.get("uuid", f"m{n}") for n, r in enumerate(raw, 1)]
    assert source.account.mapped + source.account.preserved == len(raw) == len(messages)


def test_the_chain_is_whole_because_bookkeeping_records_stay_in_it() -> None:
    draft, messages, _ = fixture(MAIN)
    chain = {message["id"]: message.get("parent", before) for before, message in pairs(messages)}
    path, at = [], draft.active_leaf
    while at is not None:
        path.append(at[-2:])
        at = chain[at]
    assert " ".join(path) == "30 29 28 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 08 07 06 05 04 03 02 01"
    assert "missing-parent" not in draft.issues


def pairs(messages: list[Message]) -> Iterator[tuple[str | None, Message]]:
    """Every message with the id of the one before."""
    before = None
    for message in messages:
        yield before, message
        before = message["id"]


def test_a_record_of_an_unknown_type_is_kept_verbatim() -> None:
    _, messages, _ = fixture(MAIN)
    record = {"type": "a-type-of-next-year", "value": [1, 2, 3]}
    assert messages[-1] == {"id": "m42", "role": "system", "kind": "meta", "parts": [part_of(record)]}


def part_of(record: Any) -> dict[str, Any]:
    """The part that keeps a record."""
    return {"type": "record", "record": record}


@pytest.mark.parametrize("content", [5, None, {"a": 1}, [5], [{"type": "text", "text": "fine"}, None]])
def test_a_user_record_of_a_wrong_shape_is_kept_verbatim(content: Any) -> None:
    message = one(user(content))
    assert message["kind"] == "meta"
    assert message["parts"] == [part_of({"type": "user", "message": {"role": "user", "content": content}})]


def test_a_block_of_a_wrong_shape_is_kept_verbatim_beside_the_others() -> None:
    odd: list[Any] = [{"type": "text", "text": 5}, {"type": ["a"]}, {"no": "type"}, {"type": "record", "x": 1}]
    message = one(user([{"type": "text", "text": "hello"}, *odd]))
    assert message["parts"] == [{"type": "text", "content": "hello"}, *map(part_of, odd)]


def test_blocks_become_parts_and_keep_their_further_fields() -> None:
    _, messages, _ = fixture(MAIN)
    image = by_id(messages, "04")["parts"][2]
    assert (image["type"], image["modality"], image["mime_type"]) == ("blob", "image", "image/png")
    reasoning = {"type": "reasoning", "content": "The rate is applied after truncation.", "signature": "c2lnbmF0dXJl"}
    assert by_id(messages, "05")["parts"] == [reasoning]
    assert by_id(messages, "07")["parts"][0]["caller"] == {"type": "direct"}
    assert by_id(messages, "15")["parts"][0]["signature"] == "ZW5jcnlwdGVk"


def test_a_tool_result_is_a_message_of_the_tool_with_its_structured_form_beside_it() -> None:
    _, messages, _ = fixture(MAIN)
    message = by_id(messages, "11")
    assert message["role"] == "tool"
    assert message["parts"][0]["id"] == "toolu_02"
    assert message["parts"][0]["is_error"] is True
    assert message["parts"][0]["response"][1]["source"]["type"] == "base64"
    assert message["x"]["toolUseResult"] == "Error: No matches"
    assert by_id(messages, "17")["x"]["toolUseResult"]["agentId"] == "a1b2c3d"


def test_a_prompt_typed_while_a_tool_ran_is_the_users_and_a_notice_is_not() -> None:
    _, messages, _ = fixture(MAIN)
    typed, notice = by_id(messages, "13"), by_id(messages, "14")
    assert (typed["role"], typed["parts"][0]["content"]) == ("user", "Also check the café's VAT, please")
    assert "kind" not in typed
    assert (notice["role"], notice["kind"]) == ("user", "context")


def test_injected_texts_are_context_and_a_reminder_beside_a_prompt_is_not() -> None:
    _, messages, _ = fixture(MAIN)
    kinds = {message["id"][-2:]: message.get("kind") for message in messages if message["role"] == "user"}
    assert [kinds[n] for n in ("01", "02", "20")] == ["context"] * 3
    assert kinds["04"] is None
    assert kinds["21"] is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("<system-reminder>a</system-reminder>\n<system-reminder>b</system-reminder>", "context"),
        ("<system-reminder>a</system-reminder> then typed", None),
        (" <command-message>init</command-message>", "context"),
        ("why is <command-name> in my log?", None),
        ("<div> is what I typed", None),
        ("", None),
    ],
)
def test_only_what_nobody_typed_is_context(content: str, kind: str | None) -> None:
    assert one(user(content)).get("kind") == kind
    assert one(user([{"type": "text", "text": content}])).get("kind") == kind


def test_a_compaction_goes_on_from_what_was_compacted() -> None:
    _, messages, _ = fixture(MAIN)
    boundary, summary = by_id(messages, "24"), by_id(messages, "25")
    assert boundary["kind"] == summary["kind"] == "compaction"
    assert (boundary["role"], summary["role"]) == ("system", "user")
    assert "parent" not in boundary
    assert boundary["x"]["logicalParentUuid"] == by_id(messages, "23")["id"]


def test_a_compaction_whose_history_is_not_in_the_file_is_a_root() -> None:
    boundary = {
        "type": "system",
        "subtype": "compact_boundary",
        "uuid": "b",
        "parentUuid": None,
        "content": "Compacted",
    }
    assert one(user("hello"), boundary | {"logicalParentUuid": "elsewhere"})["parent"] is None


def test_errors_of_the_api_are_errors_and_the_synthetic_model_is_none() -> None:
    _, messages, _ = fixture(MAIN)
    retry, failure = by_id(messages, "18"), by_id(messages, "19")
    assert (retry["role"], retry["kind"]) == ("system", "error")
    assert (failure["role"], failure["kind"]) == ("assistant", "error")
    assert "model" not in failure
    assert "usage" not in failure
    assert failure["x"]["model"] == "<synthetic>"


def test_a_naive_time_is_not_passed_off_as_utc() -> None:
    message = one(user("hello", timestamp="2025-06-14T10:00:00.123"))
    assert "time" not in message
    assert message["x"]["time"] == {"raw": "2025-06-14T10:00:00.123", "precision": "ms", "zone": "unknown"}
    assert one(user("hello", timestamp="yesterday"))["x"] == {"timestamp": "yesterday"}


# -- usage -------------------------------------------------------------------------------------------------------------


def test_a_response_written_as_several_records_is_billed_once() -> None:
    _, messages, _ = fixture(MAIN)
    parts = [message for message in messages if message.get("x", {}).get("response_id") == "msg_01"]
    assert len(parts) == 4
    assert bill(parts) == {"input_tokens": 1204, "cache_write_tokens": 1200, "output_tokens": 220}
    assert [part.get("usage", {}).get("output_tokens") for part in parts] == [1, None, 179, 40]
    assert ["usage" in part["x"] for part in parts] == [True, False, False, False]


def test_figures_that_fall_are_kept_raw_and_not_billed() -> None:
    _, messages = read(lines(answer(1, 50), answer(2, 20), answer(3, 60)))
    assert [message.get("usage", {}).get("output_tokens") for _, message in messages] == [50, None, 10]
    assert messages[1][1]["x"]["usage"] == {"output_tokens": 20, "service_tier": "standard"}


def test_responses_without_an_id_are_each_billed() -> None:
    _, messages = read(lines(answer(1, 50, None), answer(2, 50, None)))
    assert bill([message for _, message in messages])["output_tokens"] == 100


def test_reasoning_is_part_of_the_output() -> None:
    _, messages, _ = fixture(MAIN)
    usage = by_id(messages, "22")["usage"]
    assert (usage["output_tokens"], usage["reasoning_tokens"], usage["input_tokens"]) == (48, 11, 1333)


def test_dollars_become_whole_millionths_and_what_is_rounded_off_stays() -> None:
    _, messages, _ = fixture(INLINE)
    assert bill(messages)["cost_microusd"] == 480 + 99 + 123
    assert [message.get("x", {}).get("costUSD") for message in messages if "usage" in message] == [
        None,
        None,
        0.0001234567,
    ]


@pytest.mark.parametrize("usage", [5, [], {"input_tokens": True, "output_tokens": -4}, {"output_tokens": 2**60}])
def test_senseless_usage_is_kept_and_not_billed(usage: Any) -> None:
    record = answer(1, 1)
    record["message"]["usage"] = usage
    message = one(record)
    assert "usage" not in message
    assert usage in (message["x"].get("usage"), message["x"].get("message", {}).get("usage"))


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_what_is_constant_is_told_once_and_a_change_where_it_happens() -> None:
    draft, messages, _ = fixture(MAIN)
    assert (draft.cwd, draft.project, draft.git) == ("/home/ada/src/tinyshop", "tinyshop", {"branch": "main"})
    assert draft.x == {"version": "2.1.34", "userType": "external", "slug": "brave-tiny-otter"}
    changes = {m["id"][-2:]: m["x"] for m in messages if {"gitBranch", "version", "cwd"} & m.get("x", {}).keys()}
    assert changes == {"21": {"gitBranch": "fix/tax"}, "26": {"version": "2.1.35"}}


def test_the_last_component_of_a_windows_path_is_the_project() -> None:
    draft, _, _ = fixture(RESUMED)
    assert (draft.cwd, draft.project, draft.git) == ("C:\\Users\\Ada\\cookbook", "cookbook", {})


def test_titles_rank_from_the_persons_own_to_the_first_prompt() -> None:
    prompt = user("<system-reminder>x</system-reminder>\nFix the roof\nplease")
    summary = {"type": "summary", "summary": "Roof repair", "leafUuid": "u1"}
    other = {"type": "summary", "summary": "Of another file", "leafUuid": "elsewhere"}
    generated = {"type": "ai-title", "aiTitle": "Repairing the roof", "sessionId": SID}
    text = "<local-command-stdout>Session renamed to: roof</local-command-stdout>"
    renamed = {"type": "system", "subtype": "local_command", "content": text, "sessionId": SID}
    custom = {"type": "custom-title", "customTitle": "The roof", "sessionId": SID}
    records: list[Any] = [other, prompt]
    for record, title in ((None, "Fix the roof"), (summary, "Roof repair"), (generated, "Repairing the roof")):
        records = [record, *records] if record else records
        assert read(lines(*records))[0].drafts[0].title == title
    assert read(lines(*records, renamed, generated))[0].drafts[0].title == "roof"
    assert read(lines(custom, *records, renamed))[0].drafts[0].title == "The roof"


def test_a_summary_after_its_message_names_the_session_too() -> None:
    summary = {"type": "summary", "summary": "Roof repair", "leafUuid": "u1"}
    assert read(lines(user("Fix the roof"), summary))[0].drafts[0].title == "Roof repair"


def test_a_file_of_two_session_ids_is_two_sessions_one_going_on_from_the_other() -> None:
    _, _, source = fixture(RESUMED)
    first, second = source.drafts
    assert second.forked_from == {
        "key": f"claude-code:{first.native_id}",
        "message": first.active_leaf,
        "relation": "resume",
    }
    assert first.forked_from is None


def test_a_branch_repeats_its_origins_messages_exactly() -> None:
    origin, original, _ = fixture(RESUMED)
    branch, messages, _ = fixture(BRANCHED)
    assert messages[:2] == original[:2]
    assert branch.forked_from == {
        "key": f"claude-code:{origin.native_id}",
        "message": original[1]["id"],
        "relation": "fork",
    }


def test_subagents_told_inline_are_sidechains_and_not_the_leaf() -> None:
    draft, messages, source = fixture(INLINE)
    assert [message.get("kind") for message in messages] == [None, None, "sidechain", "sidechain", None, None]
    assert messages[2]["parent"] is None
    assert draft.active_leaf == messages[-1]["id"]
    assert source.account.rejected == [(7, "torn last line, still being written or cut off")]


@pytest.mark.parametrize(
    ("name", "native"),
    [
        (f"{MAIN}/subagents/agent-a1b2c3d", "4f0c1d2e-1111-4a4a-9b9b-000000000001/agent-a1b2c3d"),
        (f"{SHOP}/agent-9f8e7d6c", "4f0c1d2e-3333-4a4a-9b9b-000000000003/agent-9f8e7d6c"),
    ],
)
def test_a_subagents_file_is_a_session_of_its_own_under_its_parent(name: str, native: str) -> None:
    draft, messages, _ = fixture(name)
    assert draft.native_id == native
    assert draft.forked_from == {"key": f"claude-code:{native.split('/')[0]}", "relation": "subagent"}
    assert all("kind" not in message and "isSidechain" not in message.get("x", {}) for message in messages)
    assert draft.active_leaf == messages[-1]["id"]


def test_the_directory_names_the_parent_when_a_subagent_has_its_own_session_id() -> None:
    data = lines(user("Search", sessionId="agent-q", agentId="q", isSidechain=True))
    draft = read(data, f"p/{SID}/subagents/agent-q.jsonl")[0].drafts[0]
    assert (draft.native_id, draft.forked_from["key"]) == (f"{SID}/agent-q", f"claude-code:{SID}")
    assert read(data, "agent-q.jsonl")[0].drafts[0].native_id == "agent-q"


def test_a_subagents_file_is_known_by_its_first_turn_when_its_name_does_not_tell() -> None:
    data = lines(user("Search", agentId="q", isSidechain=True))
    assert read(data, "copy.jsonl")[0].drafts[0].native_id == f"{SID}/agent-q"
    data = lines(user("Search", isSidechain=False))
    assert read(data, "agent-notes.jsonl")[0].drafts[0].native_id == SID


def test_leading_records_without_a_session_id_belong_to_the_first_session() -> None:
    source, messages = read(lines({"type": "summary", "summary": "s", "leafUuid": "l"}, user("hello")))
    assert [native for native, _ in messages] == [SID, SID]
    assert len(source.drafts) == 1


def test_a_file_without_any_session_id_is_called_by_its_name() -> None:
    source, messages = read(lines({"type": "user", "message": {"content": "hello"}}), "projects/p/my-session.jsonl")
    assert [native for native, _ in messages] == ["my-session"]
    assert source.resume is None


def test_a_file_of_bookkeeping_only_is_a_session() -> None:
    draft, messages, _ = fixture(BOOKKEEPING)
    assert draft.native_id == "4f0c1d2e-7777-4a4a-9b9b-000000000007"
    assert [message["kind"] for message in messages] == ["meta"] * 4
    assert draft.active_leaf is None
    assert draft.title is None


def test_repeated_ids_are_told_apart_and_reported() -> None:
    source, messages = read(lines(user("one"), user("two"), user("three")))
    assert [message["id"] for _, message in messages] == ["u1", "u1~2", "u1~3"]
    assert source.drafts[0].issues["repeated-message-id"][0] == 2


def test_hundreds_of_repetitions_of_an_id_stay_distinct() -> None:
    _, messages = read(lines(*[user("again")] * 300))
    assert len({message["id"] for _, message in messages}) == 300


def test_missing_parents_and_tool_results_are_reported_until_they_come() -> None:
    call = answer(1, 1, parentUuid="u1")
    call["message"]["content"] = [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]
    result = user([{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}], 2, parentUuid="a1")
    lost = read(lines(user("go", 0), call))[0].drafts[0].issues
    assert {code: count for code, (count, _) in lost.items()} == {"missing-parent": 1, "dangling-tool-call": 1}
    assert not read(lines(user("go", 0), call, result, user("late")))[0].drafts[0].issues


# -- growth ------------------------------------------------------------------------------------------------------------


def test_a_read_can_stop_and_go_on_with_every_session_and_response_of_the_file() -> None:
    data = lines(
        user("one"), answer(1, 5), user("two", 2, sessionId="other", parentUuid="a1"), answer(2, 9), user("three", 1)
    )
    whole, messages = read(data)
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    for end in ends:
        first, before = read(data[:end])
        assert first.resume is not None
        second, after = read(data[end:], resumed=json.loads(json.dumps(first.resume)), before=first)
        assert before + after == messages
        assert [draft.state() for draft in second.drafts] == [draft.state() for draft in whole.drafts]
        assert second.resume == whole.resume


def test_a_file_whose_session_is_not_settled_yet_starts_over() -> None:
    meta = {"type": "mode", "mode": "normal", "sessionId": SID}
    assert read(lines(meta), "copy.jsonl")[0].resume is None
    assert read(lines(meta), f"{SID}.jsonl")[0].resume is not None
    assert read(lines(meta, user("hello")), "copy.jsonl")[0].resume is not None


# -- web session documents ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 2])
def test_a_web_session_document_reads_like_its_lines(indent: int | None) -> None:
    records = [user("hello"), answer(1, 5, parentUuid="u1")]
    document = {"id": "session_1", "title": "From the web", "loglines": [*records, 5]}
    data = json.dumps(document, indent=indent).encode()
    assert recognised(data, "session.json")
    source, messages = read(data, "session.json")
    assert messages == read(lines(*records))[1]
    assert source.drafts[0].title == "From the web"
    assert source.account.records == 3
    assert source.account.rejected == [(3, "not a JSON object")]
    assert source.resume is None


def test_a_broken_web_session_document_is_refused() -> None:
    with pytest.raises(Unparsable):
        read(b'{"loglines": [{"type": "user"}', "session.json")


def test_a_transcript_that_talks_about_loglines_is_no_document() -> None:
    result = user([{"type": "tool_result", "tool_use_id": "t", "content": '{"loglines": []}'}])
    result["toolUseResult"] = {"loglines": [1]}
    assert len(read(lines(result, user("next", 2)))[1]) == 2


# -- recognising -------------------------------------------------------------------------------------------------------

FOREIGN = {
    "qwen-code": {"uuid": "u", "parentUuid": None, "sessionId": "s", "type": "user", "message": {"parts": []}},
    "iflow": user("hi", sessionId="session-5de701fc"),
    "codex": {"timestamp": "t", "type": "response_item", "payload": {"type": "message"}},
    "codex prompts": {"session_id": "s", "ts": 1, "text": "hi"},
    "gemini-cli": {"sessionId": "s", "projectHash": "h", "type": "user", "message": {"content": "hi"}},
    "cursor": {"role": "user", "message": {"content": [{"type": "text", "text": "hi"}]}},
    "own prompt log": {"display": "hi", "pastedContents": {}, "timestamp": 1, "project": "/p", "sessionId": SID},
    "stream-json": {"type": "assistant", "message": {"role": "assistant", "content": []}, "session_id": "s"},
    "chat": {"role": "user", "content": "hi"},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_similar_format_is_not_claimed(name: str) -> None:
    assert not recognised(lines(FOREIGN[name], FOREIGN[name]))


def test_recognising_does_not_hang_on_the_first_line() -> None:
    head = [{"type": "tool_use", "name": "x"}, {"type": ["odd"]}, {"": 1}]
    assert recognised(b"\xef\xbb\xbf" + lines(*head, user("hi")))
    assert recognised(b"torn garbage\n" + lines(answer(1, 1)))
    assert not recognised(lines(*head))
    assert not recognised(b"[" + lines(user("hi")) + b"]")


def test_a_first_record_larger_than_the_head_is_recognised() -> None:
    large = {"parentUuid": None, "sessionId": SID} | user("x" * 2 * HEAD)
    assert recognised(lines(large, user("next", 2)))
    assert not recognised(lines(large | {"sessionId": "session-5de701fc"}))


def test_the_configured_directory_takes_the_usual_ones_place() -> None:
    home = Path("/home/ada")
    usual = [place.root for place in ClaudeCode().places(Machine(home, home / "src"))]
    moved = [place.root for place in ClaudeCode().places(Machine(home, home / "src", {"CLAUDE_CONFIG_DIR": "/cc"}))]
    assert usual[0] == home / ".claude" / "projects"
    assert moved[0] == Path("/cc/projects")
    assert usual[1:] == moved[1:]
    assert home / ".config" / "Claude" / "local-agent-mode-sessions" in usual


# -- samples of the real program ---------------------------------------------------------------------------------------


@pytest.mark.samples
def test_all_of_its_samples_are_claimed_and_none_of_others(samples: Path) -> None:
    for path in sorted(samples.rglob("*")):
        if path.is_file():
            own = path.relative_to(samples).parts[0] == "claude-code"
            assert recognised(path.read_bytes(), path.name) == own, path


@pytest.mark.samples
def test_the_bill_of_every_sample_counts_each_response_once(samples: Path) -> None:
    for path in sorted((samples / "claude-code").rglob("*.jsonl")):
        highest: dict[Any, list[int]] = {}
        for n, line in enumerate(path.read_bytes().splitlines()):
            try:
                record = json.loads(line)
                body, usage = record["message"], record["message"]["usage"]
            except (ValueError, TypeError, KeyError):
                continue
            key = (record.get("sessionId"), body.get("id", n), record.get("requestId"))
            figures = [usage.get(name, 0) for name in RAW]
            highest[key] = [max(pair) for pair in zip(highest.get(key, figures), figures, strict=True)]
        totals = [sum(column) for column in zip(*highest.values(), strict=True)] or [0] * 4
        usage = bill([message for _, message in read(path.read_bytes(), path.name)[1]])
        assert usage.get("input_tokens", 0) == sum(totals[:3]), path
        assert usage.get("output_tokens", 0) == totals[3], path
