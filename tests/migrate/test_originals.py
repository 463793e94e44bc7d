"""Giving back the files of batches, sources and sessions: whole, past what fails, and never outside the directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical, errors, objects
from sessionstore.gc import gc
from sessionstore.journal import Journals
from sessionstore.migrate import originals
from sessionstore.purge import purge
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import run, write


def two_states(store: Store, tmp_path: Path) -> list[tuple[str, bytes]]:
    """A document imported twice: (batch, bytes) of each."""
    found = []
    for texts in (["a", "b"], ["a", "b", "c"]):
        path = write(support.kimi_path(tmp_path / "from"), support.kimi(texts))
        support.rest()
        found.append((str(run(store, path).batch), path.read_bytes()))
    return found


def written(place: Path) -> dict[str, bytes]:
    """The files below a directory."""
    return {os.path.relpath(path, place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_every_batch_gives_back_its_own_state(store: Store, tmp_path: Path) -> None:
    for batch, data in two_states(store, tmp_path):
        result = originals.restore_all(store, originals.of_batch(store, batch), str(tmp_path / batch))
        assert (list(result.written.values()), result.failed) == ([len(data)], [])
        assert list(written(tmp_path / batch).values()) == [data]


def test_a_state_that_was_given_up_says_so(store: Store, tmp_path: Path) -> None:
    (first, _), (second, data) = two_states(store, tmp_path)
    gc(store, superseded_originals=True)
    for batch in (gc(store, grace_days=0), gc(store, grace_days=0)):
        assert batch.given_up == 0
    [failed] = originals.restore_all(store, originals.of_batch(store, first), str(tmp_path / "1")).failed
    assert "given up by `gc --superseded-originals` on 20" in failed["reason"]
    assert originals.restore_all(store, originals.of_batch(store, second), str(tmp_path / "2")).failed == []
    assert list(written(tmp_path / "2").values()) == [data]


def test_a_state_that_has_grown_since_is_the_beginning_of_the_later_one(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 20))
    support.rest()
    batch = str(run(store, path).batch)
    support.grow(path, support.claude(1, 40, 20))
    run(store, path)
    gc(store, superseded_originals=True, grace_days=0)
    gc(store, grace_days=0)
    originals.restore_all(store, originals.of_batch(store, batch), str(tmp_path / "to"))
    assert list(written(tmp_path / "to").values()) == [support.claude(1, 20)]


def test_what_fails_does_not_stop_the_others(store: Store, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(support.claude_path(tmp_path / "from", number), support.claude(number, 10))
    batch = str(run(store, tmp_path / "from").batch)
    lost = store.heads("claude-code:" + support.CLAUDE.format(2))[0]["originals"][0]["chunks"][0]["id"]
    Path(str(store.objects.find(lost, objects.CHUNK))).unlink()
    result = originals.restore_all(store, originals.of_batch(store, batch), str(tmp_path / "to"))
    assert (len(result.written), len(result.failed)) == (2, 1)
    assert set(written(tmp_path / "to").values()) == {support.claude(1, 10), support.claude(3, 10)}
    again = originals.restore_all(store, originals.of_batch(store, batch), str(tmp_path / "to"))
    assert (len(again.written), len(again.failed)) == (0, 3)


def test_a_purged_source_is_named_and_not_damage(store: Store, tmp_path: Path) -> None:
    batch, _ = two_states(store, tmp_path)[0]
    purge(store, *support.keys(store))
    [failed] = originals.restore_all(store, originals.of_batch(store, batch), str(tmp_path / "to")).failed
    assert "purged" in failed["reason"]


@pytest.mark.parametrize("name", ["../../out.txt", "/etc/out.txt", "C:\\windows\\out.txt", "a/../../out.txt", ".."])
def test_no_name_leads_out_of_the_directory(store: Store, tmp_path: Path, name: str) -> None:
    """Companions of a session, whose names come from the source."""
    entries: list[dict[str, Any]] = []
    for number, data in enumerate((b"lead", b"beside")):
        chunk = store.objects.put(data, objects.CHUNK)
        entry = {"sha256": chunk, "bytes": len(data), "chunks": [{"id": chunk, "bytes": len(data)}]}
        entries.append({**entry, **({"name": name} if number else {})})
    message = {"id": "m1", "role": "user", "parts": []}
    store.put("native:a", [message], {"originals": entries})
    pieces = originals.of_session(store, store.heads("native:a")[0])
    target = tmp_path / "deep" / "to"
    assert originals.restore_all(store, pieces, str(target)).failed == []
    assert sorted(written(tmp_path / "deep")) == sorted(f"to/{path}" for path in written(target))
    assert sorted(written(target).values()) == [b"beside", b"lead"]


def test_no_path_of_a_journal_leads_out_of_the_directory(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path / "from", 1), support.claude(1, 4))
    write(support.claude_path(tmp_path / "from", 2), support.claude(2, 4))
    batch = str(run(store, tmp_path / "from").batch)
    journal = Path(Journals(store.root).path(batch))
    lines = [canonical.loads(line) for line in journal.read_bytes().splitlines()]
    for line in lines:
        if line.get("path") == str(path):
            line["path"] = "../../../../up.jsonl"
    journal.write_bytes(b"".join(map(canonical.line, lines)))
    target = tmp_path / "deep" / "to"
    assert originals.restore_all(store, originals.of_batch(store, batch), str(target)).failed == []
    assert len(written(target)) == len(written(tmp_path / "deep")) == 2


def test_a_session_that_was_not_imported_has_none(store: Store) -> None:
    store.put("native:a", [{"id": "m1", "role": "user", "parts": []}])
    with pytest.raises(errors.UsageError, match="was not imported"):
        originals.of_session(store, store.heads("native:a")[0])
