"""What the index keeps of a message."""

from __future__ import annotations

import base64
import json
import marshal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import canonical
from sessionstore.index import rows
from sessionstore.index.rows import DIGEST, LINKS, ROW, encode
from tests.index.making import answered, called, said


def row(message: dict[str, Any], seq: int = 0) -> dict[str, Any]:
    (encoded,) = encode([message], seq)
    return dict(zip((*ROW, "links"), encoded, strict=True))


def test_a_row_has_one_item_for_every_column_and_the_links() -> None:
    assert len(encode([said("x")])[0]) == len(ROW) + 1 == LINKS + 1


def test_every_kind_of_text_has_its_own_column() -> None:
    parts = [
        {"type": "text", "content": "spoken"},
        {"type": "reasoning", "content": "thought"},
        {"type": "tool_call", "id": "c", "name": "Bash", "arguments": {"command": "ls -l"}},
        {"type": "tool_call_response", "id": "b", "response": "total 0"},
    ]
    found = row({"id": "a", "role": "assistant", "parts": parts})
    assert (found["text"], found["reasoning"]) == ("spoken", "thought")
    assert (found["tool_input"], found["tool_output"]) == ("Bash\nls -l", "total 0")


def test_several_parts_of_one_kind_are_kept_in_order() -> None:
    parts = [{"type": "text", "content": "one"}, {"type": "text", "content": "two"}]
    assert row({"id": "a", "role": "user", "parts": parts})["text"] == "one\ntwo"


def test_words_after_an_escaped_line_feed_in_json_arguments_are_words() -> None:
    assert row(called("c", "write", json.dumps({"body": "first\nsecond"})))["tool_input"] == "write\nfirst\nsecond"


def test_words_after_an_escaped_line_feed_in_a_cut_off_json_output_are_words() -> None:
    assert "second" in row(answered("c", '{"output": "first\\nsecond and then'))["tool_output"].split()


def test_nested_lists_of_a_tool_output_are_kept() -> None:
    response = [{"type": "text", "text": "outer"}, {"content": [{"type": "text", "text": "inner"}, {"n": [1, 2.5]}]}]
    assert row(answered("c", response))["tool_output"] == "outer\ninner\n1\n2.5"


def test_strings_of_an_unknown_record_are_kept() -> None:
    message = {"id": "a", "role": "system", "kind": "meta", "parts": [{"type": "record", "record": {"why": ["odd"]}}]}
    assert row(message)["context"] == "odd"


def test_strings_of_an_unknown_part_are_kept_as_text() -> None:
    message = {"id": "a", "role": "assistant", "parts": [{"type": "refusal", "refusal": "I would rather not"}]}
    assert row(message)["text"] == "I would rather not"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "reasoning", "content": "", "signature": "Zm9vYmFy" * 40},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "Zm9vYmFy" * 40},
        {"type": "tool_call_response", "id": "c", "response": [{"source": {"data": "Zm9vYmFy" * 40}}]},
        {"type": "record", "record": {"encrypted_content": "secret", "data": "Zm9vYmFy" * 40}},
        {"type": "text", "content": {"$object": "ab" * 32, "bytes": 400000}},
    ],
)
def test_what_nobody_can_read_is_left_out(part: dict[str, Any]) -> None:
    found = row({"id": "a", "role": "assistant", "parts": [part]})
    kept = "".join(found[name] or "" for name in ("text", "reasoning", "tool_input", "tool_output", "context"))
    assert kept in ("", "400000")


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (
            {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "Zm9v", "name": "tidechart.png"},
            "tidechart.png",
        ),
        ({"type": "file", "file_id": "file-77", "filename": "budget.xlsx"}, "budget.xlsx"),
        ({"type": "uri", "uri": "https://example.org/plan.pdf"}, "https://example.org/plan.pdf"),
        ({"type": "text", "content": "see", "citations": [{"title": "Kelp atlas"}]}, "Kelp atlas"),
        (
            {"type": "tool_call", "id": "c", "name": "store", "arguments": {"object": "kelp", "signature": "f(a, b)"}},
            "f(a, b)",
        ),
        ({"type": "tool_call_response", "id": "c", "response": "ok", "title": "Listing"}, "Listing"),
    ],
)
def test_names_of_attachments_and_members_of_parts_are_kept(part: dict[str, Any], word: str) -> None:
    found = row({"id": "a", "role": "assistant", "parts": [part]})
    assert word in "\n".join(found[name] or "" for name in ("text", "tool_input", "tool_output")).split("\n")


