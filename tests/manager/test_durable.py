"""What a revision refers to is durable before the revision is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import canonical, errors, fsio
from sessionstore.manager import Session, SessionManager

WORK: dict[str, Callable[[Session], object]] = {
    "a page that closes": lambda session: [session.add_user("x" * 5000) for _ in range(20)],
    "a batch of many pages": lambda session: session.append([{"role": "user", "content": "x" * 5000}] * 100),
    "a large text and an image": lambda session: session.add_user(
        ["x" * 300_000, {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "aGVsbG8="}]
    ),
    "an edit": lambda session: (session.append([{"role": "user", "content": "x" * 5000}] * 30), session.edit(3, "y")),
    "a branch": lambda session: (session.append([{"role": "user", "content": "x" * 5000}] * 30), session.branch(20)),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize("whole_file_system", [True, False])
def test_objects_come_before_the_revision(
    manager: SessionManager,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Session], object],
    whole_file_system: bool,
) -> None:
    store = manager.store
    durable: set[str] = set()
    seen: list[str] = []
    fsync, write = fsio.fsync_file, store.write_revision

    def fsync_file(path: str) -> None:
        fsync(path)
        durable.add(path)

    def syncfs(directory: str) -> bool:
        if whole_file_system:
            durable.update(map(str, Path(store.objects.root).rglob("*.*")))
        return whole_file_system

    def write_revision(name: str, data: bytes, flush: fsio.Flush | None = None) -> bool:
        revision = canonical.loads(data)
        for page in revision["pages"]:
            seen.append(page["id"])
            assert store.objects.find(page["id"], "jsonl") in durable
        for blob in revision.get("blobs", ()):
            seen.append(blob["id"])
            assert store.objects.find(blob["id"], "bin") in durable
        assert flush is None
        return write(name, data)

    session = manager.create()
    monkeypatch.setattr(fsio, "fsync_file", fsync_file)
    monkeypatch.setattr(fsio, "_syncfs", syncfs)
    monkeypatch.setattr(store, "write_revision", write_revision)
    work(session)
    assert seen


def test_a_failed_flush_leaves_the_session_as_it_was(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    session = manager.create()
    session.add_user("1")

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(fsio, "fsync_file", fails)
        patch.setattr(fsio, "_syncfs", fails)
        with pytest.raises(errors.WriteFailed):
            session.add_user("x" * 40_000)
    assert session.count == 1
    session.add_user("x" * 40_000)
    assert SessionManager(manager.store).get(session.key).count == 2
