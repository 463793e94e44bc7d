"""Sources that cannot be imported: each is reported, none stops the others."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sessionstore.importers.base import Draft, Importer, Message, Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate import finding, workers
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import grow, run, write

GOOD = support.claude(1, 4)


def with_good(root: Path) -> Path:
    """A good source to go with a bad one."""
    return write(support.claude_path(root, 1), GOOD)


def assert_only_good(store: Store) -> None:
    """The good source is in the store, whole, and nothing else is."""
    assert list(support.originals(store).values()) == [GOOD]
    assert support.only_head(store)["counts"]["messages"] == 4
    support.assert_closed(store)
    assert support.leftovers(store) == []


def named(entries: list[dict[str, str]]) -> dict[str, str]:
    """File name to reason."""
    return {os.path.basename(entry["path"]): entry["reason"] for entry in entries}


def test_fifos_sockets_loops_and_directories_with_the_name_of_a_source_are_passed_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_good(tmp_path)
    strange = tmp_path / "strange"
    (strange / "directory.jsonl").mkdir(parents=True)
    os.mkfifo(strange / "fifo.jsonl")
    (strange / "loop.jsonl").symlink_to("loop.jsonl")
    (strange / "dangling.jsonl").symlink_to("nowhere.jsonl")
    (strange / "around").symlink_to("..")
    monkeypatch.chdir(strange)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jsonl")
        report = run(store, tmp_path)
    assert (report.found, report.failed, report.unrecognised) == (1, [], [])
    assert_only_good(store)


@pytest.mark.timeout(30)
def test_a_fifo_or_socket_named_outright_fails_and_does_not_hang(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo.jsonl")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jsonl")
        report = run(store, with_good(tmp_path), tmp_path / "fifo.jsonl", tmp_path / "socket.jsonl")
    assert set(named(report.failed)) == {"fifo.jsonl", "socket.jsonl"}
    assert_only_good(store)


def test_broken_and_foreign_files_are_reported_and_kept_out(store: Store, tmp_path: Path) -> None:
    with_good(tmp_path)
    for name, data in {
        "empty.jsonl": b"",
        "noise.jsonl": bytes(range(256)),
        "foreign.json": b'{"hello": "world"}',
        "cut.jsonl.zst": b"\x28\xb5\x2f\xfd\x04",
        "cut.jsonl": b"\x1f\x8b\x08\x00",
        "deep.json": b"[" * 100_000,
        "nul.jsonl": b"\0" * 5000,
    }.items():
        write(tmp_path / "broken" / name, data)
    report = run(store, tmp_path)
    assert (report.found, report.sources) == (8, 1)
    assert len(report.failed) + len(report.unrecognised) == 7
    assert all(reason for reason in named(report.failed + report.unrecognised).values())
    assert_only_good(store)


PACKERS = [pytest.param(gzip.compress, id="gzip"), pytest.param(zstandard.ZstdCompressor().compress, id="zstd")]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("lost", [1, 4, 300, -20])
def test_compressed_data_that_was_cut_off_is_never_half_imported(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes], lost: int
) -> None:
    with_good(tmp_path)
    data = pack(support.codex(2, 400))
    path = support.codex_path(tmp_path, 2)
    write(path.with_name(path.name + ".zst"), data[:-lost])
    report = run(store, tmp_path)
    assert [reason for reason in named(report.failed).values() if "cut off" in reason]
    assert_only_good(store)


@pytest.mark.parametrize("pack", PACKERS)
def test_compressed_data_in_several_pieces_is_one_source(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = support.codex_path(tmp_path, 2)
    write(path.with_name(path.name + ".zst"), pack(support.codex(2, 10)) + pack(support.codex(2, 400, 10)))
    assert run(store, tmp_path).failed == []
    plain = Store.init(tmp_path / "plain")
    run(plain, write(path, support.codex(2, 400)))
    assert list(store.lines(support.only_head(store))) == list(plain.lines(support.only_head(plain)))


@pytest.mark.parametrize("pack", PACKERS)
def test_a_bomb_is_refused_after_little_of_it(store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    with_good(tmp_path)
    write(tmp_path / "bomb.jsonl.zst", pack(bytes(200 << 20)))
    report = run(store, tmp_path)
    assert "bomb.jsonl.zst" in named(report.failed + report.unrecognised)
    assert_only_good(store)


def test_looking_for_sources_tells_of_the_ones_that_cannot_be_read(tmp_path: Path) -> None:
    with_good(tmp_path)
    write(support.kimi_path(tmp_path), support.kimi(["x" * 1_000_000] * 6))
    write(tmp_path / "cut.jsonl", b"\x1f\x8b\x08\x00")
    write(tmp_path / "empty.jsonl", b"")
    importers = workers.chosen_importers(None)
    entries, others = finding.survey(finding.roots([str(tmp_path)], importers.values(), support.NOWHERE), importers)
    assert {entry["source"]: entry["sessions"] for entry in entries} == {"claude-code": 1, "kimi": 1}
    assert {os.path.basename(path) for path, _ in others} == {"cut.jsonl", "empty.jsonl"}


def test_a_file_that_no_importer_knows_fails_only_when_it_was_named(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "other" / "foreign.json", b'{"hello": "world"}')
    with_good(tmp_path)
    report = run(store, tmp_path)
    assert (report.failed, list(named(report.unrecognised))) == ([], ["foreign.json"])
    report = run(store, path)
    assert (list(named(report.failed)), report.unrecognised) == (["foreign.json"], [])


class Faulty(Importer):
    """An importer of another package that breaks in a way of its own."""

    source = "faulty"
    title = "Faulty"
    suffixes = (".faulty",)

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def recognise(self, head: Any) -> bool:
        return True

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        draft = source.draft("one")
        for _ in source.lines():
            source.account.records += 1
            source.mapped()
            yield draft, {"id": "m1", "role": "user", "parts": [{"type": "text", "content": "half"}]}
            raise self.failure


FAILURES = [
    RuntimeError("broken"),
    KeyError("x"),
    RecursionError(),
    MemoryError(),
    Unparsable("no"),
    OSError(5, "Input/output error"),
    FileNotFoundError(2, "No such file or directory"),
    AssertionError(),
    StopIteration(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_an_importer_that_raises_fails_only_its_own_source(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    faulty: dict[str, Importer] = {"faulty": Faulty(failure), "claude-code": ClaudeCode()}
    monkeypatch.setattr(workers, "all_importers", lambda: faulty)
    write(tmp_path / "a.faulty", b"a long first line\nand a second one\n" * 100)
    with_good(tmp_path)
    report = run(store, tmp_path)
    assert list(named(report.failed)) == ["a.faulty"]
    assert_only_good(store)


def test_an_importer_that_fails_while_it_recognises_fails_only_that_source(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind(Faulty):
        def recognise(self, head: Any) -> bool:
            raise self.failure

    monkeypatch.setattr(
        workers, "all_importers", lambda: {"faulty": Blind(RuntimeError("broken")), "claude-code": ClaudeCode()}
    )
    write(tmp_path / "a.faulty", b"text\n")
    with_good(tmp_path)
    report = run(store, tmp_path)
    assert list(named(report.failed + report.unrecognised)) == ["a.faulty"]
    assert_only_good(store)


def test_an_importer_whose_account_does_not_add_up_is_not_believed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(ClaudeCode):
        def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
            yield from super().read(source)
            source.account.records += 1

    monkeypatch.setattr(workers, "all_importers", lambda: {"claude-code": Careless()})
    report = run(store, with_good(tmp_path))
    assert "5 records, but 4 + 0 + 0 accounted for" in report.failed[0]["reason"]
    assert (report.batch, support.keys(store)) == (None, [])


class Meddling(ClaudeCode):
    """An importer during whose reading something happens to the file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        for number, pair in enumerate(super().read(source)):
            if number == 1:
                self.path.write_bytes(self.data)
            yield pair


