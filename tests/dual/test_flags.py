"""What the switches mean, and that each does what the documents say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.flags import Flags, Place, places
from tests.cli.running import ROOT, Program, ok, says


@pytest.mark.parametrize(
    ("environment", "leads", "written"),
    [
        ({}, False, False),
        ({"LLM_DUAL_WRITE": "1"}, False, True),
        ({"LLM_LEGACY": "Yes"}, True, True),
        ({"LLM_LEGACY": "1", "LLM_UNIFIED": "1"}, True, True),
        ({"LLM_LEGACY": "0", "LLM_UNIFIED": "TRUE"}, False, False),
        ({"LLM_UNIFIED": "0"}, True, True),
        ({"LLM_UNIFIED": " "}, False, False),
        ({"LLM_UNIFIED": "no", "LLM_DUAL_WRITE": "true"}, True, True),
        ({"LLM_UNIFIED": "1", "LLM_DUAL_WRITE": "true"}, False, True),
        ({"LLM_DUAL_WRITE": "on"}, False, False),
    ],
)
def test_who_leads_and_what_is_written(environment: dict[str, str], leads: bool, written: bool) -> None:
    flags = Flags.read(environment)
    assert (flags.files_lead, flags.files_written) == (leads, written)


def test_where_legacy_files_are(tmp_path: Path) -> None:
    assert Flags.read({}).where(tmp_path) == (Place("kimi", str(tmp_path / ".kimi_sessions")),)
    flags = Flags.read({"SESSIONSTORE_LEGACY_FILES": "kimi, llm-sessions=/elsewhere/x ,"})
    assert flags.where(tmp_path) == (
        Place("kimi", str(tmp_path / ".kimi_sessions")),
        Place("llm-sessions", "/elsewhere/x"),
    )
    with pytest.raises(errors.UsageError, match="'word' are not known; kimi or llm-sessions"):
        list(places("word=x"))


def test_a_wrong_place_is_said_by_the_command_line(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store", env={"SESSIONSTORE_LEGACY_FILES": "word"})
    ok(Program(tmp_path, tmp_path, tmp_path / "store")("init"))
    says(program("dual", "status"), 2, "'word' are not known")
    says(program("doctor"), 2, "'word' are not known")


def test_forms_and_levels_of_the_log() -> None:
    assert Flags.read({"LLM_LOG_LEVEL": "debug"}).log_level == "DEBUG"
    assert Flags.read({"LLM_LOG_LEVEL": "loud"}).log_level == "INFO"
    assert Flags.read({"LLM_LOG_FORMAT": "TEXT"}).log_format == "text"
    assert Flags.read({"LLM_LOG_FORMAT": "xml"}).log_format == "json"


@pytest.mark.parametrize("form", ["json", "text", ""])
def test_the_log_goes_to_stderr_when_it_is_asked_for(tmp_path: Path, form: str) -> None:
    (tmp_path / ".llm_sessions" / "sessions").mkdir(parents=True)
    (tmp_path / ".llm_sessions" / "sessions" / "s.json").mkdir()
    code = "from sessionstore.compat.llm_sessions import SessionManager\n"
    code += (
        "m = SessionManager(); SessionManager(); m.create_session('a', session_id='s'); m.add_message('s', 'user', 'x')"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "LLM_DUAL_WRITE": "1"}
    env |= {"LLM_LOG_FORMAT": form} if form else {}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    if form == "json":
        told = json.loads(lines[0])
        assert (told["level"], told["logger"], told["session"]) == ("WARNING", "sessionstore.dual", "native:s")
        assert told["message"].startswith("native:s: not written to ")
    elif form == "text":
        assert "WARNING sessionstore.dual: native:s: not written to " in lines[0]
    else:
        assert lines == []


def test_the_index_is_not_kept_up_when_that_is_switched_off(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store", env={"LLM_SESSION_INDEX": "0"})
    ok(program("init"))
    code = "from sessionstore import SessionManager; import sys\n"
    code += "with SessionManager(sys.argv[1], index=False) as m: m.create('talk').add_user('hello')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=True, env=program.environment())
    ok(program("branch", "native:talk", "--id", "other"))
    assert ok(program("index", "status", "--json")).json.get("behind") != 0
    assert len(ok(program("search", "hello", "--json")).json) > 0
