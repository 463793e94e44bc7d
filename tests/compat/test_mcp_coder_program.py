"""A program written for mcp_coder, run as a process of its own; only its import is another one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.compat import mcp_coder
from tests.compat.mcp_coding import Place, said

ROOT = Path(__file__).parent.parent.parent


def test_a_program_needs_only_another_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, monkeypatch)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_CLAUDE": "present"}
    told = []
    for _ in range(2):
        program = ROOT / "tests" / "compat" / "programs" / "mcp_coder_program.py"
        done = subprocess.run(
            [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.splitlines())
    assert told[0][0] == "No previous response files found, starting new conversation."
    assert told[0][1] == "text: I have heard 2 times: What's my favorite color?"
    assert told[1][0].startswith("Found 2 previous sessions, continuing from: response_")
    assert told[1][2] == "text: I have heard 5 times: What's my favorite color?"
    responses = place.work / ".mcp-coder" / "responses"
    names = sorted(os.listdir(responses))
    assert len([name for name in names if name.startswith("response_")]) == 4 and len(names) == 6

    found = place.sessions()
    talks = {key: [text for role, text in said(messages) if role == "user"] for key, messages in found.items()}
    once = ["My favorite color is blue", "What's my favorite color?", "And in French?"]
    assert sorted(talks.values()) == sorted([["What is Python?"], ["What is Python?"], once * 2])
    latest = mcp_coder.find_latest_session(str(responses))
    assert f"mcp-coder:{mcp_coder.extract_session_id(str(latest))}" in found
    report = place.import_all(place.work)
    assert report.sources == 7 or report.skipped + report.sources == 7
    assert place.sessions() == found


def test_a_kill_loses_nothing_that_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, monkeypatch)
    code = "from sessionstore.compat.mcp_coder import prompt_llm; prompt_llm('please hang')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        wait_for(lambda: any((place.root / "sessions").glob("*")))
    finally:
        process.kill()
        process.wait(20)
    [(key, messages)] = place.sessions().items()
    assert said(messages) == [("user", "please hang")]
    known = key.removeprefix("mcp-coder:")
    answer = mcp_coder.prompt_llm("Are you there?", session_id=known)
    assert answer["text"].startswith("I have heard 2 times")


def test_processes_that_store_at_once_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, monkeypatch)
    code = """
import sys
from sessionstore.compat.mcp_coder import store_session
for turn in range(5):
    stamp = f"2026-03-01T1{sys.argv[1]}:00:0{turn}"
    response = {"version": "1.0", "timestamp": stamp, "text": "a", "session_id": "s", "provider": "claude"}
    store_session({**response, "raw_response": {}}, f"q{sys.argv[1]}.{turn}")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)], env=environment) for n in range(3)]
    assert [process.wait(100) for process in running] == [0, 0, 0]
    assert len(list((place.work / ".mcp-coder" / "responses").glob("response_*.json"))) == 15
    told = [text for role, text in said(place.sessions()["mcp-coder:s"]) if role == "user"]
    assert told == [f"q{number}.{turn}" for number in range(3) for turn in range(5)]


def wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_module_costs_nothing_before_it_is_used() -> None:
    """The libraries of the providers and the index are loaded when they are needed."""
    code = "import sys, sessionstore.compat.mcp_coder; print(sorted({'openai', 'pydantic'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
