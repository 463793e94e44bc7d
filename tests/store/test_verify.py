"""Verification: every changed, missing or foreign byte is found, and the sessions it touches are named."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical, checks, errors, layout, objects
from sessionstore.checks import KINDS, Report
from sessionstore.compact import compact
from sessionstore.gc import gc
from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.kimi import Kimi
from sessionstore.journal import Journals
from sessionstore.migrate.reimport import Reimporter
from sessionstore.migrate.rollback import rollback
from sessionstore.notes import set_note
from sessionstore.repair import Repaired, repair
from sessionstore.store import Store, carried
from sessionstore.verify import verify
from tests.migrate import support
from tests.store.maintenance import at, changed, everything, files, flip, page_path, talk

LARGE = "x" * 300_000
SMALL, LONG, FORK, IMPORTED = "native:small", "native:long", "native:fork", "claude-code:" + support.CLAUDE.format(1)
linux = pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="a file that cannot be read is found there")


@pytest.fixture
def mixed(store: Store, tmp_path: Path) -> Store:
    """A store with a bit of everything: sessions with and without pages, two that share pages, a large value, an
    imported one, notes, a batch."""
    store.put(SMALL, talk(3, 300), {"title": "small"})
    store.put(LONG, talk(50))
    store.put(FORK, [*talk(30), *talk(3, about="elsewhere")])
    store.append(SMALL, [{"id": "m4", "role": "user", "parts": [{"type": "text", "content": LARGE}]}])
    set_note(store, SMALL, "tags", ["sea"])
    support.run(store, support.write(support.claude_path(tmp_path, 1), support.claude(1, 60, filler="w" * 900)))
    return store


def found(report: Report) -> list[tuple[str, str, tuple[str, ...]]]:
    """What is damaged: path, kind, sessions."""
    return [(entry.path, entry.kind, entry.sessions) for entry in report.damage]


def keys_by_path(store: Store) -> dict[str, set[str]]:
    """Which sessions need which file."""
    users: dict[str, set[str]] = {}
    for name in store.revision_names():
        revision = store.load_revision(name)
        users[f"sessions/{name}"] = {revision["key"]}
        kinds = {objects.PAGE: revision["pages"], objects.VALUE: revision.get("blobs", ())}
        kinds[objects.CHUNK] = [chunk for entry in revision.get("originals", ()) for chunk in entry["chunks"]]
        for kind, entries in kinds.items():
            for entry in entries:
                path = store.objects.find(entry["id"], kind)
                assert path is not None
                users.setdefault(os.path.relpath(path, store.root), set()).add(revision["key"])
    for name in store.note_names():
        users[f"notes/{name}"] = {store.load_note(name)["key"]}
    return users


def deep(store: Store, **options: Any) -> Report:
    """The deep verification."""
    return verify(store, deep=True, reimport=Reimporter(store), **options)


# -- sound stores ------------------------------------------------------------------------------------------------------


def test_an_empty_store_is_sound(store: Store) -> None:
    assert verify(store).as_json() == {
        "ok": True,
        "checked": 0,
        "counts": dict.fromkeys(("revisions", "notes", "objects", "orphans", "originals", "bytes", "batches"), 0),
        "damage": [],
        "warnings": [],
    }


def test_a_sound_store_has_no_damage_and_everything_is_counted(mixed: Store) -> None:
    report = deep(mixed)
    read = files(mixed, "objects", "sessions", "notes", "batches")
    assert (report.damage, report.warnings) == ([], [])
    assert report.counts == {
        "revisions": 4,
        "notes": 1,
        "objects": len(files(mixed, "objects")),
        "orphans": 0,
        "originals": 1,
        "bytes": sum(at(mixed, path).stat().st_size for path in read),
        "batches": 1,
    }


def test_a_compacted_store_is_sound(mixed: Store) -> None:
    compact(mixed, level=1)
    assert all(path.endswith(".zst") for path in files(mixed, "objects"))
    assert found(deep(mixed)) == []
    assert found(verify(mixed, read_data=False)) == []


def test_objects_that_nothing_needs_are_counted_and_no_damage(mixed: Store) -> None:
    mixed.objects.put(b"left over", objects.PAGE)
    report = verify(mixed)
    assert report.ok
    assert report.counts["orphans"] == 1


def test_verifying_changes_nothing(mixed: Store) -> None:
    before = support.tree(mixed.root)
    deep(mixed)
    assert support.tree(mixed.root) == before


def test_a_store_that_cannot_be_written_is_verified_all_the_same(mixed: Store) -> None:
    flip(at(mixed, page_path(mixed, LONG)), 5)
    shutil.rmtree(at(mixed, "locks"))
    at(mixed, "locks").write_bytes(b"")
    assert [kind for _, kind, _ in found(verify(mixed))] == ["object-corrupt"]


def test_progress_comes_to_the_end_it_announced(mixed: Store) -> None:
    class Told:
        started = (0, 0)
        files = size = 0

        def start(self, files: int, size: int) -> None:
            self.started = (files, size)

        def advance(self, files: int, size: int) -> None:
            self.files += files
            self.size += size

    told = Told()
    verify(mixed, progress=told)
    assert told.started == (told.files, told.size)
    assert told.files == len(files(mixed, "objects"))


# -- changed bytes -----------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_found_and_names_its_sessions(mixed: Store) -> None:
    for packed in (False, True):
        if packed:
            compact(mixed, level=1)
        for path, keys in keys_by_path(mixed).items():
            size = at(mixed, path).stat().st_size
            for position in {0, size - 1, *random.Random(path).sample(range(size), 8)}:
                before = flip(at(mixed, path), position, position % 8)
                [entry] = verify(mixed).damage
                assert entry.path == path
                assert entry.kind in ("object-corrupt", "object-size", "revision-corrupt", "note-corrupt")
                assert set(entry.sessions) == keys, f"{path} at {position}"
                at(mixed, path).write_bytes(before)
    assert verify(mixed).ok


@pytest.mark.parametrize("read_data", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_object_of_a_wrong_length_is_found(mixed: Store, read_data: bool, packed: bool) -> None:
    if packed:
        compact(mixed, level=1)
    for path, keys in keys_by_path(mixed).items():
        if path.startswith("objects/"):
            data = at(mixed, path).read_bytes()
            for wrong in (b"", data[:1], data[:-1], data + b"\0", data + data):
                with changed(at(mixed, path), wrong):
                    [entry] = verify(mixed, read_data=read_data).damage
                    assert (entry.path, entry.kind, set(entry.sessions)) == (path, "object-size", keys)


def test_a_cut_or_emptied_revision_or_note_is_found(mixed: Store) -> None:
    for path, keys in keys_by_path(mixed).items():
        if not path.startswith("objects/"):
            data = at(mixed, path).read_bytes()
            for wrong in (b"", data[:-1], data + b"\n"):
                with changed(at(mixed, path), wrong):
                    kind = "note-corrupt" if path.startswith("notes/") else "revision-corrupt"
                    [entry] = verify(mixed, read_data=False).damage
                    assert (entry.path, entry.kind) == (path, kind)
                    assert set(entry.sessions) == keys


def test_the_session_of_a_revision_of_which_nothing_is_left_is_known_all_the_same(mixed: Store) -> None:
    mixed.put("native:Ünlike its slug", talk(1))
    for key, known in ((IMPORTED, IMPORTED), (LONG, LONG), ("native:Ünlike its slug", "native-nlike-its-slug-")):
        path = f"sessions/{mixed.heads(key)[0]['_name']}"
        with changed(at(mixed, path), b""):
            [(where, kind, [session])] = found(verify(mixed))
            assert (where, kind) == (path, "revision-corrupt")
            assert session.startswith(known)


def test_a_missing_object_names_every_session_that_needs_it(mixed: Store) -> None:
    for path, keys in keys_by_path(mixed).items():
        if path.startswith("objects/"):
            with changed(at(mixed, path), None):
                for read_data in (True, False):
                    assert found(verify(mixed, read_data=read_data)) == [(path, "object-missing", tuple(sorted(keys)))]


def test_a_shared_page_touches_both_sessions(mixed: Store) -> None:
    path = page_path(mixed, LONG)
    assert path == page_path(mixed, FORK)
    flip(at(mixed, path), 100)
    assert found(verify(mixed)) == [(path, "object-corrupt", (FORK, LONG))]


def test_damage_in_one_session_leaves_the_others_alone(mixed: Store) -> None:
    flip(at(mixed, page_path(mixed, LONG, 1)), 9)
    at(mixed, f"sessions/{mixed.heads(SMALL)[0]['_name']}").write_bytes(b"{}")
    touched = {key for _, _, keys in found(verify(mixed)) for key in keys}
    assert touched == {LONG, SMALL}


def test_a_session_that_a_batch_has_stored_and_that_is_gone_is_missed(mixed: Store) -> None:
    name = mixed.heads(IMPORTED)[0]["_name"]
    at(mixed, f"sessions/{name}").unlink()
    assert found(verify(mixed)) == [(f"sessions/{name}", "session-missing", (IMPORTED,))]


def test_a_session_that_was_rolled_back_is_not_missed(mixed: Store) -> None:
    [batch] = Journals(mixed.root).ids()
    rollback(mixed, batch)
    assert verify(mixed).as_json()["damage"] == []


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_sample_reads_no_more_than_its_share(mixed: Store, share: float) -> None:
    flip(at(mixed, page_path(mixed, LONG)), 50)
    assert verify(mixed, sample=share).ok is (share == 0.0)


def test_damage_that_only_a_rollback_would_meet_is_a_warning(store: Store, tmp_path: Path) -> None:
    path = support.write(support.kimi_path(tmp_path), support.kimi([f"tide {n} {'w' * 3000}" for n in range(20)]))
    support.run(store, path)
    support.rest()
    support.write(path, support.kimi([f"tide {n} {'w' * 3000}" for n in range(40)]))
    support.run(store, path)
    superseded = [path for path in files(store, "trash") if "/sessions/" in path]
    old = json.loads(at(store, superseded[0]).read_bytes())["originals"][0]["chunks"][0]["id"]
    chunk = store.objects.find(old, objects.CHUNK)
    assert chunk is not None
    before = flip(Path(chunk), 30)
    assert [(entry.kind, entry.sessions != ()) for entry in verify(store).damage] == [("object-corrupt", True)]
    Path(chunk).write_bytes(before)
    assert gc(store, superseded_originals=True).given_up == 1
    for target in (superseded[0], os.path.relpath(chunk, store.root)):
        before = flip(at(store, target), 30)
        report = verify(store)
        assert report.ok
        assert "cannot be rolled back" in " ".join(report.warnings)
        at(store, target).write_bytes(before)
    os.unlink(chunk)
    assert "is missing, so batch" in " ".join(verify(store).warnings)


# -- what revisions state ----------------------------------------------------------------------------------------------


def put_changed(store: Store, key: str, **fields: Any) -> str:
    """Put a revision beside a session's head that states something else; returns its path."""
    revision = {**store.heads(key)[0], **fields}
    name, data = store.name_of(revision)
    store.write_revision(name, data)
    return f"sessions/{name}"


