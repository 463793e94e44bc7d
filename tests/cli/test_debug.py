"""`sessionstore debug` and `--trace`, as a person uses them when something is wrong."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sessionstore.manager import SessionManager
from sessionstore.manager.inspection import dump
from tests.adapters.conftest import server as server
from tests.adapters.server import Server, document
from tests.cli.running import Program, files, ok, says
from tests.exporters.support import PNG

WORD = "midnight"


@pytest.fixture
def talked(program: Program) -> Program:
    """A store with a session in which much has happened."""
    assert program.store is not None
    with SessionManager(program.store) as manager:
        session = manager.create("s", model="gpt-5", title=f"{WORD} talk", system=f"Speak of {WORD}.")
        session.add_user(f"The owl flies at {WORD}.", id="q1")
        image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
        session.append({"role": "user", "id": "q2", "parts": [image, {"type": "text", "content": WORD}]})
        session.add_tool_call("look", {"when": WORD}, call_id="call-1", x={WORD: WORD})
        manager.edit(session, "q1", f"The owl flew at {WORD}.")
        manager.delete_message(session, "q2")
        manager.switch_model(session, "claude-opus-4-6", WORD, consent=True)
    return program


def test_the_state_of_a_session_is_shown_and_nothing_is_changed_by_that(talked: Program) -> None:
    assert talked.store is not None
    before = files(talked.store / "sessions")
    state = ok(talked("debug", "session", "s", "--json")).json
    assert files(talked.store / "sessions") == before
    assert (state["key"], state["state"], state["model"]) == ("native:s", "active", "claude-opus-4-6")
    assert state["dangling_calls"] == ["call-1"] and state["pending"]["calls"] == ["call-1"]
    assert state["history"] == 2 and len(state["heads"]) == 1
    assert [(one["from"], one["to"]) for one in state["switches"]] == [("gpt-5", "claude-opus-4-6")]
    assert state["persistence"] == {"complete": True, "missing": [], "left_behind": 0}
    assert state["index"]["current"] is True
    for path in (*state["files"]["revisions"], *state["files"]["notes"]):
        assert os.path.isfile(path)
    shown = ok(talked("debug", "session", "s")).out
    for word in ("dangling", "call-1", "gpt-5 -> claude-opus-4-6", "has it as it is", state["files"]["revisions"][0]):
        assert word in shown


def test_trouble_is_told(talked: Program) -> None:
    assert talked.store is not None
    with SessionManager(talked.store, index=False) as manager:
        manager.get("s").append([{"role": "user", "content": f"{n} " + "x" * 3000} for n in range(20)])
        page = manager.get("s").revision["pages"][0]["id"]
    (talked.store / "tmp").mkdir(exist_ok=True)
    (talked.store / "tmp" / "left").write_text("half")
    [path] = talked.store.glob(f"objects/*/{page}.*")
    path.unlink()
    state = ok(talked("debug", "session", "s", "--json")).json
    assert state["persistence"] == {"complete": False, "missing": [page], "left_behind": 1}
    assert page in state["damage"] and state["index"]["current"] is False
    assert "NO, missing" in ok(talked("debug", "session", "s")).out
    assert page in ok(talked("debug", "dump", "s")).json["damage"]
    assert ok(talked("debug", "history", "s", "--json")).json["revisions"][-1]["damage"]


def test_the_history_says_what_changed_when(talked: Program) -> None:
    found = ok(talked("debug", "history", "s", "--json")).json
    first, second, last = found["revisions"]
    assert first["added"] == 4 and not first["head"] and first["edited"] == first["deleted"] == []
    assert second["edited"] == ["q1"] and second["deleted"] == []
    assert last["deleted"] == ["q2"] and last["added"] == 1 and last["head"] is True
    assert last["parents"] and found["tombstone"] is None
    shown = ok(talked("debug", "history", "s")).out
    assert "edited q1" in shown and "deleted q2" in shown


def test_a_purged_session_is_known_by_its_tombstone(talked: Program) -> None:
    ok(talked("purge", "s", "--yes", "--reason", "asked to"))
    assert ok(talked("debug", "session", "s", "--json")).json["state"] == "purged"
    assert "asked to" in ok(talked("debug", "history", "s")).out
    says(talked("debug", "session", "nobody"), 2, "no session")


def test_an_imported_session_names_its_batch(imported: Program) -> None:
    program = imported
    key = ok(program("list", "--json")).json[0]["key"]
    [batch] = {one["batch"] for one in ok(program("debug", "history", key, "--json")).json["batches"]}
    assert batch == ok(program("batches", "--json")).json[0]["id"]
    state = ok(program("debug", "session", key, "--json")).json
    assert state["sizes"]["chunks"]["count"] >= 1 and state["sizes"]["originals"]


def test_a_dump_holds_everything_and_a_redacted_one_nothing_of_what_was_said(talked: Program, tmp_path: Path) -> None:
    whole = ok(talked("debug", "dump", "s")).json
    assert WORD in json.dumps(whole) and len(whole["messages"]) == 4
    target = tmp_path / "report.json"
    told = ok(talked("debug", "dump", "s", "--redact-content", "-o", target, "--json")).json
    assert told["redacted"] is True and stat.S_IMODE(target.stat().st_mode) == 0o600
    text = target.read_text()
    assert WORD not in text and PNG not in text and str(talked.store) not in text
    kept = json.loads(text)
    assert [one["role"] for one in kept["messages"]] == ["system", "user", "assistant", "system"]
    assert kept["messages"][1]["parts"] == [{"type": "text", "content": "<25 characters>"}]
    assert kept["messages"][2]["parts"][0]["name"] == "look"
    assert kept["state"]["dangling_calls"] == ["call-1"] and len(kept["history"]["revisions"]) == 3
    says(talked("debug", "dump", "s", "-o", target), 2, "is there already")
    ok(talked("debug", "dump", "s", "-o", target, "--force"))


def test_foreign_fields_are_redacted_too(tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store", index=False) as manager:
        parts: list[Any] = [
            {"type": "mystery", "text": WORD, "deep": [{"content": WORD}]},
            {"type": "file", "name": WORD, "uri": f"file:///{WORD}"},
            {"type": "tool_call_response", "id": "c", "response": {"a": [WORD]}},
        ]
        session = manager.create("s")
        session.append({"role": "user", "parts": parts, "x": {"note": WORD, "deep": {"a": WORD}}})
        assert WORD not in json.dumps(dump(manager, session.key, redact=True))


def test_a_rehearsal_needs_no_network_and_leaves_nothing(program: Program) -> None:
    result = ok(program("debug", "simulate", "--model", "simulated/429,tool,echo", "Hello", "More", "--json"))
    assert [turn["finish"] for turn in result.json["turns"]] == ["stop", "stop"]
    operations = result.json["summary"]["operations"]
    assert operations["chat"]["count"] == 4 and operations["execute_tool"]["count"] == 2
    assert not (program.store and program.store.exists())
    shown = program("debug", "simulate", "-m", "simulated/500,500,500", "Hello")
    assert shown.code == 0 and "ProviderDown" in shown.out and "retry" in shown.err and "Hello" not in shown.err
    says(program("debug", "simulate", "-m", "gpt-5"), 2, "is a real model")


def test_a_conversation_with_the_simulation_is_kept(program: Program) -> None:
    first = ok(program("chat", "-m", "simulated", "-s", "s", "What is a monad?"))
    assert first.out == ok(program("chat", "-m", "simulated", "-s", "t", "What is a monad?")).out
    cut = program("chat", "-m", "simulated/cut", "-s", "u", "Hello?")
    assert cut.code == 1 and "cut off" in cut.err
    assert ok(program("debug", "session", "u", "--json")).json["unfinished_answers"] == 1
    assert ok(program("chat", "-m", "simulated/echo", "-s", "u", "--yes", "Hello again")).out == "Hello again\n"


def test_a_provider_is_checked_without_sending_and_without_showing_the_key(program: Program, server: Server) -> None:
    missing = program("debug", "provider", "openai", "--json")
    checks = {one["what"]: one["ok"] for one in missing.json["checks"]}
    assert missing.code == 1 and checks == {"library": True, "key": False, "address": True}
    program.env |= {"OPENAI_API_KEY": "sk-very-secret-key-123", "OPENAI_BASE_URL": f"{server.url}/v1"}
    fine = ok(program("debug", "provider", "openai"))
    assert "OPENAI_API_KEY is set" in fine.out and "127.0.0.1" in fine.out and not server.requests
    server.replies.append(
        document(
            {"id": "c", "model": "gpt-5-nano-x", "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
        )
    )
    sent = ok(program("debug", "provider", "openai", "--send"))
    assert "gpt-5-nano-x answered in" in sent.out and len(server.requests) == 1
    server.replies.append(document({"error": {"message": "bad sk-very-secret-key-123"}}, 401))
    refused = program("debug", "provider", "gpt-5", "--send")
    assert refused.code == 1 and "ProviderDenied" in refused.out
    for result in (missing, fine, sent, refused):
        assert "very-secret" not in result.out + result.err
    program.env.pop("OPENAI_BASE_URL")
    down = program("debug", "provider", "openai", "--send", "--base-url", "http://127.0.0.1:9/v1", "--json")
    assert down.code == 1 and "ProviderUnreachable" in down.json["checks"][-1]["told"]
    assert ok(program("debug", "provider", "simulated", "--send")).code == 0
    assert "there is no program" in program("debug", "provider", "claude-code").out
    assert program("debug", "provider", "grog").code == 2


def test_a_command_can_be_traced_by_option_and_by_environment(program: Program, tmp_path: Path) -> None:
    traced = ok(program("--trace", "debug", "chat", "-m", "simulated", "-s", "s", f"The owl flies at {WORD}."))
    assert "[native:s] append" in traced.err and "provider [native:s] chat" in traced.err
    assert WORD not in traced.err
    assert "summary command=chat" in traced.err.splitlines()[-1]
    program.env["SESSIONSTORE_TRACE"] = f"info,provider:{tmp_path / 'trace.jsonl'}"
    quiet = ok(program("chat", "-m", "simulated", "-s", "s", "More"))
    assert quiet.err == ""
    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["chat"] and lines[0]["session"] == "native:s"
    program.env["SESSIONSTORE_TRACE"] = "loud"
    says(program("list"), 2, "there is no level 'loud'")
