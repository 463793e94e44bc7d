"""Purging: nothing of the session is left anywhere, and everything of the others is."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from sessionstore import errors, fsio, layout, objects
from sessionstore.checks import content
from sessionstore.compact import compact
from sessionstore.gc import gc
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.notes import is_purged, notes_of, set_note
from sessionstore.purge import purge
from sessionstore.repair import repair
from sessionstore.store import Store
from sessionstore.verify import verify
from sessionstore.views import views
from tests.migrate import support
from tests.store.maintenance import at, files, flip, killed_at_every_step, talk, where

SECRET = "zyxqvort"
FIRST, SECOND = ("claude-code:" + support.CLAUDE.format(number) for number in (1, 2))
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")


def refuse_link(target: str, path: str) -> None:
    """A file system without symbolic links."""
    raise OSError("no links here")


def told(store: Store) -> list[str]:
    """The files that hold the secret; journals with what importers noted in them unpacked."""
    found = where(store, SECRET.encode())
    for name in files(store, "batches", "quarantine"):
        if "batches/" in name and name not in found:
            for raw in at(store, name).read_bytes().splitlines():
                state = json.loads(raw).get("resume")
                packed = base64.b64decode(state) if isinstance(state, str) else b""
                if SECRET.encode() in (objects.decompress(packed, name) if packed else b""):
                    found.append(name)
    return found


@pytest.fixture
def two(store: Store, tmp_path: Path) -> Store:
    """Two imported sessions, the first of which tells a secret in every corner of the store."""
    path = support.write(support.claude_path(tmp_path, 1), support.claude(1, 60, filler=f"{SECRET} {'w' * 900}"))
    support.write(support.claude_path(tmp_path, 2), support.claude(2, 60, filler="w" * 900))
    support.run(store, tmp_path)
    support.rest()
    support.grow(path, support.claude(1, 90, 60, filler=f"{SECRET} {'w' * 900}"))
    support.run(store, tmp_path)
    set_note(store, FIRST, "title", f"about {SECRET}")
    set_note(store, FIRST, "tags", [SECRET])
    set_note(store, SECOND, "title", "the other")
    views(store, symlink=refuse_link)
    store.objects.put(f"an earlier state of {SECRET}".encode(), objects.CHUNK)
    gc(store)
    store.objects.put(f"another earlier state of {SECRET}".encode(), objects.CHUNK)
    return store


def others(store: Store) -> dict[str, object]:
    """What must not change: the other session, whole."""
    [head] = store.heads(SECOND)
    return {
        "head": head,
        "lines": list(store.lines(head)),
        "originals": [support.original(store, entry) for entry in head["originals"]],
        "notes": notes_of(store, SECOND),
    }


def test_nothing_of_the_session_is_left_anywhere(two: Store) -> None:
    before = {path.split("/")[0] for path in told(two)}
    assert before == {"batches", "notes", "objects", "sessions", "trash", "views"}
    purge(two, FIRST)
    assert told(two) == []
    assert two.heads(FIRST) == []


def test_everything_of_the_others_is_left(two: Store) -> None:
    before = others(two)
    purge(two, FIRST)
    assert others(two) == before
    report = verify(two)
    assert (report.damage, report.counts["orphans"]) == ([], 0)
    assert [path for path in files(two, "views") if layout.slug(SECOND) in path]


def test_the_report_counts_what_is_gone(two: Store) -> None:
    before = len(files(two, "objects", "trash", "sessions", "notes"))
    result = purge(two, FIRST).as_json()
    after = len(files(two, "objects", "trash", "sessions", "notes")) - 1
    assert result["revisions"] + result["objects"] + result["notes"] == before - after
    assert (result["key"], result["revisions"], result["notes"], result["journals"]) == (FIRST, 2, 2, 2)
    assert result["shared"] == []
    assert result["bytes"] > 0
    assert result["views"] >= 3


def test_a_tombstone_without_content_is_left(two: Store) -> None:
    purge(two, FIRST, reason="asked to")
    assert is_purged(two, FIRST)
    assert notes_of(two, FIRST)["tombstone"].keys() == {"time", "reason"}
    assert notes_of(two, FIRST)["tombstone"]["reason"] == "asked to"
    purge(two, FIRST)
    assert notes_of(two, FIRST)["tombstone"]["reason"] == "asked to"


def test_the_session_does_not_come_back_with_the_next_migration(two: Store, tmp_path: Path) -> None:
    purge(two, FIRST)
    support.run(two, tmp_path)
    support.rest()
    support.grow(support.claude_path(tmp_path, 1), support.claude(1, 95, 90, filler=SECRET))
    support.grow(support.claude_path(tmp_path, 2), support.claude(2, 65, 60))
    support.run(two, tmp_path)
    assert two.heads(FIRST) == []
    assert two.heads(SECOND)[0]["counts"]["messages"] == 65
    assert told(two) == []


def test_the_journal_of_a_purge_says_what_was_purged_and_is_finished(two: Store) -> None:
    result = purge(two, FIRST)
    batch = Journals(two.root).read(result.batch)
    assert batch.state == "done"
    assert batch.live == []
    lines = [json.loads(raw) for raw in at(two, f"batches/{result.batch}.jsonl").read_bytes().splitlines()]
    assert [line["t"] for line in lines] == ["begin", "purged", "end"]
    assert lines[1]["key"] == FIRST


def test_batches_no_longer_list_the_session_and_can_be_rolled_back_for_the_others(two: Store) -> None:
    batches = Journals(two.root).ids()
    purge(two, FIRST)
    listed = [entry["key"] for line in support.live_lines(two) for entry in line["sessions"]]
    assert set(listed) == {SECOND}
    for batch in reversed(batches):
        rollback(two, batch)
    assert support.keys(two) == []
    assert verify(two).ok


def test_a_session_unknown_to_the_store_is_not_found(two: Store) -> None:
    before = support.tree(two.root)
    with pytest.raises(errors.NotFound):
        purge(two, "native:nobody")
    assert support.tree(two.root) == before


def test_objects_that_a_fork_shares_stay_and_are_named(store: Store) -> None:
    store.put("native:a", [*talk(40), *talk(40, about=SECRET)])
    store.put("native:b", [*talk(40), *talk(40, about="plain")])
    shared = {page["id"] for page in store.heads("native:a")[0]["pages"]}
    shared &= {page["id"] for page in store.heads("native:b")[0]["pages"]}
    lines = list(store.lines(store.heads("native:b")[0]))
    result = purge(store, "native:a").as_json()
    assert {entry["object"] for entry in result["shared"]} == shared != set()
    assert {tuple(entry["sessions"]) for entry in result["shared"]} == {("native:b",)}
    assert list(store.lines(store.heads("native:b")[0])) == lines
    assert told(store) == []
    assert verify(store).ok


def test_an_original_with_another_session_in_it_stays_and_is_named(store: Store, tmp_path: Path) -> None:
    data = support.claude(1, 4, filler=SECRET) + support.claude(2, 4)
    support.run(store, support.write(support.claude_path(tmp_path, 1), data))
    result = purge(store, FIRST)
    [((_, kind), keys)] = result.shared.items()
    assert (kind, keys) == (objects.CHUNK, [SECOND])
    assert {path.split("/")[0] for path in told(store)} == {"objects"}
    [entry] = store.heads(SECOND)[0]["originals"]
    assert support.original(store, entry) == data
    assert verify(store).ok


def test_a_compacted_session_is_erased_too(two: Store) -> None:
    compact(two, level=1)
    purge(two, FIRST)
    assert told(two) == []
    assert verify(two).ok


def test_what_was_rolled_back_is_erased_from_the_trash(two: Store) -> None:
    for batch in reversed(Journals(two.root).ids()):
        rollback(two, batch)
    assert {path.split("/")[2] for path in told(two) if path.startswith("trash/")} >= {"objects", "undone"}
    purge(two, FIRST)
    assert told(two) == []


def test_what_was_put_in_quarantine_is_erased(two: Store) -> None:
    [head] = two.heads(FIRST)
    flip(at(two, f"sessions/{head['_name']}"), 5)
    flip(at(two, page_path_of(two, head)), 5)
    for note in two.note_names():
        if two.load_note(note)["key"] == FIRST:
            flip(at(two, f"notes/{note}"), 5)
    repair(two, verify(two))
    assert [path for path in told(two) if path.startswith("quarantine/")]
    purge(two, FIRST)
    assert told(two) == []
    assert files(two, "quarantine") == []


def page_path_of(store: Store, revision: dict[str, list[dict[str, str]]]) -> str:
    """Where a revision's first page lies."""
    path = store.objects.find(revision["pages"][0]["id"], objects.PAGE)
    assert path is not None
    return os.path.relpath(path, store.root)