CHANGES = {
    "cut off": GOOD[:100],
    "emptied": b"",
    "rewritten": GOOD.replace(b"line 0", b"LINE 0"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes
) -> None:
    path = with_good(tmp_path)
    support.rest()
    with monkeypatch.context() as patch:
        patch.setattr(workers, "all_importers", lambda: {"claude-code": Meddling(path, change)})
        patch.setattr(workers, "TRIES", 1)
        report = run(store, path)
    assert list(named(report.failed)) == [path.name]
    assert "changed" in report.failed[0]["reason"]
    assert support.keys(store) == []
    path.write_bytes(GOOD)
    assert run(store, path).failed == []
    assert_only_good(store)


def test_a_file_that_has_changed_while_it_was_read_is_read_once_more(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_good(tmp_path)
    rewritten = CHANGES["rewritten"]
    with monkeypatch.context() as patch:
        patch.setattr(workers, "all_importers", lambda: {"claude-code": Meddling(path, rewritten)})
        patch.setattr(Meddling, "read", _meddle_once(rewritten))
        assert run(store, path).failed == []
    assert list(support.originals(store)) == [support.digest(rewritten)]


def _meddle_once(data: bytes) -> Any:
    changed = []

    def read(self: Meddling, source: Source) -> Iterator[tuple[Draft, Message]]:
        for pair in ClaudeCode.read(self, source):
            if not changed:
                self.path.write_bytes(data)
                changed.append(True)
            yield pair

    return read


def test_lines_longer_and_rewritten_while_a_file_is_read_are_not_taken_for_growth(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_good(tmp_path)
    longer = support.claude(1, 9).replace(b"line 0", b"LINE 0")
    with monkeypatch.context() as patch:
        patch.setattr(workers, "all_importers", lambda: {"claude-code": Meddling(path, longer)})
        patch.setattr(workers, "TRIES", 1)
        assert list(named(run(store, path).failed)) == [path.name]
    assert support.keys(store) == []


def test_lines_that_arrive_while_a_file_is_read_come_with_the_next_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_good(tmp_path)
    later = support.claude(1, 9)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "all_importers", lambda: {"claude-code": Meddling(path, later)})
        assert run(store, path).failed == []
    assert support.only_head(store)["counts"]["messages"] == 4
    support.rest()
    assert run(store, path).sessions == {"extended": 1}
    assert list(support.originals(store)) == [support.digest(later), support.digest(GOOD)]


def test_a_file_that_grows_all_the_time_is_imported_without_loss(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 2))
    final = support.claude(1, 400)

    def write_slowly() -> None:
        for start in range(path.stat().st_size, len(final), 700):
            grow(path, final[start : start + 700])

    writer = threading.Thread(target=write_slowly)
    writer.start()
    while writer.is_alive():
        assert run(store, path).failed == []
    writer.join()
    run(store, path)
    fresh = Store.init(tmp_path / "fresh")
    run(fresh, path)
    assert store.revision_names() == fresh.revision_names()
    assert path.read_bytes() == final
    support.assert_closed(store)


def test_one_damaged_session_in_the_store_does_not_stop_the_others(store: Store, tmp_path: Path) -> None:
    path = with_good(tmp_path)
    support.rest()
    run(store, path)
    [name] = store.revision_names()
    damaged = Path(store.root, "sessions", name)
    damaged.write_bytes(damaged.read_bytes().replace(b"line 0", b"LINE 0"))
    grow(path, support.claude(1, 6, 4))
    write(support.claude_path(tmp_path, 2), support.claude(2, 4))
    report = run(store, tmp_path)
    assert list(named(report.failed)) == [path.name]
    assert "damaged" in report.failed[0]["reason"]
    assert report.sessions == {"new": 1}


def test_names_that_are_not_text_are_kept_exactly(store: Store, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9\xff"
    os.mkdir(folder)
    path = Path(os.fsdecode(folder + b"/\xfe.jsonl"))
    path.write_bytes(GOOD)
    support.rest()
    assert run(store, tmp_path).sources == 1
    assert [line["path"] for line in support.live_lines(store)] == [str(path)]
    assert run(store, tmp_path).batch is None
    assert_only_good(store)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory that is removed afterwards by a program that does not mind how deep it is."""
    path = tmp_path / "deep"
    path.mkdir()
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True, timeout=20)


def test_very_deep_directories_are_walked(store: Store, deep: Path) -> None:
    here = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            deeper = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        descriptor = os.open("deep.jsonl", os.O_WRONLY | os.O_CREAT, dir_fd=here)
        os.write(descriptor, GOOD)
        os.close(descriptor)
    finally:
        os.close(here)
    assert run(store, deep).sources == 1
    assert_only_good(store)
