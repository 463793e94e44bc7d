"""Sessions whose turns lie in several sources: the same, whichever comes first."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical
from sessionstore.cli.sink import index_sink
from sessionstore.journal import Journals
from sessionstore.migrate.joining import joined
from sessionstore.migrate.reimport import Reimporter
from sessionstore.migrate.rollback import rollback
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.index.making import digests
from tests.migrate import formats, support
from tests.migrate.formats import said, turns
from tests.migrate.support import run, write

SYSTEM = said("m1", "system", "Be kind.")
FILES = [
    turns(
        "talk",
        SYSTEM,
        said("m2", "user", "one", "2026-01-01T10:00:00Z"),
        said("m3", "assistant", "first", "2026-01-01T10:00:05Z"),
        title="one",
    ),
    turns(
        "talk",
        SYSTEM,
        said("m2", "user", "two", "2026-01-01T11:00:00+01:00"),
        said("m3", "assistant", "second, of the same second"),
        title="two",
    ),
    turns(
        "talk",
        said("m1", "user", "three", "2026-01-01T10:00:05Z"),
        said("m2", "assistant", "third", "2026-01-01T12:00:00Z"),
        said("m3", "tool", "no time"),
        title="three",
    ),
    turns(
        "talk",
        said("m1", "user", "one", "2026-01-01T10:00:00Z"),
        said("m2", "assistant", "first", "2026-01-01T10:00:05Z"),
        said("m3", "user", "four", "2026-01-02T10:00:00Z"),
        title="four",
    ),
]


@pytest.fixture(autouse=True)
def more_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    formats.install(monkeypatch)


def arrive(root: Path, directory: Path, order: tuple[int, ...]) -> dict[str, Any]:
    """The session when the files come in this order."""
    store = Store.init(root)
    for number in order:
        run(store, write(directory / f"{number}.json", FILES[number]))
    [head] = store.heads("turns:talk")
    report = verify(store, deep=True, reimport=Reimporter(store))
    assert (report.damage, report.warnings) == ([], [])
    return {**head, "lines": list(store.lines(head))}


def test_the_order_in_which_sources_come_makes_no_difference(tmp_path: Path) -> None:
    found = [
        arrive(tmp_path / f"store-{n}", tmp_path / f"files-{n}", order)
        for n, order in enumerate(itertools.permutations(range(4)))
    ]
    for other in found[1:]:
        assert other["lines"] == found[0]["lines"]
        assert {entry["sha256"] for entry in other["originals"]} == {entry["sha256"] for entry in found[0]["originals"]}
        assert [other[name] for name in ("title", "created_at", "updated_at")] == [
            found[0][name] for name in ("title", "created_at", "updated_at")
        ]
    messages = [canonical.loads(line) for line in found[0]["lines"]]
    assert [message["id"] for message in messages] == [f"m{n}" for n in range(1, len(messages) + 1)]
    assert [message["parts"][0]["content"] for message in messages].count("one") == 1
    assert messages[0]["role"] == "system"
    assert messages[-1]["parts"][0]["content"] == "four"


def test_joining_says_so_and_can_be_rolled_back(store: Store, tmp_path: Path) -> None:
    run(store, write(tmp_path / "0.json", FILES[0]))
    before = support.parts(store, "sessions")
    report = run(store, write(tmp_path / "2.json", FILES[2]))
    assert report.sessions == {"joined": 1}
    [head] = store.heads("turns:talk")
    assert len(head["parents"]) == 1
    support.rest()
    assert run(store, tmp_path).skipped == 2
    rollback(store, str(report.batch))
    assert support.parts(store, "sessions") == before


def test_what_a_joined_session_holds_is_contained(store: Store, tmp_path: Path) -> None:
    for number in (0, 2):
        run(store, write(tmp_path / f"{number}.json", FILES[number]))
    before = support.parts(store, "sessions")
    report = run(store, write(tmp_path / "copy.json", FILES[0]))
    assert report.sessions == {"contained": 1}
    assert support.parts(store, "sessions") == before
    assert all(line["resume"] is None for batch in Journals(store.root).all() for line in batch.live)


def test_ids_of_the_sources_own_stay_unless_they_collide() -> None:
    ours = [said("a", "user", "one", "2026-01-01T10:00:00Z"), said("b", "assistant", "uno")]
    theirs = [said("a", "user", "two", "2026-01-01T09:00:00Z"), said("c", "assistant", "dos")]
    found = joined(ours, theirs)
    assert found == joined(theirs, ours)
    assert [message["id"] for message in found or ()] == ["a", "c", "a~2", "b"]


def test_messages_said_twice_are_both_kept() -> None:
    again = [said("a", "user", "yes", "2026-01-01T10:00:00Z"), said("b", "user", "yes", "2026-01-01T10:00:00Z")]
    assert len(joined(again, again[:1]) or ()) == 2
    assert len(joined(again[:1], [again[1]]) or ()) == 1


def test_trees_are_not_joined() -> None:
    tree = [{**said("a", "user", "one"), "parent": None}]
    assert joined(tree, [said("b", "user", "two")]) is None


def test_a_window_goes_on_from_the_head_it_overlaps_most(store: Store, tmp_path: Path) -> None:
    path = write(support.kimi_path(tmp_path), support.kimi([f"turn {n}" for n in range(20)]))
    support.rest()
    run(store, path)
    [head] = support.heads(store).values()
    key = head[0]["key"]
    store.put(
        key,
        [said(f"m{n}", "user", f"other {n}", "2030-01-01T00:00:00Z") for n in range(3)],
        {"updated_at": "2030-01-01T00:00:00Z"},
    )
    assert len(store.heads(key)) == 2
    write(path, support.kimi([f"turn {n}" for n in range(10, 26)]))
    assert run(store, path).sessions == {"stitched": 1}
    assert sorted(found["counts"]["messages"] for found in store.heads(key)) == [3, 26]


def test_files_that_come_together_are_joined_in_one_batch(store: Store, tmp_path: Path) -> None:
    for number, data in enumerate(FILES):
        write(tmp_path / "files" / f"{number}.json", data)
    report = run(store, tmp_path / "files")
    assert sum(report.sessions.values()) == 4
    [head] = store.heads("turns:talk")
    assert list(store.lines(head)) == arrive(tmp_path / "other", tmp_path / "others", (3, 1, 0, 2))["lines"]
    assert verify(store, deep=True).ok
    rollback(store, str(report.batch))
    assert store.revision_names() == set()
    assert list(store.objects.all()) == []


def test_the_index_is_told_of_joined_sessions(store: Store, tmp_path: Path) -> None:
    for number, data in enumerate(FILES):
        path = write(tmp_path / f"{number}.json", data)
        with index_sink(store, enabled=True) as sink:
            migrate(store, Request((str(path),), jobs=1), support.NOWHERE, sink)
        stated, computed, rebuilt = digests(store)
        assert stated == computed == rebuilt
