"""What the tests of mcp_coder's names share: a place of their own, and a program that answers as Claude Code does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Machine
from sessionstore.migrate.run import Report, Request, migrate
from sessionstore.store import Store

PROGRAM = Path(__file__).parent.parent / "adapters" / "fake_claude.py"
VARIABLES = ("MCP_CODER_LLM_PROVIDER", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "FAKE_CLAUDE")


class Place:
    """A home, a working directory and a store that belong to one test."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.home, self.work, self.store = root, root / "home", root / "work", root / "store"
        for directory in (self.home, self.work):
            directory.mkdir()
        self.program = root / "claude"
        shutil.copy(PROGRAM, root / "fake.py")
        self.program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{root / "fake.py"}" "$@"\n')
        self.program.chmod(0o755)
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.work)

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "SESSIONSTORE_DIR": str(self.store),
            "SESSIONSTORE_CLAUDE": str(self.program),
        }

    def sessions(self) -> dict[str, list[dict[str, Any]]]:
        """All sessions of the store, by key, each with its messages, as another process would see them."""
        return sessions(self.store)

    def import_all(self, *paths: Path) -> Report:
        """Migrate these files, as somebody may do at any time."""
        return imported(self.store, *paths)


def sessions(place: Path) -> dict[str, list[dict[str, Any]]]:
    store = Store(place)
    keys = {store.load_revision(name)["key"] for name in store.revision_names()}
    found = {}
    for key in sorted(keys):
        [head] = store.heads(key)
        found[key] = list(store.messages(head))
    return found


def imported(place: Path, *paths: Path) -> Report:
    machine = Machine(home=Path.home(), cwd=Path.cwd())
    report = migrate(Store(place), Request(tuple(map(str, paths))), machine)
    assert report.failed == []
    return report


def said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who has said what, without what is kept beside the conversation."""
    return [
        (
            message["role"],
            "".join(part.get("content", "") for part in message["parts"] if part["type"] == "text").strip(),
        )
        for message in messages
        if message["role"] in ("user", "assistant")
    ]


def response(text: str = "4", session_id: str | None = "550e8400-e29b-41d4-a716-446655440000", **more: Any) -> Any:
    """A response as mcp_coder passes it around."""
    return {
        "version": "1.0",
        "timestamp": "2026-03-01T10:00:00.123456",
        "text": text,
        "session_id": session_id,
        "provider": "claude",
        "raw_response": {"type": "result", "result": text, "session_id": session_id},
        **more,
    }


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))
