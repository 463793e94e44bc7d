"""`sessionstore.compat.kimi` against what programs for llm-mcp-server's `server` module rely on."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.compat import _kimi_files, _kimi_home, _kimi_shape, kimi, llm_sessions
from sessionstore.manager import SessionManager
from tests.adapters.conftest import mocked as mocked
from tests.adapters.conftest import mocked_server as mocked_server
from tests.adapters.mocked import SECRET, Mocked
from tests.dual.programs import KimiProgram

PROGRAM = Path(__file__).parent / "programs" / "kimi_program.py"
OLD = "refactor-model-agnostic-sessions_20250712_2126"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a store elsewhere and no keys."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SESSIONSTORE_DIR", str(tmp_path / "store"))
    for name in list(os.environ):
        if name.startswith(("MOONSHOT_", "KIMI_", "OPENAI_", "GOOGLE_", "GEMINI_", "LLM_")):
            monkeypatch.delenv(name)
    kimi.cost_tracker.clear()
    yield work
    _kimi_home.close()


@pytest.fixture
def talking(here: Path, mocked: Mocked, monkeypatch: pytest.MonkeyPatch) -> Mocked:
    """The same, and a server that answers for all providers."""
    for name, path in (("MOONSHOT", "/v1"), ("OPENAI", "/v1")):
        monkeypatch.setenv(f"{name}_API_KEY", SECRET)
        monkeypatch.setenv(f"{name}_BASE_URL", mocked.url + path)
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", mocked.url + "/gemini")
    return mocked


def reply(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": text, **more}


def chat(**arguments: Any) -> list[str]:
    return [block.text for block in asyncio.run(kimi.handle_call_tool("kimi_chat", arguments))]


def spoken(text: str) -> str:
    """An answer without the line that says what it has cost."""
    return text.partition("\n\n---\n💰")[0]


def asked(mocked: Mocked) -> Any:
    return mocked.asked()[-1]["body"]


def contents(mocked: Mocked) -> list[Any]:
    return [message["content"] for message in asked(mocked)["messages"]]


def left(directory: Path, session_id: str, messages: list[dict[str, Any]], **more: Any) -> Path:
    """A session as the older program leaves it."""
    folder = directory / ".kimi_sessions"
    folder.mkdir(exist_ok=True)
    topics = session_id.split("_")[0].split("-")
    document = {
        "session_id": session_id,
        "messages": messages,
        "metadata": {"created": "2025-07-12T21:26:00", "topics": topics},
        "created": "2025-07-12T21:26:00",
        "last_accessed": "2025-07-12T21:30:11.713738",
        "message_count": len(messages),
        "topics": topics,
        **more,
    }
    path = folder / f"{session_id}.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def every_text(session_id: str) -> set[str]:
    """All that the store has of a session, on whatever path."""
    session = kimi._place()._find(session_id)
    assert session is not None
    return {part["content"] for one in session.messages() for part in one["parts"] if part["type"] == "text"}


# --- signatures ----------------------------------------------------------------------------------------------

NONE = inspect.Parameter.empty
SIGNATURES: dict[str, dict[str, Any]] = {
    "save_session": {"session_id": NONE, "messages": NONE, "metadata": None},
    "load_session": {"session_id": NONE},
    "list_sessions": {},
    "clear_session": {"session_id": NONE},
    "truncate_messages_for_context": {"messages": NONE, "max_tokens": 100000},
    "_chat_unified": {
        "messages": NONE,
        "model": NONE,
        "session_id": None,
        "temperature": 0.7,
        "max_tokens": None,
        "stream": False,
        "kwargs": NONE,
    },
    "handle_call_tool": {"name": NONE, "arguments": NONE},
    "handle_list_tools": {},
    "kimi_chat": {
        "prompt": None,
        "messages": None,
        "system": None,
        "partial_response": None,
        "model": "kimi-k2-0711-preview",
        "temperature": 0.6,
        "max_tokens": 4096,
        "available_tools": None,
        "dynamic_tools": None,
        "session_id": None,
        "return_conversation": False,
    },
    "analyze_with_gemini": {"text": NONE, "kwargs": NONE},
    "quick_gpt": {"prompt": NONE, "kwargs": NONE},
    "construct_prompt": {"template": NONE, "base_path": None},
    "execute_cli_tool": {"tool_name": NONE, "command": NONE, "arguments": NONE},
    "is_command_safe": {"command": NONE},
    "estimate_tokens": {"text": NONE},
    "init_clients": {},
}
ASYNC = {"_chat_unified", "handle_call_tool", "handle_list_tools"}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_older_programs(name: str) -> None:
    function = getattr(kimi, name)
    found = {one.name: one.default for one in inspect.signature(function).parameters.values()}
    assert found == SIGNATURES[name] and list(found) == list(SIGNATURES[name])
    assert inspect.iscoroutinefunction(function) == (name in ASYNC)


def test_annotations_are_the_older_programs() -> None:
    told = {
        "save_session": "(session_id: str, messages: List[Dict], metadata: Dict = None) -> None",
        "load_session": "(session_id: str) -> Optional[Dict]",
        "list_sessions": "() -> List[Dict]",
        "clear_session": "(session_id: str) -> bool",
        "truncate_messages_for_context": "(messages: List[Dict], max_tokens: int = 100000) -> List[Dict]",
        "_chat_unified": "(messages: List[Dict], model: str, session_id: Optional[str] = None,"
        " temperature: float = 0.7, max_tokens: Optional[int] = None, stream: bool = False, **kwargs)"
        " -> Tuple[str, Dict]",
    }
    for name, signature in told.items():
        assert str(inspect.signature(getattr(kimi, name))).replace("'", "") == signature


def schema_of(tool: Any) -> dict[str, Any]:
    """The arguments of a tool: the protocol's own class has them under a name that its releases write differently."""
    return dict(tool.model_dump(by_alias=True)["inputSchema"] if hasattr(tool, "model_dump") else tool.inputSchema)


