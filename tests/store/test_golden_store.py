"""The golden store of format 1 must open forever: with its content as recorded when it was made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sessionstore import canonical, layout, objects
from sessionstore.closure import objects_of, referenced, trashed_revisions
from sessionstore.journal import Journals
from sessionstore.models import Message, Note, Revision
from sessionstore.notes import all_notes
from sessionstore.store import Store
from tests.conftest import FIXTURES
from tests.store import independent

GOLDEN = FIXTURES / "format-v1" / "golden"
RECORDED: dict[str, Any] = json.loads((FIXTURES / "format-v1" / "golden.json").read_text("ascii"))
Json = dict[str, Any]


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A copy of the golden store, with the directories and modes that git gives it."""
    root = tmp_path / "golden"
    shutil.copytree(GOLDEN, root)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def described(read: Callable[[Json], list[Json]], original: Callable[[Json], bytes], name: str, revision: Json) -> Json:
    """A revision as it is recorded: its fields, its messages, the hashes of its originals."""
    referring = {"pages", "messages", "originals", "blobs", "_name"}
    messages = read(revision)
    return {
        "name": name,
        "fields": {field: value for field, value in revision.items() if field not in referring},
        "messages": {
            "ids": [message["id"] for message in messages],
            "sha256": independent.sha256(b"".join(independent.canonical(message) + b"\n" for message in messages)),
        },
        "originals": [independent.sha256(original(entry)) for entry in revision.get("originals", ())],
    }


def by_store(store: Store, revision: Json) -> Json:
    """A revision as the real implementation reads it."""
    return described(
        lambda revision: list(store.messages(revision)),
        lambda entry: b"".join(store.original(entry)),
        revision["_name"],
        revision,
    )


def test_every_session_reads_as_it_was_recorded(golden: Path) -> None:
    store = Store(golden)
    assert store.id == RECORDED["id"]
    assert {store.load_revision(name)["key"] for name in store.revision_names()} == RECORDED["sessions"].keys()
    for key, session in RECORDED["sessions"].items():
        heads = store.heads(key)
        assert [by_store(store, head) for head in heads] == session["heads"], key
        names = {head["_name"] for head in heads}
        history = [by_store(store, found) for found in store.revisions_of(key) if found["_name"] not in names]
        assert history == session["history"], key


def test_an_independent_reader_finds_the_same_sessions(golden: Path) -> None:
    found: dict[str, dict[str, Json]] = {}
    for path in (golden / "sessions").glob("*/*.json"):
        revision = json.loads(path.read_bytes())
        found.setdefault(revision["key"], {})[path.relative_to(golden / "sessions").as_posix()] = revision
    assert found.keys() == RECORDED["sessions"].keys()
    for key, revisions in found.items():
        lines = {name: independent.read_lines(golden, revision) for name, revision in revisions.items()}
        heads = [
            described(
                lambda revision: independent.read_messages(golden, revision),
                lambda entry: independent.read_original(golden, entry),
                name,
                revisions[name],
            )
            for name in independent.heads(revisions, lines)
        ]
        assert heads == RECORDED["sessions"][key]["heads"], key


def test_every_file_holds_the_bytes_it_is_named_for(golden: Path) -> None:
    checked = set()
    for path in golden.rglob("*.*"):
        relative = path.relative_to(golden)
        name = next((part for part in path.name.split(".") if len(part) == 64), None)
        if path.is_dir() or name is None:
            continue
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompress(data)
        assert independent.sha256(data) == name, relative
        if "objects" not in relative.parts:
            document = json.loads(data)
            assert independent.canonical(document) == data, relative
            assert independent.document_name(document["key"], data).endswith(f"{path.parent.name}/{path.name}")
        checked.add(relative.as_posix())
    rest = {path.relative_to(golden).as_posix() for path in golden.rglob("*") if path.is_file()} - checked
    assert rest == {"STORE.json", *(f"batches/{batch}.jsonl" for batch in RECORDED["batches"])}


