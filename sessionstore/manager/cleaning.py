"""Putting away what nobody uses any more. Nothing is ever deleted but sessions that have expired, and of those a
tombstone stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.manager.finding import revisions
from sessionstore.manager.lifecycle import CleanUp, age_of, notes_for, state_of

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager


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
        notes, age = live.notes(), age_of(live.head(), datetime.now(UTC))
        if notes.get("star") or age is None:
            return None
        became = policy.next_state(state_of(live.head(), notes), age)
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
