"""The face of llm-mcp-server's unified sessions: `session_manager`, `utils.feature_flags`, `adapters.base_adapter` and
`migrate_sessions`, under one roof.

    from sessionstore.compat.llm_sessions import SessionManager, FeatureFlags

A session is handed out as the dictionary that the older program kept in `.llm_sessions/sessions/<id>.json`; it is made
anew each time, so changing it changes nothing until it is saved. Where the sessions are: `docs/compat/llm_sessions.md`.
"""

# ruff: noqa: UP006, UP035, UP045 - the annotations are the older program's own
from __future__ import annotations

import argparse
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Optional

from sessionstore import errors
from sessionstore.compat._llm_sessions_adapter import BaseAdapter
from sessionstore.compat._llm_sessions_keeping import Keeping
from sessionstore.flags import Flags

__all__ = ["BaseAdapter", "FeatureFlags", "SessionManager", "SessionMigrator", "main"]


class FeatureFlags:
    """The switches, read from the environment each time they are asked for."""

    @staticmethod
    def is_unified_sessions_enabled() -> bool:
        """LLM_UNIFIED, unless LLM_LEGACY is on."""
        return Flags.read(os.environ).unified

    @staticmethod
    def is_legacy_mode() -> bool:
        """LLM_LEGACY."""
        return Flags.read(os.environ).legacy

    @staticmethod
    def is_dual_write_enabled() -> bool:
        """LLM_DUAL_WRITE."""
        return Flags.read(os.environ).dual_write

    @staticmethod
    def get_migration_batch_size() -> int:
        """LLM_MIGRATION_BATCH_SIZE, in files."""
        return Flags.read(os.environ).batch_size

    @staticmethod
    def is_session_compression_enabled() -> bool:
        """LLM_SESSION_COMPRESS."""
        return Flags.read(os.environ).compress

    @staticmethod
    def get_session_cache_size() -> int:
        """LLM_SESSION_CACHE_SIZE, in sessions."""
        return Flags.read(os.environ).cache_size

    @staticmethod
    def get_compression_threshold() -> int:
        """LLM_COMPRESSION_THRESHOLD, in characters."""
        return Flags.read(os.environ).compression_threshold

    @staticmethod
    def is_sqlite_index_enabled() -> bool:
        """LLM_SESSION_INDEX."""
        return Flags.read(os.environ).index

    @staticmethod
    def get_active_features() -> dict:  # type: ignore[type-arg]
        """All of them, by name."""
        flags = Flags.read(os.environ)
        return {
            "unified_sessions": flags.unified,
            "legacy_mode": flags.legacy,
            "dual_write": flags.dual_write,
            "migration_batch_size": flags.batch_size,
            "session_compression": flags.compress,
            "session_cache_size": flags.cache_size,
            "compression_threshold": flags.compression_threshold,
            "sqlite_index": flags.index,
        }


class SessionManager:
    """Sessions of any model, as dictionaries. Safe to use from several threads and processes."""

    def __init__(self, base_dir: str = ".llm_sessions"):
        self.base_dir = Path(base_dir)
        self.sessions_dir = self.base_dir / "sessions"
        self._keeping = Keeping(base_dir, Flags.read(os.environ))

    def create_session(
        self,
        model: str,
        system_prompt: Optional[str] = None,
        metadata: Optional[Dict] = None,  # type: ignore[type-arg]
        session_id: Optional[str] = None,
    ) -> Dict:  # type: ignore[type-arg]
        """Make a session, durable when this returns it. Of an id that is there already a new one begins; what was said
        before stays in the store. Raises `TimeoutError`."""
        return self._keeping.create(model, system_prompt, metadata or {}, session_id)

    def load_session(self, session_id: str) -> Optional[Dict]:  # type: ignore[type-arg]
        """A session, None when there is none of that id."""
        return self._keeping.load(session_id)

    def save_session(self, session: Dict):  # type: ignore[type-arg,no-untyped-def]
        """Keep a session as its dictionary says; one that is not there is made. What it said before stays in the
        store. Raises `KeyError` without an id, `ValueError` for messages that are none, `TimeoutError`."""
        self._keeping.save(session)

    def add_message(
        self,
        session_id: str,
        role: str,
        content: str,
        metadata: Optional[Dict] = None,  # type: ignore[type-arg]
    ) -> Dict:  # type: ignore[type-arg]
        """Add a message, durable when this returns the session; `metadata` stands beside its role and content. Raises
        `ValueError` when there is no such session, `TimeoutError`."""
        return self._keeping.add(session_id, role, content, metadata or {})

    def switch_model(self, session_id: str, new_model: str, reason: Optional[str] = None) -> Dict:  # type: ignore[type-arg]
        """Let another model answer from now on; returns the session. Raises `ValueError` when there is none of that id,
        `TimeoutError`."""
        return self._keeping.switch(session_id, new_model, reason)

    def list_sessions(
        self, model: Optional[str] = None, tag: Optional[str] = None, limit: int = 100, offset: int = 0
    ) -> List[Dict]:  # type: ignore[type-arg]
        """What sessions there are, changed last first: id, created_at, updated_at, model, models_used, message_count,
        tags. `model` and `tag` count before the page is cut."""
        found = self._keeping.summaries()
        if model is not None:
            found = [one for one in found if one["model"] == model]
        if tag is not None:
            found = [one for one in found if tag in one["tags"]]
        return found[offset : offset + limit]

    def delete_session(self, session_id: str) -> bool:
        """Take a session away; False when there is none of that id. The store keeps what was said until it is purged.
        Raises `TimeoutError`."""
        return self._keeping.delete(session_id)

    def migrate_kimi_session(self, kimi_session_path: Path) -> Dict:  # type: ignore[type-arg]
        """Take over a session of `.kimi_sessions`, as `migrated_<its name>`; the file stays. Raises
        `FileNotFoundError`, `ValueError` for a file that is none."""
        return self._keeping.take_kimi(Path(kimi_session_path))


