"""Writes the fixtures of Cursor: one state database of each generation, and the workspace beside it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

USER = ".config/Cursor/User"
NEW = "0a1b2c3d-0000-4000-8000-000000000001"
SUB = "0a1b2c3d-0000-4000-8000-000000000002"
LOST = "0a1b2c3d-0000-4000-8000-000000000003"
OLD = "0a1b2c3d-0000-4000-8000-000000000004"
START = 1767258000000
"""2026-01-01T09:00:00Z in milliseconds."""


def make(target: Path) -> None:
    """Write every database below `target`."""
    _database(target / USER / "globalStorage" / "state.vscdb", {"cursorAuth/accessToken": "not-to-be-read"}, _global())
    composers = {
        "allComposers": [
            _composer(
                OLD, "Plan the garden", conversation=[_said(1, "b1", "What grows here?"), _said(2, "b2", "Beans.")]
            ),
            {"composerId": NEW, "name": "Sort the shelf", "createdAt": START, "type": "head"},
        ],
        "selectedComposerId": OLD,
        "composerDataVersion": 1,
    }
    prompts = [{"text": "What grows here?", "commandType": 4}, {"text": "Sort them", "commandType": 4}]
    items = {"composer.composerData": composers, "aiService.prompts": prompts, "cursorAuth/cachedEmail": "nobody"}
    _workspace(target, "11aa", items, "file:///c%3A/Users/ann/garden", [])
    _workspace(
        target,
        "22bb",
        {"workbench.panel.aichat.view.aichat.chatdata": {"tabs": [_tab()]}},
        "file:///home/ann/sh%C3%A9lf",
    )


def _workspace(
    target: Path, name: str, items: dict[str, Any], folder: str, rows: list[tuple[str, Any]] | None = None
) -> None:
    place = target / USER / "workspaceStorage" / name
    _database(place / "state.vscdb", items, rows)
    (place / "workspace.json").write_text(json.dumps({"folder": folder}, indent=2))


def _database(path: Path, items: dict[str, Any], rows: list[tuple[str, Any]] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
    base.executemany("INSERT INTO ItemTable VALUES (?, ?)", ((key, _text(value)) for key, value in items.items()))
    if rows is not None:
        base.execute("CREATE TABLE cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
        base.executemany("INSERT INTO cursorDiskKV VALUES (?, ?)", ((key, _text(value)) for key, value in rows))
    base.commit()
    base.close()


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bytes) else json.dumps(value, separators=(",", ":"))


def _said(kind: int, ident: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "bubbleId": ident, "text": text, "images": []} | fields


def _composer(ident: str, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "composerId": ident,
        "name": name,
        "createdAt": START,
        "lastUpdatedAt": START + 60_000,
        "status": "completed",
    } | fields


def _tab() -> dict[str, Any]:
    return {
        "tabId": "tab-1",
        "chatTitle": "Names of birds",
        "lastSendTime": START + 5_000,
        "bubbles": [
            {"type": "user", "id": "t1", "rawText": "Name a bird.", "initText": '{"root":{}}', "messageType": 2},
            {"type": "ai", "id": "t2", "rawText": "Wren.", "text": "Wren.", "modelType": "gpt-4", "requestId": "r1"},
            {"type": "ai", "text": "Or robin."},
        ],
    }


def _global() -> list[tuple[str, Any]]:
    listed = [{"bubbleId": f"b{n}", "type": 1 if n == 1 else 2} for n in (1, 2, 3, 4, 9)]
    tool = {
        "tool": 5,
        "name": "read_file",
        "toolCallId": "call-1",
        "params": '{"path":"shelf.txt"}',
        "rawArgs": '{"target_file":"shelf.txt"}',
        "result": '{"contents":"Dune\\nEmma"}',
        "status": "completed",
    }
    failed = {"name": "run_terminal_cmd", "toolCallId": "call-2", "params": "{}", "result": "exit 1", "status": "error"}
    identifier = {"id": "11aa", "uri": {"fsPath": "/home/ann/shelf-app", "external": "file:///home/ann/shelf-app"}}
    composer = _composer(
        NEW, "Sort the shelf", fullConversationHeadersOnly=listed, modelConfig={"modelName": "claude-4.5-sonnet"},
        workspaceIdentifier=identifier, usageData={"claude-4.5-sonnet": {"costInCents": 4, "amount": 1}}, _v=10,
    )  # fmt: skip
    below = _composer(SUB, "", fullConversationHeadersOnly=[{"bubbleId": "s1"}], subagentInfo={"parentComposerId": NEW})
    at = "2026-01-01T09:00:0"
    answer = _said(
        2, "b2", "", createdAt=f"{at}2.000Z", thinking={"text": "Look first.", "signature": "c2ln"},
        toolFormerData=tool, tokenCount={"inputTokens": 900, "outputTokens": 30},
        modelInfo={"modelName": "claude-4.5-sonnet"},
    )  # fmt: skip
    return [
        (f"bubbleId:{NEW}:b2", answer),
        (f"bubbleId:{NEW}:b1", _said(1, "b1", "Which books are there? 书", createdAt=f"{at}1.000Z", richText="{}")),
        (f"bubbleId:{NEW}:b3", _said(2, "b3", "Two books.", createdAt=f"{at}3.000Z", toolFormerData=failed)),
        (f"bubbleId:{NEW}:b4", None),
        (f"bubbleId:{NEW}:b5", _said(1, "b5", "taken back", createdAt=f"{at}5.000Z")),
        (f"bubbleId:{NEW}:b6", _said(2, "b6", "answer taken back", createdAt=START + 6_000)),
        (f"composerData:{NEW}", composer),
        (f"composerData:{SUB}", json.dumps(below).encode()),
        (f"bubbleId:{SUB}:s1", _said(1, "s1", "Count them.", timestamp=START)),
        (f"bubbleId:{LOST}:x1", _said(1, "x1", "Nobody lists me.")),
        (f"bubbleId:{LOST}:x2", {"type": 7, "bubbleId": "x2"}),
        (f"bubbleId:{LOST}:x3", "{torn"),
        ("composerData:0a1b2c3d-0000-4000-8000-000000000005", _composer("0a1b2c3d-0000-4000-8000-000000000005", "")),
        ("checkpointId:1", {"files": []}),
    ]  # fmt: skip


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / "cursor")
