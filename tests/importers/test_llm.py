"""llm's `logs.db`: three generations of tables in one file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from sessionstore.importers.base import Machine
from sessionstore.importers.llm import Llm
from sessionstore.importers.llm_rows import usage
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURES = FORMATS / "llm"
LOG, RESPONSES = FIXTURES / "log" / "log.db", FIXTURES / "responses" / "logs.db"
THREADS, ALL = FIXTURES / "threads" / "logs.db", FIXTURES / "all" / "logs.db"
ANSWER = "01resp00000000000000000001"


def read(path: Path) -> Imported:
    """Read a database."""
    return imported(Llm(), path)


def changed(source: Path, target: Path, *statements: str) -> Path:
    """A copy of a database after some statements."""
    path = target / "copy.db"
    path.write_bytes(source.read_bytes())
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def hashed(name: str) -> str:
    """A message's name in the fixtures."""
    return f"b2:{name:0<32}"


def test_places_are_the_configured_directory_and_those_of_every_system() -> None:
    machine = Machine(home=Path("/home/ada"), cwd=Path("/"), env={"LLM_USER_PATH": "/data/llm"})
    roots = [place.root for place in Llm().places(machine)]
    assert roots[0] == Path("/data/llm/logs.db")
    assert Path("/home/ada/.config/io.datasette.llm/logs.db") in roots
    assert Path("/home/ada/.llm/log.db") in roots


@pytest.mark.parametrize("path", [LOG, RESPONSES, THREADS, ALL])
def test_every_generation_is_recognised(path: Path) -> None:
    assert recognised(Llm(), path)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE _llm_migrations (name, applied_at)",
        "CREATE TABLE _llm_embeddings_migrations (name, applied_at)",
        "CREATE TABLE conversations (id, name)",
        "CREATE TABLE logs (id, model, prompt)",
        "CREATE TABLE log (system, prompt, response, model)",
    ],
)
def test_other_databases_are_not(script: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "logs.db") as connection:
        connection.execute(script)
    connection.close()
    assert not recognised(Llm(), tmp_path / "logs.db")


def test_the_first_log_has_a_session_for_each_row_and_its_times_are_utc() -> None:
    found = read(LOG)
    assert list(found.sessions) == ["log@2023-04-02T03:04:05.678900Z", "log@2023-04-02T04:04:05.678900Z"]
    messages = found.sessions["log@2023-04-02T03:04:05.678900Z"]
    assert [(message["role"], message["time"]) for message in messages] == [
        ("user", "2023-04-02T03:04:05.678900Z"),
        ("assistant", "2023-04-02T03:04:05.678900Z"),
    ]
    assert messages[1]["provider"] == "openai" and messages[1]["model"] == "gpt-4"


def test_a_row_keeps_its_session_when_the_program_later_numbers_its_rows(tmp_path: Path) -> None:
    path = changed(
        LOG,
        tmp_path,
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, model, prompt, system, response, chat_id, datetime_utc)",
        "INSERT INTO logs (model, prompt, response, datetime_utc) SELECT model, prompt, response, timestamp FROM log",
        "DROP TABLE log",
    )
    before, after = read(LOG), read(path)
    assert list(after.sessions) == list(before.sessions)
    ids = [[message["id"] for message in messages] for messages in after.sessions.values()]
    assert ids == [[message["id"] for message in messages] for messages in before.sessions.values()]


def test_a_chat_is_all_rows_with_its_number() -> None:
    messages = read(ALL).sessions["log@2023-06-11T10:00:00.123456Z"]
    assert [text(message) for message in messages if message["role"] != "assistant"] == [
        "Answer in one word.",
        "Name a bird",
        "And its colour?",
        "Lost",
    ]
    assert messages[2]["usage"] == {"input_tokens": 9, "output_tokens": 2}
    assert "parent-missing" in read(ALL).drafts["log@2023-06-11T10:00:00.123456Z"].issues


