"""Sources that keep only their latest messages, and ids that are unique only inside one directory."""

from __future__ import annotations

import json
from pathlib import Path

from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import run, write

WINDOW = 50


def said(start: int, end: int) -> list[str]:
    """What was said in some turns; a window starts with a person's turn."""
    return [f"turn {n}" for n in range(start, end)]


def test_a_session_that_outgrows_its_window_keeps_what_the_source_has_dropped(store: Store, tmp_path: Path) -> None:
    path = support.kimi_path(tmp_path)
    for end in (40, 50, 60, 90, 130):
        write(path, support.kimi(said(max(0, end - WINDOW), end)))
        support.rest()
        run(store, path)
    head = support.only_head(store)
    assert support.texts(store, head) == said(0, 130)
    ids = [message["id"] for message in store.messages(head)]
    assert len(set(ids)) == len(ids) == 130
    support.assert_closed(store)


def test_every_window_that_was_seen_comes_back_byte_for_byte(store: Store, tmp_path: Path) -> None:
    windows = [support.kimi(said(max(0, end - WINDOW), end)) for end in (50, 60, 90)]
    for data in windows:
        write(support.kimi_path(tmp_path), data)
        support.rest()
        run(store, support.kimi_path(tmp_path))
    assert [support.original(store, line["original"]) for line in support.live_lines(store)] == windows
    assert set(windows) <= set(support.originals(store).values())


def test_a_window_without_overlap_is_a_second_head(store: Store, tmp_path: Path) -> None:
    path = support.kimi_path(tmp_path)
    for start, end in ((0, 50), (100, 150)):
        write(path, support.kimi(said(start, end)))
        support.rest()
        report = run(store, path)
    assert report.sessions == {"branched": 1}
    [both] = support.heads(store).values()
    assert sorted(support.texts(store, head) for head in both) == sorted([said(0, 50), said(100, 150)])


def test_an_older_window_put_back_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = support.kimi_path(tmp_path)
    write(path, support.kimi(said(0, 50)))
    support.rest()
    run(store, path)
    write(path, support.kimi(said(20, 70)))
    support.rest()
    assert run(store, path).sessions == {"stitched": 1}
    before = support.parts(store)
    write(path, support.kimi(said(0, 50)))
    support.rest()
    assert run(store, path).sessions == {"contained": 1}
    assert support.parts(store) == before


def test_a_document_rewritten_with_the_same_messages_is_updated_in_place(store: Store, tmp_path: Path) -> None:
    path = support.kimi_path(tmp_path)
    write(path, support.kimi(said(0, 6)))
    support.rest()
    run(store, path)
    later = json.loads(support.kimi(said(0, 6)))
    later["last_accessed"] = "2025-07-13T08:00:00.000001"
    write(path, json.dumps(later).encode())
    support.rest()
    assert run(store, path).sessions == {"updated": 1}
    head = support.only_head(store)
    assert head["x"]["updated_at"]["raw"] == "2025-07-13T08:00:00.000001"
    assert len(store.revision_names()) == 1


def test_the_same_session_under_another_root_is_an_alias(store: Store, tmp_path: Path) -> None:
    write(support.kimi_path(tmp_path / "here"), support.kimi(said(0, 6)))
    write(support.kimi_path(tmp_path / "copy"), support.kimi(said(0, 6)))
    report = run(store, tmp_path)
    head = support.only_head(store)
    own = {f"kimi:{support.digest(str(tmp_path / root / '.kimi_sessions').encode())[:8]}:" for root in ("here", "copy")}
    named = {head["key"], *head["aliases"]}
    assert all(any(name.startswith(prefix) for name in named) for prefix in own)
    assert report.sources == 2
    support.rest()
    run(store, tmp_path)
    assert run(store, tmp_path).batch is None
    assert support.keys(store) == [head["key"]]


def test_a_copy_that_has_grown_extends_the_session_it_was_copied_from(store: Store, tmp_path: Path) -> None:
    write(support.kimi_path(tmp_path / "here"), support.kimi(said(0, 6)))
    run(store, tmp_path)
    write(support.kimi_path(tmp_path / "moved"), support.kimi(said(0, 10)))
    run(store, tmp_path / "moved")
    assert support.texts(store, support.only_head(store)) == said(0, 10)


def test_the_same_id_with_another_conversation_under_another_root_is_another_session(
    store: Store, tmp_path: Path
) -> None:
    write(support.kimi_path(tmp_path / "here"), support.kimi(said(0, 6)))
    write(support.kimi_path(tmp_path / "there"), support.kimi(["Something else", "Indeed"]))
    run(store, tmp_path)
    found = support.heads(store)
    assert len(found) == 2
    assert sorted(head["counts"]["messages"] for [head] in found.values()) == [2, 6]
    assert {head["native_id"] for [head] in found.values()} == {"tides_20250712_2100"}
