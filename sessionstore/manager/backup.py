"""A backup is one ZIP file with the store's files in it and a list of digests; restoring puts back what is missing.

Sessions are taken before the objects they need, and nothing is removed from the store meanwhile, so a backup is whole
whatever is written while it is made. It is read back before it counts. Restoring follows the rule of two stores that
are put together: objects first, then sessions and notes; nothing that is there is changed.
"""

from __future__ import annotations

import errno
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, fsio, layout, notes, objects
from sessionstore.closure import objects_of
from sessionstore.journal import now
from sessionstore.store import Store, parse_document

FORMAT = "sessionstore/backup"
MANIFEST = "MANIFEST.json"
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NO_ARCHIVE: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError)
_NO_ARCHIVE += (LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)
"""What reading an archive raises that was damaged, or that nobody has written with this program."""


class _Sink(io.RawIOBase):
    """A file that can only be written to; what was written is taken from it piece by piece."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data


def backup(store: Store, file: str | os.PathLike[str], keys: Iterable[str] | None = None) -> dict[str, Any]:
    """Write a backup of the store, or of some sessions. Returns {"file", "bytes", "sessions", "files", "time",
    "damaged"}: what is damaged in the store is left out and named. Raises `WriteFailed` when there is a file already,
    `VerificationFailed`."""
    path = Path(os.path.abspath(file))
    told: dict[str, Any] = {"damaged": []}
    if path.exists():
        raise errors.WriteFailed(path=path, reason="there is a file already")
    with store.writing():
        fsio.restore_file(path, _written(store, None if keys is None else set(keys), told), mode=0o600)
    try:
        files = sum(1 for _ in _entries(path))
    except errors.SourceInvalid as error:
        fsio.remove(str(path))
        raise errors.VerificationFailed(path=path, reason=str(error)) from error
    return {"file": str(path), "bytes": path.stat().st_size, "files": files, **told}


def _written(store: Store, keys: set[str] | None, told: dict[str, Any]) -> Iterator[bytes]:
    sink, digests = _Sink(), {}
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for name, data in _files(store, keys, told):
            if not _is_whole(name, data):
                told["damaged"].append(name)
                continue
            digests[name] = canonical.digest(data)
            packed = zipfile.ZIP_STORED if name.endswith(".zst") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), data, packed, 6)
            yield sink.take()
        told["time"] = now()
        manifest = {"format": FORMAT, "v": 1, "store": store.id, "time": told["time"], "entries": digests}
        archive.writestr(zipfile.ZipInfo(MANIFEST), canonical.dumps(manifest), zipfile.ZIP_DEFLATED, 6)
    yield sink.take()


def _files(store: Store, keys: set[str] | None, told: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(path in the store, bytes) of everything that is taken."""
    needed: dict[tuple[str, str], None] = {}
    sessions: set[str] = set()
    for name, data in _documents(store):
        revision = _parsed(name, data)
        if revision is None:
            told["damaged"].append(f"sessions/{name}")
        elif keys is None or revision["key"] in keys:
            needed.update(dict.fromkeys(objects_of(store, revision)))
            sessions.add(revision["key"])
            yield f"sessions/{name}", data
    told["sessions"] = len(sessions)
    for name in sorted(store.note_names()):
        try:
            data = fsio.read_bytes(f"{store.root}/notes/{name}")
        except FileNotFoundError:
            continue
        note = _parsed(name, data)
        if note is None:
            told["damaged"].append(f"notes/{name}")
        elif keys is None or note["key"] in keys:
            yield f"notes/{name}", data
    if keys is None:
        for file in sorted(fsio.names(f"{store.root}/batches")):
            if layout.is_ulid(file.removesuffix(".jsonl")):
                yield f"batches/{file}", fsio.read_bytes(f"{store.root}/batches/{file}")
        needed.update({(name, kind): None for name, kind, _ in store.objects.all()})
    for name, kind in needed:
        place = store.objects.find(name, kind)
        if place is None:
            told["damaged"].append(f"objects/{name[:2]}/{name}.{kind}")
            continue
        yield os.path.relpath(place, store.root).replace(os.sep, "/"), fsio.read_bytes(place)