def test_a_row_that_answers_an_earlier_one_is_a_branch(tmp_path: Path) -> None:
    path = changed(ALL, tmp_path, "UPDATE logs SET reply_to_id = 1 WHERE id = 4")
    messages = read(path).sessions["log@2023-06-11T10:00:00.123456Z"]
    assert {message["id"]: message["parent"] for message in messages if "parent" in message} == {"r3.prompt": "r1"}


def test_a_response_is_a_system_prompt_a_prompt_with_attachments_and_an_answer() -> None:
    system, prompt, answer, *_ = read(RESPONSES).sessions["01conv1"]
    assert text(system) == "A long text about birds.\nBe kind."
    assert system["parts"][0]["fragment"] == {"hash": "f1", "source": "birds.txt"}
    kinds = [part["type"] for part in prompt["parts"]]
    assert kinds == ["text", "blob", "uri", "file"]
    assert prompt["parts"][1]["mime_type"] == "image/png" and prompt["parts"][3]["path"] == "/home/ada/bird.txt"
    assert answer["id"] == ANSWER and answer["model"] == "gpt-4o-mini"
    assert [part["type"] for part in answer["parts"]] == ["reasoning", "text"]
    assert answer["usage"] == {
        "input_tokens": 100,
        "output_tokens": 30,
        "cache_read_tokens": 64,
        "reasoning_tokens": 12,
    }
    assert answer["x"]["options"] == {"temperature": 0.5}
    assert answer["x"]["resolved_model"] == "gpt-4o-mini-2024-07-18"
    assert answer["x"]["response_json"]["finish_reason"] == "stop"
    assert answer["time"] == prompt["time"] == "2024-05-01T08:01:00.000001+00:00"


def test_fragments_come_before_the_prompt_and_a_missing_one_is_reported() -> None:
    found = read(RESPONSES)
    prompt, answer = found.sessions["01conv1"][3:]
    assert [part["content"] for part in prompt["parts"]] == ["A long text about birds.", "", "And now as JSON"]
    assert found.drafts["01conv1"].issues["fragment-missing"][0] == 1
    assert found.drafts["01conv1"].issues["attachment-not-in-file"][0] == 2
    assert answer["x"]["schema"]["content"]["type"] == "object"
    assert answer["time"] == "2024-05-01T08:02:00.5Z"


def test_tools_are_told_on_the_session_and_their_results_before_the_answer() -> None:
    found = read(RESPONSES)
    messages = found.sessions["01conv2"]
    assert roles(messages) == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["parts"][1] == {
        "type": "tool_call",
        "id": "call_1",
        "name": "multiply",
        "arguments": {"a": 6, "b": 7},
    }
    result, picture = messages[2]["parts"]
    assert result["is_error"] is True and result["response"] == "boom" and result["exception"] == "ValueError: boom"
    assert result["instance"]["name"] == "Calculator"
    assert picture["type"] == "blob"
    assert [tool["name"] for tool in found.drafts["01conv2"].tools] == ["multiply"]
    assert messages[1]["x"]["tools"] == ["multiply"]
    assert messages[1]["usage"] == {
        "input_tokens": 557,
        "output_tokens": 9,
        "cache_read_tokens": 500,
        "cache_write_tokens": 50,
    }


def test_responses_without_a_conversation_are_sessions_and_so_is_what_deleted_ones_left() -> None:
    found = read(RESPONSES)
    assert roles(found.sessions["01resp00000000000000000005"]) == ["user", "assistant"]
    assert "conversation-missing" in found.drafts["01conv3"].issues
    assert "response-missing" in found.drafts["01gone"].issues
    assert found.sessions["01gone"][0]["parts"][0]["record"]["table"] == "tool_calls"
    assert found.sessions["01conv4"] == [] and found.drafts["01conv4"].title == "Never answered"
    assert found.counts == (28, 27, 1, 0)