@pytest.mark.parametrize(
    "counts",
    [
        {"messages": 49, "bytes": 0, "by_role": {}},
        {"messages": 50, "bytes": 1, "by_role": {"user": 25, "assistant": 25}},
        {"messages": 50, "bytes": None, "by_role": {"user": 26, "assistant": 24}},
    ],
)
def test_counts_that_do_not_follow_from_the_messages_are_found(mixed: Store, counts: dict[str, Any]) -> None:
    true = mixed.heads(LONG)[0]["counts"]
    path = put_changed(mixed, LONG, counts={**counts, "bytes": counts["bytes"] or true["bytes"]})
    assert found(verify(mixed)) == [(path, "counts-differ", (LONG,))]


def test_a_page_that_holds_another_number_of_messages_is_found(mixed: Store) -> None:
    pages = [dict(page) for page in mixed.heads(LONG)[0]["pages"]]
    pages[0]["n"] += 1
    pages[1]["n"] -= 1
    path = put_changed(mixed, LONG, pages=pages)
    assert (path, "counts-differ", (LONG,)) in found(verify(mixed))


@pytest.mark.parametrize(
    "message",
    [
        5,
        {"id": "m1", "role": "user"},
        {"id": "m1", "role": "robot", "parts": []},
        {"id": "", "role": "user", "parts": []},
        {"id": "m1", "role": "user", "parts": ["text"]},
        {"id": "m1", "role": "user", "parts": [{"type": 1}]},
        {"id": "m1", "role": ["user"], "parts": []},
    ],
)
def test_what_is_no_message_is_found_in_pages_and_outside(mixed: Store, message: Any) -> None:
    outside = put_changed(mixed, SMALL, messages=[message])
    line = canonical.line(message)
    page = mixed.objects.put(line, objects.PAGE)
    pages = [{"id": page, "n": 1, "bytes": len(line)}]
    counts = {"messages": 1, "bytes": len(line), "by_role": {"user": 1}}
    put_changed(mixed, LONG, pages=pages, messages=[], counts=counts)
    report = found(verify(mixed))
    assert (outside, "message-invalid", (SMALL,)) in report
    assert (f"objects/{page[:2]}/{page}.jsonl", "message-invalid", (LONG,)) in report