def _parsed(name: str, data: bytes) -> dict[str, Any] | None:
    try:
        return parse_document(name, data)
    except (errors.DamageError, errors.FormatTooNew):
        return None


def _documents(store: Store) -> Iterator[tuple[str, bytes]]:
    """The files of all revisions. One that was superseded meanwhile is passed over: then its successor comes."""
    done: set[str] = set()
    while more := sorted(store.revision_names() - done):
        for name in more:
            done.add(name)
            try:
                data = fsio.read_bytes(f"{store.root}/sessions/{name}")
            except FileNotFoundError:
                continue
            yield name, data


def restore(store: Store, file: str | os.PathLike[str]) -> dict[str, Any]:
    """Take everything in a backup that the store does not have. Returns {"keys": the sessions in it, "written": number
    of files, "purged": sessions left out because they were purged here}. Raises `SourceInvalid`; then nothing visible
    has changed."""
    path = Path(os.path.abspath(file))
    for _ in _entries(path):
        pass
    result: dict[str, Any] = {"keys": [], "written": 0, "purged": []}
    purged = notes.purged_keys(store)
    keys: set[str] = set()
    with store.writing():
        for folders in (("objects",), ("sessions", "notes"), ("batches",)):
            flush = fsio.Flush()
            for name, data in _entries(path):
                if name.partition("/")[0] not in folders:
                    continue
                if folders[0] == "sessions":
                    key = parse_document(name.partition("/")[2], data)["key"]
                    if key in purged:
                        result["purged"] = sorted({*result["purged"], key})
                        continue
                    if name.startswith("sessions/"):
                        keys.add(key)
                result["written"] += fsio.write_new(store.temp, f"{store.root}/{name}", data, flush)
            flush.close()
    result["keys"] = sorted(keys)
    return result


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """(path in a store, bytes) of every file of a backup, each checked. Raises `SourceInvalid`."""

    def wrong(reason: str) -> errors.SourceInvalid:
        return errors.SourceInvalid(path=path, source="backup", reason=reason)

    try:
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type not in _PACKINGS for one in archive.infolist()):
                raise wrong("it is packed in another way")
            manifest = canonical.loads(archive.read(MANIFEST))
            if manifest["format"] != FORMAT or manifest["v"] != 1:
                raise wrong("it is of another format")
            digests: dict[str, str] = manifest["entries"]
            for name, digest in digests.items():
                if archive.getinfo(name).file_size > objects.MAX_OBJECT or not _is_of_store(name):
                    raise wrong(f"{name!r} is no file of a store")
                data = archive.read(name)
                if canonical.digest(data) != digest or not _is_whole(name, data):
                    raise wrong(f"{name} has not the bytes it is named for")
                yield name, data
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise wrong("its parts are not where it says") from None
        raise fsio.failure(error, path, writing=False) from error
    except _NO_ARCHIVE as error:
        raise wrong(str(error) or type(error).__name__) from None


def _is_of_store(name: str) -> bool:
    folder, _, rest = name.partition("/")
    if folder == "objects":
        return objects.parse_name(rest) is not None
    if folder in ("sessions", "notes"):
        return layout.is_document_name(rest)
    return folder == "batches" and rest.endswith(".jsonl") and layout.is_ulid(rest.removesuffix(".jsonl"))


def _is_whole(name: str, data: bytes) -> bool:
    """Whether the bytes are those that the file's own name states."""
    folder, _, rest = name.partition("/")
    if folder == "batches":
        return True
    try:
        if folder in ("sessions", "notes"):
            parse_document(rest, data)
            return True
        parsed = objects.parse_name(rest)
        content = objects.decompress(data, rest) if rest.endswith(".zst") else data
        return parsed is not None and canonical.digest(content) == parsed[0]
    except errors.SessionstoreError:
        return False
