"""Which messages are shown: the path to the active leaf, and what belongs to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import errors, exporters
from sessionstore.exporters import view
from sessionstore.exporters.report import Report
from tests.exporters.support import Message, answer, call, exported, say, session


def names(messages: list[Message], leaf: str | None = None, **options: Any) -> list[str]:
    """The ids of the shown messages."""
    revision = session(messages, **({"active_leaf": leaf} if leaf else {}))
    return [message["id"] for message in view.chosen(revision, lambda: iter(messages), Report(), **options)]


def test_without_parents_a_session_is_one_path() -> None:
    messages = [say(n, "user", "x") for n in range(1, 5)]
    assert names(messages) == ["m1", "m2", "m3", "m4"]


def test_the_path_leads_to_the_active_leaf_or_else_to_the_last_message() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "assistant", "b"),
        say(3, "assistant", "c", parent="m1"),
        say(4, "user", "d"),
    ]
    assert names(messages) == ["m1", "m3", "m4"]
    assert names(messages, "m2") == ["m1", "m2"]
    assert names(messages, "gone") == ["m1", "m3", "m4"]
    assert names(messages, "m2", branches=True) == ["m1", "m2", "m3", "m4"]


def test_results_of_parallel_calls_belong_to_the_path() -> None:
    messages = [
        say(1, "assistant", call("a")),
        say(2, "assistant", call("b")),
        say(3, "tool", answer("a"), parent="m1"),
        say(4, "tool", answer("b"), parent="m2"),
        say(5, "assistant", "done"),
    ]
    assert names(messages, "m5") == ["m1", "m2", "m3", "m4", "m5"]


def test_the_pieces_of_one_response_belong_together() -> None:
    messages = [
        say(1, "user", "go"),
        say(2, "assistant", call("a"), x={"response_id": "r"}),
        say(3, "assistant", call("b"), x={"response_id": "r"}),
        say(4, "tool", answer("a"), parent="m2"),
        say(5, "tool", answer("b"), parent="m3"),
        say(6, "assistant", "done", parent="m4"),
    ]
    assert names(messages, "m6") == ["m1", "m2", "m3", "m4", "m5", "m6"]


def test_a_parent_that_is_not_there_hides_nothing() -> None:
    messages = [say(1, "user", "a"), say(2, "user", "b", parent="gone"), say(3, "user", "c", parent=None)]
    assert names(messages, "m2") == ["m1", "m2"]
    assert names(messages, "m3") == ["m3"]


def test_messages_stored_before_their_parents_are_shown_behind_them() -> None:
    messages = [say(1, "user", "third", parent="m3"), say(2, "user", "first", parent=None), say(3, "user", "second")]
    assert names(messages, "m1") == ["m2", "m3", "m1"]


def test_what_is_left_out_can_be_asked_for() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "system", kind="meta"),
        say(3, "user", "inside", kind="sidechain", parent=None),
        say(4, "assistant", "pre", kind="prefill", parent="m2"),
        say(5, "assistant", "prefix"),
    ]
    assert names(messages) == ["m1", "m5"]
    assert names(messages, kinds=["meta"]) == ["m1", "m2", "m5"]
    assert names(messages, kinds=["sidechain", "prefill"]) == ["m1", "m3", "m4", "m5"]
    assert names(messages, branches=True, kinds=["sidechain"]) == ["m1", "m3", "m5"]


def test_with_branches_a_message_names_its_nearest_shown_ancestor() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "system", kind="meta"),
        say(3, "assistant", "b"),
        say(4, "assistant", "c", parent="m2"),
        say(5, "user", "d", parent=None),
    ]
    found = view.chosen(session(messages), lambda: iter(messages), Report(), branches=True)
    assert [message.get("parent", "before") for message in found] == ["before", "before", "m1", None]


def test_token_counts_of_bookkeeping_go_to_the_answer_before() -> None:
    count: Any = {"id": "m9", "role": "system", "kind": "meta", "parts": [], "usage": {"input_tokens": 5}}
    messages = [
        say(1, "user", "a"),
        say(2, "assistant", call("a"), usage={"input_tokens": 1, "output_tokens": 2}),
        say(3, "tool", answer("a")),
        count,
        {**count, "id": "m10"},
        say(4, "user", "b"),
        {**count, "id": "m11"},
    ]
    found = list(view.chosen(session(messages), lambda: iter(messages), Report()))
    assert [message["id"] for message in found] == ["m1", "m2", "m3", "m4"]
    assert found[1]["usage"] == {"input_tokens": 11, "output_tokens": 2}
    assert "usage" not in messages[0] | messages[2]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_tree_even_a_circle_can_be_shown(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 12))
    ids = st.sampled_from([f"m{n}" for n in range(1, 14)])
    messages = []
    for number in range(1, size + 1):
        message = say(number, "user", "x")
        if data.draw(st.booleans()):
            message["parent"] = data.draw(st.none() | ids)
        if data.draw(st.integers(0, 3)) == 0:
            message["kind"] = data.draw(st.sampled_from(["meta", "sidechain", "error"]))
        messages.append(message)
    leaf = data.draw(st.none() | ids)
    for branches in (False, True):
        shown = names(messages, leaf, branches=branches)
        assert len(set(shown)) == len(shown)
        assert set(shown) <= {message["id"] for message in messages if message.get("kind") not in view.LEFT_OUT}
    everything = names(messages, leaf, branches=True, kinds=view.LEFT_OUT)
    assert everything == [message["id"] for message in messages]


def test_a_form_of_one_path_refuses_branches() -> None:
    with pytest.raises(errors.UsageError, match="one path"):
        exported("openai", session([]), [], branches=True)
    with pytest.raises(errors.UsageError, match="cannot export to 'pdf'"):
        exporters.form("pdf")


def test_unified_jsonl_is_always_whole() -> None:
    messages = [say(1, "user", "a"), say(2, "system", kind="meta"), say(3, "user", "b", parent=None)]
    data, report = exported("jsonl", session(messages), messages)
    assert data.count(b"\n") == 4
    assert report.lines == []


def test_a_long_chain_of_bookkeeping_is_no_trouble() -> None:
    hidden = [say(n, "system", kind="meta") for n in range(2, 20_000)]
    children = [say(n, "user", "x", parent=f"m{n - 20_000}") for n in range(20_002, 39_998)]
    assert len(names([say(1, "user", "a"), *hidden, *children], branches=True)) == len(children) + 1
