"""What may trouble a store on this machine: findings a person can act on. Nothing in the store is changed; probes
write to `tmp/` and `locks/` only and clean up after themselves."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from typing import Literal, TypedDict

from sessionstore import checks, errors, fsio, gc, layout, locks, objects
from sessionstore.journal import Journals
from sessionstore.store import Store
from sessionstore.views import make_symlink

OLDEST_PYTHON = (3, 11)
WAL_RESET = ((3, 7, 0), (3, 51, 3))
"""SQLite from the first to before the second can damage a WAL database when two connections write or checkpoint at
the same moment (sqlite.org/wal.html, "the WAL-reset bug")."""
LEAST_BYTES = 1 << 30
LEAST_INODES = 10_000
_NETWORK = "9p afs beegfs ceph cifs davfs davfs2 glusterfs lustre ncpfs nfs nfs3 nfs4 orangefs smb2 smb3 smbfs virtiofs"
NETWORK = frozenset(_NETWORK.split(" "))
NETWORK_FUSE = ("sshfs", "rclone", "s3fs", "gcsfuse", "glusterfs", "ceph", "dropbox", "gdrive", "onedrive", "davfs")
Level = Literal["ok", "warning", "error"]


class Finding(TypedDict):
    """One thing that was looked at: whether it is well, what was seen, what to do about it (empty when nothing)."""

    level: Level
    what: str
    advice: str


def _finding(level: Level, what: str, advice: str = "") -> Finding:
    return {"level": level, "what": what, "advice": advice}


def doctor(
    store_or_root: Store | str | os.PathLike[str], *, index: str | None = None, now: float | None = None
) -> list[Finding]:
    """Look at this machine and at a store, which may be damaged or missing. `index` is where its index is when not in
    the store. Raises nothing that a finding can say."""
    findings = [*_programs()]
    store: Store | None = None
    if isinstance(store_or_root, Store):
        store = store_or_root
    else:
        try:
            store = Store(store_or_root)
        except errors.SessionstoreError as error:
            findings.append(_finding("error", str(error), "see what it says, or name another store with --store"))
    if store is None:
        return findings
    moment = time.time() if now is None else now
    for look in (_place, _access, _locks, _links, _room, _content, _unknown_files):
        try:
            findings += look(store)
        except (errors.SessionstoreError, OSError) as error:
            findings.append(_finding("error", str(error), "run `sessionstore verify`"))
    findings += _clock(store, moment)
    findings += _index(store, index or f"{store.root}/{checks.INDEX}")
    return findings


def _programs() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield _finding("error", f"Python {python} is too old", "install Python 3.11 or newer")
    else:
        yield _finding("ok", f"Python {python}")
    version = sqlite3.sqlite_version
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        yield _finding("error", f"SQLite {version} has no FTS5: no search", "install a Python whose SQLite has FTS5")
    else:
        yield _finding("ok", f"SQLite {version} with FTS5")
    finally:
        connection.close()
    if WAL_RESET[0] <= sqlite3.sqlite_version_info < WAL_RESET[1]:
        what = f"SQLite {version} has the WAL-reset bug; the index is safe, because only one connection writes it"
        yield _finding("ok", what, "other programs should open the index read-only")


def _place(store: Store) -> Iterator[Finding]:
    """What the store lies on."""
    yield _finding("ok", f"store {store.id} at {store.root}, format {store.marker['v']}")
    try:
        with open("/proc/mounts", encoding="utf-8", errors="replace") as file:
            kind = file_system(file.read(), store.root)
    except OSError:
        return
    if is_network(kind):
        advice = "keep the store on a disk of this machine, or use it from one machine at a time"
        yield _finding("warning", f"the store is on a network file system ({kind})", advice)
    elif kind:
        yield _finding("ok", f"the file system is {kind}")


def file_system(mounts: str, path: str) -> str:
    """The type of the file system that holds an absolute path, by the text of /proc/mounts (fields: device, mount
    point with blanks as octal escapes, type, ...); empty when it does not say."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = point == "/" or path == point or path.startswith(f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def is_network(kind: str) -> bool:
    """Whether files of that file system lie on another machine, where locks and flushes may not hold."""
    base, _, program = kind.partition(".")
    return kind in NETWORK or (base == "fuse" and program.startswith(NETWORK_FUSE))