def test_the_files_are_the_recorded_ones_and_few() -> None:
    files = sorted(path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*") if path.is_file())
    assert files == RECORDED["files"]
    assert len(files) <= 60
    assert sum((GOLDEN / file).stat().st_size for file in files) <= 300_000


def test_it_has_an_example_of_everything(golden: Path) -> None:
    endings = {".".join(Path(file).name.split(".")[1:]) for file in RECORDED["files"] if file.startswith("objects/")}
    assert endings == {"jsonl", "jsonl.zst", "raw.zst", "bin", "bin.zst"}
    sessions = RECORDED["sessions"].values()
    assert any(len(session["heads"]) == 2 for session in sessions)
    assert any(session["history"] and "parents" in session["heads"][0]["fields"] for session in sessions)
    assert RECORDED["trash"]
    store = Store(golden)
    heads = [head for key in RECORDED["sessions"] for head in store.heads(key)]
    first_pages = [head["pages"][0]["id"] for head in heads if head["pages"]]
    assert len(first_pages) > len(set(first_pages)), "no page is shared"
    assert any(len(head["pages"]) >= 2 and head["messages"] for head in heads)
    assert any(len(entry["chunks"]) >= 2 for head in heads for entry in head.get("originals", ()))
    assert any(b'"$object"' in line for head in heads for line in store.lines(head))


def test_nothing_is_missing_and_nothing_is_left_over(golden: Path) -> None:
    store = Store(golden)
    present = {(name, kind) for name, kind, _ in store.objects.all()}
    assert referenced(store) == present


def test_the_superseded_revision_is_readable_in_the_trash(golden: Path) -> None:
    store = Store(golden)
    found = [
        {"file": os.path.relpath(path, store.root), **by_store(store, revision)}
        for folder in sorted(os.listdir(golden / "trash"))
        for path, revision in trashed_revisions(store, folder)
    ]
    assert found == RECORDED["trash"]


def test_notes_read_as_they_were_recorded(golden: Path) -> None:
    store = Store(golden)
    found = {name: store.load_note(name) for name in store.note_names()}
    assert {name: {**note, "_name": name} for name, note in RECORDED["notes"].items()} == found


def test_the_latest_note_on_each_field_counts(golden: Path) -> None:
    assert all_notes(Store(golden)) == {
        "native:branches": {"title": "A newer title", "tags": ["decision", "später"], "star": True},
        "example:import-1": {"archived": True},
        "native:gone": {"tombstone": {"time": "2026-01-06T10:00:00.000Z"}},
    }


def test_batches_read_as_they_were_recorded(golden: Path) -> None:
    batches = Journals(Store(golden).root).all()
    assert {b.id: {"state": b.state, "sources": len(b.live)} for b in batches} == RECORDED["batches"]


def test_its_documents_fit_the_models(golden: Path) -> None:
    store = Store(golden)
    for name in store.revision_names():
        revision = {field: value for field, value in store.load_revision(name).items() if field != "_name"}
        Revision.model_validate(revision)
        for line in store.lines(revision):
            Message.model_validate(json.loads(line))
    for name in store.note_names():
        Note.model_validate({field: value for field, value in store.load_note(name).items() if field != "_name"})


def test_a_store_checked_out_of_git_can_be_written_to(golden: Path) -> None:
    for directory in [path for path in golden.rglob("*") if path.is_dir() and not any(path.iterdir())]:
        directory.rmdir()
    assert not (golden / "locks").exists()
    store = Store(golden)
    message = {"id": "m50", "role": "user", "parts": [{"type": "text", "content": "It goes on."}]}
    store.append("native:long", [message])
    assert store.heads("native:long")[0]["counts"]["messages"] == 50
    store.put("native:new", [message])
    assert list(store.messages(store.heads("native:new")[0])) == [message]


def test_writing_the_same_session_again_reuses_what_is_compacted(golden: Path) -> None:
    store = Store(golden)
    [head] = store.heads("native:long")
    before = {path for _, _, path in store.objects.all()}
    assert store.put("native:long", store.messages(head)) == head["_name"]
    assert {path for _, _, path in store.objects.all()} == before
    name = head["pages"][0]["id"]
    assert store.objects.find(name, objects.PAGE) == f"{store.root}/objects/{name[:2]}/{name}.jsonl.zst"


def test_a_read_only_copy_can_be_read(golden: Path) -> None:
    for path in [golden, *golden.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555)
    try:
        store = Store(golden)
        for key, session in RECORDED["sessions"].items():
            assert [head["_name"] for head in store.heads(key)] == [head["name"] for head in session["heads"]]
            for head in store.heads(key):
                assert sum(1 for _ in store.messages(head)) == head["counts"]["messages"]
    finally:
        for path in [golden, *golden.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o700)


def test_the_marker_is_what_a_new_store_gets() -> None:
    marker = json.loads((GOLDEN / layout.MARKER).read_bytes())
    assert {**marker, "id": ""} == {**layout.new_marker(), "id": ""}
    assert (GOLDEN / layout.MARKER).read_bytes() == canonical.dumps(marker) + b"\n"


def test_every_reference_of_a_trashed_revision_is_there(golden: Path) -> None:
    store = Store(golden)
    for folder in os.listdir(golden / "trash"):
        for _, revision in trashed_revisions(store, folder):
            assert all(store.objects.find(*reference) for reference in objects_of(store, revision))


def test_verify_finds_nothing_wrong(golden: Path) -> None:
    assert find_spec("sessionstore.verify") is not None
    report = import_module("sessionstore.verify").verify(Store(golden))
    assert report.damage == []
    assert report.counts["orphans"] == 0
