"""The command: what it prints, what it refuses, and that it keeps up with what happens."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from datasette.utils import tilde_encode

from sessionstore.store import Store
from tests.cli.running import LEGACY, Program, ok, says
from tests.web import stores
from tests.web.serving import browsing


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program with a small store."""
    made = Program(tmp_path / "home", tmp_path / "home", tmp_path / "store")
    made.home.mkdir()
    store = Store.init(tmp_path / "store")
    store.put("native:one", stores.agent_session(30), {"title": "The only one"})
    return made


def eventually(question: Callable[[], bool], seconds: float = 20) -> None:
    """Hold that something becomes true."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_it_makes_the_index_and_serves_on_loopback(program: Program) -> None:
    assert program.store is not None
    with browsing(program.store, program.home) as address:
        assert address.startswith("http://127.0.0.1:")
        assert "The only one" in httpx.get(f"{address}/").text


def test_a_taken_port_is_said(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says(program("browse", "--port", port), 2, f"cannot listen on 127.0.0.1 port {port}")


def test_a_missing_store_is_said(tmp_path: Path) -> None:
    says(Program(tmp_path, tmp_path, tmp_path / "nowhere")("browse"), 2, "no store at")


def test_without_the_extra_it_says_what_to_install(program: Program) -> None:
    code = "import sys; sys.modules['datasette'] = None; from sessionstore.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "browse"],
        env=program.environment(),
        cwd=program.cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "sessionstore: browsing needs datasette; install it with: pip install 'sessionstore[browse]'\n"
    )


def test_other_commands_load_nothing_of_it(program: Program) -> None:
    code = "import sys; from sessionstore.cli.app import run; run(['search', 'question']); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=program.environment(), cwd=program.cwd, capture_output=True, text=True
    )
    for name in ("datasette", "jinja2", "markdown_it", "pygments", "nh3", "uvicorn", "sessionstore.web"):
        assert f"'{name}'" not in done.stdout


def test_what_another_program_stores_is_found_soon(program: Program) -> None:
    assert program.store is not None
    store = Store(program.store)
    with browsing(program.store, program.home) as address:
        store.put("native:two", [stores.said(0, "user", stores.text("zwurbelix"))], {"title": "Another"})
        assert "zwurbelix" in httpx.get(f"{address}/-/conversation/native~3Atwo").text
        eventually(lambda: "Another" in httpx.get(f"{address}/-/conversations/search?q=zwurbelix").text)


def test_with_watch_a_source_that_grows_is_shown_as_it_grows(program: Program) -> None:
    assert program.store is not None
    source = next(LEGACY.rglob("4f0c1d2e-1111-4a4a-9b9b-000000000001.jsonl"))
    copy = program.home / ".claude" / "projects" / "shop" / source.name
    copy.parent.mkdir(parents=True)
    lines = source.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join(lines[:12]))
    with browsing(program.store, program.home, "--watch") as address:
        page = f"{address}/-/conversation/4f0c1d2e-1111-4a4a-9b9b-000000000001"
        eventually(lambda: httpx.get(page).status_code == 200)
        before = httpx.get(f"{page}/news?after=0").json()
        with copy.open("ab") as file:
            file.write(b"".join(lines[12:]))
        eventually(lambda: httpx.get(f"{page}/news?after={before['next']}&last={before['last']}").json()["html"] != [])
    assert len(ok(program("list", "--json")).json) == 2
    assert json.loads(ok(program("verify", "--json")).raw)


def test_every_legacy_session_can_be_read(program: Program) -> None:
    shutil.copytree(LEGACY, program.home / "legacy", symlinks=True)
    ok(program("migrate", program.home / "legacy"))
    assert program.store is not None
    with browsing(program.store, program.home) as address:
        for session in ok(program("list", "--json", "--limit", 100)).json:
            page = f"{address}/-/conversation/{tilde_encode(session['key'])}"
            answer = httpx.get(page)
            assert answer.status_code == 200, session["key"]
            assert answer.text.count("<article") == session["messages"]
            assert "not of the usual form" not in answer.text
            if "/original/0" in answer.text:
                assert httpx.get(f"{page}/original/0").status_code == 200
