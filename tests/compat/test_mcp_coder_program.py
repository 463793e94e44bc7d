"""A program written for mcp_coder, run as a process of its own; only its import is another one."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_the_module_costs_nothing_before_it_is_used() -> None:
    """The libraries of the providers and the index are loaded when they are needed."""
    code = "import sys, sessionstore.compat.mcp_coder; print(sorted({'openai', 'anthropic', 'pydantic'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