def test_a_revision_without_its_parts_is_damaged_though_its_bytes_are_sound(mixed: Store) -> None:
    wrong: list[dict[str, Any]] = [{"pages": 5}, {"counts": {}}, {"originals": [{}]}]
    for fields in wrong:
        path = put_changed(mixed, SMALL, **fields)
        assert (path, "revision-corrupt", (SMALL,)) in found(verify(mixed))
        at(mixed, path).unlink()


def test_an_original_that_its_chunks_do_not_give_is_found(mixed: Store) -> None:
    [entry] = mixed.heads(IMPORTED)[0]["originals"]
    short = put_changed(mixed, IMPORTED, originals=[{**entry, "bytes": entry["bytes"] - 1}])
    other = put_changed(mixed, IMPORTED, originals=[{**entry, "sha256": "0" * 64}])
    for path in (short, other):
        assert (path, "original-differs", (IMPORTED,)) in found(verify(mixed))


# -- what is no part of the store --------------------------------------------------------------------------------------


def test_foreign_files_are_warnings_wherever_they_lie(mixed: Store) -> None:
    name = mixed.heads(SMALL)[0]["_name"]
    page = page_path(mixed, LONG)
    copies = {
        ".DS_Store": b"\0",
        "objects/.DS_Store": b"\0",
        f"{os.path.dirname(page)}/.{os.path.basename(page)}.swp": b"vim",
        f"{page[: -len('.jsonl')]} (1).jsonl": at(mixed, page).read_bytes(),
        f"{page}.tmp": b"",
        f"sessions/{name[: -len('.json')]} (1).json": at(mixed, f"sessions/{name}").read_bytes(),
        f"sessions/{name}~": b"",
        f"sessions/{name.upper()}": at(mixed, f"sessions/{name}").read_bytes(),
        "notes/Thumbs.db": b"",
        "batches/notes.txt": b"mine",
        "trash/old": b"",
        "quarantine/why.txt": b"",
        "locks/x": b"",
    }
    for path, data in copies.items():
        at(mixed, path).parent.mkdir(exist_ok=True)
        at(mixed, path).write_bytes(data)
    report = verify(mixed)
    assert report.ok
    assert sorted(report.warnings) == [f"{path} is not part of the store; ignored" for path in sorted(copies)]