def test_arguments_of_the_tools_are_the_older_programs() -> None:
    found = {one.name: schema_of(one) for one in asyncio.run(kimi.handle_list_tools())}
    assert list(found) == [
        "analyze_with_gemini",
        "quick_gpt",
        "balanced_llm",
        "route_to_best_model",
        "kimi_chat",
        "check_costs",
    ]
    assert list(found["kimi_chat"]["properties"]) == list(SIGNATURES["kimi_chat"])
    assert list(found["analyze_with_gemini"]["properties"]) == ["prompt", "files", "context", "session_id"]
    assert found["quick_gpt"]["required"] == ["prompt"]


# --- the functions -------------------------------------------------------------------------------------------


def test_a_session_comes_back_as_it_was_saved(here: Path) -> None:
    messages = [
        {"role": "system", "content": "You are terse."},
        user("héllo 你好 😀"),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "get_current_time:0",
                    "type": "function",
                    "function": {"name": "get_current_time", "arguments": '{ "a" : 1 }'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "get_current_time:0", "content": "2025-07-12 21:00:01"},
        {"role": "assistant", "content": "It is", "partial": True},
        {"role": "assistant", "content": "It is nine.", "name": "kimi"},
    ]
    metadata = {"created": "2025-07-12T21:00:00", "topics": ["api", "design"]}
    kimi.save_session("api-design_20250712_2100", messages, metadata)
    found = kimi.load_session("api-design_20250712_2100")
    assert found is not None
    assert list(found) == [
        "session_id",
        "messages",
        "metadata",
        "created",
        "last_accessed",
        "message_count",
        "topics",
    ]
    assert (found["messages"], found["metadata"], found["message_count"]) == (messages, metadata, 6)
    assert (found["created"], found["topics"]) == ("2025-07-12T21:00:00", ["api", "design"])
    last = datetime.fromisoformat(found["last_accessed"])
    assert last.tzinfo is None and abs((datetime.now() - last).total_seconds()) < 60
    assert kimi.load_session("api-design") is None and kimi.load_session("@nobody") is None
    assert not list(here.iterdir())  # no files unless they are asked for


def test_metadata_need_not_be_given(here: Path) -> None:
    kimi.save_session("a-b_1", [user("x")])
    found = kimi.load_session("a-b_1")
    assert found is not None and found["topics"] == ["a", "b"] and found["metadata"] == {}
    assert datetime.fromisoformat(found["created"]).tzinfo is None


def test_what_is_no_message_is_kept(here: Path) -> None:
    odd: list[Any] = [{"role": "developer", "content": "x"}, "just text", user("y")]
    kimi.save_session("odd_1", odd, {})
    assert kimi.load_session("odd_1")["messages"] == odd  # type: ignore[index]
    kimi.save_session("odd_1", [*odd, said("z")], {})
    assert kimi.load_session("odd_1")["messages"] == [*odd, said("z")]  # type: ignore[index]


def test_sessions_are_listed_latest_first(here: Path) -> None:
    assert kimi.list_sessions() == []
    for name in ("one_1", "two_2", "three_3"):
        kimi.save_session(name, [user(name)], {})
    kimi.save_session("one_1", [user("one_1"), said("x")], {})
    found = kimi.list_sessions()
    assert [one["session_id"] for one in found] == ["one_1", "three_3", "two_2"]
    assert list(found[0]) == ["session_id", "created", "last_accessed", "message_count"]
    assert found[0]["message_count"] == 2
    assert kimi.load_session("@last")["session_id"] == "one_1"  # type: ignore[index]


def test_clearing_forgets_and_loses_nothing(here: Path) -> None:
    kimi.save_session("one_1", [user("secret plan")], {"created": "2020-01-01T00:00:00"})
    assert kimi.clear_session("one_1") and not kimi.clear_session("one_1") and not kimi.clear_session("nobody")
    assert kimi.load_session("one_1") is None and kimi.list_sessions() == []
    kimi.save_session("one_1", [user("another")], {"created": "2021-01-01T00:00:00"})
    found = kimi.load_session("one_1")
    assert found is not None and found["messages"] == [user("another")] and found["created"].startswith("2021")
    assert every_text("one_1") == {"secret plan", "another"}
    kimi.save_session("two_2", [user("x")], {})
    assert kimi.clear_session("@all") and kimi.list_sessions() == [] and kimi.clear_session("@all")


