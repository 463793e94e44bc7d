"""Backups: one file, whole, checked; and what a crash leaves."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Store, canonical, errors
from sessionstore.manager import SessionManager, backup
from sessionstore.notes import set_note
from sessionstore.purge import purge
from sessionstore.verify import verify


def content(store: Store) -> dict[str, bytes]:
    """The files of a store that make up its content."""
    root = Path(store.root)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("objects", "sessions", "notes", "batches")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def filled(manager: SessionManager) -> SessionManager:
    for n in range(5):
        session = manager.create(f"s{n}", title=f"T{n}")
        session.append([{"role": "user", "content": f"{n} {'x' * 900}"} for _ in range(50)])
        set_note(manager.store, session.key, "tags", ["a"])
    manager.edit("s1", 3, "changed")
    manager.get("s2").add_user({"type": "blob", "modality": "image", "mime_type": "image/png", "data": "aGVsbG8="})
    return manager


def test_a_backup_gives_everything_back(filled: SessionManager, tmp_path: Path) -> None:
    told = filled.backup(tmp_path / "b.zip")
    assert (told["sessions"], told["bytes"]) == (5, (tmp_path / "b.zip").stat().st_size)
    with SessionManager(tmp_path / "new") as other:
        found = other.restore(tmp_path / "b.zip")
        assert (len(found["keys"]), found["written"]) == (5, told["files"])
        assert content(other.store) == content(filled.store)
        assert verify(other.store).ok
        assert other.search("changed")[0]["key"] == "native:s1"
        assert other.restore(tmp_path / "b.zip")["written"] == 0


def test_some_sessions_only(filled: SessionManager, tmp_path: Path) -> None:
    filled.backup(tmp_path / "b.zip", ["s1", filled.get("s2")])
    with SessionManager(tmp_path / "new") as other:
        assert other.restore(tmp_path / "b.zip")["keys"] == ["native:s1", "native:s2"]
        assert verify(other.store).ok
        assert len(other.store.revisions_of("native:s1")) == 2


def test_a_restore_puts_two_stores_together(filled: SessionManager, tmp_path: Path) -> None:
    filled.backup(tmp_path / "b.zip")
    filled.get("s0").add_user("later")
    filled.create("new").add_user("Hello")
    filled.restore(tmp_path / "b.zip")
    assert filled.get("s0").messages()[-1]["parts"][0]["content"] == "later"
    assert filled.get("new").count == 1
    assert len(filled.store.heads("native:s0")) == 1


def test_a_restore_does_not_bring_back_what_was_purged(filled: SessionManager, tmp_path: Path) -> None:
    filled.backup(tmp_path / "b.zip")
    purge(filled.store, "native:s3")
    assert filled.restore(tmp_path / "b.zip")["purged"] == ["native:s3"]
    with pytest.raises(errors.NotFound):
        filled.get("native:s3").messages()


def test_a_backup_is_never_written_over_a_file(filled: SessionManager, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    with pytest.raises(errors.WriteFailed):
        filled.backup(tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_text() == "mine"


def test_a_backup_made_while_others_write_is_whole(filled: SessionManager, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        session = filled.get("s0")
        while not stop.is_set():
            session.add_user("x" * 3000)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for n in range(5):
            filled.backup(tmp_path / f"{n}.zip")
    finally:
        stop.set()
        thread.join()
    for n in range(5):
        other = Store.init(tmp_path / f"new{n}")
        backup.restore(other, tmp_path / f"{n}.zip")
        assert verify(other).ok
        assert len(other.heads("native:s0")) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage", "empty"])
def test_a_damaged_backup_changes_nothing(filled: SessionManager, tmp_path: Path, damage: str) -> None:
    filled.backup(tmp_path / "b.zip")
    data = (tmp_path / "b.zip").read_bytes()
    at = len(data) // 2
    worse = {
        "cut": data[:at],
        "flip": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
        "garbage": b"no",
        "empty": b"",
    }
    (tmp_path / "bad.zip").write_bytes(worse[damage])
    other = Store.init(tmp_path / "new")
    with pytest.raises(errors.SourceInvalid, match=r"bad\.zip: not a valid backup file"):
        backup.restore(other, tmp_path / "bad.zip")
    assert content(other) == {}


def test_a_backup_with_any_flipped_bit_is_refused_or_the_same(filled: SessionManager, tmp_path: Path) -> None:
    """Bits that nothing depends on (times in the archive's directory) may change; nothing else goes unnoticed."""
    filled.backup(tmp_path / "b.zip", ["s0", "s1"])
    data = (tmp_path / "b.zip").read_bytes()
    whole = dict(backup._entries(tmp_path / "b.zip"))
    refused = 0
    for at in range(0, len(data), max(1, len(data) // 1500)):
        (tmp_path / "bad.zip").write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            found = dict(backup._entries(tmp_path / "bad.zip"))
        except errors.SourceInvalid:
            refused += 1
        else:
            assert found == whole
    assert refused > 700


@pytest.mark.parametrize("name", ["../../evil", "sessions/../../evil", "STORE.json", "/etc/passwd", "objects/aa/x.bin"])
def test_a_hostile_backup_writes_nowhere(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(name, b"evil")
        manifest = {"format": backup.FORMAT, "v": 1, "entries": {name: canonical.digest(b"evil")}}
        archive.writestr("MANIFEST.json", canonical.dumps(manifest))
    other = Store.init(tmp_path / "new")
    with pytest.raises(errors.SourceInvalid, match="is no file of a store"):
        backup.restore(other, tmp_path / "b.zip")
    assert content(other) == {}
    assert not (tmp_path / "evil").exists()


def test_recovery_names_damage_and_keeps_the_rest(filled: SessionManager) -> None:
    page = next(path for _, kind, path in filled.store.objects.all() if kind == "jsonl")
    Path(page).write_bytes(b"damaged")
    found = filled.recover()
    assert any(Path(page).name in path for path in found["damaged"])
    assert found["repaired"]["moved"]
    assert filled.get("s4").count == 50


def test_what_is_damaged_is_left_out_of_a_backup_and_named(filled: SessionManager, tmp_path: Path) -> None:
    lost, bent = [path for _, kind, path in filled.store.objects.all() if kind == "jsonl"][:2]
    Path(lost).unlink()
    Path(bent).write_bytes(b"damaged")
    torn = Path(filled.store.root, "sessions", filled.get("s4").revision["_name"])
    torn.write_bytes(torn.read_bytes()[:-10])
    told = filled.backup(tmp_path / "b.zip")
    assert len(told["damaged"]) == len(set(told["damaged"]))
    names = {Path(name).name for name in told["damaged"]}
    assert torn.name in names
    assert Path(bent).name in names
    with SessionManager(tmp_path / "new") as other:
        assert "native:s0" in other.restore(tmp_path / "b.zip")["keys"]


def test_what_is_no_backup_says_why(filled: SessionManager, tmp_path: Path) -> None:
    with pytest.raises(errors.StorageError):
        filled.restore(tmp_path / "nothing.zip")
    for name, manifest in (("other", {"format": "other", "v": 1}), ("newer", {"format": backup.FORMAT, "v": 2})):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(backup.MANIFEST, canonical.dumps({**manifest, "entries": {}}))
        with pytest.raises(errors.SourceInvalid, match="it is of another format"):
            filled.restore(tmp_path / f"{name}.zip")


def test_a_damaged_note_is_left_out_of_a_backup_and_named(filled: SessionManager, tmp_path: Path) -> None:
    name = min(filled.store.note_names())
    Path(filled.store.root, "notes", name).write_bytes(b"{}")
    told = filled.backup(tmp_path / "b.zip")
    assert told["damaged"] == [f"notes/{name}"]
    assert told["sessions"] == 5


def test_a_backup_that_does_not_read_back_is_not_left_behind(
    filled: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backup._written

    def torn(*given: Any) -> Iterator[bytes]:
        pieces = list(real(*given))
        yield from pieces[:-1]

    monkeypatch.setattr(backup, "_written", torn)
    with pytest.raises(errors.VerificationFailed):
        filled.backup(tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_session_that_cannot_be_read_is_named_by_a_recovery(manager: SessionManager) -> None:
    manager.create("lost").append([{"role": "user", "content": f"{n} {'x' * 900}"} for n in range(50)])
    manager.create("whole").add_user("Hello?")
    page = manager.get("lost").revision["pages"][0]["id"]
    Path(str(manager.store.objects.find(page, "jsonl"))).unlink()
    found = SessionManager(manager.store, index=False).recover()
    assert "native:lost" in found["damaged"] or any(page in path for path in found["damaged"])
    assert "native:whole" in found["pending"]