def test_names_of_attachments_beside_the_parts_are_kept() -> None:
    assert row(said("look", x={"attachments": [{"name": "chart.png", "size": 5}]}))["text"] == "look\nchart.png\n5"


@pytest.mark.parametrize("kind", ["meta", "context"])
def test_what_a_program_put_in_by_itself_is_kept_apart(kind: str) -> None:
    found = row(said("instructions", kind=kind))
    assert (found["text"], found["context"]) == (None, "instructions")


def test_reminders_inside_a_text_or_a_tool_output_are_kept_apart() -> None:
    found = row(answered("c", "total 0\n<system-reminder>be nice</system-reminder>"))
    assert (found["tool_output"], found["context"]) == ("total 0", "<system-reminder>be nice</system-reminder>")
    found = row(said("hello <system-reminder>never closed"))
    assert (found["text"], found["context"]) == ("hello ", "<system-reminder>never closed")


def test_an_instruction_file_in_a_person_s_mouth_is_kept_apart() -> None:
    found = row(said("# AGENTS.md instructions for /src\n\nuse tabs"))
    assert found["text"] is None
    assert found["context"].endswith("use tabs")


def test_what_is_nested_very_deeply_is_not_lost() -> None:
    deep: Any = "needle"
    for _ in range(300):
        deep = [deep]
    assert "needle" in row(answered("c", deep))["tool_output"]


def test_messages_that_say_the_same_have_the_same_digest_of_it() -> None:
    one, other = row(said("hello", time="2026-01-01T00:00:00Z"), 3), row(said("hello", id="x"), 7)
    assert one["same"] == other["same"] != row(said("hullo"))["same"]
    assert one["digest"] != other["digest"]


PATCH = "*** Begin Patch\n*** Update File: src/a.py\n@@\n*** Add File: b.txt\n+x\n*** Delete File: old/c\n*** End Patch"


@pytest.mark.parametrize(
    ("tool", "arguments", "files"),
    [
        ("Read", {"file_path": "/src/a.py"}, (("/src/a.py", "read"),)),
        ("Edit", {"file_path": "/src/a.py", "old_string": "x"}, (("/src/a.py", "edit"),)),
        ("Write", {"file_path": "a.md", "content": "x"}, (("a.md", "write"),)),
        ("Grep", {"path": "src", "pattern": "x"}, (("src", "search"),)),
        ("str_replace_editor", {"command": "view", "path": "a"}, (("a", "read"),)),
        ("read_many_files", {"paths": ["a", "b", 5]}, (("a", "read"), ("b", "read"))),
        ("ReadFile", '{"path": "src/x.py"}', (("src/x.py", "read"),)),
        ("apply_patch", {"input": PATCH}, (("src/a.py", "edit"), ("b.txt", "write"), ("old/c", "delete"))),
        ("shell", {"command": ["apply_patch", PATCH]}, (("src/a.py", "edit"), ("b.txt", "write"), ("old/c", "delete"))),
        ("apply_patch", PATCH, (("src/a.py", "edit"), ("b.txt", "write"), ("old/c", "delete"))),
        ("mystery", {"path": "x"}, (("x", ""),)),
        ("Bash", {"command": "ls"}, ()),
        ("Read", {"file_path": "two\nlines"}, ()),
        ("Read", {"file_path": {"deep": 1}}, ()),
        ("Read", [1], ()),
    ],
)
def test_the_files_a_call_touches_are_named(tool: str, arguments: Any, files: Any) -> None:
    assert row(called("c", tool, arguments))["links"][2] == files


def test_base64_inside_a_text_is_left_out_and_the_text_around_it_kept() -> None:
    data = base64.b64encode(bytes(range(200))).decode()
    kept = row(said(f"before data:image/png;base64,{data} after"))["text"]
    assert kept == "before data:image/png;base64, after"


