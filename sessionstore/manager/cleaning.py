"""Putting away what nobody uses any more. Nothing is ever deleted but sessions that have expired, and of those a
tombstone stays."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.manager.finding import revisions
from sessionstore.manager.lifecycle import CLOSED, CleanUp, age_of, notes_for, state_of
from sessionstore.notes import said_at

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

EVERY = 3600.0


class Cleaner:
    """Carries out a policy in the background, every `EVERY` seconds at most. `failed` says why it last could not."""

    def __init__(self, manager: SessionManager, policy: CleanUp) -> None:
        self.manager, self.policy = manager, policy
        self.failed: errors.SessionstoreError | None = None
        self._next = time.monotonic()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Begin when it is time again."""
        with self._lock:
            if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
                return
            self._next = time.monotonic() + EVERY
            self._thread = threading.Thread(target=self._run, name="sessionstore-clean-up", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            clean_up(self.manager, self.policy, dry_run=False)
        except errors.SessionstoreError as error:
            self.failed = error

    def close(self) -> None:
        """Wait until it is done."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=60)


def clean_up(manager: SessionManager, policy: CleanUp, *, dry_run: bool) -> dict[str, str]:
    """Do what the policy says; the new state ("archived", "expired", "purged") of each session it touched, by key."""
    done: dict[str, str] = {}
    for key in sorted({str(one["key"]) for one in revisions(manager) if one.get("source") in policy.sources}):
        try:
            became = _one(manager, policy, key, dry_run)
        except errors.NotFound:
            continue
        if became:
            done[key] = became
    return done


def _one(manager: SessionManager, policy: CleanUp, key: str, dry_run: bool) -> str | None:
    """Decide and act under the session's lock, so that a turn that has just come is not overlooked."""
    with manager.held(key):
        live = manager.live(key)
        present, notes = datetime.now(UTC), live.notes()
        age, state = age_of(live.head(), present), state_of(live.head(), notes)
        if notes.get("star") or age is None:
            return None
        if state not in CLOSED and (said := said_at(manager.store, key, ("state", "archived"))) is not None:
            age = min(age, present - said)
        became = policy.next_state(state, age)
        if became is None or dry_run:
            return became
        if became != "purged":
            for field, value in notes_for(became).items():
                live.say(field, value)
    if became == "purged":
        from sessionstore.purge import purge

        # Nothing can be added to an expired session, so what was decided above still holds.
        purge(manager.store, key, reason="expired")
    manager.changed(key)
    return became
