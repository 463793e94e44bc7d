"""Compaction: objects become smaller files and stay the same objects."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from sessionstore import errors, fsio, objects
from sessionstore.compact import SAVING, compact
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import support
from tests.store.maintenance import at, files, flip, killed_at_every_step, talk

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")
Content = dict[str, list[object]]


@pytest.fixture
def mixed(store: Store, tmp_path: Path) -> Store:
    """Pages, a large value that compresses and one that does not, chunks."""
    store.put("native:a", talk(60))
    store.put(
        "native:b", [*talk(40), {"id": "m41", "role": "user", "parts": [{"type": "text", "content": "v" * 300_000}]}]
    )
    store.objects.put(os.urandom(50_000), objects.VALUE)
    support.run(store, support.write(support.claude_path(tmp_path, 1), support.claude(1, 60, filler="w" * 900)))
    return store


def content(store: Store) -> Content:
    """Every session, whole: lines and originals."""
    found: Content = {}
    for key in support.keys(store):
        for head in store.heads(key):
            originals = [support.original(store, entry) for entry in head.get("originals", ())]
            found.setdefault(key, []).extend([head, list(store.lines(head)), list(store.messages(head)), originals])
    return found


def names(store: Store) -> set[str]:
    """The objects there are, in whatever form."""
    return {Path(path).name.removesuffix(".zst") for path in files(store, "objects")}


def test_sessions_stay_what_they_are(mixed: Store) -> None:
    before, objects_before = content(mixed), names(mixed)
    documents = support.parts(mixed, "sessions", "batches")
    result = compact(mixed)
    assert content(mixed) == before
    assert names(mixed) == objects_before
    assert support.parts(mixed, "sessions", "batches") == documents
    assert verify(mixed).ok
    assert result.objects > 3


def test_the_store_becomes_as_much_smaller_as_it_says(mixed: Store) -> None:
    before = sum(at(mixed, path).stat().st_size for path in files(mixed, "objects"))
    result = compact(mixed).as_json()
    after = sum(at(mixed, path).stat().st_size for path in files(mixed, "objects"))
    assert result["saved"] == before - after > before // 2
    assert result["objects"] + result["kept"] == len(files(mixed, "objects"))
    assert files(mixed, "tmp") == []


def test_only_what_saves_enough_is_written(mixed: Store) -> None:
    sizes = {path: at(mixed, path).stat().st_size for path in files(mixed, "objects")}
    compact(mixed)
    kept = [path for path in sizes if at(mixed, path).exists() and at(mixed, path).stat().st_size == sizes[path]]
    smaller = [path for path in files(mixed, "objects") if path not in kept]
    assert [path for path in kept if path.endswith(".bin")] != []
    for path in smaller:
        old = sizes.get(path, sizes.get(path.removesuffix(".zst"), 0))
        assert at(mixed, path).stat().st_size <= old * (1 - SAVING)


def test_chunks_are_compressed_anew_at_a_higher_level(store: Store, tmp_path: Path) -> None:
    chance = random.Random(1)
    vocabulary = ["".join(chance.choices("aeioulnrst", k=chance.randint(2, 9))) for _ in range(900)]
    words = " ".join(chance.choices(vocabulary, k=9_000))
    support.run(store, support.write(support.claude_path(tmp_path, 1), support.claude(1, 8, filler=words)))
    [path] = [path for path in files(store, "objects") if path.endswith(".raw.zst")]
    before = at(store, path).stat().st_size
    compact(store, level=19)
    assert at(store, path).stat().st_size < before * (1 - SAVING)
    assert verify(store).ok


def test_doing_it_again_changes_nothing(mixed: Store) -> None:
    compact(mixed)
    before = support.tree(mixed.root)
    result = compact(mixed)
    assert (result.objects, result.before, result.after) == (0, 0, 0)
    assert support.tree(mixed.root) == before


def test_a_compacted_page_is_not_stored_a_second_time(mixed: Store) -> None:
    compact(mixed)
    before = names(mixed), len(files(mixed, "objects"))
    mixed.put("native:c", talk(60))
    assert (names(mixed), len(files(mixed, "objects"))) == before


def test_a_compacted_session_is_gone_on_with(mixed: Store) -> None:
    compact(mixed)
    mixed.append("native:a", [{**message, "id": f"n{number}"} for number, message in enumerate(talk(30))])
    [head] = mixed.heads("native:a")
    assert head["counts"]["messages"] == 90
    assert verify(mixed).ok


def test_what_is_damaged_is_left_as_it_is(mixed: Store) -> None:
    damaged = [path for path in files(mixed, "objects") if path.endswith((".jsonl", ".raw.zst"))][::2]
    for path in damaged:
        flip(at(mixed, path), 40)
    before = {path: at(mixed, path).read_bytes() for path in damaged}
    result = compact(mixed)
    assert result.damaged == len(damaged)
    assert {path: at(mixed, path).read_bytes() for path in damaged} == before
    assert {entry.path for entry in verify(mixed).damage} == set(damaged)


def test_a_damaged_compressed_file_beside_a_plain_one_is_replaced(mixed: Store) -> None:
    path = next(path for path in files(mixed, "objects") if path.endswith(".jsonl"))
    at(mixed, f"{path}.zst").write_bytes(b"torn")
    compact(mixed)
    assert not at(mixed, path).exists()
    assert verify(mixed).ok


@pytest.mark.parametrize("level", [0, 23, -1])
def test_there_are_levels_1_to_22(store: Store, level: int) -> None:
    with pytest.raises(errors.UsageError):
        compact(store, level=level)


def test_without_locks_it_refuses_before_it_writes(mixed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def no_locks(descriptor: int, shared: bool, wait: bool = False) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = support.parts(mixed, "objects", "tmp")
    monkeypatch.setattr(fsio, "flock", no_locks)
    with pytest.raises(errors.LocksUnavailable):
        compact(mixed)
    assert support.parts(mixed, "objects", "tmp") == before


def test_a_full_disk_leaves_the_store_as_it_was(mixed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    before = support.parts(mixed, "objects", "tmp")
    written = 0

    def full(descriptor: int, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.write(descriptor, data)

    monkeypatch.setattr(fsio, "write_all", full)
    with pytest.raises(errors.NoSpace):
        compact(mixed)
    assert support.parts(mixed, "objects", "tmp") == before


@posix
def test_a_kill_at_any_step_leaves_both_files_or_one_and_the_next_run_finishes(mixed: Store, tmp_path: Path) -> None:
    before, copies, both = content(mixed), 0, 0
    for copy in killed_at_every_step(mixed, tmp_path / "copies", compact):
        copies += 1
        both += len(names(copy)) < len(files(copy, "objects"))
        assert content(copy) == before
        assert verify(copy).ok
        compact(copy)
        assert content(copy) == before
        assert len(names(copy)) == len(files(copy, "objects"))
        assert not [path for path in files(copy, "objects") if path.endswith(".jsonl")]
    assert copies > 15
    assert both > 3


def test_readers_beside_it_miss_nothing(mixed: Store) -> None:
    before, seen, done = content(mixed), 0, threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        nonlocal seen
        while not done.is_set():
            try:
                assert content(mixed) == before
            except BaseException as error:
                failures.append(error)
            seen += 1

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        compact(mixed, level=1)
        for path in files(mixed, "objects"):
            if path.endswith(".jsonl.zst"):
                data = objects.decompress(at(mixed, path).read_bytes(), path)
                fsio.replace(mixed.temp, f"{mixed.root}/{path.removesuffix('.zst')}", data)
                fsio.remove(f"{mixed.root}/{path}")
    done.set()
    reader.join()
    assert failures == []
    assert seen > 1


def test_progress_comes_to_the_number_of_objects(mixed: Store) -> None:
    class Told:
        total = done = 0

        def start(self, files: int, size: int) -> None:
            self.total = files

        def advance(self, files: int, size: int) -> None:
            self.done += files

    told = Told()
    compact(mixed, progress=told)
    assert told.total == told.done > 0
