"""Stored responses: the files that mcp_coder writes, byte for byte, and the same turns in the store."""

from __future__ import annotations

import json
import os
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.compat import _mcp_coder_files as files
from sessionstore.compat import mcp_coder
from sessionstore.purge import purge
from sessionstore.store import Store
from tests.compat.mcp_coding import Place, read, response, said

ID = "550e8400-e29b-41d4-a716-446655440000"
KEY = f"mcp-coder:{ID}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


class Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls(2026, 3, 1, 10, 0, 1, 5, tz)


def test_the_file_is_the_older_programs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "datetime", Clock)
    path = mcp_coder.store_session(response("Grüße"), "What is 2+2?", branch_name="123-x", log_file_path="logs/a.log")
    assert path == os.path.join(".mcp-coder/responses", "response_2026-03-01T10-00-01.json")
    document = {
        "prompt": "What is 2+2?",
        "response_data": response("Grüße"),
        "metadata": {
            "timestamp": "2026-03-01T10:00:01.000005Z",
            "working_directory": os.getcwd(),
            "model": "claude",
            "branch_name": "123-x",
            "log_file_path": "logs/a.log",
        },
    }
    assert Path(path).read_bytes() == json.dumps(document, indent=2, default=str).encode()
    [(key, messages)] = place.sessions().items()
    assert key == KEY
    assert said(messages) == [("user", "What is 2+2?"), ("assistant", "Grüße")]
    [head] = Store(place.store).heads(KEY)
    assert head["cwd"] == os.getcwd() and head["git"] == {"branch": "123-x"} and head["title"] == "What is 2+2?"


def test_steps_have_names_of_their_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "datetime", Clock)
    path = mcp_coder.store_session(response(), "q", "plans", step_name="ci_analysis_1")
    assert path == os.path.join("plans", "2026-03-01T10-00-01_ci_analysis_1.json")
    assert read(path)["metadata"]["step_name"] == "ci_analysis_1" and "branch_name" not in read(path)["metadata"]
    away = mcp_coder.store_session(response(), "q", "plans", step_name="../../etc/x")
    assert os.path.dirname(away) == "plans" and os.path.isfile(away)
    assert mcp_coder.find_latest_session("plans") is None


def test_the_model_is_the_one_that_is_told(place: Place) -> None:
    told = response(raw_response={"session_info": {"model": "claude-opus-4-6"}})
    assert read(mcp_coder.store_session(told, "q"))["metadata"]["model"] == "claude-opus-4-6"
    bare: Any = {"text": "x", "session_info": {"session_id": "old"}}
    path = mcp_coder.store_session(bare, "q")
    assert read(path)["metadata"]["model"] == "unknown" and mcp_coder.extract_session_id(path) == "old"
    assert "mcp-coder:old" in place.sessions()


