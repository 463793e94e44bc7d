"""The life of sessions, and cleaning up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.manager import CleanUp, Session, SessionManager, cleaning
from sessionstore.notes import is_purged, set_note
from sessionstore.verify import verify


def test_a_session_is_created_then_active(manager: SessionManager) -> None:
    session = manager.create(system="Be brief.")
    assert session.state == "created"
    session.add_user("Hello")
    assert session.state == "active"
    assert manager.store.note_names() == set()


def test_a_whole_life(manager: SessionManager) -> None:
    session = manager.create("x")
    session.add_user("Hello")
    seen = []
    for step in (manager.pause, manager.complete, manager.archive, manager.retrieve, manager.archive):
        step(session)
        seen.append(SessionManager(manager.store, index=False).get("x").state)
    session.set_state("expired")
    assert seen == ["paused", "completed", "archived", "retrieved", "archived"]
    assert session.state == "expired"
    assert session.messages()[0]["parts"][0]["content"] == "Hello"
    assert verify(manager.store).ok


def test_a_session_may_be_active_before_its_first_turn(manager: SessionManager) -> None:
    session = manager.create("ready")
    session.set_state("active")
    assert session.state == "active"
    session.set_state("paused")
    session.set_state("active")
    assert session.state == "active"
    assert [one["key"] for one in manager.list(state="active")] == ["native:ready"]
    with pytest.raises(errors.UsageError, match="no state 'asleep'"):
        manager.list(state="asleep")


def test_a_new_turn_wakes_a_session_that_rests(manager: SessionManager) -> None:
    session = manager.create()
    session.add_user("Hello")
    manager.pause(session)
    session.add_user("I am back")
    assert session.state == "active"


@pytest.mark.parametrize("state", ["archived", "expired"])
def test_nothing_is_added_to_what_was_put_away(manager: SessionManager, state: str) -> None:
    session = manager.create("x")
    session.add_user("Hello")
    session.set_state(state)
    with pytest.raises(errors.UsageError, match=f"native:x is {state}; retrieve it"):
        session.add_user("more")
    with pytest.raises(errors.UsageError, match="retrieve it"):
        session.switch_model("o3", consent=True)
    manager.retrieve(session)
    session.add_user("more")
    assert session.count == 2


@pytest.mark.parametrize(("state", "after"), [("active", "retrieved"), ("archived", "paused"), ("active", "asleep")])
def test_an_impossible_step_is_refused(manager: SessionManager, state: str, after: str) -> None:
    session = manager.create()
    session.add_user("Hello")
    if state != "active":
        session.set_state(state)
    with pytest.raises(errors.UsageError):
        session.set_state(after)
    assert session.state == state


def test_the_mark_of_the_command_line_and_the_state_agree(manager: SessionManager) -> None:
    session = manager.create()
    session.add_user("Hello")
    set_note(manager.store, session.key, "archived", True)
    assert session.state == "archived"
    set_note(manager.store, session.key, "archived", None)
    assert session.state == "active"
    manager.archive(session)
    assert manager.list() == []
    assert [one["state"] for one in manager.list(archived=True)] == ["archived"]
    set_note(manager.store, session.key, "archived", None)
    assert session.state == "retrieved"
    assert [one["state"] for one in manager.list(state="retrieved")] == ["retrieved"]


def old(manager: SessionManager, name: str, days: int) -> Session:
    """A session whose last turn was so many days ago."""
    session = manager.create(name)
    time = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    session.append({"role": "user", "content": "Hello", "time": time})
    return session


def test_what_is_idle_is_archived_and_what_has_expired_leaves_a_tombstone(manager: SessionManager) -> None:
    for name, days in (("fresh", 1), ("idle", 40), ("ancient", 400), ("starred", 400)):
        old(manager, name, days)
    set_note(manager.store, "native:starred", "star", True)
    policy = CleanUp(timedelta(days=30), expire_after=timedelta(days=90), purge_after=timedelta(days=365))
    assert manager.clean_up(policy, dry_run=True) == {"native:idle": "archived", "native:ancient": "archived"}
    assert manager.get("ancient").state == "active"
    assert manager.clean_up(policy) == {"native:idle": "archived", "native:ancient": "archived"}
    assert manager.clean_up(policy) == {"native:ancient": "expired"}
    assert manager.get("ancient").count == 1
    assert manager.clean_up(policy) == {"native:ancient": "purged"}
    assert is_purged(manager.store, "native:ancient")
    assert manager.clean_up(policy) == {}
    assert {one["key"] for one in manager.list(archived=None)} == {"native:fresh", "native:idle", "native:starred"}
    assert verify(manager.store).ok


def test_nothing_is_ever_purged_by_default_and_imported_sessions_are_left_alone(manager: SessionManager) -> None:
    old(manager, "ancient", 4000)
    message = {"id": "m1", "role": "user", "time": "2001-01-01T00:00:00Z", "parts": []}
    manager.store.put("kimi:x", [message])
    for _ in range(4):
        manager.clean_up()
    assert manager.get("ancient").state == "archived"
    assert manager.get("kimi:x").state == "active"


def test_what_was_taken_out_of_the_archive_is_not_put_back_at_once(manager: SessionManager) -> None:
    session = old(manager, "idle", 40)
    manager.clean_up()
    manager.retrieve(session)
    assert manager.clean_up() == {}
    assert session.state == "retrieved"
    assert manager.clean_up(CleanUp(timedelta(0))) == {"native:idle": "archived"}
    set_note(manager.store, session.key, "archived", None)
    assert manager.clean_up() == {}


def test_a_manager_with_a_policy_cleans_up_by_itself(tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store") as manager:
        old(manager, "idle", 40)
    with SessionManager(tmp_path / "store", clean_up=CleanUp()) as manager:
        manager.create("new").add_user("Hello")
    with SessionManager(tmp_path / "store") as manager:
        assert (manager.get("idle").state, manager.get("new").state) == ("archived", "active")


def test_a_turn_that_comes_while_cleaning_up_is_not_overlooked(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = old(manager, "idle", 40)
    real = cleaning.revisions

    def slow(asked: SessionManager) -> list[dict[str, object]]:
        found = list(real(asked))
        session.add_user("I am back")
        return found

    monkeypatch.setattr(cleaning, "revisions", slow)
    assert manager.clean_up() == {}
    assert session.state == "active"


def test_a_clean_up_in_the_background_that_fails_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise errors.NoSpace(path="store", what="in a test")

    with SessionManager(tmp_path / "store", clean_up=CleanUp()) as manager:
        monkeypatch.setattr(cleaning, "clean_up", broken)
        manager.create("new").add_user("Hello")
        assert manager._cleaner is not None
        manager._cleaner.close()
        assert isinstance(manager._cleaner.failed, errors.NoSpace)
        assert manager.get("new").count == 1


def test_a_session_of_which_no_time_is_known_is_left_alone(manager: SessionManager) -> None:
    manager.store.put("native:timeless", [{"id": "m1", "role": "user", "parts": []}])
    assert manager.clean_up(CleanUp(timedelta(0))) == {}
