"""LangChain histories: the file as mcp_coder writes it, and every state of it in the store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore.compat import mcp_coder
from sessionstore.store import Store
from tests.compat.mcp_coding import Place, imported, said, sessions

HUMAN = {"type": "human", "data": {"content": "Grüße", "additional_kwargs": {}, "id": None}}
AI = {"type": "ai", "data": {"content": "Hi there", "response_metadata": {"model_name": "gpt-5-mini"}, "id": "run-1"}}
V1 = [{"role": "human", "content": "Hello"}, {"role": "ai", "content": "Hi"}]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def stored(place: Path) -> list[dict[str, Any]]:
    [messages] = sessions(place).values()
    return messages


@pytest.mark.parametrize("entries", [[HUMAN, AI], V1, []])
def test_what_is_stored_is_loaded(place: Place, entries: list[dict[str, Any]]) -> None:
    path = mcp_coder.store_langchain_history("s-1", entries)
    assert path == str(place.home / ".mcp_coder" / "sessions" / "langchain" / "s-1.json")
    assert Path(path).read_bytes() == json.dumps(entries, indent=2).encode()
    assert mcp_coder.load_langchain_history("s-1") == entries
    assert mcp_coder.load_langchain_history("s-2") == []
    assert len(place.sessions()) == bool(entries)


def test_a_directory_of_its_own_has_a_store_of_its_own(place: Place) -> None:
    base = place.root / "deep" / "er"
    path = mcp_coder.store_langchain_history("sid", V1, base_dir=str(base))
    assert path == str(base / "sid.json") and mcp_coder.load_langchain_history("sid", str(base)) == V1
    assert said(stored(base / "sessionstore")) == [("user", "Hello"), ("assistant", "Hi")]
    assert not place.store.exists()


def test_a_history_that_grows_is_one_session(place: Place) -> None:
    mcp_coder.store_langchain_history("s", [HUMAN])
    mcp_coder.store_langchain_history("s", [HUMAN, AI])
    path = mcp_coder.store_langchain_history("s", [HUMAN, AI, HUMAN])
    assert [role for role, _ in said(stored(place.store))] == ["user", "assistant", "user"]
    before = place.sessions()
    assert set(place.import_all(Path(path)).sessions) <= {"same", "contained", "updated"}
    assert place.sessions() == before
    fresh = place.root / "fresh"
    Store.init(fresh)
    imported(fresh, Path(path))
    assert sessions(fresh) == before


def test_what_is_overwritten_stays_in_the_past(place: Place) -> None:
    mcp_coder.store_langchain_history("s", [HUMAN, AI])
    mcp_coder.store_langchain_history("s", V1)
    assert mcp_coder.load_langchain_history("s") == V1
    assert said(stored(place.store)) == [("user", "Hello"), ("assistant", "Hi")]
    store = Store(place.store)
    [key] = place.sessions()
    texts = [said(list(store.messages(revision))) for revision in store.revisions_of(key)]
    assert [("user", "Grüße"), ("assistant", "Hi there")] in texts


def test_what_the_older_program_has_left_is_found(place: Place) -> None:
    for number, home in enumerate((".mcp_coder", ".config/mcp_coder")):
        directory = place.home / home / "sessions" / "langchain"
        directory.mkdir(parents=True)
        (directory / f"old-{number}.json").write_text(json.dumps([HUMAN, AI]))
    assert mcp_coder.load_langchain_history("old-0") == mcp_coder.load_langchain_history("old-1") == [HUMAN, AI]
    mcp_coder.store_langchain_history("new", V1)
    assert sorted(key.rpartition(":")[2] for key in place.sessions()) == ["new", "old-0", "old-1"]


def test_a_history_that_has_moved_is_still_one_session(place: Place) -> None:
    former = place.home / ".config" / "mcp_coder" / "sessions" / "langchain"
    former.mkdir(parents=True)
    (former / "s.json").write_text(json.dumps([HUMAN, AI]))
    path = mcp_coder.store_langchain_history("s", [*mcp_coder.load_langchain_history("s"), HUMAN])
    assert Path(path).parent != former and [role for role, _ in said(stored(place.store))] == [
        "user",
        "assistant",
        "user",
    ]
    before = place.sessions()
    place.import_all(former, Path(path))
    assert place.sessions() == before


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", "", "a\0b"])
def test_an_id_cannot_name_another_directory(place: Place, name: str) -> None:
    with pytest.raises(ValueError, match="session's id"):
        mcp_coder.store_langchain_history(name, V1)
    with pytest.raises(ValueError, match="session's id"):
        mcp_coder.load_langchain_history(name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/user/.mcp_coder/sessions/langchain/abc-def-123.json", "abc-def-123"),
        ("C:\\Users\\user\\.mcp_coder\\sessions\\langchain\\my-session.json", "my-session"),
        ("550e8400.json", "550e8400"),
    ],
)
def test_the_id_in_a_path(path: str, name: str) -> None:
    assert mcp_coder.extract_langchain_session_id(path) == name


def test_the_latest_history_is_the_one_written_last(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert mcp_coder.find_latest_session(provider="langchain") is None
    paths = [mcp_coder.store_langchain_history(name, V1) for name in ("b", "a")]
    os.utime(paths[0], (2_000_000_000, 2_000_000_000))
    assert mcp_coder.find_latest_session(provider="langchain") == paths[0]
    assert capsys.readouterr().out == "Found 2 previous langchain sessions, continuing from: b.json\n"
