"""After a crash: which turns wait for an answer, which sessions have two heads, what is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore import errors
from sessionstore.manager.finding import revisions
from sessionstore.manager.session import Session

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager


def recover(manager: SessionManager) -> dict[str, Any]:
    """{"pending": {key: what waits}, "branches": {key: number of heads}, "damaged": {what: why}, "repaired"}. Damage is
    mended where another copy of the bytes is in the store, else moved to `quarantine/`; nothing is deleted."""
    from sessionstore.repair import repair
    from sessionstore.verify import verify

    report = verify(manager.store)
    damaged = {entry.path: entry.kind for entry in report.damage}
    repaired = repair(manager.store, report).as_json() if damaged else None
    pending: dict[str, Any] = {}
    branches: dict[str, int] = {}
    for key in sorted({str(one["key"]) for one in revisions(manager) if one.get("source") == "native"}):
        session = Session(manager, key)
        try:
            if waiting := session.pending():
                pending[key] = waiting
            if (heads := manager.live(key).heads) > 1:
                branches[key] = heads
        except (errors.DamageError, errors.NotFound) as error:
            damaged.setdefault(key, str(error))
    return {"pending": pending, "branches": branches, "damaged": damaged, "repaired": repaired}
