"""Names and places: how keys, slugs, batches and STORE.json are written, and where a store is found.

No name that comes from outside ever becomes a path: paths are made of digests, ULIDs and slugs only.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, fsio

FORMAT = "sessionstore"
VERSION = 1
MARKER = "STORE.json"
PAIRING = "sessionstore.dual"
"""The file that says, in a directory of legacy files, that a store writes there too (see `sessionstore.dual`)."""
FEATURES: frozenset[str] = frozenset()
"""Feature flags this program understands; a store that needs another one to be read or written is refused."""

DIRECTORIES = ("objects", "sessions", "notes", "batches", "trash", "quarantine", "tmp", "locks")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{2}/[a-z0-9._-]{1,80}-[0-9a-f]{8}\.[0-9a-f]{64}\.json")
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")
"""What Windows takes for a device, whatever follows the first dot."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@lru_cache(maxsize=4096)
def slug(key: str) -> str:
    """File-name form of a session key: at most 89 characters, safe on every file system."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", key.lower())[:80] or "-"
    if _DEVICE.fullmatch(plain.partition(".")[0]):
        plain = f"_{plain}"[:80]
    return f"{plain}-{_key_digest(key)[:8]}"


@lru_cache(maxsize=4096)
def fanout(key: str) -> str:
    """The two hex digits of the directory that holds a key's revisions and notes."""
    return _key_digest(key)[:2]


def _key_digest(key: str) -> str:
    return canonical.digest(canonical.clean_text(key).encode())


def document_name(key: str, data: bytes) -> str:
    """Name of a revision or note below `sessions/` or `notes/`: ``hh/<slug>.<sha256>.json``."""
    return f"{fanout(key)}/{slug(key)}.{canonical.digest(data)}.json"


def is_document_name(name: str) -> bool:
    """Whether a path below `sessions/` or `notes/` is one that this format gives."""
    return _REVISION.fullmatch(name) is not None


def split_name(name: str) -> tuple[str, str]:
    """A document name's (slug with its directory, sha256)."""
    stem, _, sha = name[:-5].rpartition(".")
    return stem, sha


def is_sha256(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return _HEX64.fullmatch(text) is not None


def session_key(source: str, native_id: str, root: str | None = None) -> str:
    """The key of a session; `root` (an absolute directory) when native ids are unique only inside one."""
    plain = canonical.clean_text(native_id)
    if root is None:
        return f"{source}:{plain}"
    return f"{source}:{canonical.digest(root.encode('utf-8', 'surrogatepass'))[:8]}:{plain}"


_last_ulid = (0, 0)
_ulid_lock = threading.Lock()


def ulid(now_ms: int | None = None, after: str | None = None) -> str:
    """A new ULID: 26 characters that sort by time, monotonic inside one process even when the clock jumps back, and
    after the ULID `after`.
    Source: the ULID specification (48 bits of milliseconds, 80 random bits, Crockford base 32)."""
    global _last_ulid
    with _ulid_lock:
        stamp, noise = now_ms if now_ms is not None else time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
        if stamp <= _last_ulid[0]:
            stamp, noise = _last_ulid[0], _last_ulid[1] + 1
        _last_ulid = (stamp, noise)
    number, text = stamp << 80 | noise, ""
    if after and number <= (bound := _ulid_number(after)):
        number = bound + 1 + int.from_bytes(os.urandom(8))
    for _ in range(26):
        number, digit = divmod(number, 32)
        text = _CROCKFORD[digit] + text
    return text


def ulid_milliseconds(text: str) -> int:
    """The time in a ULID."""
    return _ulid_number(text) >> 80


def _ulid_number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + _CROCKFORD.index(digit)
    return number


def is_ulid(text: str) -> bool:
    """Whether `text` is the name of a batch."""
    return len(text) == 26 and all(c in _CROCKFORD for c in text)


def new_marker() -> dict[str, Any]:
    """The content of STORE.json for a new store. It is written once and never changed."""
    return {
        "format": FORMAT,
        "v": VERSION,
        "id": ulid(),
        "hash": "sha256",
        "canonical": "SS-1",
        "page_rule": "P1",
        "chunk_rules": ["L1", "B1"],
        "features": {"read": [], "write": []},
    }


def read_marker(root: str) -> dict[str, Any]:
    """The content of a store's STORE.json. Raises `NoStore`, `StoreMarkerCorrupt` or `FormatTooNew`."""
    path = f"{root}/{MARKER}"
    try:
        data = fsio.read_bytes(path)
    except FileNotFoundError:
        raise errors.NoStore(path=root) from None
    try:
        marker = canonical.loads(data)
        version = marker["v"]
        if marker["format"] == FORMAT and isinstance(version, int) and version > VERSION:
            raise errors.FormatTooNew(path=root, version=version, known=VERSION)
        store_id, features = marker["id"], marker["features"]
        if marker["format"] != FORMAT or not isinstance(store_id, str) or not isinstance(version, int):
            raise ValueError("not a sessionstore marker")
        needed = set(features["read"]) - FEATURES
    except (ValueError, KeyError, TypeError) as error:
        raise errors.StoreMarkerCorrupt(path=path, reason=str(error) or type(error).__name__) from None
    if needed:
        raise errors.FormatTooNew(path=root, version=f"{version} with {sorted(needed)}", known=VERSION)
    return dict(marker)


def writable(marker: Mapping[str, Any]) -> bool:
    """Whether this program may write to a store with that marker (it may always read what `read_marker` allows)."""
    return not set(marker["features"]["write"]) - FEATURES


def find_store(explicit: str | None, env: Mapping[str, str], cwd: Path, data_dir: Path | None = None) -> Path:
    """Where the store is: `explicit`, else $SESSIONSTORE_DIR, else the nearest `.llm_sessions/` upwards that is a
    store, else the user data directory. The place need not exist yet."""
    if explicit:
        return Path(explicit).expanduser()
    if env.get("SESSIONSTORE_DIR"):
        return Path(env["SESSIONSTORE_DIR"]).expanduser()
    for directory in (cwd, *cwd.parents):
        if os.path.isfile(directory / ".llm_sessions" / MARKER):
            return directory / ".llm_sessions"
    if data_dir is not None:
        return data_dir
    from platformdirs import user_data_path

    return user_data_path("sessionstore", appauthor=False)