@pytest.mark.parametrize("rename", [str.upper, lambda name: name.replace(".", " (1).", 1), lambda name: f"{name}.bak"])
def test_an_object_that_was_renamed_is_missing_and_its_file_foreign(mixed: Store, rename: Any) -> None:
    path = page_path(mixed, LONG, 1)
    folder, _, name = path.rpartition("/")
    at(mixed, path).rename(at(mixed, f"{folder}/{rename(name)}"))
    report = verify(mixed)
    assert found(report) == [(path, "object-missing", (LONG,))]
    assert f"{folder}/{rename(name)} is not part of the store; ignored" in report.warnings


def test_an_object_under_another_objects_name_is_foreign(mixed: Store) -> None:
    path = page_path(mixed, LONG, 1)
    true_name = Path(path).name[:64]
    wrong = f"objects/00/{'0' * 64}.jsonl"
    at(mixed, wrong).parent.mkdir(exist_ok=True)
    at(mixed, path).rename(at(mixed, wrong))
    report = verify(mixed)
    assert found(report) == [(path, "object-missing", (LONG,))]
    assert report.warnings == [f"{wrong} holds the object {true_name} under a wrong name; ignored"]


def test_a_damaged_object_that_nothing_needs_touches_no_session(mixed: Store) -> None:
    name = mixed.objects.put(b"left over", objects.PAGE)
    path = f"objects/{name[:2]}/{name}.jsonl"
    flip(at(mixed, path), 3)
    assert found(verify(mixed)) == [(path, "object-corrupt", ())]


def test_a_revision_under_another_sessions_name_is_foreign(mixed: Store) -> None:
    name = mixed.heads(SMALL)[0]["_name"]
    wrong = layout.document_name("native:stranger", at(mixed, f"sessions/{name}").read_bytes())
    at(mixed, f"sessions/{wrong}").parent.mkdir(exist_ok=True)
    shutil.copy(at(mixed, f"sessions/{name}"), at(mixed, f"sessions/{wrong}"))
    report = verify(mixed)
    assert report.ok
    assert report.warnings == [f"sessions/{wrong} belongs at sessions/{name}; ignored"]


