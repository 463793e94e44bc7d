"""File systems without working locks, and Windows."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from sessionstore import errors, fsio
from sessionstore.manager import SessionManager
from sessionstore.verify import verify


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS], ids=lambda number: errno.errorcode[number])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, *, shared: bool, wait: bool = False) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fsio, "flock", no_locks)
    monkeypatch.setattr(fsio, "warnings", [])


@pytest.mark.usefixtures("without_locks")
def test_without_locks_sessions_are_written_and_a_warning_is_given(tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store") as manager:
        session = manager.create("conversation-x")
        threads = [threading.Thread(target=lambda n=n: session.add_user(f"turn {n}")) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert session.count == 16
        assert len(manager.store.revisions_of(session.key)) == 1
        assert any("no working locks" in warning for warning in fsio.warnings)
        assert manager.get("conversation-").key == session.key
        assert manager.get("@last").key == session.key
        assert isinstance(manager.keeper.failed, errors.LocksUnavailable)
        manager.edit(session, 0, "edited")
        manager.pause(session)
        assert session.state == "paused"
        assert verify(manager.store).ok


@pytest.mark.usefixtures("without_locks")
def test_without_locks_two_programs_make_two_heads_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        SessionManager(tmp_path / "store", index=False) as manager,
        SessionManager(manager.store, index=False) as other,
    ):
        session = manager.create("x")
        session.add_user("start")
        theirs = other.get("x")
        assert theirs.count == 1
        live = other.live("native:x")
        seen = live._names("sessions")
        monkeypatch.setattr(live, "_names", lambda folder: seen)
        session.add_user("mine")
        theirs.add_user("theirs")
        monkeypatch.undo()
        assert len(manager.store.heads("native:x")) == 2
        manager.merge(session)
        assert sorted(m["parts"][0]["content"] for m in session.messages()) == ["mine", "start", "theirs"]
        assert len(manager.store.heads("native:x")) == 1


@pytest.mark.parametrize("name", ["CON", "nul.txt", "a:b", "a*b?", "x" * 400, "trailing.", "A", "a"])
def test_file_names_are_safe_on_windows(manager: SessionManager, name: str) -> None:
    manager.create(name).add_user("Hello")
    stems = {path.name.partition(".")[0] for path in (Path(manager.store.root) / "sessions").rglob("*.json")}
    for path in (Path(manager.store.root) / "sessions").rglob("*.json"):
        assert not set(path.name) & set('<>:"/\\|?*') and len(path.name) < 200
        assert path.name == path.name.lower()
    assert not stems & {"con", "nul", "aux", "prn"}


def test_two_ids_that_differ_in_case_only_are_two_files(manager: SessionManager) -> None:
    for name in ("Chat", "chat"):
        manager.create(name).add_user(name)
    names = [path.name.lower() for path in (Path(manager.store.root) / "sessions").rglob("*.json")]
    assert len(set(names)) == 2
    assert manager.get("Chat").messages()[0]["parts"][0]["content"] == "Chat"