def test_copies_that_a_sync_tool_has_made_are_erased(two: Store) -> None:
    name = two.heads(FIRST)[0]["_name"]
    data = at(two, f"sessions/{name}").read_bytes()
    at(two, f"sessions/{name[: -len('.json')]} (1).json").write_bytes(data)
    purge(two, FIRST)
    assert told(two) == []


def test_damage_elsewhere_takes_nothing_from_the_damaged_session(two: Store) -> None:
    before = others(two)
    path = at(two, f"sessions/{two.heads(SECOND)[0]['_name']}")
    data = flip(path, 5)
    purge(two, FIRST)
    path.write_bytes(data)
    assert others(two) == before
    assert verify(two).ok


def test_a_retired_file_of_the_session_is_erased_and_another_is_not(store: Store, tmp_path: Path) -> None:
    support.write(support.claude_path(tmp_path, 1), support.claude(1, 60, filler=SECRET))
    second = support.write(support.claude_path(tmp_path, 2), support.claude(2, 60))
    batch = support.run(store, tmp_path, retire=True).batch
    assert batch is not None
    purge(store, FIRST)
    assert told(store) == []
    assert verify(store).ok
    rollback(store, batch)
    assert second.read_bytes() == support.claude(2, 60)
    assert not support.claude_path(tmp_path, 1).exists()