def test_links_inside_the_store_are_told_of_and_what_lies_behind_is_checked(mixed: Store, tmp_path: Path) -> None:
    path = page_path(mixed, LONG, 1)
    folder = os.path.dirname(path)
    shutil.move(at(mixed, folder), tmp_path / "elsewhere")
    at(mixed, folder).symlink_to(tmp_path / "elsewhere")
    report = verify(mixed)
    assert report.ok
    assert report.warnings == [f"{folder} is a symbolic link and is not followed"]
    flip(tmp_path / "elsewhere" / os.path.basename(path), 7)
    assert found(verify(mixed)) == [(path, "object-corrupt", (LONG,))]
    at(mixed, folder).unlink()
    at(mixed, folder).symlink_to(at(mixed, folder))
    assert (path, "object-missing", (LONG,)) in found(verify(mixed))


@linux
def test_what_cannot_be_read_is_not_called_corrupt_and_is_left_alone(mixed: Store) -> None:
    path, revision = page_path(mixed, LONG), f"sessions/{mixed.heads(IMPORTED)[0]['_name']}"
    for name in (path, revision):
        at(mixed, name).unlink()
        at(mixed, name).symlink_to("/proc/self/mem")
    report = verify(mixed)
    assert (path, "unreadable", (FORK, LONG)) in found(report)
    assert not {kind for _, kind, _ in found(report)} & {"object-corrupt", "object-size"}
    before = files(mixed, "objects", "quarantine")
    repaired = repair(mixed, report)
    assert repaired.moved == []
    assert path in repaired.left
    assert files(mixed, "objects", "quarantine") == before


def test_a_directory_in_the_place_of_a_revision_is_no_revision(mixed: Store) -> None:
    name = mixed.heads(IMPORTED)[0]["_name"]
    at(mixed, f"sessions/{name}").unlink()
    at(mixed, f"sessions/{name}").mkdir()
    assert found(verify(mixed)) == [(f"sessions/{name}", "session-missing", (IMPORTED,))]


# -- journals and the marker -------------------------------------------------------------------------------------------


def test_a_journal_that_cannot_be_read_is_damage(mixed: Store) -> None:
    [path] = files(mixed, "batches")
    data = at(mixed, path).read_bytes()
    lines = data.splitlines(keepends=True)
    spoilt = [b"?" + data, data.replace(b'"t":"source"', b'"t":"sourze"'), lines[0] + b"\0\n" + b"".join(lines[1:])]
    spoilt += [data.replace(b'{"', b'{ "', 1), b"[]\n" + data, b'{"t":"commit"}\n' + data]
    for wrong in spoilt:
        with changed(at(mixed, path), wrong):
            assert found(verify(mixed)) == [(path, "journal-corrupt", ())]


def test_a_torn_last_line_of_a_journal_is_no_damage_but_an_unfinished_batch(mixed: Store) -> None:
    [path] = files(mixed, "batches")
    data = at(mixed, path).read_bytes()
    with changed(at(mixed, path), data[:-10]):
        report = verify(mixed)
        assert report.ok
        assert "was interrupted" in report.warnings[0]


def test_a_changed_marker_is_found(mixed: Store) -> None:
    marker = at(mixed, layout.MARKER)
    for old, new in ((b"P1", b"P2"), (b'"sha256"', b'"sha512"'), (b"SS-1", b"SS-2"), (b"{", b"{ ")):
        with changed(marker, marker.read_bytes().replace(old, new, 1)):
            assert found(verify(mixed)) == [(layout.MARKER, "marker-corrupt", ())]


# -- deep: originals ---------------------------------------------------------------------------------------------------


@pytest.fixture
def imported(store: Store, tmp_path: Path) -> Store:
    """Sessions of several formats: grown, stitched of windows, and gone on with by a program."""
    claude = support.write(support.claude_path(tmp_path, 1), support.claude(1, 40, filler="w" * 900))
    support.write(support.codex_path(tmp_path, 1), support.codex(1, 30))
    kimi = support.write(support.kimi_path(tmp_path), support.kimi([f"tide {n}" for n in range(50)]))
    support.run(store, tmp_path / ".claude", tmp_path / ".codex", tmp_path / ".kimi_sessions")
    support.rest()
    support.grow(claude, support.claude(1, 90, 40, filler="w" * 900))
    support.write(kimi, support.kimi([f"tide {n}" for n in range(10, 60)]))
    support.run(store, tmp_path / ".claude", tmp_path / ".kimi_sessions")
    [codex] = [key for key in support.keys(store) if key.startswith("codex:")]
    store.append(codex, talk(3))
    return store