def test_what_a_program_takes_back_stays_in_the_store(here: Path) -> None:
    kimi.save_session("one_1", [user("a"), said("b"), user("c"), said("d")], {})
    kimi.save_session("one_1", [user("a"), said("b")], {})
    assert kimi.load_session("one_1")["messages"] == [user("a"), said("b")]  # type: ignore[index]
    kimi.save_session("one_1", [user("a"), said("b"), user("other")], {})
    assert kimi.load_session("one_1")["messages"][2:] == [user("other")]  # type: ignore[index]
    kimi.save_session("one_1", [user("anew")], {})
    assert kimi.load_session("one_1")["messages"] == [user("anew")]  # type: ignore[index]
    kimi.save_session("one_1", [], {})
    assert kimi.load_session("one_1")["messages"] == [] and kimi.list_sessions()[0]["message_count"] == 0  # type: ignore[index]
    kimi.save_session("one_1", [user("again")], {})
    assert kimi.load_session("one_1")["messages"] == [user("again")]  # type: ignore[index]
    assert every_text("one_1") == {"a", "b", "c", "d", "other", "anew", "again"}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_program_saves_is_what_it_loads_and_nothing_goes(here: Path, seed: int) -> None:
    chance = random.Random(seed)
    shown: list[dict[str, Any]] = []
    ever: set[str] = set()
    for step in range(25):
        turn = [user(f"q{step}"), said(f"a{step}")]
        if chance.random() < 0.3:
            call = {"id": "t:0", "type": "function", "function": {"name": "t", "arguments": "{}"}}
            result = {"role": "tool", "tool_call_id": "t:0", "content": f"r{step}"}
            turn[1:1] = [{"role": "assistant", "content": f"c{step}", "tool_calls": [call]}, result]
        kind = chance.choice(["append", "append", "append", "pop", "edit", "cut", "system"])
        given = [*shown, *turn]
        if kind == "pop":
            given = shown[: chance.randint(0, len(shown))]
        elif kind == "edit" and shown:
            given = [dict(one) for one in given]
            given[chance.randrange(len(shown))]["content"] = f"e{step}"
        elif kind == "system":
            given = [{"role": "system", "content": f"s{step}"}, *given]
        expected = given
        if kind == "cut" and len([one for one in shown if one["role"] != "system"]) > 3:
            system = [one for one in given if one["role"] == "system"]
            given = system + [one for one in given if one["role"] != "system"][-len(turn) - 2 :]
            expected = [*shown, *turn]
        kimi.save_session("any_1", given, {})
        shown = expected
        ever |= {one["content"] for one in shown if one["role"] != "tool"}
        assert kimi.load_session("any_1")["messages"] == shown  # type: ignore[index]
    assert ever <= every_text("any_1")


# --- ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api-design", "api_design", "chat-v2_final", "foo_20250712_21000"])
def test_keywords_get_the_time(name: str) -> None:
    assert re.fullmatch(re.escape(name) + r"_\d{8}_\d{4}", _kimi_shape.stamped(name))


@pytest.mark.parametrize("name", ["a_b", "x_1", "my_long_name_x", "api-design_20250712_2100"])
def test_other_ids_stay(name: str) -> None:
    assert _kimi_shape.stamped(name) == name


@pytest.mark.parametrize(
    "name", ["../../etc/x_1", "a/b_1", "Grüße 你好_1", "con_1", "x" * 400 + "_1", "a#b_1", "a:b_1"]
)
def test_an_id_never_becomes_a_path(here: Path, name: str) -> None:
    kimi.save_session(name, [user("x")], {})
    assert kimi.load_session(name)["session_id"] == name  # type: ignore[index]
    assert [path.name for path in here.parent.iterdir() if path.name != "store"] == ["work"]


# --- files of the older program ------------------------------------------------------------------------------


def test_sessions_left_as_files_are_there_byte_for_byte(here: Path) -> None:
    path = left(here, OLD, [{"role": "system", "content": "Be terse."}, user("How to lock?"), said("With care.")])
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert kimi.load_session(OLD) == json.loads(before[0])
    assert kimi.list_sessions()[0] == {
        "session_id": OLD,
        "created": "2025-07-12T21:26:00",
        "last_accessed": "2025-07-12T21:30:11.713738",
        "message_count": 3,
    }
    kimi.save_session(OLD, [*json.loads(before[0])["messages"], user("And then?")], {})
    assert kimi.load_session(OLD)["message_count"] == 4  # type: ignore[index]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    left(here, "late_1", [user("written meanwhile")])
    assert kimi.load_session("late_1") is not None


def test_a_file_that_was_cut_off_is_told_of(talking: Mocked, here: Path, caplog: pytest.LogCaptureFixture) -> None:
    left(here, "good_1", [user("a")])
    path = left(here, "torn_1", [user("b" * 100)])
    path.write_bytes(path.read_bytes()[:60])
    left(here, "empty_1", []).write_bytes(b"")
    assert [one["session_id"] for one in kimi.list_sessions()] == ["good_1"]
    assert "torn_1.json: not taken over: " in caplog.text
    with pytest.raises(errors.SourceInvalid, match=r"torn_1\.json"):
        kimi.load_session("torn_1")
    assert "empty_1.json" in chat(prompt="x", session_id="empty_1")[0]
    assert path.stat().st_size == 60
    left(here, "torn_1", [user("mended")])
    assert kimi.load_session("torn_1") is not None


def test_old_ids_resolve_from_another_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(here, OLD, [user("a"), said("b")])
    left(here, "plain_1", [user("here")])
    assert kimi.load_session(f"migrated_{OLD}")["session_id"] == OLD  # type: ignore[index]
    other = here.parent / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert kimi.load_session(OLD) is not None and kimi.load_session(f"migrated_{OLD}") is not None
    assert kimi.load_session("plain_1") is None and kimi.load_session("@last") is None and kimi.list_sessions() == []
    kimi.save_session("plain_1", [user("there")], {})
    assert kimi.clear_session("@all")
    monkeypatch.chdir(here)
    assert kimi.load_session("plain_1")["messages"] == [user("here")]  # type: ignore[index]
    assert len(kimi.list_sessions()) == 2


