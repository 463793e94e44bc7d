"""What the doctor finds, on this machine and in a store."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path

import pytest

from sessionstore import doctor as module
from sessionstore import errors, fsio, layout
from sessionstore.doctor import Finding, doctor, file_system, is_network
from sessionstore.gc import DAY
from sessionstore.journal import Journals
from sessionstore.repair import repair
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import support
from tests.store.maintenance import at, flip, page_path, talk


def troubles(findings: list[Finding]) -> list[str]:
    """What is not well, but for how full this machine's disk is."""
    return [f["what"] for f in findings if f["level"] != "ok" and "GiB free" not in f["what"]]


def index(store: Store, store_id: str) -> None:
    """An index of some store."""
    connection = sqlite3.connect(at(store, "index.sqlite"))
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value)")
    connection.execute("INSERT INTO meta VALUES ('store_id', ?)", (store_id,))
    connection.commit()
    connection.close()


def test_a_healthy_store_has_no_troubles_and_is_left_as_it_is(store: Store) -> None:
    store.put("native:a", talk(40))
    index(store, store.id)
    before = support.tree(store.root)
    findings = doctor(store)
    assert troubles(findings) == []
    assert support.tree(store.root) == before
    said = " ".join(f["what"] for f in findings)
    for subject in ("Python", "FTS5", store.id, "file system", "locks work", "symbolic links", "clock", "index"):
        assert subject in said


def test_every_finding_has_a_level_and_every_trouble_advice(store: Store) -> None:
    at(store, "tmp/1f-x").write_bytes(b"")
    at(store, "objects/x").write_bytes(b"")
    os.chmod(store.root, 0o755)
    for finding in doctor(store.root):
        assert finding.keys() == {"level", "what", "advice"}
        assert finding["level"] in ("ok", "warning", "error")
        assert finding["level"] == "ok" or finding["advice"]


def test_a_place_without_a_store_is_an_error(tmp_path: Path) -> None:
    [trouble] = troubles(doctor(tmp_path / "nowhere"))
    assert "no store at" in trouble


def test_a_damaged_or_newer_marker_is_an_error(store: Store) -> None:
    marker = at(store, layout.MARKER)
    good = marker.read_bytes()
    marker.write_bytes(b"{")
    assert "STORE.json" in troubles(doctor(store.root))[0]
    marker.write_bytes(good.replace(b'"v":1', b'"v":9'))
    assert "format version 9" in troubles(doctor(store.root))[0]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_store_that_others_can_read_is_told_of(store: Store) -> None:
    os.chmod(store.root, 0o750)
    assert troubles(doctor(store)) == ["other users may look into the store (mode 0750)"]


def test_what_earlier_runs_have_left_is_told_of(store: Store) -> None:
    store.put("native:a", talk(40))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    at(store, f"tmp/{child:x}-left").write_bytes(b"")
    interrupted, undoing = layout.ulid(), layout.ulid()
    Journals(store.root).append(interrupted, [], begin={"t": "begin"})
    Journals(store.root).append(undoing, [{"t": "end"}, {"t": "undo"}], begin={"t": "begin"})
    flip(at(store, page_path(store, "native:a")), 3)
    repair(store, verify(store))
    at(store, "sessions/00").mkdir()
    at(store, "sessions/00/x (1).json").write_bytes(b"")
    at(store, "mine.txt").write_bytes(b"")
    assert troubles(doctor(store)) == [
        "1 temp files of runs that were killed",
        f"batch {interrupted} has not ended",
        f"the rollback of batch {undoing} has not ended",
        "1 damaged files in quarantine/",
        "2 files are no part of the store: mine.txt, sessions/00/x (1).json",
    ]


def test_a_damaged_journal_is_an_error(store: Store) -> None:
    at(store, f"batches/{layout.ulid()}.jsonl").write_bytes(b"?\n{}\n")
    findings = [f for f in doctor(store) if f["level"] == "error"]
    assert ["damaged at line 1" in f["what"] for f in findings] == [True]


def test_a_clock_that_is_behind_the_store_is_told_of(store: Store) -> None:
    Journals(store.root).append(layout.ulid(), [{"t": "end"}], begin={"t": "begin"})
    assert "clock is 10 days behind" in troubles(doctor(store, now=time.time() - 10 * DAY))[0]


def test_an_index_of_another_store_or_none_at_all_is_told_of(store: Store) -> None:
    index(store, layout.ulid())
    assert "mirrors another store" in troubles(doctor(store))[0]
    at(store, "index.sqlite").write_bytes(b"not a database, not at all" * 50)
    assert "cannot be read" in troubles(doctor(store))[0]
    at(store, "index.sqlite").unlink()
    assert troubles(doctor(store)) == []


def test_an_index_elsewhere_is_looked_at_where_it_is(store: Store, tmp_path: Path) -> None:
    index(store, layout.ulid())
    os.rename(at(store, "index.sqlite"), tmp_path / "odd ? # % name.sqlite")
    assert "mirrors another store" in troubles(doctor(store, index=str(tmp_path / "odd ? # % name.sqlite")))[0]


def test_missing_locks_are_told_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, shared: bool, wait: bool = False) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fsio, "flock", no_locks)
    assert troubles(doctor(store)) == ["the file system has no working locks"]


def test_locks_that_do_not_exclude_are_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsio, "flock", lambda descriptor, *, shared, wait=False: None)
    assert troubles(doctor(store)) == ["locks do not exclude each other here"]


def test_a_read_only_store_is_a_warning(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: str, mode: int) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(fsio, "_open_new", read_only)
    assert any("cannot be written" in trouble for trouble in troubles(doctor(store)))


def test_too_little_room_is_told_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_BYTES", 1 << 62)
    monkeypatch.setattr(module, "LEAST_INODES", 1 << 62)
    said = [f["what"] for f in doctor(store) if f["level"] == "warning"]
    assert "GiB free" in said[0]
    assert len(said) == 1 or "more files" in said[1]


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /home/a\\040b nfs4 rw 0 0
me@host: /home/ab fuse.sshfs rw 0 0
/dev/sdb /home/a\\040b/local xfs rw 0 0

broken
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/store", "ext4", False),
        ("/tmp", "tmpfs", False),
        ("/tmpx/store", "ext4", False),
        ("/home/a b/store", "nfs4", True),
        ("/home/ab/store", "fuse.sshfs", True),
        ("/home/abc", "ext4", False),
        ("/home/a b/local/store", "xfs", False),
    ],
)
def test_network_file_systems_are_told_by_their_mount(path: str, kind: str, network: bool) -> None:
    assert file_system(MOUNTS, path) == kind
    assert is_network(kind) is network


def test_what_the_mounts_do_not_say_is_no_network() -> None:
    assert file_system("", "/x") == ""
    assert not is_network("")
    assert not is_network("fuse.veracrypt")
    assert not is_network("fuse")


def test_the_doctor_never_fails_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Store) -> list[Finding]:
        raise errors.ReadFailed(path="x", reason="input/output error")

    monkeypatch.setattr(module, "_content", broken)
    assert "cannot read x: input/output error" in troubles(doctor(store))


def test_no_advice_names_an_option_that_is_not_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system", lambda mounts, path: "nfs4")
    [finding] = [finding for finding in doctor(store) if "network" in finding["what"]]
    assert "--" not in finding["advice"]