def test_originals_import_to_the_sessions_they_gave(imported: Store) -> None:
    report = deep(imported)
    assert (report.damage, report.warnings) == ([], [])
    assert report.counts["originals"] >= 3


def test_a_session_stitched_of_windows_holds_more_than_its_last_window(imported: Store) -> None:
    [key] = [key for key in support.keys(imported) if key.startswith("kimi:")]
    [head] = imported.heads(key)
    lines = Reimporter(imported)(imported, head)
    assert lines is not None
    assert (len(lines), head["counts"]["messages"]) == (50, 60)
    assert checks.holds(list(imported.lines(head)), lines)
    assert not checks.holds(list(imported.lines(head))[:-1], lines)
    assert not checks.holds(lines, list(imported.lines(head)))


class OtherKimi(Kimi):
    """An importer that gives other messages and still has the same version."""

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        for draft, message in super().read(source):
            yield draft, {**message, "role": "user"}


def test_an_importer_that_gives_other_messages_is_found_out(imported: Store) -> None:
    importers = {**all_importers(), "kimi": OtherKimi()}
    [key] = [key for key in support.keys(imported) if key.startswith("kimi:")]
    report = verify(imported, deep=True, reimport=Reimporter(imported, importers))
    assert found(report) == [(f"sessions/{imported.heads(key)[0]['_name']}", "pages-differ", (key,))]


def test_messages_that_the_original_does_not_give_are_found(imported: Store) -> None:
    for key in support.keys(imported):
        [head] = imported.heads(key)
        messages = list(imported.messages(head))
        messages[15] = {**messages[15], "parts": [{"type": "text", "content": "never said"}]}
        with imported.writing():
            other = Store(imported.root)
            other.put(f"{key}x", messages, {**carried(head), "native_id": head["native_id"]})
        report = deep(imported)
        assert [(kind, keys) for _, kind, keys in found(report)] == [("pages-differ", (f"{key}x",))]
        for name in imported.revision_names():
            if imported.load_revision(name)["key"] == f"{key}x":
                at(imported, f"sessions/{name}").unlink()


def test_a_session_that_was_edited_on_purpose_is_no_damage_while_its_parent_fits(imported: Store) -> None:
    [key] = [key for key in support.keys(imported) if key.startswith("claude-code:")]
    [head] = imported.heads(key)
    sha = layout.split_name(head["_name"])[1]
    counts = head["counts"] | {"messages": len(head["messages"]), "bytes": 0}
    counts["bytes"] = sum(len(canonical.line(message)) for message in head["messages"])
    roles = [message["role"] for message in head["messages"]]
    counts["by_role"] = {role: roles.count(role) for role in set(roles)}
    put_changed(imported, key, pages=[], counts=counts, parents=[sha])
    report = deep(imported)
    assert (report.damage, report.warnings) == ([], [])
    at(imported, f"sessions/{head['_name']}").unlink()
    assert "differs from its original" in " ".join(deep(imported).warnings)


def test_another_version_of_the_importer_is_not_asked(imported: Store) -> None:
    class NewKimi(OtherKimi):
        version = Kimi.version + 1

    report = verify(imported, deep=True, reimport=Reimporter(imported, {"kimi": NewKimi()}))
    assert report.ok
    assert "3 revisions were not imported again" in report.warnings[0]


def test_chunks_in_another_order_are_another_original(store: Store, tmp_path: Path) -> None:
    path = support.write(support.claude_path(tmp_path, 1), support.claude(1, 3000, filler="w" * 900))
    support.run(store, path)
    [head] = support.heads(store)[IMPORTED]
    [entry] = head["originals"]
    assert len(entry["chunks"]) > 1
    wrong = put_changed(store, IMPORTED, originals=[{**entry, "chunks": entry["chunks"][::-1]}])
    at(store, f"sessions/{head['_name']}").unlink()
    assert verify(store).ok
    assert (wrong, "original-differs", (IMPORTED,)) in found(deep(store))


def test_an_original_with_a_damaged_chunk_is_reported_once(imported: Store) -> None:
    [chunk] = [path for path, keys in keys_by_path(imported).items() if "kimi" in str(keys) and ".raw" in path][:1]
    flip(at(imported, chunk), 20)
    assert [kind for _, kind, _ in found(deep(imported))] == ["object-corrupt"]