def test_a_moved_directory_has_its_sessions(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(here, "plain_1", [user("a"), said("b")])
    assert kimi.load_session("plain_1")
    moved = here.parent / "moved"
    here.rename(moved)
    monkeypatch.chdir(moved)
    assert kimi.load_session("plain_1") is not None and len(kimi.list_sessions()) == 1


def test_a_directory_of_its_own_has_a_store_of_its_own(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    path = left(there, "x_1", [user("there")])
    monkeypatch.setattr(kimi, "KIMI_SESSIONS_DIR", path.parent)
    kimi.save_session("y_1", [user("new")], {})
    assert {one["session_id"] for one in kimi.list_sessions()} == {"x_1", "y_1"}
    assert (path.parent / "sessionstore" / "STORE.json").is_file()
    monkeypatch.undo()
    os.chdir(here)


# --- bugs that are not reproduced ----------------------------------------------------------------------------


def test_a_window_is_cut_without_orphans() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "t:0"}, {"id": "t:1"}]}
    results = [{"role": "tool", "tool_call_id": f"t:{n}", "content": "x"} for n in range(2)]
    talk = [user("q"), call, *results, *[user(str(n)) for n in range(49)]]
    messages = [*talk, {"role": "system", "content": "s"}]
    found = kimi.truncate_messages_for_context(messages)
    assert found[0]["role"] == "system" and found[1:] == talk[-49:]
    assert kimi.truncate_messages_for_context([]) == []
    short = [user("a"), {"role": "system", "content": "s"}]
    assert kimi.truncate_messages_for_context(short) == [short[1], short[0]]
    many = [user(str(n)) for n in range(60)]
    assert kimi.truncate_messages_for_context(many) == many[-50:]
    flood = [call, *results * 40]
    assert kimi.truncate_messages_for_context(flood) == flood
    large = [user("x" * 4000) for _ in range(10)]
    assert len(kimi.truncate_messages_for_context(large, max_tokens=3000)) == 3
    assert len(kimi.truncate_messages_for_context(large, max_tokens=1)) == 1


def test_what_a_program_truncates_is_not_lost(here: Path) -> None:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "s"}]
    for number in range(70):
        messages += [user(f"q{number}"), said(f"a{number}")]
        kimi.save_session("long_1", kimi.truncate_messages_for_context(messages), {})
    found = kimi.load_session("long_1")
    assert found is not None and found["messages"] == messages and found["message_count"] == 141


def test_a_long_conversation_is_told_in_part_and_kept_whole(talking: Mocked) -> None:
    messages = [one for number in range(40) for one in (user(f"q{number}"), said(f"a{number}"))]
    kimi.save_session("long_1", [{"role": "system", "content": "s"}, *messages], {})
    talking.break_(reply("Still here."))
    assert spoken(chat(prompt="Hello?", session_id="long_1")[0]) == "Still here."
    told = contents(talking)
    assert told[0] == "s" and len(told) == 51 and told[-1] == "Hello?"
    assert kimi.load_session("long_1")["message_count"] == 83  # type: ignore[index]


def test_the_answer_after_a_tool_is_kept(talking: Mocked) -> None:
    talking.break_(
        {"type": "reply", "tool_calls": [{"name": "add_numbers", "arguments": {"a": 2, "b": 40}}]}, reply("It is 42.")
    )
    [told] = chat(prompt="2+40?", session_id="sums_1", available_tools=["add_numbers"])
    answer, _, used = spoken(told).partition("\n\n**Tool Executions:**\n")
    assert answer == "It is 42."
    assert re.fullmatch(r'🔧 add_numbers\(\{"a": ?2, ?"b": ?40\}\) → 42\.0', used)
    found = kimi.load_session("sums_1")["messages"]  # type: ignore[index]
    assert [one["role"] for one in found] == ["user", "assistant", "tool", "assistant"]
    assert found[1]["content"] == "" and found[1]["tool_calls"][0]["function"]["name"] == "add_numbers"
    assert found[2]["content"] == "42.0" and found[3] == said("It is 42.")


def test_a_keyword_twice_within_a_minute_loses_nothing(talking: Mocked) -> None:
    talking.break_(reply("One."), reply("Two."))
    chat(prompt="First", session_id="api-design")
    chat(prompt="Second", session_id="api-design")
    texts = {text for one in kimi.list_sessions() for text in every_text(one["session_id"])}
    assert {"First", "One.", "Second", "Two."} <= texts
    assert kimi.load_session("@last")["topics"] == ["api", "design"]  # type: ignore[index]


def test_last_without_a_session_begins_one_under_a_usual_name(talking: Mocked) -> None:
    chat(prompt="First", session_id="@last")
    [one] = kimi.list_sessions()
    assert re.fullmatch(r"chat_\d{8}_\d{4}", one["session_id"])
    chat(prompt="Second", session_id="@last")
    assert kimi.list_sessions()[0]["message_count"] == 4 and len(kimi.list_sessions()) == 1


def test_several_writers_lose_nothing(here: Path) -> None:
    def write(number: int) -> None:
        for turn in range(5):
            found = kimi.load_session("shared_1") or {"messages": []}
            kimi.save_session("shared_1", [*found["messages"], user(f"{number}.{turn}")], {})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert every_text("shared_1") == {f"{number}.{turn}" for number in range(4) for turn in range(5)}