def test_the_time_is_what_it_says(place: Place) -> None:
    """The older module wrote local time with a Z."""
    os.environ["TZ"] = "Asia/Tokyo"
    try:
        metadata = read(mcp_coder.store_session(response(), "q"))["metadata"]
    finally:
        del os.environ["TZ"]
    stated = datetime.fromisoformat(metadata["timestamp"])
    assert abs(stated - datetime.now(UTC)) < timedelta(minutes=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", metadata["timestamp"])


def test_two_turns_in_one_second_are_two_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older module overwrote the first one."""
    monkeypatch.setattr(files, "datetime", Clock)
    made = [mcp_coder.store_session(response(f"a{n}", timestamp=f"2026-03-01T10:00:00.{n}"), f"q{n}") for n in range(3)]
    steps = [mcp_coder.store_session(response(timestamp=f"2026-03-02T10:00:0{n}"), "q", step_name="s") for n in (1, 2)]
    assert len({*made, *steps}) == 5
    assert [read(path)["prompt"] for path in made] == ["q0", "q1", "q2"]
    assert made == sorted(made) and mcp_coder.find_latest_session() == made[-1]
    assert [text for role, text in said(place.sessions()[KEY]) if role == "user"] == ["q0", "q1", "q2", "q", "q"]


def test_many_at_once_lose_nothing(place: Place) -> None:
    def work(number: int) -> None:
        for turn in range(4):
            stamp = f"2026-03-01T10:{number:02}:{turn:02}"
            paths.append(mcp_coder.store_session(response(f"a{number}.{turn}", timestamp=stamp), f"q{number}.{turn}"))

    paths: list[str] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 16 and {read(path)["prompt"] for path in paths} == {
        f"q{number}.{turn}" for number in range(4) for turn in range(4)
    }
    told = said(place.sessions()[KEY])
    assert told == [
        (role, f"{letter}{number}.{turn}")
        for number in range(4)
        for turn in range(4)
        for role, letter in (("user", "q"), ("assistant", "a"))
    ]


def test_importing_the_files_adds_nothing(place: Place) -> None:
    """A turn that is stored is the turn that importing its file gives."""
    paths = [
        mcp_coder.store_session(response("one", timestamp="2026-03-01T10:00:00"), "first", branch_name="7-x"),
        mcp_coder.store_session(response("two", timestamp="2026-03-01T10:01:00"), "second", "elsewhere", "step"),
        mcp_coder.store_session(response("none", None), "no session"),
    ]
    mcp_coder.serialize_llm_response(response("two", timestamp="2026-03-01T10:01:00"), "out/answer.json")
    before = place.sessions()
    assert len(before) == 2 and len(before[KEY]) == 6
    report = place.import_all(*(place.work / path for path in (*paths, "out/answer.json")))
    assert report.sources == 4 and set(report.sessions) <= {"same", "contained"}
    assert place.sessions() == before
    fresh = place.root / "fresh"
    Store.init(fresh)
    from tests.compat.mcp_coding import imported, sessions

    imported(fresh, *(place.work / path for path in (*paths, "out/answer.json")))
    assert sessions(fresh) == before


def test_the_bytes_of_every_file_are_kept(place: Place) -> None:
    paths = [mcp_coder.store_session(response(timestamp=f"2026-03-01T10:0{n}:00"), f"q{n}") for n in range(2)]
    store = Store(place.store)
    [head] = store.heads(KEY)
    kept = {b"".join(store.original(entry)) for entry in head["originals"]}
    assert kept == {Path(path).read_bytes() for path in paths}


def test_what_the_older_program_has_left_is_found(place: Place) -> None:
    left = place.work / ".mcp-coder" / "responses"
    left.mkdir(parents=True)
    old = {"prompt": "before", "response_data": response("then", timestamp="2026-02-20T09:00:00"), "metadata": {}}
    (left / "response_2026-02-20T09-00-00.json").write_text(json.dumps(old))
    bytes_before = (left / "response_2026-02-20T09-00-00.json").read_bytes()
    mcp_coder.store_session(response("now"), "after")
    assert said(place.sessions()[KEY]) == [
        ("user", "before"),
        ("assistant", "then"),
        ("user", "after"),
        ("assistant", "now"),
    ]
    assert (left / "response_2026-02-20T09-00-00.json").read_bytes() == bytes_before


def test_serialized_responses(place: Place) -> None:
    path = place.work / "deep" / "er" / "answer.json"
    mcp_coder.serialize_llm_response(response("Grüße \ud83d"), path)
    text = mcp_coder.to_json_string(response("Grüße \ud83d"))
    assert path.read_bytes() == text.encode("utf-8", "backslashreplace") and not path.read_bytes().endswith(b"\n")
    assert mcp_coder.deserialize_llm_response(str(path)) == response("Grüße \ud83d")
    mcp_coder.serialize_llm_response(response("other", timestamp="2026-03-01T11:00:00"), str(path))
    assert mcp_coder.deserialize_llm_response(path)["text"] == "other"
    assert [text for _, text in said(place.sessions()[KEY])] == ["Grüße \ufffd", "other"]
    with pytest.raises(FileNotFoundError):
        mcp_coder.deserialize_llm_response(place.work / "nowhere.json")


def test_what_is_no_response_is_only_a_file(place: Place) -> None:
    odd: Any = {"version": "2.0", "anything": 1}
    mcp_coder.serialize_llm_response(odd, "odd.json")
    assert read("odd.json") == odd and place.sessions() == {}
    with pytest.raises(ValueError, match="Incompatible version"):
        mcp_coder.deserialize_llm_response("odd.json")


def test_a_store_that_cannot_be_written_leaves_no_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise errors.NoSpace(what="the store", where="here", path="store", need="", free="")

    monkeypatch.setattr(files.kept, "keep", broken)
    with pytest.raises(errors.NoSpace):
        mcp_coder.store_session(response(), "q")
    assert os.listdir(".mcp-coder/responses") == []


def test_what_was_purged_stays_so(place: Place) -> None:
    mcp_coder.store_session(response(), "q")
    purge(Store(place.store), KEY)
    assert os.path.isfile(mcp_coder.store_session(response("again"), "q"))
    assert place.sessions() == {}


@pytest.mark.parametrize(
    "document",
    [
        {"response_data": {"session_id": "here"}},
        {"response_data": {"session_info": {"session_id": "here"}}},
        {"session_id": "here"},
        {"metadata": {"session_id": "here"}},
        {"response_data": {"session_id": None, "raw_response": {"session_id": "here"}}},
    ],
)
def test_a_session_id_is_found_at_all_its_places(place: Place, document: Any) -> None:
    """The newer of the older modules looked at the first place only, so older files could not be gone on with."""
    Path("stored.json").write_text(json.dumps(document))
    assert mcp_coder.extract_session_id("stored.json") == "here"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"response_data": null}', '{"response_data": {"session_id": 3}}']
)
def test_no_session_id_is_none(place: Place, text: str) -> None:
    Path("stored.json").write_text(text)
    assert mcp_coder.extract_session_id("stored.json") is None
    assert mcp_coder.extract_session_id("nowhere.json") is None


def test_the_latest_session_is_the_one_with_the_latest_name(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert mcp_coder.find_latest_session() is None
    directory = Path("some")
    directory.mkdir()
    assert mcp_coder.find_latest_session("some") is None
    names = [
        "response_2026-03-01T10-00-01.json",
        "response_2026-02-28T23-59-59.json",
        "response_2026-13-01T10-00-01.json",
    ]
    odd = ["response_2027-01-01T00-00-00.json.bak", "2027-01-01T00-00-00_step.json", "response_latest.json"]
    for name in (*names, *odd):
        (directory / name).write_text("{}")
    assert capsys.readouterr().out == ""
    assert mcp_coder.find_latest_session("some") == os.path.join("some", names[0])
    assert capsys.readouterr().out == f"Found 2 previous sessions, continuing from: {names[0]}\n"


def test_messages_of_the_sdk_are_read_back(place: Place) -> None:
    import dataclasses

    @dataclasses.dataclass
    class TextBlock:
        text: str

    @dataclasses.dataclass
    class AssistantMessage:
        content: list[TextBlock]
        model: str

    told = response("", raw_response={"raw_messages": [AssistantMessage([TextBlock("Hello.")], "claude-opus-4-6")]})
    mcp_coder.store_session(told, "Hi")
    messages = place.sessions()[KEY]
    assert said(messages) == [("user", "Hi"), ("assistant", "Hello.")]
    assert messages[1]["model"] == "claude-opus-4-6"