def _access(store: Store) -> Iterator[Finding]:
    status = os.stat(store.root)
    if os.name == "posix":
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            advice = f"chmod 700 {store.root}"
            yield _finding("warning", f"other users may look into the store (mode {mode:04o})", advice)
        else:
            yield _finding("ok", f"only its owner may look into the store (mode {mode:04o})")
        if status.st_uid != os.geteuid():
            yield _finding("warning", "the store belongs to another user", "run as that user")
    probe = store.temp.name()
    try:
        fsio.write_new(store.temp, probe, b"probe")
        fsio.remove(probe)
    except errors.StorageError as error:
        yield _finding("warning", f"the store cannot be written: {error}", "searching and showing go on working")


def _locks(store: Store) -> Iterator[Finding]:
    """Whether locks are there, and whether they exclude."""
    path = f"{store.temp.name()}.lock"
    advice = "use the store from one program at a time; gc, repair and purge will refuse"
    try:
        with locks.Lock(path, required=True):
            try:
                with locks.Lock(path, required=True):
                    yield _finding("error", "locks do not exclude each other here", advice)
            except errors.Busy:
                yield _finding("ok", "locks work")
    except errors.LocksUnavailable:
        yield _finding("warning", "the file system has no working locks", advice)
    except errors.StorageError as error:
        yield _finding("warning", f"locks cannot be tried: {error}", advice)
    finally:
        if fsio.exists(path):
            fsio.remove(path)


def _links(store: Store) -> Iterator[Finding]:
    path = f"{store.temp.name()}.link"
    try:
        make_symlink("nowhere", path)
    except (OSError, NotImplementedError):
        yield _finding("ok", "symbolic links are refused here; views/ will hold hard links or pointer files")
    else:
        yield _finding("ok", "symbolic links are allowed")
        fsio.remove(path)


def _room(store: Store) -> Iterator[Finding]:
    free = shutil.disk_usage(store.root).free
    amount = f"{free / (1 << 30):.1f} GiB free"
    if free < LEAST_BYTES:
        yield _finding("warning", f"only {amount}", "free some space; `sessionstore compact` makes the store smaller")
    else:
        yield _finding("ok", amount)
    if os.name == "posix":
        state = os.statvfs(store.root)
        if state.f_files and state.f_favail < LEAST_INODES:
            what = f"only {state.f_favail} more files can be made"
            yield _finding("warning", what, "remove files; the store needs one for every 32 KiB")


def _content(store: Store) -> Iterator[Finding]:
    """What earlier runs have left."""
    if left := gc.leftovers(store.root):
        yield _finding("warning", f"{len(left)} temp files of runs that were killed", "run `sessionstore gc`")
    journals = Journals(store.root)
    for name in journals.ids():
        try:
            state = journals.read(name).state
        except errors.SessionstoreError as error:
            yield _finding("error", str(error), "run `sessionstore verify --repair`")
            continue
        if state == "interrupted":
            advice = "if it is not running now, run the same migration again"
            yield _finding("warning", f"batch {name} has not ended", advice)
        elif state == "undoing":
            advice = f"run `sessionstore rollback {name}` again"
            yield _finding("warning", f"the rollback of batch {name} has not ended", advice)
    if kept := checks.quarantined(store.root):
        advice = "copy the originals back from a backup, then remove quarantine/"
        yield _finding("warning", f"{kept} damaged files in quarantine/", advice)


def _unknown_files(store: Store) -> Iterator[Finding]:
    strange = checks.strangers_outside(store.root)
    for folder in ("sessions", "notes"):
        strange += checks.listing(store.root, folder, layout.is_document_name).strangers
    strange += checks.listing(store.root, "objects", lambda name: objects.parse_name(name) is not None).strangers
    if strange:
        shown = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        yield _finding("warning", f"{len(strange)} files are no part of the store: {shown}", "move them out of it")


def _clock(store: Store, moment: float) -> Iterator[Finding]:
    try:
        gc.check_clock(store, moment)
    except errors.SessionstoreError as error:
        yield _finding("warning", str(error), "set the clock right")
    else:
        yield _finding("ok", "the clock agrees with the store")


def _index(store: Store, path: str) -> Iterator[Finding]:
    """Whether there is an index, and whether it is this store's."""
    if not os.path.exists(path):
        yield _finding("ok", "there is no index yet; the first search makes it")
        return
    advice = "run `sessionstore index rebuild`"
    quoted = os.path.realpath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=5)
        try:
            row = connection.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        yield _finding("error", f"the index {path} cannot be read ({error})", advice)
        return
    if row is None or row[0] != store.id:
        yield _finding("error", f"the index {path} mirrors another store", advice)
    else:
        yield _finding("ok", f"the index {path} is this store's")
