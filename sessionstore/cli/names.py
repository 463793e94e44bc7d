"""From what a user calls a session to its revision: key, native id, alias, unique beginning, @last, KEY@REV."""

from __future__ import annotations

from typing import Any

from sessionstore import errors, layout
from sessionstore.store import Store

LEAST = 6
"""A beginning of a name must have at least this many characters."""


def find_key(store: Store, name: str) -> str:
    """The key of the session that `name` means. Raises `NotFound` or `Ambiguous` (naming the candidates)."""
    if store.heads(name):
        return name
    from sessionstore.cli.reading import reader
    from sessionstore.index.query import find

    with reader(store) as connection:
        return str(find(connection, name)[0]["key"])


def find_revision(store: Store, name: str, revision: str | None = None) -> dict[str, Any]:
    """The latest head of a session, or the revision whose hash begins with `revision` (also written NAME@REV)."""
    if revision is None and "@" in name[1:]:
        start, _, tail = name.rpartition("@")
        if len(tail) >= LEAST and all(c in "0123456789abcdef" for c in tail):
            name, revision = start, tail
    key = find_key(store, name)
    if revision is None:
        heads = store.heads(key)
        if not heads:
            raise errors.NotFound(name=name)
        return heads[0]
    matching = [found for found in store.revisions_of(key) if layout.split_name(found["_name"])[1].startswith(revision)]
    if not matching:
        raise errors.NotFound(name=f"{key}@{revision}")
    if len(matching) > 1:
        raise errors.Ambiguous(name=revision, candidates=", ".join(found["_name"] for found in matching))
    return matching[0]