def test_a_torn_line_of_a_journal_about_the_session_is_dropped(two: Store) -> None:
    [first, *_] = Journals(two.root).ids()
    with at(two, f"batches/{first}.jsonl").open("ab") as file:
        file.write(f'{{"t":"source","sessions":[{{"key":"{FIRST}","title":"{SECRET}'.encode())
    purge(two, FIRST)
    assert told(two) == []


def test_another_sessions_journal_is_left_byte_for_byte(store: Store, tmp_path: Path) -> None:
    support.run(store, support.write(support.claude_path(tmp_path, 2), support.claude(2, 60)), retire=True)
    before = support.parts(store, "batches")["batches"]
    support.run(store, support.write(support.claude_path(tmp_path, 1), support.claude(1, 60, filler=SECRET)))
    purge(store, FIRST)
    after = support.parts(store, "batches")["batches"]
    assert {name: after[name] for name in before} == before


@posix
def test_a_kill_at_any_step_is_made_good_by_the_next_purge(two: Store, tmp_path: Path) -> None:
    before, copies = others(two), 0
    for copy in killed_at_every_step(two, tmp_path / "copies", lambda copy: purge(copy, FIRST)):
        copies += 1
        assert is_purged(copy, FIRST) or copy.heads(FIRST)
        assert others(copy) == before
        assert {key for entry in verify(copy).damage for key in entry.sessions} <= {FIRST}
        purge(copy, FIRST)
        assert told(copy) == []
        assert others(copy) == before
        assert verify(copy).ok
        assert notes_of(copy, FIRST).keys() == {"tombstone"}
    assert copies > 15


def test_without_locks_it_refuses(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def no_locks(descriptor: int, shared: bool, wait: bool = False) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fsio, "flock", no_locks)
    with pytest.raises(errors.LocksUnavailable):
        purge(two, FIRST)
    assert two.heads(FIRST) != []


def test_the_secret_would_have_been_seen_in_compressed_files(two: Store) -> None:
    path = next(path for path in told(two) if path.endswith(".raw.zst"))
    assert SECRET.encode() not in at(two, path).read_bytes()
    assert SECRET.encode() in (content(str(at(two, path))) or b"")


# -- what comes back, and what lies about ------------------------------------------------------------------------------


def test_a_copy_under_another_root_does_not_bring_the_session_back(store: Store, tmp_path: Path) -> None:
    data = support.kimi([f"about {SECRET}", "b"])
    first = support.write(support.kimi_path(tmp_path / "one"), data)
    second = support.write(support.kimi_path(tmp_path / "two"), data)
    support.run(store, first)
    support.run(store, second)
    [key] = support.keys(store)
    purge(store, key)
    for path in (second, first):
        support.write(path, support.kimi([f"about {SECRET}", "b", "c"]))
    assert support.run(store, tmp_path).purged == 2
    assert support.keys(store) == []
    assert told(store) == []


@pytest.mark.parametrize("name", ["{sha} (1).jsonl", "{sha}.sync-conflict-20260101-101010-ABCDEFG.jsonl"])
def test_copies_that_a_sync_tool_has_made_go_too(store: Store, name: str) -> None:
    store.put("native:a", talk(60, about=SECRET))
    store.put("native:b", talk(60, about="other"))
    copies = {}
    for key in ("native:a", "native:b"):
        page = store.heads(key)[0]["pages"][0]["id"]
        whole = at(store, f"objects/{page[:2]}/{page}.jsonl")
        copies[key] = whole.with_name(name.format(sha=page))
        copies[key].write_bytes(whole.read_bytes())
    foreign = at(store, "objects/readme.txt")
    foreign.write_bytes(b"mine")
    purge(store, "native:a")
    assert [path.exists() for path in (*copies.values(), foreign)] == [False, True, True]
    assert told(store) == []


def test_a_purge_cannot_be_rolled_back(two: Store) -> None:
    batch = purge(two, FIRST).batch
    with pytest.raises(errors.RollbackRefused, match="purged is gone"):
        rollback(two, batch)
