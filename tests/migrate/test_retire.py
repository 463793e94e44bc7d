"""Sources removed after they were verified, and given back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, fsio, objects
from sessionstore.gc import gc
from sessionstore.journal import Journals
from sessionstore.migrate import reading
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import grow, run, write

MTIME = 1_600_000_000_123_456_789


def sources(root: Path) -> dict[Path, bytes]:
    """Some sources with times and modes of their own."""
    files = {
        support.claude_path(root, 1): support.claude(1, 30),
        support.codex_path(root, 2): support.codex(2, 30),
        support.kimi_path(root): support.kimi(["Hello", "Good evening"]),
    }
    for number, (path, data) in enumerate(files.items()):
        write(path, data)
        path.chmod(0o640 - number)
        os.utime(path, ns=(MTIME, MTIME + number))
    return files


def attributes(paths: Any) -> dict[Path, tuple[bytes, int, int]]:
    """Bytes, mode and mtime of files."""
    return {path: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in paths}


def test_retire_removes_the_files_and_rollback_gives_them_back_exactly(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path)
    before = attributes(files)
    report = run(store, tmp_path, retire=True)
    assert report.retired == len(files)
    assert not any(path.exists() for path in files)
    assert [support.original(store, line["original"]) for line in support.live_lines(store)] == sorted(
        files.values(), key=len, reverse=True
    )
    undone = rollback(store, str(report.batch))
    assert undone.returned == len(files)
    assert attributes(files) == before
    assert support.keys(store) == []


def test_files_imported_earlier_are_retired_by_a_later_run(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path)
    support.rest()
    run(store, tmp_path)
    sessions = support.parts(store, "sessions")
    before = attributes(files)
    report = run(store, tmp_path, retire=True)
    assert (report.retired, report.sources) == (len(files), 0)
    assert not any(path.exists() for path in files)
    rollback(store, str(report.batch))
    assert attributes(files) == before
    assert support.parts(store, "sessions") == sessions


def test_mode_and_time_come_back_as_they_were_when_the_file_was_removed(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    support.rest()
    run(store, path)
    path.chmod(0o604)
    os.utime(path, ns=(MTIME, MTIME))
    before = attributes([path])
    rollback(store, str(run(store, path, retire=True).batch))
    assert attributes([path]) == before


def test_a_batch_whose_files_were_removed_by_a_later_one_has_to_wait_for_it(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path)
    support.rest()
    first = run(store, tmp_path).batch
    later = run(store, tmp_path, retire=True).batch
    with pytest.raises(errors.RollbackRefused, match=str(later)):
        rollback(store, str(first))
    assert len(support.keys(store)) == len(files)
    rollback(store, str(later))
    rollback(store, str(first))
    assert all(path.read_bytes() == data for path, data in files.items())
    assert support.keys(store) == []


def test_a_removed_copy_keeps_the_batch_that_has_its_only_bytes(store: Store, tmp_path: Path) -> None:
    data = support.claude(1, 10)
    original = write(support.claude_path(tmp_path / "a", 1), data)
    first = run(store, original).batch
    original.unlink()
    copy = write(support.claude_path(tmp_path / "b", 1), data)
    later = run(store, copy, retire=True).batch
    assert not copy.exists()
    with pytest.raises(errors.RollbackRefused, match=str(later)):
        rollback(store, str(first))
    rollback(store, str(later))
    assert copy.read_bytes() == data


@pytest.mark.parametrize(
    "change",
    [support.claude(1, 31, 30), b"", None],
    ids=["grown", "emptied", "rewritten"],
)
def test_a_file_that_changes_before_it_is_removed_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes | None
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    support.rest()
    run(store, path)
    real = Store.original

    def original(self: Store, *arguments: Any) -> Iterator[bytes]:
        yield from real(self, *arguments)
        if change is None:
            path.write_bytes(support.claude(1, 30).replace(b"line 3 ", b"LINE 3 "))
        elif change:
            grow(path, change)
        else:
            path.write_bytes(b"")

    monkeypatch.setattr(Store, "original", original)
    report = run(store, path, retire=True)
    assert report.retired == 0
    assert [entry["path"] for entry in report.failed] == [str(path)]
    assert path.exists()


def test_a_file_that_grows_while_it_is_compared_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    support.rest()
    run(store, path)
    real = reading.blocks

    def blocks(*arguments: Any) -> Iterator[bytes]:
        yield from real(*arguments)
        grow(path, support.claude(1, 31, 30))

    monkeypatch.setattr(reading, "blocks", blocks)
    assert run(store, path, retire=True).retired == 0
    assert path.read_bytes() == support.claude(1, 31)


def test_nothing_is_removed_when_the_copy_in_the_store_is_damaged(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    support.rest()
    run(store, path)
    [chunk] = [place for _, kind, place in store.objects.all() if kind == objects.CHUNK]
    Path(chunk).write_bytes(objects.compress(b"something else"))
    report = run(store, path, retire=True)
    assert (report.retired, path.exists()) == (0, True)
    assert "not removed" in report.failed[0]["reason"]


def test_a_source_whose_session_is_no_longer_in_the_store_is_read_again_before_it_is_removed(
    store: Store, tmp_path: Path
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    support.rest()
    run(store, path)
    [name] = store.revision_names()
    Path(store.root, "sessions", name).unlink()
    report = run(store, path, retire=True)
    assert (report.retired, report.skipped, path.exists()) == (1, 0, False)
    assert support.only_head(store)["counts"]["messages"] == 30


def test_rejected_and_failed_sources_are_never_removed(store: Store, tmp_path: Path) -> None:
    sources(tmp_path)
    foreign = write(tmp_path / "foreign.json", b'{"hello": "world"}')
    broken = write(tmp_path / "broken.jsonl.zst", b"\x28\xb5\x2f\xfd\x04")
    run(store, tmp_path, retire=True)
    assert foreign.exists()
    assert broken.exists()


def test_garbage_collection_keeps_what_only_a_removed_file_refers_to(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path / "now", 1), support.claude(1, 30))
    older = write(support.claude_path(tmp_path / "backup", 1), support.claude(1, 10))
    batch = str(run(store, tmp_path, retire=True).batch)
    gc(store, grace_days=0)
    rollback(store, batch)
    assert older.read_bytes() == support.claude(1, 10)


def test_a_file_that_came_back_meanwhile_is_never_overwritten(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path)
    batch = str(run(store, tmp_path, retire=True).batch)
    path = next(iter(files))
    path.write_bytes(b"mine\n")
    before = support.parts(store, "sessions", "batches")
    with pytest.raises(errors.SessionstoreError, match="another file is there"):
        rollback(store, batch)
    assert path.read_bytes() == b"mine\n"
    assert support.parts(store, "sessions", "batches") == before
    path.unlink()
    rollback(store, batch)
    assert {path: path.read_bytes() for path in files} == files


def test_a_removed_file_whose_directory_is_gone_is_given_back(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    batch = str(run(store, path, retire=True).batch)
    path.parent.rmdir()
    rollback(store, batch)
    assert path.read_bytes() == support.claude(1, 4)


def test_a_name_of_the_greatest_length_is_removed_and_given_back(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / ("潮" * 83 + ".jsonl"), support.claude(1, 4))
    report = run(store, tmp_path, retire=True)
    assert (report.retired, path.exists()) == (1, False)
    rollback(store, str(report.batch))
    assert path.read_bytes() == support.claude(1, 4)


def test_a_name_that_is_not_text_is_removed_and_given_back(store: Store, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl"))
    path.write_bytes(support.claude(1, 4))
    report = run(store, tmp_path, retire=True)
    assert (report.retired, path.exists()) == (1, False)
    rollback(store, str(report.batch))
    assert path.read_bytes() == support.claude(1, 4)


def test_what_was_removed_is_in_the_journal_before_it_is_gone(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path)
    batch = Journals(store.root).read(str(run(store, tmp_path, retire=True).batch))
    assert {path for path, _ in batch.retire} == {str(path) for path in files}


def test_a_file_that_could_not_be_removed_is_no_removed_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    remove = fsio.remove

    def refuse(place: str, *rest: Any) -> bool:
        if place == str(path):
            raise errors.WriteFailed(path=place, reason="not permitted")
        return remove(place, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(fsio, "remove", refuse)
        report = run(store, path, retire=True)
    assert (report.retired, len(report.failed), path.exists()) == (0, 1, True)
    batch = str(report.batch)
    assert Journals(store.root).read(batch).retire == {}
    grow(path, support.claude(1, 40, 30))
    assert rollback(store, batch).returned == 0
    assert path.read_bytes() == support.claude(1, 40)
