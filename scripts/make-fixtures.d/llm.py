"""Writes the fixtures of the llm format: `logs.db` as its three generations lay it out."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

LOG = "CREATE TABLE log (provider TEXT, system TEXT, prompt TEXT, response TEXT, model TEXT, timestamp TEXT);"
LOGS = """
CREATE TABLE logs (id INTEGER PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
  response TEXT, response_json TEXT, reply_to_id INTEGER REFERENCES logs(id), chat_id INTEGER, duration_ms INTEGER,
  datetime_utc TEXT);
"""
SECOND = """
CREATE TABLE _llm_migrations (name TEXT PRIMARY KEY, applied_at TEXT);
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT REFERENCES responses(id), attachment_id TEXT, "order" INTEGER,
  PRIMARY KEY (response_id, attachment_id));
CREATE TABLE schemas (id TEXT PRIMARY KEY, content TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
  response TEXT, response_json TEXT, conversation_id TEXT REFERENCES conversations(id), duration_ms INTEGER,
  datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER, token_details TEXT, schema_id TEXT,
  resolved_model TEXT, reasoning TEXT);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE fragment_aliases (alias TEXT PRIMARY KEY, fragment_id INTEGER);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER,
  PRIMARY KEY (response_id, fragment_id, "order"));
CREATE TABLE system_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER,
  PRIMARY KEY (response_id, fragment_id, "order"));
CREATE TABLE tools (id INTEGER PRIMARY KEY, hash TEXT, name TEXT, description TEXT, input_schema TEXT, plugin TEXT);
CREATE TABLE tool_responses (tool_id INTEGER, response_id TEXT, PRIMARY KEY (tool_id, response_id));
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
  tool_call_id TEXT);
CREATE TABLE tool_instances (id INTEGER PRIMARY KEY, plugin TEXT, name TEXT, arguments TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT,
  tool_call_id TEXT, instance_id INTEGER, exception TEXT);
CREATE TABLE tool_results_attachments (tool_result_id INTEGER, attachment_id TEXT, "order" INTEGER,
  PRIMARY KEY (tool_result_id, attachment_id));
"""
THIRD = """
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT REFERENCES messages(hash), role TEXT,
  provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT REFERENCES messages(hash), position INTEGER, type TEXT,
  tool_name TEXT, text TEXT, payload TEXT);
CREATE UNIQUE INDEX idx_parts_message_hash_position ON parts (message_hash, position);
CREATE TABLE part_attachments (part_id INTEGER, attachment_id TEXT, "order" INTEGER,
  PRIMARY KEY (part_id, attachment_id, "order"));
CREATE TABLE part_fragments (part_id INTEGER, fragment_id INTEGER, "order" INTEGER,
  PRIMARY KEY (part_id, fragment_id, "order"));
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
  resolved_model TEXT, options_json TEXT, schema_id TEXT, input_tokens INTEGER, output_tokens INTEGER,
  token_details TEXT, duration_ms INTEGER, datetime_utc TEXT, response_json TEXT);
CREATE TABLE turn_fragments (turn_id TEXT, fragment_id INTEGER, "order" INTEGER, kind TEXT,
  PRIMARY KEY (turn_id, fragment_id, kind, "order"));
CREATE TABLE turn_search (id INTEGER PRIMARY KEY, turn_id TEXT, prompt TEXT, response TEXT);
CREATE TABLE turn_tools (turn_id TEXT, tool_id INTEGER, instance_id INTEGER, PRIMARY KEY (turn_id, tool_id));
CREATE TABLE tool_instantiations (turn_id TEXT, tool_call_id TEXT, instance_id INTEGER,
  PRIMARY KEY (turn_id, tool_call_id));
"""
PNG = b"\x89PNG\r\n\x1a\n made up"
DETAILS = '{"prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 12}}'
SCHEMA = '{"type": "object", "properties": {"animal": {"type": "string"}}}'
TOOL = '{"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"], "type": "object"}'


def database(path: Path, *scripts: str) -> sqlite3.Connection:
    """A new database with the tables of scripts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    for script in scripts:
        connection.executescript(script)
    return connection


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    """One row."""
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def first(connection: sqlite3.Connection) -> None:
    """A chat of two rows with another between them, and a row that answers one that is gone."""
    rows: list[tuple[int, str, str | None, int | None, int | None]] = [
        (1, "Name a bird", "Answer in one word.", None, None),
        (2, "Something else", None, None, None),
        (3, "And its colour?", None, 1, 1),
        (4, "Lost", None, 1, 99),
    ]
    for number, prompt, system, chat, reply_to in rows:
        insert(
            connection,
            "logs",
            id=number,
            model="gpt-3.5-turbo",
            prompt=prompt,
            system=system,
            response=f"Answer {number}",
            reply_to_id=reply_to,
            chat_id=chat,
            duration_ms=1200,
            datetime_utc=f"2023-06-1{number} 10:00:00.123456",
            response_json='{"usage": {"prompt_tokens": 9, "completion_tokens": 2}}' if number == 1 else None,
        )