def test_a_long_line_that_is_no_base64_is_kept() -> None:
    line = "x" * 300 + " and then some"
    assert row(answered("c", [line]))["tool_output"] == line


def test_a_structured_copy_of_a_result_adds_only_what_the_result_does_not_say() -> None:
    message = answered("c", "line one\nline two", x={"toolUseResult": {"stdout": "line one", "stderr": "a warning"}})
    assert row(message)["tool_output"] == "line one\nline two\na warning"


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "\ud83d"])
def test_nothing_that_sqlite_refuses_leaves_the_module(text: str) -> None:
    message = {"id": text, "role": "user", "parts": [{"type": "text", "content": text}]}
    found = row(message)
    assert found["text"] == found["message_id"] == canonical.clean_text(text).replace("\0", "\ufffd")
    assert "\0" not in found["text"]
    found["text"].encode()


def test_integers_beyond_64_bits_are_no_token_counts() -> None:
    found = row(said("x", usage={"input_tokens": 2**63, "output_tokens": 5, "cost_microusd": True}))
    assert (found["input_tokens"], found["output_tokens"], found["cost_microusd"]) == (None, 5, None)


def test_times_are_kept_in_utc() -> None:
    assert row(said("x", time="2026-01-31T01:30:00+02:00"))["time"] == "2026-01-30T23:30:00Z"
    assert row(said("x", time="2026-01-31T01:30:00.123Z"))["time"] == "2026-01-31T01:30:00.123Z"


def test_a_local_time_orders_a_message_without_passing_for_utc() -> None:
    found = row(said("x", x={"time": {"raw": "2026-01-31 01:30", "precision": "min", "zone": "unknown"}}))
    assert found["time"] == "2026-01-31 01:30"


def test_calls_and_results_are_linked_by_the_id_of_the_call() -> None:
    assert row(called("c7", "Read", {}))["links"] == ((("c7", "Read"),), (), ())
    assert row(answered("c7", "no", failed=True))["links"] == ((), (("c7", 1),), ())


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": 5, "role": None, "parts": "text"},
        {"id": "a", "role": "user", "parts": [5, None, ["x"]]},
        {"id": "a", "role": "user", "parts": None},
        {"id": "a", "role": "user", "parts": [], "time": 5, "model": {"a": 1}},
        {"id": "a", "role": "user", "parts": [{"type": "text"}, {"content": {"deep": {"er": ["found"]}}}]},
        None,
        "found",
    ],
)
def test_a_message_of_any_shape_gives_a_row(message: Any) -> None:
    found = row(message, 3)
    assert found["seq"] == 3
    assert isinstance(found["message_id"], str)
    if "found" in repr(message):
        assert "found" in (found["text"] or found["context"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
part_values = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "reasoning", "tool_call", "tool_call_response", "record", "odd"])},
    optional={
        "content": json_values,
        "arguments": json_values,
        "response": json_values,
        "record": json_values,
        "name": json_values,
        "id": json_values,
        "is_error": json_values,
    },
)
message_values = st.fixed_dictionaries(
    {"id": st.text(), "role": st.text(), "parts": st.lists(part_values, max_size=3)},
    optional={"time": json_values, "model": json_values, "usage": json_values, "x": json_values, "kind": json_values},
)


@given(message_values)
def test_a_row_crosses_process_borders_and_its_digest_follows_from_its_columns(message: dict[str, Any]) -> None:
    (encoded,) = encode([message], 7)
    assert marshal.loads(marshal.dumps(encoded)) == encoded
    assert rows.digest_of(encoded[: len(ROW)]) == encoded[DIGEST]
    for item in encoded[:LINKS]:
        assert item is None or (type(item) is int and -(2**63) <= item < 2**63) or type(item) is str
        if type(item) is str:
            assert "\0" not in item.encode().decode()


def backwards(value: Any) -> Any:
    """The same JSON value with the members of every object the other way round."""
    if isinstance(value, dict):
        return {name: backwards(value[name]) for name in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(message_values)
def test_a_message_gives_the_same_row_before_it_is_stored_and_after(message: dict[str, Any]) -> None:
    clean = canonical.clean(message)
    assert encode([backwards(clean)]) == encode([clean]) == encode([canonical.loads(canonical.line(clean))])