def test_a_compressed_original_is_unpacked_to_be_read_again(store: Store, tmp_path: Path) -> None:
    data = gzip.compress(support.kimi([f"tide {n}" for n in range(9)]))
    assert support.run(store, support.write(support.kimi_path(tmp_path), data)).failed == []
    [head] = [head for heads in support.heads(store).values() for head in heads]
    assert Reimporter(store)(store, head) == list(store.lines(head)) != []
    assert deep(store).ok


def test_sessions_of_one_original_are_read_again(store: Store, tmp_path: Path) -> None:
    path = support.write(support.claude_path(tmp_path, 1), support.claude(1, 4) + support.claude(2, 4))
    support.run(store, path)
    reimporter = Reimporter(store)
    revisions = [store.load_revision(name) for name in store.revision_names()]
    assert len(revisions) == 2
    for revision in revisions:
        assert reimporter(store, revision) == list(store.lines(revision))


# -- the index ---------------------------------------------------------------------------------------------------------


def test_an_index_that_differs_from_a_rebuilt_one_is_damage(mixed: Store) -> None:
    assert verify(mixed, index_digest=lambda: ("a", "a")).ok
    assert found(verify(mixed, index_digest=lambda: ("a", "b"))) == [("index.sqlite", "index-differs", ())]
    report = verify(mixed, index_digest=lambda: None)
    assert report.ok
    assert "no index" in report.warnings[0]


def test_an_index_that_cannot_be_compared_is_damage(mixed: Store) -> None:
    def broken() -> tuple[str, str]:
        raise errors.NoFTS5(version="3.0")

    assert found(verify(mixed, index_digest=broken)) == [("index.sqlite", "index-differs", ())]


# -- repair ------------------------------------------------------------------------------------------------------------


def mend(store: Store) -> Repaired:
    """Verify, repair, with originals at hand."""
    return repair(store, verify(store), Reimporter(store).rebuild)


def test_nothing_is_done_to_a_sound_store(mixed: Store) -> None:
    before = support.tree(mixed.root)
    assert mend(mixed).as_json() == {"quarantine": None, "moved": [], "restored": [], "missing": [], "left": []}
    assert support.tree(mixed.root) == before


def test_damage_goes_to_quarantine_and_is_missing_afterwards(mixed: Store) -> None:
    for path, keys in keys_by_path(mixed).items():
        before = flip(at(mixed, path), 11)
        wrong = at(mixed, path).read_bytes()
        report = verify(mixed)
        result = repair(mixed, report)
        assert result.moved == [path]
        assert at(mixed, f"quarantine/{result.quarantine}/{path}").read_bytes() == wrong
        assert [(entry.path, set(entry.sessions)) for entry in result.missing] == [(path, keys)]
        after = verify(mixed)
        assert {kind for _, kind, _ in found(after)} <= {"object-missing", "session-missing"}
        if path.startswith("objects/"):
            assert found(after) == [(path, "object-missing", tuple(sorted(keys)))]
        assert "quarantine/ holds" in " ".join(after.warnings)
        shutil.rmtree(at(mixed, f"quarantine/{result.quarantine}"))
        at(mixed, path).write_bytes(before)
    assert verify(mixed).ok


def test_a_quarantined_session_is_still_missed(mixed: Store) -> None:
    path = f"sessions/{mixed.heads(IMPORTED)[0]['_name']}"
    flip(at(mixed, path), 200)
    mend(mixed)
    assert found(verify(mixed)) == [(path, "session-missing", (IMPORTED,))]


def test_pages_and_large_values_are_made_anew_from_originals(store: Store, tmp_path: Path) -> None:
    data = support.claude(1, 60, filler="w" * 900) + support.claude(1, 61, 60, filler="v" * 300_000)
    support.run(store, support.write(support.claude_path(tmp_path, 1), data))
    before = support.tree(at(store, "objects"))
    lost = [path for path in files(store, "objects") if ".raw" not in path]
    assert {Path(path).suffix for path in lost} == {".jsonl", ".bin"}
    for number, path in enumerate(lost):
        if number % 2:
            at(store, path).unlink()
        else:
            flip(at(store, path), 5)
    result = mend(store)
    assert sorted(entry["path"] for entry in result.restored) == lost
    assert {entry["from"] for entry in result.restored} == {f"an original of {IMPORTED}"}
    assert result.missing == []
    assert support.tree(at(store, "objects")) == before
    assert deep(store).ok


