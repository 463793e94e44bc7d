"""Disks that are full, read-only, forbidden or put together oddly."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.gc import sweep_temp
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.cli.running import Program, ok
from tests.faults import disks
from tests.migrate import support
from tests.migrate.support import run, write

KEY = "native:chat"
NOBODY = 65534


def message(text: str) -> dict[str, Any]:
    """A turn of a person."""
    return {"id": "m1", "role": "user", "parts": [{"type": "text", "content": text}]}


def sources(root: Path, files: int, filler: int) -> Path:
    """Sources that do not compress well."""
    for number in range(1, files + 1):
        noise = os.urandom(filler // 2).hex()
        write(support.claude_path(root, number), support.claude(number, 20, filler=noise))
    return root


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that anybody may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


def outcome(piece: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> str:
    """What a piece raises in a child of its own, after `prepare`; empty when it raises nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it died"
        try:
            prepare()
            piece()
            said = ""
        except errors.SessionstoreError as error:
            said = f"{type(error).__name__} {error.exit_code}: {error}"
        except BaseException as error:
            said = f"unexpected {error!r}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as pipe:
        return pipe.read().decode()


def fill(path: Path) -> None:
    """Write a file until there is no room left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


# -- full --------------------------------------------------------------------------------------------------------------


@pytest.mark.mount
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_a_migration_cleanly_and_the_next_run_completes_it(tmp_path: Path, jobs: int) -> None:
    many = sources(tmp_path / "sources", 20, 12_000)
    support.rest()
    undisturbed = Store.init(tmp_path / "undisturbed")
    run(undisturbed, many)
    with disks.small_disk(tmp_path / "disk", "size=3m") as disk:
        store = Store.init(disk / "store")
        store.put(KEY, [message("here before")])
        (disk / "filler").write_bytes(os.urandom(1_500_000))
        with pytest.raises(errors.NoSpace, match="no space left") as caught:
            run(store, many, jobs=jobs)
        assert caught.value.exit_code == 6
        assert "\n" not in str(caught.value)
        sweep_temp(store)  # workers that had to stop leave what they were writing
        assert support.leftovers(store) == []
        support.assert_closed(store)
        assert support.texts(store, store.heads(KEY)[0]) == ["here before"]
        with pytest.raises(errors.NoSpace):
            run(store, many, jobs=jobs)
        support.assert_closed(store)
        (disk / "filler").unlink()
        os.system(f"mount -o remount,size=30m {disk}")
        report = run(store, many, jobs=jobs)
        assert report.failed == []
        assert len(support.keys(store)) == 21
        rollback(store, Journals(store.root).ids()[-1])
        assert support.keys(store) == [KEY]


@pytest.mark.mount
def test_a_full_disk_refuses_a_session_and_keeps_what_is_there(tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "size=1m") as disk:
        store = Store.init(disk / "store")
        store.put(KEY, [message("here before")])
        with pytest.raises(errors.NoSpace):
            store.put("native:large", [message(os.urandom(600_000).hex())])
        assert support.leftovers(store) == []
        assert support.keys(store) == [KEY]
        store.put("native:small", [message("fits")])
        support.assert_closed(store)


@pytest.mark.mount
def test_a_disk_without_inodes_says_so(tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "size=10m,nr_inodes=40") as disk:
        store = Store.init(disk / "store")

        def put_all() -> None:
            for number in range(60):
                store.put(f"native:{number}", [message("small")])

        with pytest.raises(errors.NoSpace, match="inodes"):
            put_all()
        kept = support.keys(store)
        assert len(kept) > 3
        assert support.leftovers(store) == []
        support.assert_closed(store)
        os.system(f"mount -o remount,nr_inodes=400 {disk}")
        put_all()
        assert len(support.keys(store)) == 60


@pytest.mark.mount
def test_a_rollback_on_a_full_disk_can_be_gone_on_with(tmp_path: Path) -> None:
    many = sources(tmp_path / "sources", 5, 1000)
    with disks.small_disk(tmp_path / "disk", "size=3m") as disk:
        store = Store.init(disk / "store")
        batch = str(run(store, many, retire=True).batch)
        filler = disk / "filler"
        fill(filler)
        first = outcome(lambda: rollback(store, batch))
        assert first == "" or first.startswith("NoSpace 6")
        filler.unlink()
        if not Journals(store.root).read(batch).undone:
            rollback(store, batch)
        assert support.keys(store) == []
        assert len(list(many.rglob("*.jsonl"))) == 5


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_limit_on_the_size_of_files_is_told_as_no_space(store: Store, tmp_path: Path, jobs: int) -> None:
    store.put(KEY, [message("here before")])
    many = sources(tmp_path / "sources", 10, 30_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    said = outcome(lambda: run(store, many, jobs=jobs), limit)
    assert said.startswith("NoSpace 6"), said
    sweep_temp(store)
    assert support.leftovers(store) == []
    assert support.keys(store) == [KEY]
    support.assert_closed(store)
    assert run(store, many, jobs=jobs).failed == []


# -- read-only and forbidden -------------------------------------------------------------------------------------------


@pytest.mark.mount
def test_a_read_only_store_can_be_read_and_says_so_when_it_is_written(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    batch = str(run(store, path).batch)
    more = write(support.claude_path(tmp_path, 2), support.claude(2, 30))
    expected = support.parts(store)
    with disks.read_only(Path(store.root)):
        readable = Store(store.root)
        head = support.only_head(readable)
        assert len(support.texts(readable, head)) == 30
        assert support.original(readable, head["originals"][0]) == path.read_bytes()
        assert verify(readable).ok
        assert run(readable, more, dry_run=True).sources == 1
        attempts: list[Callable[[], object]] = [
            lambda: readable.put(KEY, [message("no")]),
            lambda: readable.append(head["key"], [message("no")]),
            lambda: run(readable, more),
            lambda: run(readable, path, retire=True),
            lambda: rollback(readable, batch),
            lambda: Store.init(f"{store.root}/tmp/another"),
        ]
        for attempt in attempts:
            with pytest.raises(errors.ReadOnly, match="read-only") as caught:
                attempt()
            assert "\n" not in str(caught.value)
    assert support.parts(store) == expected
    assert path.exists()


@pytest.mark.mount
def test_a_store_of_somebody_else_can_be_read_where_allowed_and_is_never_written(public: Path) -> None:
    store = Store.init(public / "store")
    store.put(KEY, [message("mine")])
    path = write(support.claude_path(public, 1), support.claude(1, 4))
    for root, directories, files in os.walk(store.root):
        for name in (*directories, *files):
            os.chmod(os.path.join(root, name), 0o755)
    os.chmod(store.root, 0o755)

    def become_somebody_else() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def read() -> None:
        if support.texts(Store(store.root), support.only_head(Store(store.root))) != ["mine"]:
            raise errors.UsageError(reason="it reads something else")

    assert outcome(read, become_somebody_else) == ""
    for attempt in (lambda: store.put(KEY, [message("not mine")]), lambda: run(store, path)):
        said = outcome(attempt, become_somebody_else)
        assert said.startswith("WriteFailed 6"), said
        assert "permission denied" in said
    assert support.keys(store) == [KEY]


@pytest.mark.mount
def test_what_may_not_be_read_fails_alone(public: Path) -> None:
    good = write(support.claude_path(public / "sources", 1), support.claude(1, 4))
    secret = write(support.claude_path(public / "sources", 2), support.claude(2, 4))
    hidden = write(support.claude_path(public / "sources" / "hidden", 3), support.claude(3, 4))
    secret.chmod(0)
    (public / "sources" / "hidden").chmod(0)
    place = public / "mine"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)

    def migrate_readable() -> None:
        report = run(Store.init(place / "store"), public / "sources")
        failed = {entry["path"]: entry["reason"] for entry in report.failed}
        if failed != {str(secret): "permission denied", str(hidden.parents[3]): "permission denied"}:
            raise errors.UsageError(reason=str(failed))

    def become_somebody_else() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    assert outcome(migrate_readable, become_somebody_else) == ""
    store = Store(place / "store")
    assert list(support.originals(store).values()) == [good.read_bytes()]


# -- put together oddly ------------------------------------------------------------------------------------------------


def test_a_store_behind_a_symlink_is_one_store(store: Store, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(store.root)
    path = write(support.claude_path(tmp_path / "sources", 1), support.claude(1, 4))
    support.rest()
    run(Store(link), path)
    assert Store(link).root == store.root
    assert run(store, path).batch is None
    assert run(store, link).found == 0


@pytest.mark.mount
def test_a_fan_out_directory_on_another_file_system_is_an_error_that_leaves_nothing(
    store: Store, tmp_path: Path
) -> None:
    before = support.parts(store)
    with disks.small_disk(tmp_path / "disk", "size=1m") as disk:
        for number in range(256):
            (disk / f"{number:02x}").mkdir()
            os.symlink(disk / f"{number:02x}", f"{store.root}/objects/{number:02x}")
        with pytest.raises(errors.WriteFailed, match="cross-device"):
            store.put(KEY, [message("x" * 40_000)])
        assert support.leftovers(store) == []
        assert support.keys(store) == []
        for number in range(256):
            os.unlink(f"{store.root}/objects/{number:02x}")
    assert support.parts(store) == before
    store.put(KEY, [message("x" * 40_000)])
    support.assert_closed(store)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("target", ["nowhere", "{name}", "/dev/null"], ids=["dangling", "loop", "device"])
def test_symlinks_with_the_names_of_revisions_are_no_revisions(store: Store, target: str) -> None:
    name = store.put(KEY, [message("real")])
    folder, _, file = name.partition("/")
    stem = file.rpartition(".")[0].rpartition(".")[0]
    strange = f"{stem}.{'0' * 64}.json"
    os.symlink(target.format(name=strange), f"{store.root}/sessions/{folder}/{strange}")
    child_says = outcome(lambda: [store.heads(KEY), store.append(KEY, [message("more")])])
    assert not child_says.startswith("unexpected"), child_says
    os.unlink(f"{store.root}/sessions/{folder}/{strange}")
    support.assert_closed(store)


def test_a_missing_directory_of_the_store_is_made_again(store: Store, tmp_path: Path) -> None:
    for name in ("tmp", "locks", "objects", "sessions", "batches", "trash", "quarantine", "notes"):
        shutil.rmtree(f"{store.root}/{name}")
    assert run(store, write(support.claude_path(tmp_path, 1), support.claude(1, 4))).failed == []
    store.put(KEY, [message("one")])
    support.assert_closed(store)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_for_their_owner_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 40))

    def piece() -> None:
        os.umask(umask)
        run(Store.init(tmp_path / "store"), path)

    assert outcome(piece) == ""
    for root, directories, files in os.walk(tmp_path / "store"):
        for name in (*directories, *files):
            assert os.lstat(os.path.join(root, name)).st_mode & 0o077 == 0, name


@pytest.mark.mount
def test_the_state_of_an_index_that_cannot_be_written_is_told(store: Store, tmp_path: Path) -> None:
    run(store, write(support.claude_path(tmp_path, 1), support.claude(1, 30)))
    program = Program(tmp_path / "home", tmp_path, Path(store.root))
    (tmp_path / "home").mkdir()
    ok(program("list"))
    with disks.read_only(Path(store.root)):
        state = ok(program("index", "status", "--json")).json
        assert (state["healthy"], state["sessions"], state["behind"]) == (True, 1, 0)
