"""Journals: what they say after a kill, a full disk, damage; and that they say what the golden store's say."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, layout
from sessionstore.importers import all_importers
from sessionstore.importers.base import Machine
from sessionstore.journal import Journals, now
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
from tests.conftest import FIXTURES
from tests.store import strategies

Line = dict[str, Any]
BATCH = "01KDZ5Q0000000000000000001"
BEGIN: Line = {"t": "begin", "v": 1, "batch": BATCH, "time": "2026-01-02T09:00:00.000Z", "request": {"paths": []}}
END: Line = {"t": "end", "time": "2026-01-02T09:00:01.000Z"}


def source(number: int, *revisions: str) -> Line:
    """The line of a source, as far as a journal looks at it."""
    sessions = [{"key": "native:a", "revision": name, "created": True, "supersedes": []} for name in revisions]
    original = {"sha256": "0" * 64, "bytes": 0, "chunks": []}
    return {"t": "source", "n": number, "path": f"/home/ann/{number}", "original": original, "sessions": sessions}


@pytest.fixture
def journals(store: Store) -> Journals:
    return Journals(store.root)


def write(journals: Journals, data: bytes) -> Path:
    """Make a journal of these bytes."""
    path = Path(journals.path(BATCH))
    path.write_bytes(data)
    return path


# -- what the lines say ------------------------------------------------------------------------------------------------


def test_a_journal_is_read_as_it_was_written(journals: Journals) -> None:
    journals.append(BATCH, [source(1), source(2)], begin=BEGIN)
    journals.append(BATCH, [{"t": "commit", "n": [1, 2]}], durable=False, begin=BEGIN)
    journals.append(BATCH, [{"t": "failed", "path": "/home/ann/3", "reason": "not valid"}, END])
    batch = journals.read(BATCH)
    assert (batch.begin, batch.end) == (BEGIN, END)
    assert [line["n"] for line in batch.live] == [1, 2]
    assert [line["path"] for line in batch.failed] == ["/home/ann/3"]
    assert batch.unsettled() == []


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([BEGIN], "interrupted"),
        ([BEGIN, source(1)], "interrupted"),
        ([BEGIN, source(1), {"t": "commit", "n": [1]}], "interrupted"),
        ([BEGIN, END], "done"),
        ([BEGIN, {"t": "failed", "path": "/x", "reason": "no"}, END], "partly"),
        ([BEGIN, END, {"t": "undo", "time": now()}], "undoing"),
        ([BEGIN, END, {"t": "undo", "time": now()}, {"t": "undone", "time": now()}], "rolled-back"),
    ],
)
def test_the_last_word_is_the_state(journals: Journals, lines: list[Line], state: str) -> None:
    journals.append(BATCH, lines)
    assert journals.read(BATCH).state == state


def test_a_source_without_a_commit_is_unsettled(journals: Journals) -> None:
    journals.append(BATCH, [source(1), source(2), source(3), {"t": "commit", "n": [2]}], begin=BEGIN)
    batch = journals.read(BATCH)
    assert [line["n"] for line in batch.unsettled()] == [1, 3]
    assert [line["n"] for line in batch.live] == [2]


def test_a_withdrawn_source_is_as_if_it_had_never_been(journals: Journals) -> None:
    journals.append(BATCH, [source(1), source(2), {"t": "withdrawn", "n": [2]}, {"t": "commit", "n": [1]}], begin=BEGIN)
    batch = journals.read(BATCH)
    assert batch.unsettled() == []
    assert [line["n"] for line in batch.live] == [1]


def test_a_rolled_back_batch_has_no_live_sources(journals: Journals) -> None:
    journals.append(BATCH, [source(1), {"t": "commit", "n": [1]}, END, {"t": "undo"}, {"t": "undone"}], begin=BEGIN)
    assert journals.read(BATCH).live == []


def test_lines_of_an_unknown_type_are_passed_over(journals: Journals) -> None:
    journals.append(BATCH, [{"t": "later", "field": 1}, source(1), {"t": "commit", "n": [1]}, END], begin=BEGIN)
    assert journals.read(BATCH).state == "done"


def test_a_journal_is_begun_once_and_the_first_word_counts(journals: Journals) -> None:
    journals.append(BATCH, [source(1)], begin=BEGIN)
    journals.append(BATCH, [source(2)], begin={**BEGIN, "time": "later"})
    assert Path(journals.path(BATCH)).read_bytes().count(b'"begin"') == 1
    journals.append(BATCH, [{**BEGIN, "time": "later"}])
    assert journals.read(BATCH).begin == BEGIN


def test_batches_are_listed_by_age_and_nothing_else_is(journals: Journals) -> None:
    ids = [layout.ulid() for _ in range(5)]
    for batch in reversed(ids):
        journals.append(batch, [END])
    for name in ("README.jsonl", f"{ids[0]}.jsonl.bak", f"{ids[0].lower()}.jsonl", ".DS_Store"):
        Path(journals.root, name).touch()
    assert journals.ids() == ids
    assert [batch.id for batch in journals.all()] == ids


def test_an_unknown_batch_is_not_found(journals: Journals) -> None:
    with pytest.raises(errors.NotFound):
        journals.read(BATCH)


def test_a_journal_can_be_begun_where_empty_directories_were_lost(store: Store, journals: Journals) -> None:
    """Git and many copying tools do not keep empty directories."""
    Path(journals.root).rmdir()
    assert journals.all() == []
    journals.append(BATCH, [END], begin=BEGIN)
    assert journals.read(BATCH).state == "done"


# -- kills and damage --------------------------------------------------------------------------------------------------


def whole_journal(journals: Journals) -> bytes:
    """The bytes of a journal with one of everything."""
    journals.append(BATCH, [source(1, "a"), {"t": "commit", "n": [1]}, source(2, "b"), END], begin=BEGIN)
    return Path(journals.path(BATCH)).read_bytes()


def test_a_journal_torn_at_any_byte_can_be_read_and_gone_on_with(journals: Journals) -> None:
    data = whole_journal(journals)
    for cut in range(len(data)):
        write(journals, data[:cut])
        lines = data[: cut + 1].count(b"\n")
        before = journals.read(BATCH)
        assert (len(before.sources), before.committed) == (int(lines > 1) + int(lines > 3), {1} if lines > 2 else set())
        journals.append(BATCH, [END])
        after = journals.read(BATCH)
        assert (after.sources, after.committed, after.end) == (before.sources, before.committed, END)


def test_an_append_to_a_whole_journal_adds_its_lines_only(journals: Journals) -> None:
    data = whole_journal(journals)
    journals.append(BATCH, [END])
    assert Path(journals.path(BATCH)).read_bytes() == data + b'{"t":"end","time":"2026-01-02T09:00:01.000Z"}\n'


@pytest.mark.parametrize("second", [b'{"t":"en', b"{", b'{"t":"torn"}', b"\0\0\0", b"\n{"])
def test_a_journal_torn_twice_can_be_read(journals: Journals, second: bytes) -> None:
    write(journals, whole_journal(journals)[:-5])
    journals.append(BATCH, [source(3)])
    path = Path(journals.path(BATCH))
    path.write_bytes(path.read_bytes() + second)
    journals.append(BATCH, [END])
    batch = journals.read(BATCH)
    assert (batch.end, sorted(batch.sources)) == (END, [1, 2, 3])


@pytest.mark.parametrize("damage", [b"{not json}", b"\0" * 20, b'{"n":[1]}', b"[1]", b'{"t":"commit","n":5}'])
def test_damage_in_the_middle_is_named_and_not_passed_over(journals: Journals, damage: bytes) -> None:
    lines = whole_journal(journals).splitlines()
    lines[2] = damage
    write(journals, b"\n".join(lines) + b"\n")
    with pytest.raises(errors.JournalCorrupt, match="line 3") as caught:
        journals.read(BATCH)
    assert caught.value.exit_code == 3


def test_a_torn_line_in_the_middle_that_nobody_marked_is_damage(journals: Journals) -> None:
    data = whole_journal(journals)
    first, second, *rest = data.splitlines(keepends=True)
    write(journals, first + second[:-9] + b"\n" + b"".join(rest))
    with pytest.raises(errors.JournalCorrupt, match="line 2"):
        journals.read(BATCH)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory in which files cannot grow beyond 64 kB."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    try:
        yield tmp_path / "store"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_journal_that_found_the_disk_full_can_be_read_and_gone_on_with(small_disk: Path) -> None:
    """Other processes of the batch go on appending after the one that has failed."""
    journals = Journals(Store.init(small_disk).root)
    journals.append(BATCH, [source(1)], begin=BEGIN)
    with pytest.raises(errors.NoSpace):
        journals.append(BATCH, [{**source(2), "resume": "x" * 100_000}])
    journals.append(BATCH, [{"t": "commit", "n": [1]}])
    assert [line["n"] for line in journals.read(BATCH).live] == [1]


def test_appends_of_several_threads_are_never_mixed(journals: Journals) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 25):
            journals.append(BATCH, [{**source(number), "padding": "x" * 3000}], durable=False, begin=BEGIN)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 100, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(journals.read(BATCH).sources) == list(range(100))


# -- what a migration writes -------------------------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """The fields of a line, of its objects and of the objects in its lists."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def without_values(line: Line) -> Line:
    """A line without what differs between two sources of the same kind."""
    kept = {**{key: value for key, value in line.items() if key != "racy"}, "resume": line.get("resume") or ""}
    found: Line = json.loads(json.dumps(shape(kept)).replace('"NoneType"', '"str"'))
    return found


def test_the_golden_journals_are_like_those_of_a_migration(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(all_importers(), "lines", strategies.Lines())
    path = tmp_path / "one.lines"
    for content in ("one\n", "one\ntwo\n"):
        path.write_text(content)
        migrate(store, Request((str(path),)), Machine(tmp_path, tmp_path))
    golden = Journals(str(FIXTURES / "format-v1" / "golden"))
    written = Journals(store.root)
    for ours, theirs in zip(written.ids(), golden.ids(), strict=True):
        found, recorded = (
            {
                line["t"]: without_values(line)
                for line in map(json.loads, Path(root.path(batch)).read_text().splitlines())
            }
            for root, batch in ((written, ours), (golden, theirs))
        )
        assert found.keys() == {"begin", "source", "commit", "end"}
        assert found["begin"].pop("program") == "str"  # the golden store is older
        assert found == recorded


def test_a_time_is_written_with_its_zone() -> None:
    assert now().endswith("Z")
    assert len(now()) == len("2026-01-02T09:00:00.000Z")