def test_a_thread_is_the_chain_of_its_messages() -> None:
    found = read(THREADS)
    messages = found.sessions["01thread1"]
    assert [message["id"] for message in messages] == [hashed(f"0{number}") for number in range(1, 6)]
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant"]
    assert messages[1]["parts"][0]["content"] == "A long text about birds.\nMultiply 6 by 7"
    assert messages[1]["parts"][1]["type"] == "blob"
    assert messages[2]["parts"][0] == {
        "type": "reasoning",
        "content": "",
        "redacted": True,
        "provider_metadata": {"openai": {"id": "rs_1"}},
    }
    assert [part["type"] for part in messages[3]["parts"]] == ["tool_call_response", "uri"]
    assert messages[4]["parts"][1]["type"] == "hologram"
    assert messages[2]["x"]["tools"] == ["multiply"] and messages[2]["x"]["options"] == {"temperature": 1}
    assert messages[4]["x"]["instances"][0]["instance"]["arguments"] == {"digits": 3}
    assert found.counts == (41, 41, 0, 0)


def test_only_a_turn_tells_times_and_what_was_sent_before_it_has_none() -> None:
    messages = read(THREADS).sessions["01thread1"]
    times = [message.get("time") for message in messages]
    first, second = "2026-02-01T09:01:00+00:00", "2026-02-01T09:02:00+00:00"
    assert times == [None, first, first, second, second]
    assert read(THREADS).drafts["01thread1"].created_at == "2026-02-01T09:00:01.5+00:00"


def test_a_fork_repeats_its_history_but_not_its_bill() -> None:
    found = read(THREADS)
    draft, messages = found.drafts["01thread2"], found.sessions["01thread2"]
    assert draft.forked_from == {"key": "llm:01thread1", "relation": "fork"}
    assert [message["id"] for message in messages[:5]] == [m["id"] for m in found.sessions["01thread1"]]
    assert sum(message.get("usage", {}).get("input_tokens", 0) for message in messages) == 30 + 40
    bills = (message.get("usage", {}) for every in found.sessions.values() for message in every)
    assert sum((Counter(bill) for bill in bills), Counter()) == {"input_tokens": 150, "output_tokens": 15}


def test_two_calls_with_the_same_answer_are_two_messages() -> None:
    draft, messages = read(THREADS).drafts["01thread2"], read(THREADS).sessions["01thread2"]
    assert messages[-1]["id"] == f"{messages[-2]['id']}~2"
    assert messages[-1]["parent"] == hashed("06")
    assert draft.active_leaf == hashed("07")


def test_turns_and_messages_without_a_thread_are_found() -> None:
    found = read(THREADS)
    assert "thread-missing" in found.drafts["01threadgone"].issues
    assert text(found.sessions["01threadgone"][-1]) == "Hello"
    lost = found.sessions[hashed("0a")]
    assert [message.get("kind") for message in lost] == [None, None, "meta"]
    assert lost[2]["parent"] == hashed("0a")
    assert "messages-without-thread" in found.drafts[hashed("0a")].issues


def test_a_conversation_that_went_on_in_the_new_tables_is_one_session_without_repetition() -> None:
    found = read(ALL)
    messages = found.sessions["01conv2"]
    assert [text(message) for message in messages] == [
        "Multiply 6 by 7",
        "Response 3",
        "",
        "Response 4",
        "Once more",
        "Still 42",
    ]
    assert messages[-1]["usage"] == {"input_tokens": 60, "output_tokens": 6}
    assert found.drafts["01conv2"].created_at is None
    assert found.counts == (83, 82, 1, 0)


def test_history_that_differs_is_kept_beside_what_is_known(tmp_path: Path) -> None:
    path = changed(ALL, tmp_path, "UPDATE responses SET response = 'Edited' WHERE id LIKE '%0003'")
    messages = read(path).sessions["01conv2"]
    assert len(messages) == 4 + 5
    assert messages[4]["id"] == hashed("12") and messages[4]["parent"] == messages[0]["id"]


