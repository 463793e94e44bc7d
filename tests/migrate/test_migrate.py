"""Importing everything there is, importing it again, and only rehearsing it."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sessionstore import errors
from sessionstore.importers.base import Machine
from sessionstore.journal import Journals
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import LEGACY, NOWHERE, run, write

NOT_SESSIONS = {"history.jsonl", ".release-notes_abcd1234.tmp"}


def sources() -> dict[str, bytes]:
    """Every fixture that is a session: path to bytes."""
    return {
        str(path): path.read_bytes()
        for path in sorted(LEGACY.rglob("*"))
        if path.is_file() and path.name not in NOT_SESSIONS
    }


_opened: list[str] | None = None


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_note_open)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The paths that this process opens meanwhile."""
    global _opened
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


def test_every_record_of_every_fixture_is_accounted_for(store: Store) -> None:
    report = run(store, LEGACY)
    lines = support.live_lines(store)
    assert {line["path"] for line in lines} == set(sources())
    assert report.sources == len(sources())
    assert report.failed == []
    assert [Path(entry["path"]).name for entry in report.unrecognised] == ["history.jsonl"]
    for line in lines:
        account = line["account"]
        accounted = account["mapped"] + account["preserved"] + len(account["rejected"])
        assert accounted == account["records"], line["path"]
    assert report.mapped + report.preserved + report.rejected == sum(line["account"]["records"] for line in lines)


def test_every_original_comes_back_byte_for_byte(store: Store) -> None:
    run(store, LEGACY)
    files = sources()
    for line in support.live_lines(store):
        assert support.original(store, line["original"]) == files[line["path"]]
    kept = {entry["sha256"] for [head] in support.heads(store).values() for entry in head["originals"]}
    assert kept == {support.digest(data) for data in files.values()}


def test_every_session_of_the_fixtures_is_there_with_its_messages(store: Store) -> None:
    report = run(store, LEGACY)
    found = support.heads(store)
    assert report.sessions == {"new": len(found)}
    assert all(len(heads) == 1 for heads in found.values())
    stated = {session["key"]: session["messages"] for line in support.live_lines(store) for session in line["sessions"]}
    assert {key: heads[0]["counts"]["messages"] for key, heads in found.items()} == stated
    assert found["codex:c0ffee00-1234-4abc-8def-00112233aabb"][0]["counts"]["by_role"]["user"] >= 1
    support.assert_closed(store)


def test_what_the_sources_had_already_lost_is_reported_by_kind(store: Store) -> None:
    report = run(store, LEGACY)
    stated: dict[str, int] = {}
    for [head] in support.heads(store).values():
        for issue in head.get("issues", ()):
            stated[issue["code"]] = stated.get(issue["code"], 0) + 1
    assert stated
    assert report.issues == stated


def test_a_second_run_opens_no_source_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    for number, (path, data) in enumerate(sources().items()):
        write(tmp_path / "legacy" / str(number) / Path(path).name, data)
    support.rest()
    assert run(store, tmp_path / "legacy").failed == []
    before = support.tree(store.root)
    with opened_files() as opened:
        report = run(store, tmp_path / "legacy")
    assert opened
    assert [path for path in opened if path.endswith(".jsonl") and not path.startswith(store.root)] == []
    assert [path for path in opened if "/legacy/" in path and Path(path).is_file()] == [
        str(path) for path in tmp_path.glob("legacy/*/history.jsonl")
    ]
    assert report.batch is None
    assert (report.sources, report.skipped) == (0, len(sources()))
    after = support.tree(store.root)
    assert {name: after[name] for name in after if not name.startswith("locks/")} == {
        name: before[name] for name in before if not name.startswith("locks/")
    }


