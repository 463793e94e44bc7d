"""Every real file of the formats that only grow: imported or refused with a reason, kept exactly, and never read twice
for nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.migrate import support
from tests.migrate.support import run

pytestmark = pytest.mark.samples


@pytest.fixture
def copied(tmp_path: Path, samples: Path, source: str) -> Path:
    """The samples of one format, with times of their own."""
    copy = Path(shutil.copytree(samples / source, tmp_path / "samples"))
    support.rest()
    return copy


each_source = pytest.mark.parametrize("source", ["claude-code", "codex"])


@each_source
def test_every_sample_is_imported_exactly_or_refused_with_a_reason(store: Store, copied: Path, source: str) -> None:
    files = {str(path): path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    report = run(store, copied)
    lines = {line["path"]: line for line in support.live_lines(store)}
    refused = {entry["path"]: entry["reason"] for entry in report.failed + report.unrecognised}
    assert all(refused.values())
    assert lines.keys() | refused.keys() >= {path for path in files if path.endswith((".jsonl", ".jsonl.zst", ".json"))}
    assert lines.keys().isdisjoint(refused)
    assert len(lines) > 5
    for path, line in lines.items():
        account = line["account"]
        assert account["mapped"] + account["preserved"] + len(account["rejected"]) == account["records"], path
        assert support.original(store, line["original"]) == files[path]
    assert {line["source"] for line in lines.values()} == {source}
    assert verify(store).ok
    support.assert_closed(store)


@each_source
def test_a_second_run_over_the_samples_changes_nothing(store: Store, copied: Path, source: str) -> None:
    first = run(store, copied)
    before = support.parts(store, "sessions", "objects", "batches", "trash")
    again = run(store, copied)
    assert (again.batch, again.sources, again.skipped) == (None, 0, first.sources)
    assert again.failed == first.failed
    assert support.parts(store, "sessions", "objects", "batches", "trash") == before


@each_source
def test_samples_that_grow_line_by_line_end_like_one_import(
    store: Store, tmp_path: Path, copied: Path, source: str
) -> None:
    whole = {path: path.read_bytes() for path in copied.rglob("*.jsonl")}
    run(other := Store.init(tmp_path / "other"), copied)
    for share in (0.3, 0.61, 1.0):
        for path, data in whole.items():
            path.write_bytes(data[: int(len(data) * share)])
        support.rest()
        run(store, copied)
    finals = [{head["key"]: list(one.lines(head)) for head in heads_of(one)} for one in (store, other)]
    assert finals[0].keys() >= finals[1].keys()
    assert all(finals[0][key] == lines for key, lines in finals[1].items())
    support.assert_closed(store)


def heads_of(store: Store) -> list[dict[str, object]]:
    """The latest head of every session."""
    return [heads[0] for heads in support.heads(store).values()]


@each_source
def test_rolling_the_samples_back_leaves_nothing(store: Store, copied: Path, source: str) -> None:
    rollback(store, str(run(store, copied).batch))
    assert support.parts(store, "sessions") == {"sessions": {}}
