"""The guide's example does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.mocked import SECRET, Mocked

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_prints_what_it_says(mocked: Mocked, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0]
    printed = re.findall(r"```text\n(.*?)```", guide, re.DOTALL)[0]
    mocked.break_(
        {"type": "reply", "tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 40}}]},
        {"type": "reply", "text": "It is 42."},
        {"type": "reply", "text": "Forty-two."},
    )
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    keys = {"OPENAI_API_KEY": SECRET, "ANTHROPIC_API_KEY": SECRET, "OPENAI_BASE_URL": f"{mocked.url}/v1"}
    keys |= {"ANTHROPIC_BASE_URL": f"{mocked.url}/anthropic", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env={**os.environ, **keys}, capture_output=True, text=True
    )
    assert (done.stderr, done.stdout) == ("", printed)


@pytest.mark.parametrize("name", ["chat.md", "tracing.md"])
def test_the_examples_without_a_provider_print_what_they_say(name: str, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / name).read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[-1]
    printed = re.findall(r"```text\n(.*?)```", guide, re.DOTALL)[-1]
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", printed)
