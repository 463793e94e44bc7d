"""Fixtures of Claude.ai data exports: the zip file, the unpacked folder, and a conversation of the website."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

ACCOUNT = {"uuid": "acc00000-0000-4000-8000-000000000001"}
PROJECT = "0b0b0b0b-0000-4000-8000-000000000001"
NO_PARENT = "00000000-0000-4000-8000-000000000000"


def message(number: int, sender: str, content: Any, text: str = "", **fields: Any) -> dict[str, Any]:
    """A message as the service writes it."""
    time = f"2026-03-01T10:00:{number:02}.123456Z"
    return {
        "uuid": f"11111111-0000-4000-8000-{number:012}",
        "text": text,
        "content": content,
        "sender": sender,
        "created_at": time,
        "updated_at": time,
        "attachments": [],
        "files": [],
    } | fields


def block(text: str) -> dict[str, Any]:
    """A block of text."""
    return {
        "start_timestamp": "2026-03-01T10:00:01.000000Z",
        "stop_timestamp": None,
        "flags": None,
        "type": "text",
        "text": text,
        "citations": [],
    }


def exported() -> list[dict[str, Any]]:
    """The conversations of an export."""
    ask = message(1, "human", [block("Sum the list.")], "Sum the list.")
    ask["attachments"] = [
        {"file_name": "list.csv", "file_size": 12, "file_type": "text/csv", "extracted_content": "a,1\nb,2\n"}
    ]
    ask["files"] = [{"file_name": "photo.jpg"}]
    answer = message(
        2,
        "assistant",
        [
            {"type": "thinking", "thinking": "Add them.", "summaries": [{"summary": "Adding"}], "cut_off": False},
            {"type": "tool_use", "id": "toolu_1", "name": "repl", "input": {"code": "1+2"}, "message": "Adding"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "name": "repl",
                "content": [{"type": "text", "text": "3", "uuid": "t1"}],
                "is_error": False,
            },
            {"type": "token_budget"},
            block("The sum is 3."),
        ],
        "```\nThis block is not supported on your current device yet.\n```\n\nThe sum is 3.",
    )
    old = message(3, "human", [], "Older exports have no blocks.")
    failed = message(
        4, "assistant", [{"type": "tool_result", "name": "web", "content": "timeout", "is_error": True}], ""
    )
    naive = message(5, "human", [{"type": "voice_note", "title": "Note", "text": "Hello there"}], "")
    naive["created_at"] = naive["updated_at"] = "2026-03-01T12:00:00.000001"
    return [
        {
            "uuid": "22222222-0000-4000-8000-000000000001",
            "name": "Sum of a list",
            "summary": "",
            "created_at": "2026-03-01T10:00:00.000000Z",
            "updated_at": "2026-03-01T10:05:00.000000Z",
            "account": ACCOUNT,
            "project_uuid": PROJECT,
            "chat_messages": [ask, answer],
        },
        {
            "uuid": "22222222-0000-4000-8000-000000000002",
            "name": "",
            "created_at": "2026-03-01T10:00:00.000000+00:00",
            "updated_at": "2026-03-01T10:05:00",
            "account": ACCOUNT,
            "chat_messages": [old, failed, naive],
        },
        {"uuid": "22222222-0000-4000-8000-000000000003", "name": "Nothing left", "account": ACCOUNT},
        {"uuid": "22222222-0000-4000-8000-000000000004", "name": "Never used", "chat_messages": []},
    ]


def broken() -> list[dict[str, Any]]:
    """Conversations with wrong shapes, as they have been seen."""
    return [
        {
            "uuid": "33333333-0000-4000-8000-000000000001",
            "name": "Wrong shapes",
            "created_at": "2026-03-01T10:00:00Z",
            "updated_at": "2026-03-01T10:00:00Z",
            "chat_messages": [
                message(1, "human", None, "No content"),
                message(2, "assistant", [{"type": "text", "text": None}], "A text that is null"),
                message(3, "human", "A plain text", "something else"),
                message(4, "assistant", [{"type": "text", "text": 5}, {"kind": "?"}], ""),
                message(5, "martian", [block("Who?")], ""),
                message(4, "human", [block("The same id again")], ""),
                "no object",
            ],
        },
        "no conversation",
        {"something": "else"},
    ]


def captured() -> dict[str, Any]:
    """A conversation as the website's own interface gives it: a tree."""

    def node(number: int, sender: str, text: str, parent: str) -> dict[str, Any]:
        made = message(number, sender, [block(text)], "", parent_message_uuid=parent, index=number - 1, truncated=False)
        return made | {"files_v2": [], "sync_sources": []}

    def uuid(number: int) -> str:
        return f"11111111-0000-4000-8000-{number:012}"

    stopped = {"stop_reason": "stop_sequence"}
    return {
        "uuid": "44444444-0000-4000-8000-000000000001",
        "name": "Two answers",
        "summary": "",
        "model": "claude-sonnet-4-5",
        "created_at": "2026-03-01T10:00:00.000000+00:00",
        "updated_at": "2026-03-01T10:05:00.000000+00:00",
        "settings": {"preview_feature_uses_artifacts": True},
        "is_starred": True,
        "project": {"uuid": PROJECT, "name": "Kitchen"},
        "current_leaf_message_uuid": uuid(3),
        "chat_messages": [
            node(1, "human", "A name for a bakery?", NO_PARENT),
            node(2, "assistant", "Crumb.", uuid(1)) | stopped,
            node(3, "assistant", "Rise.", uuid(1)) | stopped,
            node(4, "human", "Why?", "99999999-0000-4000-8000-000000000000"),
        ],
    }


def files() -> dict[str, bytes]:
    """The files of an export by name."""
    project = {
        "uuid": PROJECT,
        "name": "Kitchen",
        "description": "All about bread",
        "is_private": True,
        "prompt_template": "Answer in grams.",
        "created_at": "2026-02-01T10:00:00.000000+00:00",
        "updated_at": "2026-02-02T10:00:00.000000+00:00",
        "creator": {"uuid": ACCOUNT["uuid"], "full_name": "A Baker"},
        "docs": [
            {
                "uuid": "d0c00000-0000-4000-8000-000000000001",
                "filename": "sourdough.md",
                "content": "Feed it daily.",
                "created_at": "2026-02-01T11:00:00.000000+00:00",
            },
            {"uuid": "d0c00000-0000-4000-8000-000000000002", "filename": "lost.md", "content": None},
        ],
    }
    memory = {
        "conversations_memory": "Bakes at weekends.",
        "project_memories": {PROJECT: "Prefers rye."},
        "account_uuid": ACCOUNT["uuid"],
    }
    user = {"uuid": ACCOUNT["uuid"], "full_name": "A Baker", "email_address": "baker@example.org"}
    return {
        "users.json": json.dumps([user]).encode(),
        "projects.json": json.dumps([project]).encode(),
        "memories.json": json.dumps([memory]).encode(),
        "conversations.json": json.dumps(exported(), ensure_ascii=False, indent=2).encode(),
    }


def packed(path: Path, content: dict[str, bytes]) -> None:
    """Write a zip file, the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)


def make(target: Path) -> None:
    """Write the fixtures below `target`."""
    content = files()
    packed(target / "data-2026-03-02-00-00-00-batch-0000.zip", content)
    single = {"captured.json": captured(), "broken.json": broken()}
    for name, data in (
        {f"export/{name}": data for name, data in content.items()}
        | {name: json.dumps(value, indent=1).encode() for name, value in single.items()}
    ).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