def shared(connection: sqlite3.Connection) -> None:
    """What responses and turns refer to."""
    insert(connection, "attachments", id="a" * 64, type="image/png", content=PNG)
    insert(connection, "attachments", id="b" * 64, type="image/png", url="https://example.org/bird.png")
    insert(connection, "attachments", id="c" * 64, type="text/plain", path="/home/ada/bird.txt")
    insert(connection, "schemas", id="s1", content=SCHEMA)
    insert(connection, "fragments", id=1, hash="f1", content="A long text about birds.", source="birds.txt")
    insert(connection, "fragments", id=2, hash="f2", content="Nobody uses this.")
    insert(connection, "tools", id=1, hash="t1", name="multiply", description="Multiply", input_schema=TOOL)
    insert(connection, "tool_instances", id=1, plugin="calc", name="Calculator", arguments='{"digits": 3}')


def response(
    connection: sqlite3.Connection, number: int, conversation: str | None, prompt: str | None, **row: Any
) -> str:
    """A response's row; gives its id."""
    name = f"01resp{number:020}"
    known = {
        "id": name,
        "model": "gpt-4o-mini",
        "prompt": prompt,
        "options_json": "{}",
        "response": f"Response {number}",
        "conversation_id": conversation,
        "duration_ms": 800,
        "datetime_utc": f"2024-05-01T08:{number:02}:00.000001+00:00",
    }
    insert(connection, "responses", **(known | row))
    return name


def second(connection: sqlite3.Connection) -> None:
    """Conversations with all that belongs to them, a response without one, and what a deleted response left."""
    insert(connection, "conversations", id="01conv1", name="What is in this picture?", model="gpt-4o-mini")
    insert(connection, "conversations", id="01conv2", name="Multiply", model="claude-3.5-sonnet")
    insert(connection, "conversations", id="01conv4", name="Never answered", model="gpt-4o-mini")
    one = response(
        connection,
        1,
        "01conv1",
        "What is in this picture?",
        system="Be kind.",
        input_tokens=100,
        output_tokens=30,
        options_json='{"temperature": 0.5}',
        token_details=DETAILS,
        resolved_model="gpt-4o-mini-2024-07-18",
        response_json='{"id": "chatcmpl-1", "finish_reason": "stop"}',
        reasoning="It has feathers.",
    )
    for order, name in enumerate("abc"):
        insert(connection, "prompt_attachments", response_id=one, attachment_id=name * 64, order=order)
    insert(connection, "system_fragments", response_id=one, fragment_id=1, order=0)
    two = response(connection, 2, "01conv1", "And now as JSON", schema_id="s1", datetime_utc="2024-05-01T08:02:00.5")
    insert(connection, "prompt_fragments", response_id=two, fragment_id=1, order=0)
    insert(connection, "prompt_fragments", response_id=two, fragment_id=9, order=1)
    cached = '{"cache_creation_input_tokens": 50, "cache_read_input_tokens": 500}'
    claude = {"model": "claude-3.5-sonnet", "input_tokens": 7, "output_tokens": 9, "token_details": cached}
    asks = response(connection, 3, "01conv2", "Multiply 6 by 7", **claude)
    tells = response(connection, 4, "01conv2", "", **claude)
    for name in (asks, tells):
        insert(connection, "tool_responses", tool_id=1, response_id=name)
    arguments = {"arguments": '{"a": 6, "b": 7}', "tool_call_id": "call_1"}
    insert(connection, "tool_calls", id=1, response_id=asks, tool_id=1, name="multiply", **arguments)
    result = {"id": 1, "response_id": tells, "tool_id": 1, "name": "multiply", "tool_call_id": "call_1"}
    insert(connection, "tool_results", **result, output="boom", instance_id=1, exception="ValueError: boom")
    insert(connection, "tool_results_attachments", tool_result_id=1, attachment_id="a" * 64, order=0)
    response(connection, 5, None, "Alone")
    response(connection, 6, "01conv3", "My conversation was deleted")
    insert(connection, "tool_calls", id=2, response_id="01gone", tool_id=1, name="multiply", **arguments)


def message(connection: sqlite3.Connection, name: str, parent: str | None, role: str, *parts: dict[str, Any]) -> str:
    """A message with its parts, given as the program writes them; gives its hash."""
    name = f"b2:{name:0<32}"
    insert(connection, "messages", hash=name, parent_hash=parent, role=role)
    for position, given in enumerate(parts):
        payload = {key: value for key, value in given.items() if key not in ("type", "text")}
        row = {"message_hash": name, "position": position, "type": given["type"], "tool_name": given.get("name")}
        insert(connection, "parts", **row, text=given.get("text"), payload=json.dumps(payload) if payload else None)
    return name


