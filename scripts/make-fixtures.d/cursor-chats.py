"""Writes the fixture of Cursor's agent's chats: one database and the description beside it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

AGENT = "d00dfeed-0000-4000-8000-000000000001"
START = 1767258000000
"""2026-01-01T09:00:00Z in milliseconds."""


def make(target: Path) -> None:
    """Write the chat below `target`."""
    place = target / ".cursor" / "chats" / "0123456789abcdef0123456789abcdef" / AGENT
    place.mkdir(parents=True, exist_ok=True)
    about = {"schemaVersion": 1, "createdAtMs": START, "hasConversation": True, "updatedAtMs": START + 60_000}
    (place / "meta.json").write_text(json.dumps(about | {"cwd": "/home/ann/shelf-app"}))
    path = place / "store.db"
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.execute("CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB)")
    base.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
    call = {"type": "tool-call", "toolCallId": "t1", "toolName": "Shell", "args": {"command": "wc -l shelf.txt"}}
    result = {"type": "tool-result", "toolCallId": "t1", "toolName": "Shell", "result": "2 shelf.txt"}
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "text", "text": "How many books? 书"}]},
        {
            "role": "assistant",
            "id": "1",
            "content": [{"type": "reasoning", "text": "Count.", "signature": "c2ln"}, call],
        },
        {"role": "tool", "id": "2", "content": [result]},
        {"role": "assistant", "id": "3", "content": [{"type": "text", "text": "Three."}]},
        {"role": "assistant", "id": "3", "content": [{"type": "text", "text": "Two."}]},
    ]
    names = [_add(base, json.dumps(one, ensure_ascii=False).encode()) for one in said]
    _add(base, _root(names[:5]))
    root = _add(base, _root(names[:4] + names[5:]))
    meta = {
        "agentId": AGENT,
        "latestRootBlobId": root,
        "name": "Count the books",
        "mode": "default",
        "createdAt": START,
    }
    base.execute("INSERT INTO meta VALUES ('0', ?)", (json.dumps(meta).encode().hex(),))
    base.commit()
    base.close()


def _add(base: sqlite3.Connection, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    base.execute("INSERT INTO blobs VALUES (?, ?)", (name, data))
    return name


def _root(names: list[str]) -> bytes:
    return b"".join(b"\x0a\x20" + bytes.fromhex(name) for name in names) + b"\x10\x05" + b"\x4a\x03abc"


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / "cursor-chats")
