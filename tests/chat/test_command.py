"""`sessionstore chat`, as a person runs it."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.mocked import SECRET, Mocked
from tests.cli.conftest import program as program
from tests.cli.running import Program, Result, ok
from tests.exporters.support import PNG


@pytest.fixture
def talking(program: Program, mocked: Mocked) -> Program:
    """The program with keys and addresses in its environment."""
    program.env.update(
        {
            "OPENAI_API_KEY": SECRET,
            "OPENAI_BASE_URL": f"{mocked.url}/v1",
            "ANTHROPIC_API_KEY": SECRET,
            "ANTHROPIC_BASE_URL": f"{mocked.url}/anthropic",
        }
    )
    return program


def reply(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": text, **more}


def chat(talking: Program, *arguments: Any, **more: Any) -> Result:
    return talking("chat", *arguments, **more)


def test_a_question_is_answered_kept_and_found(talking: Program, mocked: Mocked) -> None:
    mocked.break_(reply("A burrito, \x1b[31mroughly\x1b[0m."))
    result = ok(chat(talking, "--model", "gpt-5", "What is a monad?"))
    assert result.out == "A burrito, \\x1b[31mroughly\\x1b[0m.\n"
    assert "burrito" in ok(talking("search", "burrito")).out
    ok(chat(talking, "--continue", "Really?"))
    assert len(mocked.asked()[-1]["body"]["messages"]) == 3


def test_programs_get_json(talking: Program, mocked: Mocked) -> None:
    mocked.break_(reply("Four."))
    told = ok(chat(talking, "-m", "claude-opus-4-6", "-s", "sums", "--json", "2+2?")).json
    assert told["session"] == "native:sums" and told["text"] == "Four." and told["finish"] == "stop"
    assert told["message"]["usage"]["output_tokens"] > 0


def test_the_question_may_come_through_a_pipe_and_files_go_along(
    talking: Program, mocked: Mocked, tmp_path: Path
) -> None:
    (tmp_path / "dot.png").write_bytes(base64.b64decode(PNG))
    (tmp_path / "notes.md").write_text("# Notes\n")
    files = ["--attach", tmp_path / "dot.png", "--attach", tmp_path / "notes.md"]
    ok(chat(talking, "-m", "gpt-5", *files, "Look at this.", typed="piped words"))
    sent = mocked.asked()[-1]["body"]["messages"][0]["content"]
    assert sent[0]["image_url"]["url"].endswith(PNG)
    assert "# Notes" in sent[1]["text"] and sent[2]["text"] == "Look at this.\n\npiped words"
    missing = chat(talking, "-m", "gpt-5", "--attach", tmp_path / "none", "x")
    assert missing.code == 6 and len(missing.err.splitlines()) <= 2


def test_a_failure_is_one_line_and_the_question_is_answered_later(talking: Program, mocked: Mocked) -> None:
    mocked.break_({"type": "fail", "status": 401, "message": f"bad key {SECRET}"})
    failed = chat(talking, "-m", "gpt-5", "-s", "s", "Are you there?")
    assert failed.code == 1 and SECRET not in failed.err
    [line] = [line for line in failed.err.splitlines() if "made a store" not in line]
    assert line.startswith("sessionstore: OpenAI does not accept the API key")
    mocked.break_(reply("I am."))
    assert ok(chat(talking, "-s", "s")).out == "I am.\n"
    nothing = chat(talking, "-s", "s")
    assert nothing.code == 2 and "nothing to ask" in nothing.err


def test_wrong_use_is_said(talking: Program) -> None:
    assert chat(talking, "-m", "grog-1", "Hello").code == 2
    assert chat(talking, "Hello").code == 2
    talking.env.pop("OPENAI_API_KEY")
    talking.env.pop("OPENAI_BASE_URL")
    keyless = chat(talking, "-m", "gpt-5", "Hello")
    assert keyless.code == 2 and "OPENAI_API_KEY" in keyless.err


def test_another_model_needs_consent(talking: Program) -> None:
    ok(chat(talking, "-m", "gpt-5", "-s", "s", "Hello"))
    refused = chat(talking, "-m", "claude-opus-4-6", "-s", "s", "Hello")
    assert refused.code == 2 and "consent" in refused.err
    ok(chat(talking, "-m", "claude-opus-4-6", "-s", "s", "--yes", "Hello"))


def test_on_a_terminal_it_is_a_conversation(talking: Program, mocked: Mocked) -> None:
    mocked.break_(reply("First answer."), reply("Second answer."))
    leader, follower = pty.openpty()
    command = talking.command("chat", "-m", "gpt-5")
    environment = talking.environment()
    process = subprocess.Popen(
        command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=talking.cwd
    )
    os.close(follower)
    for line in (b"One?\n", b"Two?\n", b"\n"):
        os.write(leader, line)
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0, err
    assert b"First answer." in out and b"Second answer." in out
    assert b"kept as native:" in err