def test_a_file_read_right_after_it_was_written_is_looked_at_once_more(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    assert run(store, path).sources == 1
    before = support.parts(store)
    with opened_files() as opened:
        report = run(store, path)
    assert str(path) in opened
    assert (report.batch, report.skipped) == (None, 1)
    assert support.parts(store) == before


def test_a_touched_file_is_compared_and_nothing_changes(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    support.rest()
    run(store, path)
    before = support.parts(store, "sessions", "objects", "batches")
    os.utime(path, ns=(0, 0))
    path.chmod(0o644)
    assert run(store, path).batch is None
    assert support.parts(store, "sessions", "objects", "batches") == before


def test_without_paths_the_known_places_are_searched(store: Store) -> None:
    machine = Machine(LEGACY / "home", LEGACY / "project")
    report = migrate(store, Request(jobs=1), machine)
    assert set(report.by_source) == {"claude-code", "codex", "kimi", "llm-sessions"}
    assert {line["path"] for line in support.live_lines(store)} == set(sources())


def test_one_format_alone_can_be_asked_for(store: Store) -> None:
    report = run(store, LEGACY, only="kimi")
    assert set(report.by_source) == {"kimi"}
    assert report.failed == []
    assert {key.split(":")[0] for key in support.keys(store)} == {"kimi"}


def test_a_file_named_with_the_wrong_format_is_refused_with_the_reason(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    report = run(store, path, only="codex")
    assert [entry["path"] for entry in report.failed] == [str(path)]
    assert report.failed[0]["reason"]
    assert (report.batch, support.keys(store)) == (None, [])


def test_an_unknown_format_is_a_usage_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="kimi"):
        run(store, tmp_path, only="nonesuch")


def test_a_path_that_does_not_exist_is_an_error_before_anything_is_done(store: Store, tmp_path: Path) -> None:
    with pytest.raises(errors.ReadFailed):
        run(store, LEGACY, tmp_path / "nowhere")
    assert support.keys(store) == []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
def test_a_compressed_rollout_gives_the_same_messages_and_its_own_bytes(
    store: Store, tmp_path: Path, pack: Any
) -> None:
    plain = support.codex(1, 30)
    packed = pack(plain)
    write(support.codex_path(tmp_path / "plain", 1), plain)
    ending = ".zst" if packed.startswith(b"\x28\xb5") else ""
    path = support.codex_path(tmp_path / "packed", 1)
    path = write(path.with_name(path.name + ending), packed)
    run(store, path)
    head = support.only_head(store)
    assert [support.original(store, entry) for entry in head["originals"]] == [packed]
    other = Store.init(tmp_path / "other")
    run(other, tmp_path / "plain")
    assert list(other.lines(support.only_head(other))) == list(store.lines(head))


def test_a_session_packed_under_its_plain_name_is_read_and_given_back_packed(store: Store) -> None:
    path = LEGACY / "project" / ".llm_sessions" / "sessions" / "unified_20250714_080000_5e6f7a8b.json"
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert run(store, path).sessions == {"new": 1}
    head = support.only_head(store)
    assert any(support.texts(store, head))
    assert [support.original(store, entry) for entry in head["originals"]] == [path.read_bytes()]


def test_a_dry_run_reads_everything_and_writes_nothing(store: Store) -> None:
    before = support.tree(store.root)
    report = run(store, LEGACY, dry_run=True)
    assert report.sources == len(sources())
    assert report.batch is None
    assert support.tree(store.root) == before
    real = run(store, LEGACY)
    assert report.sessions == {"would import": real.sessions["new"]}
    assert (report.mapped, report.preserved, report.rejected) == (real.mapped, real.preserved, real.rejected)


def test_a_dry_run_leaves_an_interrupted_batch_as_it_is(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    journals = Journals(store.root)
    begin = {"t": "begin", "v": 1, "batch": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "time": "2026-01-01T00:00:00.000Z"}
    journals.append("01ARZ3NDEKTSV4RRFFQ69G5FAV", [begin])
    before = support.tree(store.root)
    assert run(store, tmp_path, dry_run=True).sources == 1
    assert support.tree(store.root) == before


def test_a_store_among_the_sources_is_not_looked_into(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    run(store, tmp_path)
    other = Store.init(tmp_path / "other")
    assert run(other, tmp_path).found == 1


def test_a_file_that_is_found_twice_is_read_once(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 4))
    os.link(path, path.with_name("copy.jsonl"))
    report = migrate(store, Request((str(tmp_path), str(path)), jobs=1), NOWHERE)
    assert (report.found, report.sources) == (1, 1)
