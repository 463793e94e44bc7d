"""The life of a session: created, active, paused, completed, archived, retrieved, expired.

The state is a note, so the last writer wins and no revision is made for it. Without such a note a session is `created`
until it has a turn and `active` from then on. The mark `archived`, which `list` goes by, is kept in step: whoever sets
or takes that mark on the command line archives or retrieves the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sessionstore import errors
from sessionstore.notes import STATES

_AFTER: dict[str, frozenset[str]] = {
    "created": frozenset({"active", "paused", "completed", "archived", "expired"}),
    "active": frozenset({"paused", "completed", "archived", "expired"}),
    "paused": frozenset({"active", "completed", "archived", "expired"}),
    "completed": frozenset({"active", "archived", "expired"}),
    "archived": frozenset({"retrieved", "expired"}),
    "retrieved": frozenset({"active", "paused", "completed", "archived", "expired"}),
    "expired": frozenset({"retrieved", "archived"}),
}
"""Which states may follow which."""
CLOSED = frozenset({"archived", "expired"})
"""States in which nothing is added."""
RESTING = frozenset({"paused", "completed", "retrieved"})
"""States that a new turn ends: the session is active again."""


def state_of(revision: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    """The state of a session, from its head and its notes."""
    said = notes.get("state")
    if notes.get("archived"):
        return said if said in CLOSED else "archived"
    if said in CLOSED:
        return "retrieved"
    if said in STATES:
        return str(said)
    roles = revision["counts"].get("by_role") or {}
    return "active" if any(roles.get(role) for role in ("user", "assistant", "tool")) else "created"


def check_step(before: str, after: str, key: str) -> None:
    """Raise `UsageError` when `after` cannot follow `before`."""
    if after not in STATES:
        raise errors.UsageError(reason=f"there is no state {after!r}; there are {', '.join(STATES)}")
    if before != after and after not in _AFTER[before]:
        possible = ", ".join(state for state in STATES if state in _AFTER[before])
        raise errors.UsageError(reason=f"{key} is {before}, from where it cannot become {after}, only {possible}")


def check_open(state: str, key: str) -> None:
    """Raise `UsageError` when nothing may be added to a session in that state."""
    if state in CLOSED:
        raise errors.UsageError(reason=f"{key} is {state}; retrieve it before anything is added or changed")


def notes_for(state: str) -> dict[str, Any]:
    """The notes that state it; None takes one back."""
    return {"archived": True if state in CLOSED else None, "state": None if state == "created" else state}


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What `clean_up` does with sessions that nobody has touched for long. Ages are counted from a session's last
    message; None means never. A session that was retrieved, paused or completed since is idle from then on. Sessions
    with a star, and those of other sources than `sources`, are left alone.

    Only what has expired is ever purged, and a purge leaves a tombstone."""

    archive_after: timedelta | None = timedelta(days=30)
    expire_after: timedelta | None = None
    """Counted as the others from the last message; only archived sessions expire."""
    purge_after: timedelta | None = None
    sources: tuple[str, ...] = ("native",)

    def next_state(self, state: str, age: timedelta) -> str | None:
        """What becomes of a session in that state that was last touched so long ago: "archived", "expired", "purged"
        or None."""
        if state == "expired":
            return "purged" if _over(age, self.purge_after) else None
        if state == "archived":
            return "expired" if _over(age, self.expire_after) else None
        return "archived" if _over(age, self.archive_after) else None


def _over(age: timedelta, limit: timedelta | None) -> bool:
    return limit is not None and age >= limit


def age_of(revision: Mapping[str, Any], present: datetime) -> timedelta | None:
    """How long ago a session was last touched; None when that is not known."""
    text = revision.get("updated_at") or revision.get("created_at")
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return present - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