def said(text: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": text}


def turn(connection: sqlite3.Connection, number: int, thread: str | None, parent: str, tip: str, **row: Any) -> None:
    """A turn's row."""
    known = {"id": f"01turn{number}", "thread_id": thread, "parent_message_hash": parent, "tip_message_hash": tip}
    figures = {"model": "toy", "input_tokens": 10 * number, "output_tokens": number, "duration_ms": 5}
    insert(connection, "turns", **(known | figures | {"datetime_utc": f"2026-02-01T09:{number:02}:00+00:00"} | row))


def third(connection: sqlite3.Connection, *, continued: bool) -> None:
    """A thread with tools and a fork, calls that got the same answer, and messages that no thread leads to. With
    `continued`, a conversation of the second generation that went on."""
    system = message(connection, "01", None, "system", said("Be brief."))
    picture = {"type": "attachment", "attachment": {"id": "a" * 64}}
    borrowed = {"type": "text", "text_ref": [{"fragment": 1}, {"literal": "\nMultiply 6 by 7"}]}
    asked = message(connection, "02", system, "user", borrowed, picture)
    call = {"type": "tool_call", "name": "multiply", "arguments": {"a": 6, "b": 7}, "tool_call_id": "call_1"}
    thought = {"type": "reasoning", "text": "", "redacted": True, "provider_metadata": {"openai": {"id": "rs_1"}}}
    calls = message(connection, "03", asked, "assistant", thought, call)
    result = {"type": "tool_result", "name": "multiply", "output": "42", "tool_call_id": "call_1"}
    got = message(connection, "04", calls, "tool", result | {"attachments": [{"id": "b" * 64}]})
    told = message(connection, "05", got, "assistant", said("42"), {"type": "hologram", "shape": "cube"})
    other = message(connection, "06", told, "user", said("In another branch"))
    end = message(connection, "07", other, "assistant", said("Yes"))
    thread = {"name": "A long text about birds.", "tip_message_hash": told}
    insert(connection, "threads", id="01thread1", **thread, datetime_utc="2026-02-01 09:00:01.5+00:00")
    fork = {"name": "a fork", "tip_message_hash": end, "forked_from": "01thread1"}
    insert(connection, "threads", id="01thread2", **fork, datetime_utc="2026-02-01 09:05:00+00:00")
    turn(connection, 1, "01thread1", asked, calls, options_json='{"temperature": 1}', resolved_model="toy-2")
    turn(connection, 2, "01thread1", got, told)
    turn(connection, 3, "01thread2", other, end)
    turn(connection, 4, "01thread2", other, end)
    turn(connection, 5, "01threadgone", system, message(connection, "08", system, "assistant", said("Hello")))
    insert(connection, "turn_tools", turn_id="01turn1", tool_id=1, instance_id=1)
    insert(connection, "turn_fragments", turn_id="01turn1", fragment_id=1, order=0, kind="prompt")
    insert(connection, "tool_instantiations", turn_id="01turn2", tool_call_id="call_1", instance_id=1)
    insert(connection, "part_fragments", part_id=2, fragment_id=1, order=0)
    lost = message(connection, "0a", None, "user", said("Nobody leads here"))
    message(connection, "0b", lost, "assistant", said("Nor here"))
    message(connection, "0c", lost, "narrator", said("Of a role unheard of"))
    if continued:
        again = message(connection, "11", None, "user", said("Multiply 6 by 7"))
        again = message(connection, "12", again, "assistant", said("Response 3"), call)
        result = {"type": "tool_result", "name": "multiply", "output": "boom", "tool_call_id": "call_1"}
        again = message(connection, "13", again, "tool", result)
        again = message(connection, "14", again, "assistant", said("Response 4"))
        more = message(connection, "15", again, "user", said("Once more"))
        end = message(connection, "16", more, "assistant", said("Still 42"))
        insert(
            connection,
            "threads",
            id="01conv2",
            name="x",
            tip_message_hash=end,
            datetime_utc="2026-02-02 09:00:00+00:00",
        )
        turn(connection, 6, "01conv2", more, end)


def make(target: Path) -> None:
    """Write all fixtures below a directory."""
    with database(target / "log" / "log.db", LOG) as connection:
        for hour in (3, 4):
            row = {
                "provider": "openai",
                "prompt": "What is SQLite?",
                "response": f"A library, {hour}.",
                "model": "gpt-4",
            }
            insert(connection, "log", **row, timestamp=f"2023-04-02 0{hour}:04:05.678900")
    with database(target / "responses" / "logs.db", SECOND) as connection:
        shared(connection)
        second(connection)
    with database(target / "threads" / "logs.db", SECOND, THIRD) as connection:
        shared(connection)
        third(connection, continued=False)
    with database(target / "all" / "logs.db", LOGS, SECOND, THIRD) as connection:
        first(connection)
        shared(connection)
        second(connection)
        third(connection, continued=True)