class SessionMigrator:
    """Takes over all sessions of a `.kimi_sessions` directory into the sessions of `.llm_sessions`."""

    def __init__(self, dry_run: bool = False, backup: bool = True):
        self.dry_run, self.backup = dry_run, backup
        self.stats = {"total": 0, "migrated": 0, "skipped": 0, "errors": 0}

    def migrate_kimi_sessions(self, source_dir: str = ".kimi_sessions") -> Dict:  # type: ignore[type-arg]
        """Take them over; returns how many there were: total, migrated, skipped (known already), errors. With `backup`
        the directory is copied beside itself first."""
        files = sorted(Path(source_dir).glob("*.json"))
        self.stats = {"total": len(files), "migrated": 0, "skipped": 0, "errors": 0}
        if files and self.backup and not self.dry_run:
            stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
            shutil.copytree(source_dir, f"{Path(source_dir)}_backup_{stamp}", dirs_exist_ok=True)
        keeping = Keeping(".llm_sessions", Flags.read(os.environ)) if not self.dry_run else None
        for path in files:
            self.stats[_taken(path, keeping)] += 1
        return dict(self.stats)

    def verify_migration(self, original_dir: str = ".kimi_sessions") -> bool:
        """Whether the store holds every message of every session in a directory."""
        keeping = Keeping(".llm_sessions", Flags.read(os.environ))
        return all(keeping.holds_kimi(path) for path in sorted(Path(original_dir).glob("*.json")))


def _taken(path: Path, keeping: Keeping | None) -> str:
    """What becomes of one file: the name of its count."""
    try:
        if keeping is None:
            from sessionstore.dual.legacy import decoded

            return "migrated" if isinstance(decoded(str(path)), dict) else "errors"
        if keeping.holds_kimi(path):
            return "skipped"
        keeping.take_kimi(path)
    except (ValueError, OSError, RecursionError, errors.SessionstoreError):
        return "errors"
    return "migrated"


def main():  # type: ignore[no-untyped-def]
    """The command line of `migrate_sessions.py`; ends the program with 1 when something went wrong."""
    parser = argparse.ArgumentParser(description="Take the sessions of .kimi_sessions over.")
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    parser.add_argument("--no-backup", action="store_true", help="make no copy of the directory")
    parser.add_argument("--verify", action="store_true", help="check that everything was taken over")
    parser.add_argument("--source", default=".kimi_sessions", metavar="DIR", help="where they are")
    given = parser.parse_args()
    migrator = SessionMigrator(dry_run=given.dry_run, backup=not given.no_backup)
    stats = migrator.migrate_kimi_sessions(given.source)
    print(", ".join(f"{name}: {count}" for name, count in stats.items()))
    good = not stats["errors"]
    if given.verify and not given.dry_run:
        good = migrator.verify_migration(given.source) and good
        print("verified" if good else "not everything was taken over")
    sys.exit(0 if good else 1)