def test_two_processes_talk_in_one_session(talking: Mocked, here: Path) -> None:
    code = "from sessionstore.compat.kimi import kimi_chat; import sys; kimi_chat(sys.argv[1], session_id='both_1')"
    env = {**os.environ, "PYTHONPATH": str(Path(kimi.__file__).parents[2])}
    running = [subprocess.Popen([sys.executable, "-c", code, f"from {n}"], cwd=here, env=env) for n in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    found = kimi.load_session("both_1")["messages"]  # type: ignore[index]
    assert {one["content"] for one in found if one["role"] == "user"} == {"from 0", "from 1", "from 2"}
    assert sum(one["role"] == "assistant" for one in found) == 3


def test_nothing_is_printed(talking: Mocked, capfd: pytest.CaptureFixture[str]) -> None:
    chat(prompt="hush", session_id="a_1")
    asyncio.run(kimi.handle_call_tool("quick_gpt", {"prompt": "hush", "session_id": "b"}))
    out = capfd.readouterr()
    assert "hush" not in out.out + out.err


# --- talking with Kimi ---------------------------------------------------------------------------------------


def test_blocks_are_the_librarys_own_in_a_program_that_uses_it(here: Path) -> None:
    code = (
        "import mcp.types, asyncio; from sessionstore.compat import kimi; [one] = kimi.kimi_chat(session_id='@list');"
        "assert type(one) is mcp.types.TextContent;"
        "assert all(type(one) is mcp.types.Tool for one in asyncio.run(kimi.handle_list_tools()))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(kimi.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=here, env=env, check=True, timeout=60)
    assert kimi.kimi_chat(session_id="@list")[0].model_dump()["text"] == "No active sessions found."


def test_a_session_is_called_after_its_first_question(talking: Mocked) -> None:
    chat(prompt="How to lock?\nReally.", session_id="a_1", system="s")
    kimi.save_session("b_1", [user("Why?")])
    with SessionManager(os.environ["SESSIONSTORE_DIR"]) as manager:
        assert {one["title"] for one in manager.list()} == {"How to lock?", "Why?"}
        assert {one["cwd"] for one in manager.list()} == {os.getcwd()}


def test_defaults_and_going_on(talking: Mocked) -> None:
    talking.break_(reply("One."), reply("Two."))
    [first] = chat(prompt="First", session_id="api-design_1", system="Be terse.")
    body = asked(talking)
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("kimi-k2-0711-preview", 0.6, 4096)
    assert "tools" not in body and contents(talking) == ["Be terse.", "First"]
    assert re.fullmatch(r"One\.\n\n---\n💰 Cost: \$\d\.\d{6} \| Total: \$\d\.\d{4}", first)
    chat(prompt="Second", session_id="api-design_1", system="Be loud.", messages=[user("not looked at")])
    assert contents(talking) == ["Be terse.", "First", "One.", "Second"]
    blocks = asyncio.run(kimi.handle_call_tool("kimi_chat", {"session_id": "@list"}))
    assert [block.type for block in blocks] == ["text"]


def test_the_list_is_the_older_programs(talking: Mocked) -> None:
    assert chat(session_id="@list") == ["No active sessions found."]
    kimi.save_session("api-design_20250712_2100", [user("x")], {"created": "2025-07-12T21:00:00"})
    today = datetime.now().date().isoformat()
    assert chat(session_id="@list") == [
        "## Active Kimi Sessions\n\n"
        "- **api-design_20250712_2100**\n"
        "  - Topics: api design\n"
        "  - Messages: 1\n"
        "  - Created: 2025-07-12\n"
        f"  - Last accessed: {today}\n\n"
    ]


def test_clearing_by_the_tool(talking: Mocked) -> None:
    kimi.save_session("a_1", [{"role": "system", "content": "old"}, user("x")], {})
    assert chat(session_id="@clear:a_1") == ["Session 'a_1' cleared successfully."]
    assert chat(session_id="@clear:a_1") == ["Session 'a_1' not found."]
    chat(prompt="Anew", session_id="a_1", system="new")
    assert contents(talking) == ["new", "Anew"]
    assert [one["content"] for one in kimi.load_session("a_1")["messages"][:2]] == ["new", "Anew"]  # type: ignore[index]
    assert chat(session_id="@clear:@all") == ["Session '@all' cleared successfully."]
    assert chat(session_id="@list") == ["No active sessions found."]
    assert chat(prompt="x", session_id="@what")[0].startswith("Error: '@what' is no session")


def test_the_conversation_comes_in_a_second_block(talking: Mocked) -> None:
    talking.break_(reply("Öne."))
    first, second = chat(prompt="First", session_id="a_1", return_conversation=True)
    assert spoken(first) == "Öne."
    head, _, state = second.partition("```json\n")
    assert head == "\n\n---\n🗨️ Conversation State:\n"
    assert "\\u00d6ne" in state
    assert json.loads(state.removesuffix("\n```")) == [user("First"), said("Öne.")]


def test_without_a_session_nothing_is_listed(talking: Mocked) -> None:
    talking.break_(reply("One."))
    assert spoken(chat(messages=[user("a"), said("b"), user("c")], prompt="unused", system="unused")[0]) == "One."
    assert contents(talking) == ["a", "b", "c"]
    assert kimi.list_sessions() == []
    chat(prompt="x", system="s")
    assert contents(talking) == ["s", "x"]
    assert chat() == ["Error: Must provide either 'prompt' or 'messages'"]
    assert chat(session_id="new-one", system="s") == ["Error: Must provide either 'prompt' or 'messages'"]
    assert kimi.list_sessions() == []


def test_a_given_beginning(talking: Mocked) -> None:
    talking.break_(reply(" blue."), reply("Light."), reply(" green."))
    [told] = chat(prompt="The sky?", partial_response="The sky is", session_id="s_1")
    assert spoken(told) == "The sky is blue."
    assert asked(talking)["messages"][-1] == {"role": "assistant", "content": "The sky is", "partial": True}
    beginning = {"role": "assistant", "content": "The sky is", "partial": True}
    assert kimi.load_session("s_1")["messages"] == [user("The sky?"), beginning, said("The sky is blue.")]  # type: ignore[index]
    chat(prompt="Why?", session_id="s_1")
    assert contents(talking) == ["The sky?", "The sky is blue.", "Why?"]
    [told] = chat(messages=[user("Grass?"), {"role": "assistant", "content": "It is", "partial": True}])
    assert spoken(told) == "It is green."


def test_other_models(talking: Mocked) -> None:
    chat(prompt="a", session_id="m_1", model="moonshot-v1-128k")
    assert asked(talking)["model"] == "moonshot-v1-128k"
    chat(prompt="b", session_id="m_1")
    assert asked(talking)["model"] == "moonshot-v1-128k"
    chat(prompt="c", session_id="m_1", model="k2-something")
    assert asked(talking)["model"] == "k2-something" and talking.asked()[-1]["path"].endswith("/chat/completions")


def test_failures_are_told_and_the_question_is_kept(talking: Mocked, monkeypatch: pytest.MonkeyPatch) -> None:
    talking.break_({"type": "fail", "status": 400, "message": "no"}, reply("Now."))
    [told] = chat(prompt="Hello?", session_id="f_1")
    assert told.startswith("Kimi Chat error: ") and SECRET not in told
    assert kimi.load_session("f_1")["messages"] == [user("Hello?")]  # type: ignore[index]
    assert spoken(chat(session_id="f_1")[0]) == "Now."  # what waits is answered
    assert chat(session_id="f_1")[0].startswith("Kimi Chat error: ")
    assert chat(prompt="x", session_id="f_1", available_tools=["nope"]) == [
        "Error: Unknown tool 'nope'. Available tools: ['get_current_time', 'add_numbers', 'list_files']"
    ]
    assert chat(prompt="x", dynamic_tools=[{"name": "a"}])[0].startswith("Kimi Chat error: ")
    monkeypatch.delenv("MOONSHOT_API_KEY")
    monkeypatch.delenv("MOONSHOT_BASE_URL")
    assert chat(prompt="x", session_id="g_1")[0].startswith("Error: Moonshot API key not configured.")
    assert kimi.load_session("g_1") is None
    assert chat(session_id="@list")[0].startswith("## Active")


def test_tools_of_the_caller(talking: Mocked, here: Path) -> None:
    (here / "poem.txt").write_text("roses\n")
    tool = {
        "name": "show",
        "command": "cat",
        "schema": {
            "type": "function",
            "function": {
                "name": "show",
                "description": "Show a file.",
                "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
        },
    }
    calls = [{"name": "show", "arguments": {"name": "poem.txt"}}, {"name": "other", "arguments": {}}]
    talking.break_({"type": "reply", "tool_calls": calls}, reply("Roses."))
    [told] = chat(prompt="Read it", session_id="t_1", dynamic_tools=[tool])
    assert "→ roses" in told and "🔧 other({}) → Error: Unknown tool 'other'" in told
    assert asked(talking)["tools"][0]["function"]["name"] == "show"
    talking.break_({"type": "reply", "tool_calls": [{"name": "show", "arguments": {"name": "x; touch y"}}]}, reply("."))
    chat(prompt="Again", session_id="t_1", dynamic_tools=[tool])
    assert not (here / "y").exists() and "Safety Error" in kimi.load_session("t_1")["messages"][-2]["content"]  # type: ignore[index]


def test_a_program_can_add_a_tool(talking: Mocked, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"name": "hello", "parameters": {"type": "object", "properties": {}}}
    tool = {"command": "echo hello", "schema": {"type": "function", "function": schema}}
    monkeypatch.setitem(kimi.BUILTIN_TOOLS, "hello", tool)
    names = ["hello", "get_current_time", "list_files"]
    talking.break_({"type": "reply", "tool_calls": [{"name": name, "arguments": {}} for name in names]}, reply("."))
    [told] = chat(prompt="Hi", available_tools=names)
    assert "🔧 hello({}) → hello\n" in told and re.search(r"get_current_time\(\{\}\) → \d{4}-\d\d-\d\d \d\d:", told)
    assert "list_files({}) → (No files)" in told
    talking.break_({"type": "reply", "tool_calls": [{"name": "add_numbers", "arguments": {"a": "x"}}]}, reply("."))
    assert "→ Error executing add_numbers: " in chat(prompt="Hi", available_tools=["add_numbers"])[0]


def test_commands_are_run_without_a_shell(here: Path) -> None:
    run = kimi.execute_cli_tool
    assert run("t", "echo", {"a": "two words", "b": 3, "c": -1.5}) == "two words 3 -1.5"
    assert run("t", "true", {}) == "(No output)"
    assert run("t", "false", {}) == "Error: Exit code 1"
    assert run("t", "cat", {"f": "nowhere"}).startswith("Error: cat:")
    assert run("t", "no-such-program", {}).startswith("Error executing t: ")
    assert run("t", "echo", {"a": "--flag"}) == "Error: Invalid characters in arguments"
    assert run("t", "echo", {"a": "`id`"}) == "Error: Invalid characters in arguments"
    assert run("t", "rm -rf x", {}) == "Safety Error: Command 'rm' is not allowed for safety reasons"
    assert run("t", "/bin/rm x", {}).startswith("Safety Error: Command 'rm'")
    assert run("t", "echo a > b", {}) == "Safety Error: Pattern '>' is not allowed in commands"
    assert run("t", "cat .env", {}).startswith("Safety Error")
    assert kimi.is_command_safe("date") == (True, "Command appears safe")


# --- files in prompts ----------------------------------------------------------------------------------------


def test_files_in_prompts(talking: Mocked, here: Path) -> None:
    (here / "src").mkdir()
    (here / "src" / "a.py").write_bytes(b"one\r\ntwo\nthree\n")
    (here / "src" / "b.py").write_text("four\n")
    expand = kimi.construct_prompt
    assert expand("{file:src/a.py}") == "\n=== src/a.py ===\none\ntwo\nthree\n\n=== end src/a.py ===\n"
    lines = "\n=== src/a.py (lines 2-3) ===\ntwo\nthree\n\n=== end src/a.py ===\n"
    assert expand("Look: {file:src/a.py:2-9}.") == f"Look: {lines}."
    together = "\n=== src/a.py ===\none\ntwo\nthree\n\n\n=== src/b.py ===\nfour\n\n"
    assert expand("{files:src/*.py}") == together and expand("{files:**/*.py}") == together
    assert expand("{files:*.rs}") == "\n=== No files matched pattern: *.rs ===\n"
    assert expand("{file:none}") == "\n=== Error reading none: no such file or directory ===\n"
    assert expand("{other:x} {file:} {}") == "{other:x} {file:} {}"
    assert expand("{file:a.py}", str(here / "src")).startswith("\n=== a.py ===\none")
    chat(prompt="See {file:src/b.py}", session_id="f_1")
    assert contents(talking) == ["See \n=== src/b.py ===\nfour\n\n=== end src/b.py ===\n"]
    assert kimi.load_session("f_1")["messages"][0]["content"] == contents(talking)[0]  # type: ignore[index]


def test_files_elsewhere_and_secrets_stay_where_they_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = here.parent / "outside.txt"
    outside.write_text("SECRET")
    (here / "link.txt").symlink_to(outside)
    (here / ".env").write_text("KEY=SECRET")
    (here / "plain.txt").symlink_to(here / ".env")
    (here / ".git").mkdir()
    (here / ".git" / "config").write_text("SECRET")
    (here / "server.pem").write_text("SECRET")
    (here / ".env.example").write_text("KEY=")
    wanted = [f"{{file:{outside}}}", "{file:../outside.txt}", "{file:link.txt}", "{file:.env}", "{file:plain.txt}"]
    wanted += ["{file:.git/config}", "{files:*.pem}", "{files:../*.txt}", f"{{files:{outside.parent}/*}}"]
    for one in wanted:
        assert "SECRET" not in kimi.construct_prompt(one), one
    assert "KEY=" in kimi.construct_prompt("{file:.env.example}")
    monkeypatch.setattr(kimi, "FILES_ALLOWED", [outside, here / ".env"])
    for one in wanted[:5]:
        assert "SECRET" in kimi.construct_prompt(one), one


def test_large_and_odd_files_are_not_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kimi_files, "MOST_BYTES", 100)
    monkeypatch.setattr(_kimi_files, "MOST_TOGETHER", 250)
    monkeypatch.setattr(_kimi_files, "MOST_FILES", 3)
    for number in range(5):
        (here / f"{number}.txt").write_text("x" * 100)
    (here / "large").write_text("y" * 101)
    (here / "binary").write_bytes(b"\xff\xfe")
    os.mkfifo(here / "pipe")
    assert "larger than 100 bytes" in kimi.construct_prompt("{file:large}")
    assert "no UTF-8 text" in kimi.construct_prompt("{file:binary}")
    assert "no regular file" in kimi.construct_prompt("{file:pipe}")
    assert "Error reading ." in kimi.construct_prompt("{file:.}")
    told = kimi.construct_prompt("{files:*.txt}")
    assert told.count("x" * 100) == 2 and "larger together" in told and "More than 3 files" in told


# --- the other models ----------------------------------------------------------------------------------------


def test_gemini_and_gpt_by_the_guide(talking: Mocked) -> None:
    talking.break_(reply("Short."), reply("Four."))
    assert kimi.analyze_with_gemini("abc", session_id="an") == "Short."
    body = asked(talking)
    assert body["generationConfig"]["maxOutputTokens"] == 8192 and talking.asked()[-1]["model"] == "gemini-2.5-pro"
    assert body["contents"][0]["parts"][0]["text"] == "Analyze: abc"
    assert kimi.quick_gpt("2+2?") == "Four."
    body = asked(talking)
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("gpt-4.1-nano", 0.3, 500)


def test_the_tools_of_other_models(talking: Mocked, here: Path) -> None:
    (here / "a.md").write_text("# A\n")

    def call(name: str, **given: Any) -> str:
        return spoken(asyncio.run(kimi.handle_call_tool(name, given))[0].text)

    talking.break_(*(reply(str(number)) for number in range(1, 7)))
    assert call("check_costs") == "No LLM usage tracked yet."
    assert call("analyze_with_gemini", prompt="What?", files=["*.md"], context="more", session_id="s") == "1"
    told = asked(talking)["contents"][0]["parts"][0]["text"]
    assert told == "Context:\n=== a.md ===\n# A\n\n\nmore\n\nQuery: What?"
    assert call("quick_gpt", prompt="And {file:a.md}?", session_id="s") == "2"
    assert asked(talking)["model"] == "gpt-4.1-nano" and "# A" in str(contents(talking)[-1])
    assert call("balanced_llm", prompt="x") == "3" and talking.asked()[-1]["model"] == "gemini-2.5-flash"
    assert call("balanced_llm", prompt="x", model="gpt-mini") == "4" and asked(talking)["model"] == "gpt-4.1-mini"
    assert call("route_to_best_model", prompt="x" * 300) == "5" and talking.asked()[-1]["model"] == "gemini-2.5-flash"
    assert call("route_to_best_model", prompt="short") == "6" and asked(talking)["model"] == "gpt-4.1-nano"
    assert "### Total\n- All Requests: 6\n" in call("check_costs")
    assert call("nothing") == "Unknown tool: nothing"
    talking.break_({"type": "fail", "status": 401, "message": "no"})
    assert call("quick_gpt", prompt="x").startswith("OpenAI error: ")
    with pytest.raises(KeyError):
        call("quick_gpt")


def test_the_unified_core(talking: Mocked) -> None:
    def ask(*given: Any, **more: Any) -> Any:
        return asyncio.run(kimi._chat_unified(*given, **more))

    talking.break_(reply("One."), reply("Two."), reply("Three."), reply("Four."))
    text, facts = ask([{"role": "system", "content": "s"}, user("a")], "kimi-k2-0711-preview", "u", top_p=0.5)
    assert text == "One." and asked(talking)["top_p"] == 0.5 and asked(talking)["temperature"] == 0.7
    assert isinstance(facts["timestamp"], float) and set(facts["tokens"]) == {"input", "output", "total"}
    assert facts["model"] == "kimi-k2-0711-preview" and facts["finish_reason"] == "stop" and "cost" in facts
    assert ask([user("b")], "gpt-4.1-mini", "u", presence_penalty=0.5)[0] == "Two."
    assert contents(talking)[:3] == ["s", "a", "One."] and asked(talking)["presence_penalty"] == 0.5
    pieces, facts = ask([user("c")], "gpt-4.1-mini", "u", stream=True)
    assert facts == {} and "".join(piece["content"] for piece in pieces) == "Three." and facts["tokens"]["output"]
    ask([user("d")], "gpt-4.1-mini", "u")
    session = llm_sessions.SessionManager().load_session("u")
    assert session is not None and session["model"] == "gpt-4.1-mini"
    assert len(session["metadata"]["model_switches"]) == 1  # not again and again
    assert [one["content"] for one in session["messages"] if one["role"] == "user"] == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="No adapter found for model: nobody"):
        ask([user("x")], "nobody")


# --- the older program's files, written too ------------------------------------------------------------------


def test_every_turn_is_a_file_too(talking: Mocked, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_DUAL_WRITE", "1")
    left(here, "old_1", [user("a"), said("b")])
    older = KimiProgram(here / ".kimi_sessions")
    assert kimi.load_session("old_1")["message_count"] == 2  # type: ignore[index]
    talking.break_(reply("Öne."))
    chat(prompt="First", session_id="new_1", system="s")
    data = older.path("new_1").read_bytes()
    document = json.loads(data)
    assert data == json.dumps(document, indent=2).encode("ascii")
    assert list(document) == list(json.loads(older.path("old_1").read_bytes()))
    assert document["messages"] == [{"role": "system", "content": "s"}, user("First"), said("Öne.")]
    assert document["metadata"] == kimi.load_session("new_1")["metadata"]  # type: ignore[index]
    talk = [user(str(number)) for number in range(70)]
    kimi.save_session("long_1", talk, {"created": "2025-07-12T21:00:00", "topics": ["x"]})
    found = older.load("long_1")
    assert found is not None and found["messages"] == talk[-50:] and found["message_count"] == 50
    assert (found["created"], found["topics"]) == ("2025-07-12T21:00:00", ["x"])
    assert kimi.load_session("long_1")["messages"] == talk  # type: ignore[index]
    kimi.save_session("old_1", [user("a"), said("b"), user("c")], {})
    assert [one["content"] for one in older.load("old_1")["messages"]] == ["a", "b", "c"]  # type: ignore[index]
    chat(prompt="no session")
    assert {path.name for path in older.folder.glob("*.json")} == {"old_1.json", "new_1.json", "long_1.json"}
    assert len(kimi.list_sessions()) == 3
    assert kimi.clear_session("new_1") and not older.path("new_1").exists()
    chat(prompt="Again", session_id="new_1")
    assert older.load("new_1")["messages"][0] == user("Again")  # type: ignore[index]
    older.say("meanwhile_1", user("by the older program"))
    assert kimi.load_session("meanwhile_1")["message_count"] == 1  # type: ignore[index]
    assert len(kimi.list_sessions()) == 4


def test_where_the_files_lead(talking: Mocked, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_LEGACY", "1")
    older = KimiProgram(here / ".kimi_sessions")
    older.say("old_1", user("a"), said("b"))
    talking.break_(reply("d"))
    chat(prompt="c", session_id="old_1")
    older.say("old_1", user("e"), said("f"))
    found = kimi.load_session("old_1")
    assert [one["content"] for one in found["messages"]] == list("abcdef")  # type: ignore[index]
    chat(prompt="g", session_id="old_1")
    assert contents(talking) == list("abcdefg")
    assert [one["content"] for one in older.load("old_1")["messages"]][:7] == list("abcdefg")  # type: ignore[index]


# --- a program -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", ["", "LLM_UNIFIED", "LLM_DUAL_WRITE", "LLM_LEGACY"])
def test_a_program_with_another_import(talking: Mocked, here: Path, switch: str) -> None:
    path = left(here, OLD, [user("How to lock?"), said("With care.")])
    before = path.read_bytes()
    calls = [{"name": "add_numbers", "arguments": {"a": 2, "b": 40}}]
    talking.break_(
        reply("With flock."),
        reply("One."),
        reply("Two."),
        {"type": "reply", "tool_calls": calls},
        reply("42."),
        reply("4"),
    )
    env = {**os.environ, "PYTHONPATH": str(Path(kimi.__file__).parents[2])} | ({switch: "1"} if switch else {})
    run = subprocess.run([sys.executable, str(PROGRAM)], cwd=here, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["old"] == ["How to lock?", "With care."]
    assert spoken(told["consulted"][0]) == "With flock."
    assert [spoken(one) for one in (told["begun"][0], told["last"][0])] == ["One.", "Two."]
    assert told["kept"] == [
        {"role": "system", "content": "Be terse."},
        user("First"),
        said("One."),
        user("Second"),
        said("Two."),
    ]
    assert f"- **{OLD}**\n  - Topics: refactor model agnostic sessions\n  - Messages: 4\n" in told["list"][0]
    assert told["count"] == 6 and "→ 42.0" in told["tools"][0] and spoken(told["quick"][0]) == "4"
    assert told["cleared"] == [True, None] and "### kimi-k2-0711-preview\n- Requests: 4\n" in told["costs"][0]
    if switch in ("LLM_DUAL_WRITE", "LLM_LEGACY"):
        assert len(json.loads(path.read_bytes())["messages"]) == 4
        assert len(list(path.parent.glob("*.json"))) == 2  # api-design was cleared
    else:
        assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