def test_a_window_that_was_kept_gives_its_pages_back(store: Store, tmp_path: Path) -> None:
    path = support.write(support.kimi_path(tmp_path), support.kimi([f"tide {n} {'w' * 3000}" for n in range(50)]))
    support.run(store, path)
    first = {name: data for name, data in support.tree(at(store, "objects")).items() if name.endswith(".jsonl")}
    for name in first:
        at(store, f"objects/{name}").unlink()
    assert len(mend(store).restored) == len(first) > 1
    assert verify(store).ok


def test_a_chunk_whose_only_copy_is_damaged_stays_lost(mixed: Store) -> None:
    [path] = [path for path, keys in keys_by_path(mixed).items() if path.endswith(".raw.zst")]
    flip(at(mixed, path), 30)
    result = mend(mixed)
    assert [entry.path for entry in result.missing] == [path]
    assert found(verify(mixed)) == [(path, "object-missing", (IMPORTED,))]


@pytest.mark.parametrize("damaged", ["plain", "packed"])
def test_an_object_in_two_forms_is_whole_without_the_damaged_one(mixed: Store, damaged: str) -> None:
    path = page_path(mixed, LONG, 1)
    data = at(mixed, path).read_bytes()
    at(mixed, f"{path}.zst").write_bytes(objects.compress(data))
    target = path if damaged == "plain" else f"{path}.zst"
    flip(at(mixed, target), 50)
    assert [entry[0] for entry in found(verify(mixed))] == [target]
    result = mend(mixed)
    assert result.restored == [{"path": target, "from": "its other form"}]
    assert verify(mixed).ok
    assert mixed.page(canonical.digest(data)) == data


def test_an_object_that_was_renamed_comes_back(mixed: Store) -> None:
    first, second = page_path(mixed, LONG, 1), page_path(mixed, LONG, 0)
    upper = f"{os.path.dirname(first)}/{os.path.basename(first).upper()}"
    at(mixed, first).rename(at(mixed, upper))
    wrong = f"objects/00/{'0' * 64}.jsonl"
    at(mixed, wrong).parent.mkdir(exist_ok=True)
    at(mixed, second).rename(at(mixed, wrong))
    result = mend(mixed)
    assert {entry["path"]: entry["from"] for entry in result.restored} == {first: upper, second: wrong}
    assert found(verify(mixed)) == []


def test_an_object_is_found_in_the_trash(mixed: Store) -> None:
    path = page_path(mixed, LONG, 1)
    kept = at(mixed, f"trash/{layout.ulid()}/{path}")
    kept.parent.mkdir(parents=True)
    at(mixed, path).rename(kept)
    result = mend(mixed)
    assert [entry["path"] for entry in result.restored] == [path]
    assert kept.exists()
    assert verify(mixed).ok


def test_a_report_that_is_no_longer_true_moves_nothing(mixed: Store) -> None:
    path = page_path(mixed, LONG)
    before = flip(at(mixed, path), 5)
    report = verify(mixed)
    at(mixed, path).write_bytes(before)
    result = repair(mixed, report)
    assert (result.moved, result.left) == ([], [path])
    assert verify(mixed).ok


def test_a_damaged_journal_no_longer_stops_a_migration_once_it_is_put_aside(mixed: Store, tmp_path: Path) -> None:
    [path] = files(mixed, "batches")
    flip(at(mixed, path), 0, 7)
    with pytest.raises(errors.JournalCorrupt):
        support.run(mixed, support.claude_path(tmp_path, 1))
    assert mend(mixed).moved == [path]
    assert support.run(mixed, support.claude_path(tmp_path, 1)).failed == []
    assert verify(mixed).ok


def test_a_torn_file_of_a_power_cut_is_put_aside_and_written_again_by_the_next_import(
    mixed: Store, tmp_path: Path
) -> None:
    path = page_path(mixed, IMPORTED)
    at(mixed, path).write_bytes(b"")
    before = {name for name, _ in everything(mixed)}
    assert [entry["path"] for entry in mend(mixed).restored] == [path]
    assert before <= {name for name, _ in everything(mixed)}


def test_every_kind_of_damage_is_documented_and_used() -> None:
    import sessionstore.checks
    import sessionstore.verify

    source = "".join(Path(str(module.__file__)).read_text() for module in (sessionstore.checks, sessionstore.verify))
    for kind in KINDS:
        assert source.count(f'"{kind}"') > 1, kind
