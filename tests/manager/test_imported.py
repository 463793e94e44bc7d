"""Sessions of every format that was imported can be read, fitted, continued, branched and backed up."""

from __future__ import annotations

from pathlib import Path

from sessionstore.manager import SessionManager
from sessionstore.verify import verify
from tests.cli.running import LEGACY, Program, ok

MODELS = ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "mistral-large", "o1-mini")


def test_imported_sessions_go_on(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    program = Program(tmp_path / "home", tmp_path / "home", tmp_path / "store")
    ok(program("migrate", LEGACY))
    with SessionManager(tmp_path / "store") as manager, SessionManager(tmp_path / "copy") as copy:
        told = manager.backup(tmp_path / "b.zip")
        assert told["damaged"] == []
        found = manager.list(archived=None, limit=1000)
        assert copy.restore(tmp_path / "b.zip")["keys"] == sorted({one["key"] for one in found})
        assert verify(copy.store).ok
        for one in found:
            session = manager.get(one["key"])
            before = session.history()
            for model in MODELS:
                view = session.history(model)
                calls = [p["id"] for m in view for p in m["parts"] if p["type"] == "tool_call"]
                results = [p["id"] for m in view for p in m["parts"] if p["type"] == "tool_call_response"]
                assert calls == results
                assert len(set(calls)) == len(calls)
            assert session.stats()["messages"] == session.count
            assert session.context(threshold=200).messages() or not before
            session.add_user("Go on.")
            waiting = session.pending()
            assert waiting is not None and waiting["role"] == "user"
            session.switch_model("o3", consent=True)
            assert session.branch().count >= 1
        assert verify(manager.store).ok
    again = ok(program("migrate", LEGACY, "--json")).json
    assert again["sessions"] == 0
    ok(program("verify", "--deep"))