def test_a_call_that_both_generations_hold_is_billed_once(tmp_path: Path) -> None:
    turn = "UPDATE turns SET id = '01resp00000000000000000004', parent_message_hash = '{}', tip_message_hash = '{}'"
    path = changed(
        ALL,
        tmp_path,
        turn.format(hashed("13"), hashed("14")) + " WHERE id = '01turn6'",
        f"UPDATE threads SET tip_message_hash = '{hashed('14')}' WHERE id = '01conv2'",
    )
    assert len(read(path).sessions["01conv2"]) == 4


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({}, (10, 4, 0, 0, 0)),
        (
            {"input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 1}},
            (10, 4, 2, 0, 1),
        ),
        ({"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}, (130, 4, 100, 20, 0)),
        ({"candidatesTokenCount": 3, "thoughtsTokenCount": 1, "cachedContentTokenCount": 5}, (10, 4, 5, 0, 1)),
        ({"candidatesTokenCount": 4, "thoughtsTokenCount": 6}, (10, 10, 0, 0, 6)),
        ({"prompt_tokens_details": [1], "thoughtsTokenCount": "many", "cache_read_input_tokens": -5}, (10, 4, 0, 0, 0)),
    ],
)
def test_token_details_of_each_provider(details: dict[str, object], expected: tuple[int, ...]) -> None:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    figures = usage({"input_tokens": 10, "output_tokens": 4}, {"token_details": details})
    assert tuple(figures.get(name, 0) for name in names) == expected


def test_circles_and_missing_links_are_survived(tmp_path: Path) -> None:
    path = changed(
        THREADS,
        tmp_path,
        f"UPDATE messages SET parent_hash = '{hashed('05')}' WHERE hash = '{hashed('01')}'",
        f"UPDATE messages SET parent_hash = '{hashed('0b')}' WHERE hash = '{hashed('0a')}'",
        f"UPDATE messages SET parent_hash = 'b2:nowhere' WHERE hash = '{hashed('08')}'",
        "UPDATE turns SET tip_message_hash = NULL WHERE id = '01turn2'",
        "UPDATE turns SET thread_id = NULL WHERE id = '01turn3'",
        "UPDATE threads SET forked_from = 5, name = X'00' WHERE id = '01thread2'",
        "INSERT INTO parts VALUES (99, 'b2:nowhere', 0, 'text', NULL, 'x', NULL)",
        "INSERT INTO turn_tools VALUES ('01nobody', 1, NULL)",
    )
    found = read(path)
    assert "parent-missing" in found.drafts["01threadgone"].issues
    reasons = [reason for _, reason in found.source.account.rejected]
    assert reasons == ["a row of turn_tools that belongs to no turn", "a part that belongs to no message"]
    assert "01turn3" in found.sessions


@pytest.mark.parametrize("value", ["NULL", "5", "X'00FF'", "9e999", "''", "'[]'", "'{\"a\": [1]}'"])
def test_values_of_any_type_are_survived(value: str, tmp_path: Path) -> None:
    with sqlite3.connect(f"file:{ALL}?mode=ro&immutable=1", uri=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    for table, column in columns:
        one = f'UPDATE OR IGNORE "{table}" SET "{column}" = {value}'
        try:
            path = changed(ALL, tmp_path, f"{one} WHERE rowid = 1", f"{one} WHERE rowid = 3")
        except sqlite3.IntegrityError:
            continue
        read(path)


def test_a_database_cut_off_is_refused() -> None:
    data = ALL.read_bytes()
    for size in range(50, len(data), 20_000):
        with pytest.raises(Unparsable):
            imported(Llm(), data[:size], companions={})


@pytest.mark.samples
def test_the_databases_of_the_real_program_are_read_wholly(samples: Path) -> None:
    for name, sessions, messages in (("logs-0.26.db", 2, 7), ("logs-0.36.db", 3, 10)):
        path = next((samples / "llm-logs-db").rglob(name))
        assert recognised(Llm(), path)
        found = read(path)
        assert len(found.sessions) == sessions
        assert sum(map(len, found.sessions.values())) == messages
        assert found.source.account.mapped == found.source.account.records
        assert all("time" in message for every in found.sessions.values() for message in every)
