"""From what a person or program calls a session to its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sessionstore import errors, fsio, layout, tracing

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

LEAST = 6
"""A beginning of a name must have at least this many characters."""


def find(manager: SessionManager, name: str) -> str:
    """The key that `name` means: a key, an id, an old id, a beginning, or ``@last``. Raises `NotFound`, `Ambiguous`."""
    for key in (name, f"native:{name}"):
        if ":" in key and _is_there(manager, key):
            return key
    from sessionstore.index.query import resolve

    try:
        with manager.keeper.reader() as connection:
            found = sorted({str(session["key"]) for session in resolve(connection, name)})
    except (errors.LockedError, errors.StorageError) as error:
        why = type(error).__name__
        tracing.event(tracing.WARNING, "persistence", "fallback", warning=f"names are read from the store: {why}")
        found = sorted(set(_scanned(manager, name)))
    if not found:
        raise errors.NotFound(name=name)
    if len(found) > 1:
        raise errors.Ambiguous(name=name, candidates=", ".join(found[:5]) + (", …" if len(found) > 5 else ""))
    return found[0]


def _is_there(manager: SessionManager, key: str) -> bool:
    folder, stem = layout.fanout(key), f"{layout.slug(key)}."
    if not any(name.startswith(stem) for name in fsio.names(f"{manager.store.root}/sessions/{folder}")):
        return False
    try:
        manager.live(key).head()
    except errors.NotFound:
        return False
    return True


def _scanned(manager: SessionManager, name: str) -> Iterator[str]:
    """The same from the store alone, where there is no index to ask: every session is looked at."""
    latest: tuple[str, str] | None = None
    matches: dict[int, list[str]] = {}
    for revision in revisions(manager):
        key, native = revision["key"], str(revision.get("native_id"))
        latest = max(latest or ("", ""), (revision.get("updated_at") or "", key))
        if native == name:
            matches.setdefault(0, []).append(key)
        elif name in (revision.get("aliases") or ()):
            matches.setdefault(1, []).append(key)
        elif len(name) >= LEAST and (key.startswith(name) or native.startswith(name)):
            matches.setdefault(2, []).append(key)
    if name == "@last":
        return iter([latest[1]] if latest else [])
    return iter(matches[min(matches)] if matches else [])


def revisions(manager: SessionManager) -> Iterator[dict[str, Any]]:
    """Every readable revision, heads and history."""
    for name in sorted(manager.store.revision_names()):
        try:
            yield manager.store.load_revision(name)
        except (errors.NotFound, errors.DamageError, errors.FormatTooNew):
            continue
