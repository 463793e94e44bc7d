"""Asking a store on behalf of a model: similar sessions, questions that end, an index that keeps up."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.archive import transcript, writing
from sessionstore.archive.asking import Archive
from sessionstore.archive.current import CATCH_UP
from sessionstore.archive.work import Work
from sessionstore.notes import set_note
from sessionstore.store import Store

TOPICS = {
    "sourdough": "The sourdough starter smells of acetone; feed the levain with rye flour before baking the loaf.",
    "rye": "Which flour makes a levain rise: rye or spelt? My loaf is flat although the starter bubbles.",
    "kernel": "The kernel panics in the scheduler when cgroups are frozen; bisect between the two releases.",
    "cgroups": "Frozen cgroups and the scheduler: how is a kernel bisect automated in a virtual machine?",
    "bread-ja": "天然酵母のパン種が膨らまない。ライ麦粉を足すべきか。",
    "yeast-ja": "パン種にライ麦粉を加えたら天然酵母が元気になった。",
    "weather": "Will the rain reach the coast before the evening?",
}
CURE = "`sessionstore index sync` brings it up to date"
FOREVER = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def said(*texts: str, **fields: Any) -> list[dict[str, Any]]:
    """Messages, of user and assistant by turns."""
    roles = ("user", "assistant")
    return [
        {"id": f"m{n}", "role": roles[n % 2], "parts": [{"type": "text", "content": text}], **fields}
        for n, text in enumerate(texts)
    ]


@pytest.fixture
def archive(store: Store) -> Archive:
    """An archive of a few topics."""
    for name, text in TOPICS.items():
        store.put(f"native:{name}", said(text, "I see."))
    return Archive(store, pytest.fail)


@pytest.mark.parametrize(
    ("name", "partner"),
    [("sourdough", "rye"), ("rye", "sourdough"), ("kernel", "cgroups"), ("bread-ja", "yeast-ja")],
)
def test_sessions_on_one_topic_find_each_other(archive: Archive, name: str, partner: str) -> None:
    found = archive.similar(f"native:{name}")
    assert found["sessions"][0]["key"] == f"native:{partner}"
    assert found["sessions"][0]["shared"]
    assert all(session["key"] != f"native:{name}" for session in found["sessions"])


def test_a_text_finds_what_it_is_about(archive: Archive) -> None:
    found = archive.similar(text="bisecting a kernel panic of the scheduler")
    assert {session["key"] for session in found["sessions"]} == {"native:kernel", "native:cgroups"}
    assert [session["score"] for session in found["sessions"]] == sorted(
        (session["score"] for session in found["sessions"]), reverse=True
    )


@pytest.mark.parametrize("text", ["", "the and of", "!?", "zzzyx", "\x00", '" OR text:*', "x" * 20_000])
def test_a_text_that_says_nothing_finds_nothing(archive: Archive, text: str) -> None:
    assert archive.similar(text=text)["sessions"] == []


def test_a_word_that_nearly_all_have_is_no_similarity(store: Store) -> None:
    for number in range(20):
        store.put(f"native:{number}", said(f"deploy number{number} please{number % 3}"))
    found = Archive(store, pytest.fail).similar("native:4")
    assert "deploy" not in found["terms"]
    assert {session["key"] for session in found["sessions"]} == {f"native:{n}" for n in (1, 7, 10, 13, 16, 19)} | set()


def test_two_heads_of_one_session_are_one_similar_session(archive: Archive) -> None:
    archive.store.put("native:rye", said(TOPICS["rye"], "Another answer."))
    assert len(archive.store.heads("native:rye")) == 2
    keys = [session["key"] for session in archive.similar("native:sourdough")["sessions"]]
    assert keys.count("native:rye") == 1


def test_a_question_is_stopped_from_outside(archive: Archive) -> None:
    work = Work(600)
    threading.Timer(0.3, work.stop).start()
    began = time.monotonic()
    with pytest.raises(errors.SessionstoreError, match="cancelled"):
        archive.ask(lambda connection: connection.execute(FOREVER).fetchall(), work)
    assert time.monotonic() - began < 20


def test_a_question_ends_when_its_time_is_over_and_the_index_stays_good(archive: Archive) -> None:
    for question in (
        lambda: archive.ask(lambda connection: connection.execute(FOREVER).fetchall(), Work(0.2)),
        lambda: transcript.page(archive, "native:rye", work=Work(-1)),
        lambda: archive.similar("native:rye", work=Work(-1)),
    ):
        with pytest.raises(errors.SessionstoreError, match="takes longer than"):
            question()
    assert archive.search("levain")["shown"] == 2


def test_what_is_new_in_the_store_is_found_at_once(archive: Archive) -> None:
    assert archive.search("heron")["sessions"] == []
    archive.store.put("native:new", said("A heron on the roof"))
    assert archive.search("heron")["sessions"][0]["key"] == "native:new"
    set_note(archive.store, "native:new", "title", "Birds")
    assert archive.list({"title": "Birds"})["sessions"][0]["key"] == "native:new"


def test_a_lost_index_is_made_anew(archive: Archive) -> None:
    expected = archive.search("levain")
    for path in Path(archive.store.root).glob("index.sqlite*"):
        path.unlink()
    assert archive.search("levain") == expected


def test_an_index_far_behind_is_said_and_not_waited_for(archive: Archive) -> None:
    archive.search("levain")
    for number in range(CATCH_UP + 1):
        archive.store.put(f"native:late{number}", said("late"))
    told: list[str] = []
    archive.tell = told.append
    assert archive.search("late")["shown"] == 0
    assert told == [f"the index is {CATCH_UP + 1} changes behind the store; {CURE}"]


def test_a_session_is_named_by_key_id_beginning_or_revision(archive: Archive) -> None:
    (head,) = archive.store.heads("native:kernel")
    revision = head["_name"].rpartition(".json")[0].rpartition(".")[2]
    for name in ("native:kernel", "kernel", "native:ker", f"kernel@{revision[:8]}"):
        assert archive.find_revision(name)["_name"] == head["_name"]
    for name in ("native:nobody", "kernel@00000000", "@@", ""):
        with pytest.raises(errors.NotFound):
            archive.find_revision(name)
    with pytest.raises(errors.Ambiguous):
        archive.find_revision("native:")
    archive.store.put("native:mail@abcdef", said("A key with a sign in it"))
    assert archive.find_revision("native:mail@abcdef")["key"] == "native:mail@abcdef"


def test_every_part_of_a_message_can_be_read(archive: Archive) -> None:
    parts = [
        {"type": "reasoning", "content": "Hm."},
        {"type": "text", "content": "Look."},
        {"type": "tool_call", "id": "1", "name": "Read", "arguments": {"path": "a"}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "novel", "what": "unknown"},
    ]
    answer = [{"type": "tool_call_response", "id": "1", "response": "no such file", "is_error": True}]
    archive.store.put(
        "native:parts", [{"id": "a", "role": "assistant", "parts": parts}, {"id": "b", "role": "tool", "parts": answer}]
    )
    first, second = transcript.page(archive, "native:parts")["messages"]
    assert first["text"].startswith(
        '[reasoning]\nHm.\n\nLook.\n\n[tool call: Read]\n{\n  "path": "a"\n}\n\n[image image/png'
    )
    assert first["text"].endswith('"what": "unknown"\n}')
    assert second["text"] == "[tool result, failed]\nno such file"


def test_two_programs_append_to_one_session_and_nothing_is_lost(archive: Archive) -> None:
    def write(name: str) -> None:
        for number in range(10):
            message = {"role": "user", "text": f"{name}{number}"}
            writing.append(Archive(archive.store, print), "native:kernel", [message], written_by="x")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (head,) = archive.store.heads("native:kernel")
    texts = [message["parts"][0]["content"] for message in archive.store.messages(head)]
    assert sorted(texts[2:]) == sorted(f"{name}{number}" for name in "abc" for number in range(10))


def test_a_message_keeps_its_model_and_a_new_session_its_title(archive: Archive) -> None:
    message = {"role": "assistant", "text": "Done.", "model": "echo-1"}
    made = writing.append(archive, None, [message], written_by="test", title="A note")
    (head,) = archive.store.heads(made["key"])
    assert (head["title"], head["models"]) == ("A note", ["echo-1"])
    with pytest.raises(errors.UsageError):
        writing.append(archive, None, [], written_by="test")
    with pytest.raises(errors.NotFound):
        writing.append(archive, "native:nobody", [message], written_by="test")


def test_names_are_completed(archive: Archive) -> None:
    assert archive.complete("YEAST") == ["native:yeast-ja"]
    assert len(archive.complete("native", most=3)) == 3
    assert archive.complete("%") == []
