"""The older programs' ways of writing sessions, written down from their formats' description and from nothing else."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class KimiProgram:
    """`.kimi_sessions`: in place, ASCII, system messages and the last 50 others, naive local times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, ident: str) -> Path:
        return self.folder / f"{ident}.json"

    def load(self, ident: str) -> Record | None:
        path = self.path(ident)
        if not path.exists():
            return None
        with open(path) as file:
            found: Record = json.load(file)
        return found

    def save(self, ident: str, messages: list[Record], now: datetime | None = None) -> None:
        self.folder.mkdir(exist_ok=True)
        present = (now or datetime.now()).isoformat()
        before = self.load(ident) or {}
        topics = ident.split("_")[0].split("-")
        created = before.get("created", present)
        system = [one for one in messages if one["role"] == "system"]
        kept = system + [one for one in messages if one["role"] != "system"][-50:]
        document = {
            "session_id": ident,
            "messages": kept,
            "metadata": before.get("metadata") or {"created": created, "topics": topics},
            "created": created,
            "last_accessed": present,
            "message_count": len(kept),
            "topics": topics,
        }
        with open(self.path(ident), "w") as file:
            json.dump(document, file, indent=2)

    def say(self, ident: str, *messages: Record) -> None:
        """Go on with a session."""
        found = self.load(ident) or {"messages": []}
        self.save(ident, [*found["messages"], *messages])


class UnifiedProgram:
    """`.llm_sessions/sessions`: UTF-8, by a temporary file, naive local times, seconds since 1970 for answers."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "sessions"

    def load(self, ident: str) -> Record | None:
        path = self.folder / f"{ident}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def save(self, document: Record, now: str | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        document["updated_at"] = now or datetime.now().isoformat()
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=f".{document['id']}_", suffix=".tmp")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2, ensure_ascii=False))
        os.replace(name, self.folder / f"{document['id']}.json")

    def create(self, ident: str, model: str, system: str | None, metadata: Record, now: str) -> Record:
        document: Record = {
            "id": ident,
            "version": "1.0",
            "created_at": now,
            "updated_at": now,
            "model": model,
            "models_used": [model],
            "messages": [],
            "metadata": {
                "system_prompt": system,
                "tags": [],
                "total_tokens": 0,
                "total_cost": 0.0,
                "model_switches": [],
                **metadata,
            },
        }
        if system:
            document["messages"].append({"role": "system", "content": system, "timestamp": now})
        return document

    def say(self, ident: str, role: str, content: str, **metadata: Any) -> None:
        """Go on with a session."""
        document = self.load(ident)
        assert document is not None
        document["messages"].append(
            {"role": role, "content": content, "timestamp": datetime.now().isoformat(), **metadata}
        )
        self.save(document)
