"""views/: folders of links to the heads, for other programs."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sessionstore import layout
from sessionstore.notes import set_note
from sessionstore.store import Store
from sessionstore.verify import verify
from sessionstore.views import safe_name, views
from tests.migrate import support
from tests.store.maintenance import at, files, flip, killed_at_every_step, page_path, talk

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")


def refused(target: str, path: str) -> None:
    """A file system without such links."""
    raise OSError("not here")


def unknown(target: str, path: str) -> None:
    """A platform without such links."""
    raise NotImplementedError


def say(model: str | None = None, **fields: Any) -> dict[str, Any]:
    """One message."""
    message = {"id": "m1", "role": "assistant", "parts": [{"type": "text", "content": "hi"}], **fields}
    return {**message, "model": model} if model else message


@pytest.fixture
def filled(store: Store) -> Store:
    """Sessions with models, days and tags."""
    store.put("native:a", [say("gpt-4", time="2026-01-05T08:00:00Z"), say("claude/3.5 Sonnet")], {"title": "a"})
    store.put("native:b", [say("gpt-4", time="2026-01-05T23:30:00-05:00")])
    store.put("other:c", [say()], {"x": {"created_at": {"raw": "2025-07-12T21:00:00", "zone": "unknown"}}})
    store.put("other:d", [say()])
    set_note(store, "native:a", "tags", ["sea", "Gezeiten & Mond"])
    return store


def entries(store: Store) -> dict[str, set[str]]:
    """Folder below views/ to the keys of the sessions that its entries lead to."""
    found: dict[str, set[str]] = {}
    for path in files(store, "views"):
        target = at(store, path)
        data = target.read_bytes()
        if not data.startswith(b"{"):
            data = (target.parent / data.decode().rstrip("\n")).read_bytes()
        folder = os.path.dirname(os.path.relpath(path, "views"))
        found.setdefault(folder, set()).add(json.loads(data)["key"])
    return found


EXPECTED = {
    "by-model/gpt-4": {"native:a", "native:b"},
    "by-model/claude-3.5-sonnet": {"native:a"},
    "by-date/2026-01-05": {"native:a"},
    "by-date/2026-01-06": {"native:b"},
    "by-date/2025-07-12": {"other:c"},
    "by-date/undated": {"other:d"},
    "by-source/native": {"native:a", "native:b"},
    "by-source/other": {"other:c", "other:d"},
    "by-tag/sea": {"native:a"},
    "by-tag/gezeiten-mond": {"native:a"},
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("symlink", {}),
        ("hard link", {"symlink": refused}),
        ("hard link", {"symlink": unknown}),
        ("pointer", {"symlink": refused, "hard_link": refused}),
        ("pointer", {"symlink": unknown, "hard_link": unknown}),
    ],
)
def test_every_session_is_found_by_model_date_source_and_tag(filled: Store, kind: str, options: Any) -> None:
    result = views(filled, **options)
    assert entries(filled) == EXPECTED
    assert result.as_json() == {"sessions": 4, "links": 13, "kind": kind, "skipped": 0}
    for path in files(filled, "views"):
        assert at(filled, path).is_symlink() is (kind == "symlink")
        assert (at(filled, path).stat().st_nlink > 1) is (kind == "hard link")


def test_links_are_relative_so_that_the_store_can_be_moved(filled: Store, tmp_path: Path) -> None:
    views(filled)
    os.rename(filled.root, tmp_path / "moved")
    assert entries(Store(tmp_path / "moved")) == EXPECTED


def test_an_entry_is_called_like_its_session(filled: Store) -> None:
    views(filled)
    assert os.listdir(at(filled, "views/by-tag/sea")) == [f"{layout.slug('native:a')}.json"]


def test_two_heads_are_two_entries(store: Store) -> None:
    store.put("native:a", [say(), say(id="m2")])
    store.put("native:a", [say(), say(id="m3")])
    views(store)
    hashes = {layout.split_name(head["_name"])[1][:12] for head in store.heads("native:a")}
    expected = {f"{layout.slug('native:a')}.{sha}.json" for sha in hashes}
    assert len(expected) == 2
    assert set(os.listdir(at(store, "views/by-source/native"))) == expected


def test_superseded_revisions_have_no_entry(store: Store) -> None:
    store.put("native:a", [say()], {"title": "one"})
    [old] = store.heads("native:a")
    sha = layout.split_name(old["_name"])[1]
    name, data = store.name_of({**old, "title": "two", "parents": [sha]})
    store.write_revision(name, data)
    views(store)
    [path] = files(store, "views/by-source")
    assert json.loads(at(store, path).read_bytes())["title"] == "two"


def test_stale_entries_vanish(filled: Store) -> None:
    views(filled)
    set_note(filled, "native:a", "tags", ["moon"])
    filled.append("native:b", [say(id="m2")])
    at(filled, "views/by-tag/mine.txt").write_bytes(b"")
    views(filled)
    tags = {folder: keys for folder, keys in entries(filled).items() if folder.startswith("by-tag")}
    assert tags == {"by-tag/moon": {"native:a"}}
    assert entries(filled)["by-source/native"] == {"native:a", "native:b"}
    assert files(filled, "tmp") == []


def test_a_store_without_sessions_has_empty_views(store: Store) -> None:
    assert views(store).links == 0
    assert sorted(os.listdir(at(store, "views"))) == ["by-date", "by-model", "by-source", "by-tag"]


def test_a_file_in_the_place_of_views_is_replaced(filled: Store, tmp_path: Path) -> None:
    at(filled, "views").write_bytes(b"?")
    views(filled)
    assert entries(filled) == EXPECTED
    support.tree(filled.root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_bytes(b"keep")
    os.rename(at(filled, "views"), tmp_path / "gone")
    at(filled, "views").symlink_to(outside)
    views(filled)
    assert entries(filled) == EXPECTED
    assert (outside / "mine").read_bytes() == b"keep"


def test_damaged_revisions_have_no_entry_and_stop_nothing(filled: Store) -> None:
    flip(at(filled, f"sessions/{filled.heads('native:b')[0]['_name']}"), 30)
    result = views(filled)
    assert (result.skipped, result.sessions) == (1, 3)
    assert entries(filled)["by-source/native"] == {"native:a"}


def test_with_a_page_missing_all_revisions_are_shown(store: Store) -> None:
    store.put("native:a", [*talk(10), *talk(40, about="one")])
    store.put("native:a", [*talk(10), *talk(40, about="two")])
    at(store, page_path(store, "native:a")).unlink()
    at(store, page_path(store, "native:a", 1)).unlink()
    assert views(store).sessions == 1


@posix
def test_a_kill_at_any_step_leaves_whole_views_or_none(filled: Store, tmp_path: Path) -> None:
    views(filled)
    copies = 0
    for copy in killed_at_every_step(filled, tmp_path / "copies", views):
        copies += 1
        assert entries(copy) in (EXPECTED, {})
        assert verify(copy).ok
        views(copy)
        assert entries(copy) == EXPECTED
    assert copies > 3


@pytest.mark.parametrize(
    "text",
    [
        *("../../etc/passwd", "/abs", "a\\..\\b", "..", ".", "", " ", "CON", "nul.txt", "a\0b", "x" * 300, "量" * 200),
        *(".hidden", "-rf", "trailing.", "a/b", "a:b", "\ud800", "ＧＰＴ－４", "\n", "é", "e\u0301"),
    ],
)
def test_no_name_becomes_a_path(text: str) -> None:
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= 81
    assert name not in (".", "..")
    assert not set(name) & set('/\\:\0\n <>"|?*')
    assert not name.startswith((".", "-"))
    assert not name.endswith((".", " "))
    assert name.split(".")[0] not in ("con", "nul")
    assert name == name.casefold() == unicodedata.normalize("NFC", name)


def test_names_in_any_script_stay_readable() -> None:
    assert safe_name("量子") == "量子"
    assert safe_name("GPT-4") == safe_name("gpt-4") == "gpt-4"
    assert safe_name("anthropic/claude-3.5") == "anthropic-claude-3.5"
    assert safe_name("é") == safe_name("e\u0301")


def test_hostile_tags_make_folders_inside_views_only(store: Store) -> None:
    store.put("native:a", [say("../../../outside")])
    set_note(store, "native:a", "tags", ["../..", "/etc", "a/b/c"])
    before = set(os.listdir(store.root)) | {"views"}
    views(store)
    assert set(os.listdir(store.root)) == before
    assert {folder.count("/") for folder in entries(store)} == {1}
