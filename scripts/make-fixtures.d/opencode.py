"""Writes the fixtures of the opencode format: a tree of files, and a database with the same sessions."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

START = 1_770_000_000_000
WHERE = "/home/ann/shelf-app"
PROJECT = {"id": "p1", "worktree": WHERE, "vcs": "git", "time": {"created": START}}
MODEL = {"providerID": "anthropic", "modelID": "large-1"}
SCHEMA = """
CREATE TABLE project (id TEXT PRIMARY KEY, worktree TEXT, vcs TEXT, name TEXT, time_created INTEGER);
CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT, parent_id TEXT, slug TEXT, directory TEXT, title TEXT,
  version TEXT, time_created INTEGER, time_updated INTEGER, time_archived INTEGER, model TEXT, cost REAL,
  tokens_input INTEGER);
CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);
CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER, time_updated INTEGER,
  data TEXT);
CREATE TABLE todo (session_id TEXT, content TEXT, status TEXT, position INTEGER);
CREATE TABLE event (id TEXT PRIMARY KEY, aggregate_id TEXT, seq INTEGER, type TEXT, data TEXT);
CREATE TABLE account (id TEXT PRIMARY KEY, access_token TEXT);
"""


def session(name: str, at: int, **more: Any) -> dict[str, Any]:
    """A session's own record."""
    time = {"created": START + at, "updated": START + at + 9}
    return {"id": name, "version": "1.0.1", "projectID": "p1", "directory": WHERE, "time": time, **more}


def answer(at: int, **more: Any) -> dict[str, Any]:
    """An answer of the model, without its ids."""
    tokens = {"input": 2, "output": 30, "reasoning": 5, "cache": {"read": 100, "write": 10}}
    time = {"created": START + at, "completed": START + at + 1}
    return {"role": "assistant", "time": time, **MODEL, "cost": 0.0125, "tokens": tokens, "finish": "stop", **more}


def tool(status: str, **more: Any) -> dict[str, Any]:
    """A tool's use."""
    state = {"status": status, "input": {"command": "wc -l"}, **more}
    return {"type": "tool", "callID": f"t-{status}", "tool": "bash", "state": state}


def text(said: str, **more: Any) -> dict[str, Any]:
    """A text."""
    return {"type": "text", "text": said, **more}


PNG = {"type": "file", "mime": "image/png", "filename": "a.png", "url": "data:image/png;base64,iVBORw0KGgo="}
LINK = {"type": "file", "mime": "text/plain", "filename": "b.txt", "url": "file:///home/ann/b.txt"}
FAILED = {"name": "APIError", "data": {"message": "too busy"}}
SESSIONS = [
    (
        session("ses_2", 0, title="Books", summary={"additions": 1}),
        [
            (
                "msg_1",
                {"role": "user", "time": {"created": START + 1}, "model": MODEL},
                [text("How many? 书"), PNG, LINK],
            ),
            (
                "msg_2",
                answer(2, parentID="msg_1"),
                [
                    {"type": "step-start", "snapshot": "abc"},
                    {"type": "reasoning", "text": "Count.", "time": {"start": START}},
                    tool("completed", output="2", title="wc", time={"start": START, "end": START + 1}),
                    tool("error", error="no such file"),
                    tool("running"),
                    {"type": "step-finish", "reason": "stop", "cost": 0.0125, "tokens": {"input": 2}},
                ],
            ),
            ("msg_3", answer(3, error=FAILED, tokens={"input": 0}, cost=0, finish=None), []),
            ("msg_4", answer(4, summary=True), [text("Two books were counted.")]),
            ("msg_5", {"role": "user", "time": {"created": START + 5}}, [text("Go on.", synthetic=True)]),
        ],
    ),
    (
        session("ses_1", 10, title="Sub", parentID="ses_2"),
        [
            ("msg_6", {"role": "user", "time": {"created": START + 11}}, [text("Count.")]),
            ("msg_7", {"role": "narrator", "time": {"created": START + 12}}, [text("The end.")]),
        ],
    ),
]


def parts() -> list[tuple[str, str, str, dict[str, Any]]]:
    """(session, message, id, part) of every part."""
    found = []
    for info, messages in SESSIONS:
        for message, _, said in messages:
            for part in said:
                found.append((info["id"], message, f"prt_{len(found):02}", part))
    return found


def tree(storage: Path) -> None:
    """Write the tree of files."""
    files: dict[str, Any] = {"project/p1.json": PROJECT, "session_diff/ses_1.json": []}
    files["session_diff/ses_2.json"] = [{"file": "shelf.txt", "before": "", "after": "two", "additions": 1}]
    for info, messages in SESSIONS:
        files[f"session/p1/{info['id']}.json"] = info
        for name, record, _ in messages:
            files[f"message/{info['id']}/{name}.json"] = {"id": name, "sessionID": info["id"], **record}
    for owner, message, name, part in parts():
        files[f"part/{message}/{name}.json"] = {"id": name, "sessionID": owner, "messageID": message, **part}
    for name, value in files.items():
        path = storage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2))
    (storage / "migration").write_text("2")


def database(path: Path) -> None:
    """Write the database."""
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.executescript(SCHEMA)
    base.execute("INSERT INTO project VALUES ('p1', ?, 'git', NULL, ?)", (WHERE, START))
    for info, messages in SESSIONS:
        begun, name = info["time"]["created"], info["id"]
        values = (name, "p1", info.get("parentID"), f"slug-{name}", WHERE, info["title"], "1.2.0", begun, begun + 9)
        row = "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, 0.025, 200)"
        base.execute(row, (*values, json.dumps(MODEL)))
        for message, record, _ in messages:
            at = record["time"]["created"]
            base.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", (message, name, at, at, json.dumps(record)))
    for owner, message, name, part in parts():
        base.execute("INSERT INTO part VALUES (?, ?, ?, 1, 1, ?)", (name, message, owner, json.dumps(part)))
    base.execute("INSERT INTO part VALUES ('prt_99', 'msg_gone', 'ses_2', 1, 1, '{}')")
    base.execute("INSERT INTO todo VALUES ('ses_2', 'Count the books', 'completed', 0)")
    base.execute("INSERT INTO event VALUES ('e1', 'ses_2', 1, 'message.updated', '{}')")
    base.execute("INSERT INTO account VALUES ('a1', 'secret-token')")
    base.commit()
    base.execute("VACUUM")
    base.close()


def make(target: Path) -> None:
    """Write the fixtures below a directory."""
    place = target / ".local" / "share" / "opencode"
    place.mkdir(parents=True, exist_ok=True)
    tree(place / "storage")
    database(place / "opencode.db")
