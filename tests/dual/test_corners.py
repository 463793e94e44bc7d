"""Rarer sides of legacy files: images, damage, sessions that are gone or share a name."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.dual import Legacy, pairing, way
from sessionstore.dual.findings import findings
from sessionstore.flags import Flags, Place
from sessionstore.manager import SessionManager
from sessionstore.store import Store
from tests.dual.conftest import LEADS, Pair
from tests.dual.programs import KimiProgram

Make = Callable[..., Pair]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def told(pair: Pair) -> dict[str, str]:
    return {one["what"].partition(" ")[0]: one["level"] for one in findings(pair.manager.store, pair.legacy)}


@pytest.mark.parametrize("format", ["kimi", "llm-sessions"])
def test_images_go_along(pair: Make, format: str) -> None:
    made = pair(format)
    session = made.manager.create("picture")
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PIXEL}
    session.append({"role": "user", "parts": [{"type": "text", "content": "what is it?"}, image]})
    [record] = json.loads(made.path("picture").read_text())["messages"]
    assert record["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    assert way.summary(way.status(made.manager.store, made.legacy)) == {"same": 1}


def test_a_session_that_is_gone(pair: Make) -> None:
    made = pair("kimi")
    session = made.manager.create("gone")
    session.add_user("hello")
    kept = made.path("gone").read_bytes()
    session.append({"role": "system", "parent": None, "parts": [], "x": {"cleared": True}})
    assert way.status(made.manager.store, made.legacy) == []
    made.path("gone").write_bytes(kept)
    [found] = way.status(made.manager.store, made.legacy)
    assert (found.kind, found.held) == ("cleared", True)
    assert found.what == "native:gone was cleared or deleted, and gone.json is still there"
    assert "gone.json" in str([one["what"] for one in findings(made.manager.store, made.legacy)])
    way.back(made.manager, made.legacy)
    assert made.path("gone").read_bytes() == kept
    KimiProgram(made.path("gone").parent).say("gone", {"role": "user", "content": "not known"})
    session.append({"role": "system", "parent": None, "parts": [], "x": {"cleared": True}})
    assert made.path("gone").exists()
    [reason] = made.manager.mirrors.failed.values()
    assert "its session was deleted, but the file says more" in reason


def test_two_sessions_of_one_name(pair: Make) -> None:
    made = pair("kimi")
    KimiProgram(made.path("twin").parent).say("twin", {"role": "user", "content": "theirs"})
    assert way.forward(made.manager, made.legacy, end=False).failed == {}
    made.manager.make("native:twin", [], {})
    made.manager.get("native:twin").add_user("mine")
    kinds = {one.key: one.kind for one in way.status(made.manager.store, made.legacy)}
    assert sorted(kinds.values()) == ["same", "shadowed"]
    assert kinds["native:twin"] == "shadowed"
    [reason] = made.manager.mirrors.failed.values()
    assert "it is the file of kimi:" in reason
    assert "theirs" in made.path("twin").read_text()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"[1]", "it is not a session"),
        (gzip.compress(b"{}")[:-4], "not whole"),
        (b"\x1f\x8bnonsense", "packed and damaged"),
        (b"[" * 100_000, "recursion"),
        (b"\xff\xfe\x00", "codec"),
    ],
    ids=["empty", "list", "cut", "damaged", "deep", "bytes"],
)
def test_damaged_files_are_named_and_left_alone(pair: Make, data: bytes, reason: str) -> None:
    made = pair("llm-sessions")
    made.manager.create("whole").add_user("hello")
    made.path("bad").write_bytes(data)
    [bad] = [one for one in way.status(made.manager.store, made.legacy) if one.kind == "unreadable"]
    assert reason in bad.what
    moved = way.forward(made.manager, made.legacy)
    assert list(moved.failed) == [str(made.path("bad"))]
    assert not (pairing.read(made.legacy.folder) or {}).get("ended")
    assert made.path("bad").read_bytes() == data
    assert told(made)["bad.json"] == "error"
    with pytest.raises(errors.SourceInvalid):
        made.legacy.load("bad")
    assert made.legacy.load("nowhere") is None


def test_a_damaged_note_stops_the_writing_and_is_said(pair: Make) -> None:
    made = pair("kimi")
    made.manager.create("one").add_user("hello")
    Path(made.legacy.folder, "sessionstore.dual").write_text("[]")
    made.manager.get("native:one").add_user("more")
    [reason] = made.manager.mirrors.failed.values()
    assert "it is damaged" in reason
    [found] = findings(made.manager.store, made.legacy)
    assert found["level"] == "error"


def test_all_sessions_are_written_when_that_is_asked_for(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi", Flags())
    made.manager.store.put("codex:abc", [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "hi"}]}])
    assert way.back(made.manager, made.legacy).written == []
    assert list(map(os.path.basename, way.back(made.manager, made.legacy, everything=True).written)) == ["abc.json"]
    assert [one.kind for one in way.status(made.manager.store, made.legacy)] == ["same"]


def test_reading_and_writing_at_once_where_the_files_lead(pair: Make) -> None:
    made = pair("kimi", LEADS)
    session = made.manager.create("busy")

    def say(speaker: int) -> None:
        for number in range(4):
            session.add_user(f"{speaker}-{number}")
            made.manager.get("busy")

    threads = [threading.Thread(target=say, args=(speaker,)) for speaker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not made.manager.mirrors.failed
    assert session.count == 24
    assert len(json.loads(made.path("busy").read_text())["messages"]) == 24


def test_a_turn_that_another_process_has_added(pair: Make, tmp_path: Path) -> None:
    """What this process remembers of a session is not taken for what it is now."""
    made = pair("llm-sessions")
    session = made.manager.create("talk")
    session.add_user("one")
    other = Pair(tmp_path, "llm-sessions", made.flags)
    other.manager.get("native:talk").add_assistant("two")
    session.add_user("three")
    session.edit(0, "ONE")
    other.manager.get("native:talk").add_assistant("four")
    for one in (made, other):
        assert not one.manager.mirrors.failed
    said = [record["content"] for record in json.loads(made.path("talk").read_text())["messages"]]
    assert said == ["ONE", "two", "three", "four"]
    other.manager.close()


def test_legacy_files_in_a_store_are_refused(tmp_path: Path) -> None:
    store = Store.init(tmp_path / "store")
    with SessionManager(store) as manager, pytest.raises(errors.UsageError, match="lies in a store"):
        way.back(manager, Legacy(Place("kimi", str(tmp_path / "store"))))


def test_a_session_that_has_its_file_in_another_place_needs_none(tmp_path: Path) -> None:
    """As with the faces, where some sessions go to one format and some to the other."""
    made = Pair(tmp_path, "kimi", Flags(dual_write=True))
    made.manager.create("one").add_user("hello")
    other = Pair(tmp_path, "llm-sessions", Flags(dual_write=True))
    other.manager.create("two").add_user("hello")
    places = [made.legacy, other.legacy]
    for legacy in places:
        assert [one.kind for one in way.status(made.manager.store, legacy, beside=places)] == ["same"]
        assert sorted(one.kind for one in way.status(made.manager.store, legacy)) == ["same", "unwritten"]
    made.manager.close()
    other.manager.close()
