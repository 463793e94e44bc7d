"""What the index keeps of a session as a whole: a revision and its notes as one row of `sessions`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from sessionstore import canonical
from sessionstore.index import unspaced
from sessionstore.index.rows import ROW, USAGE, fit, utc

MODULUS = 1 << 62
"""Digests are added up modulo this: a sum can be kept up to date without reading what did not change."""

USAGE_COLUMNS = ROW[USAGE : USAGE + 6]
COLUMNS = (
    "key",
    "source",
    "native_id",
    "revision",
    "title",
    "source_title",
    "cjk",
    "project",
    "cwd",
    "branch",
    "git_commit",
    "remote",
    "models",
    "created_at",
    "updated_at",
    "sorted_at",
    "messages",
    "user_messages",
    "assistant_messages",
    "tool_messages",
    "system_messages",
    "bytes",
    *USAGE_COLUMNS,
    "estimated",
    "forked_from",
    "relation",
    "issues",
    "starred",
    "archived",
    "paged",
    "pages",
    "content",
)
"""The columns of `sessions` that follow from a revision, its notes and its messages (`content`: the sum of their
digests). `paged` and `pages` are the number of messages in closed pages and the digest of those pages' names."""

CONTENT = COLUMNS.index("content")


def columns(revision: Mapping[str, Any], name: str, notes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `COLUMNS` for a revision (stored under `name`) with the notes in force; `content` is left 0."""
    counts, usage = revision["counts"], revision.get("usage") or {}
    roles, git, fork = counts.get("by_role") or {}, revision.get("git") or {}, revision.get("forked_from") or {}
    title = notes.get("title") or revision.get("title")
    created, updated = (_time(revision, field) for field in ("created_at", "updated_at"))
    paged, pages = page_state(revision["pages"])
    found = {
        "key": revision["key"],
        "source": revision.get("source") or revision["key"].partition(":")[0],
        "native_id": revision.get("native_id"),
        "revision": name,
        "title": title,
        "source_title": revision.get("title"),
        "cjk": _title_column(title),
        "project": revision.get("project"),
        "cwd": revision.get("cwd"),
        "branch": git.get("branch"),
        "git_commit": git.get("commit"),
        "remote": git.get("remote"),
        "models": _json(revision.get("models")),
        "created_at": created,
        "updated_at": updated,
        "sorted_at": updated or created or "",
        "messages": counts["messages"],
        **{f"{role}_messages": roles.get(role) or 0 for role in ("user", "assistant", "tool", "system")},
        "bytes": counts.get("bytes"),
        **{column: usage.get(column) for column in USAGE_COLUMNS},
        "estimated": 1 if usage.get("estimated") else None,
        "forked_from": fork.get("key"),
        "relation": fork.get("relation"),
        "issues": _json(revision.get("issues")),
        **_marks(notes),
        "paged": paged,
        "pages": pages,
        "content": 0,
    }
    return {column: _plain(value) for column, value in found.items()}


def annotated(values: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `COLUMNS` with the notes in force instead of those they were made with."""
    title = _plain(notes.get("title") or values["source_title"])
    return {**values, "title": title, "cjk": _title_column(title), **_marks(notes)}


def digest(values: Iterable[Any], tags: Iterable[str], aliases: Iterable[str]) -> int:
    """The digest of a session: of the values of `COLUMNS`, its tags and its other names."""
    data = orjson.dumps([list(values), sorted(tags), sorted(aliases)])
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") % MODULUS


def page_state(pages: Iterable[Mapping[str, Any]], upto: int | None = None) -> tuple[int, str]:
    """How many messages the closed pages hold (the first of them that hold `upto`), and a digest of their names.
    A session extends another exactly when its pages begin with the other's and the messages after those match."""
    state, count = blake2b(digest_size=16), 0
    for page in pages:
        if upto is not None and count >= upto:
            break
        count += page["n"]
        state.update(page["id"].encode())
    return count, state.hexdigest()


def tags(notes: Mapping[str, Any]) -> list[str]:
    """The tags in force, each once."""
    value = notes.get("tags")
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return sorted({fit(tag) for tag in given if isinstance(tag, str) and tag})


def aliases(revision: Mapping[str, Any]) -> list[str]:
    """The other names of a session, each once."""
    return sorted({fit(name) for name in revision.get("aliases") or () if isinstance(name, str) and name})


def _title_column(title: Any) -> str | None:
    return unspaced.column([title]) if isinstance(title, str) else None


def _marks(notes: Mapping[str, Any]) -> dict[str, int]:
    return {"starred": 1 if notes.get("star") else 0, "archived": 1 if notes.get("archived") else 0}


def parents(name: str, revision: Mapping[str, Any]) -> set[str]:
    """The file names of the revisions that a revision, stored under `name`, names as its parents."""
    slug = name[:-5].rpartition(".")[0]
    return {f"{slug}.{parent}.json" for parent in revision.get("parents") or ()}


def number(value: Any) -> int:
    """A value that should be an integer, as one."""
    return value if type(value) is int else 0


def _time(revision: Mapping[str, Any], field: str) -> str | None:
    value = revision.get(field)
    if isinstance(value, str) and value:
        return utc(value)
    raw = (revision.get("x") or {}).get(field)
    return raw.get("raw") if isinstance(raw, dict) else None


def _json(value: Any) -> str | None:
    return orjson.dumps(value).decode() if value else None


def _plain(value: Any) -> Any:
    """A value that SQLite can hold."""
    if isinstance(value, str):
        return fit(value)
    if value is None or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    return fit(canonical.dumps(value).decode())
