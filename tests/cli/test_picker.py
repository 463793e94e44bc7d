"""The picker, in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Program, ok, says

GAUGE = "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"
UP, DOWN = "\x1bOA", "\x1bOB"


class Terminal:
    """A program with a terminal of its own."""

    def __init__(self, program: Program, *arguments: str, rows: int = 30, columns: int = 100) -> None:
        self.seen = ""
        self.code: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(program.cwd)
            command = program.command("search", "-i", *arguments)
            os.execve(command[0], command, {**program.environment(), "TERM": "xterm"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, words: str, seconds: float = 20) -> str:
        """What was printed until `words` appear."""
        end = time.monotonic() + seconds
        while words not in plain(self.seen):
            assert time.monotonic() < end, plain(self.seen)
            assert self._read(0.2), f"it ended before {words!r}: {plain(self.seen)}"
        return plain(self.seen)

    def type(self, keys: str) -> None:
        self.seen = ""
        os.write(self.fd, keys.encode())

    def end(self) -> str:
        """Everything printed until the end."""
        end = time.monotonic() + 20
        while self._read(0.2) and time.monotonic() < end:
            pass
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return plain(self.seen)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def plain(text: str) -> str:
    """Without the terminal's control sequences."""
    return re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|[()][0-9A-Z]|[=>78])|[\x0e\x0f]", "", text)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def opened(terminals: list[Terminal], program: Program, *arguments: str, **size: int) -> Terminal:
    terminals.append(Terminal(program, *arguments, **size))
    return terminals[-1]


def test_enter_shows_the_conversation_around_the_hit(shared: Program, terminals: list[Terminal]) -> None:
    terminal = opened(terminals, shared, "gauge leap")
    terminal.wait("The gauge test fails on leap days")
    terminal.wait("^R resume")
    terminal.type("\r")
    out = terminal.end()
    assert f"all of it: sessionstore show {GAUGE}" in out
    assert "▶ user" in out
    assert terminal.code == 0


def test_the_list_follows_what_is_typed(shared: Program, terminals: list[Terminal]) -> None:
    terminal = opened(terminals, shared)
    terminal.wait("0 hits")
    terminal.type("figle")
    terminal.wait("figlet: not found")
    terminal.type("\x15nothinglikethis")
    terminal.wait("nothing found")
    terminal.type('\x15"open')
    terminal.wait("a quotation mark is not closed")
    terminal.type("\x1b")
    terminal.end()
    assert terminal.code == 0


def test_arrows_choose_and_backspace_deletes(shared: Program, terminals: list[Terminal]) -> None:
    terminal = opened(terminals, shared, "tidex")
    terminal.wait("nothing found")
    terminal.type("\x7f")
    terminal.wait("tide")
    terminal.wait(" hits")
    terminal.type(DOWN + DOWN + UP + "\x13")
    terminal.wait("recent")
    terminal.type("\x03")
    terminal.end()
    assert terminal.code == 0


def test_export_writes_a_file(imported: Program, terminals: list[Terminal]) -> None:
    terminal = opened(terminals, imported, "gauge leap")
    terminal.wait("The gauge test fails on leap days")
    terminal.type("\x05")
    assert "wrote codex-5b0c2f4e" in terminal.end()
    (written,) = Path(imported.cwd).glob("*.md")
    assert "leap days" in written.read_text()


def with_programs(program: Program, place: Path, *names: str) -> None:
    """Put programs that say what they were given where the program looks for them."""
    place.mkdir()
    for name in names:
        (place / name).write_text('#!/bin/sh\necho "$(pwd) $(basename $0) $@"\n')
        (place / name).chmod(0o755)
    program.env["PATH"] = f"{place}:/usr/bin:/bin"


def recorded(program: Program, cwd: Path) -> None:
    """Import a session that was held in the directory."""
    head = {"timestamp": "2026-01-01T00:00:00.000Z"}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "mend the sluicegate"}]}
    meta = {"id": "0badcafe-0000-4000-8000-000000000000", "cwd": str(cwd)}
    lines = [{**head, "type": "session_meta", "payload": meta}, {**head, "type": "response_item", "payload": said}]
    path = program.cwd / "rollout-2026-01-01T00-00-00-0badcafe-0000-4000-8000-000000000000.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ok(program("migrate", path))


def test_resume_becomes_the_program_the_session_came_from_in_its_directory(
    program: Program, terminals: list[Terminal], tmp_path: Path
) -> None:
    place = tmp_path / "boats"
    place.mkdir()
    recorded(program, place)
    with_programs(program, tmp_path / "programs", "codex")
    terminal = opened(terminals, program, "sluicegate")
    terminal.wait("mend the sluicegate")
    terminal.type("\x12")
    assert f"{place} codex resume 0badcafe-0000-4000-8000-000000000000" in terminal.end()
    assert terminal.code == 0


@pytest.mark.parametrize("missing", ["program", "directory"])
def test_where_it_cannot_be_resumed_the_command_is_printed(
    program: Program, terminals: list[Terminal], tmp_path: Path, missing: str
) -> None:
    place = tmp_path / "boats"
    if missing == "program":
        place.mkdir()
    recorded(program, place)
    with_programs(program, tmp_path / "programs", *(["codex"] if missing == "directory" else []))
    terminal = opened(terminals, program, "sluicegate")
    terminal.wait("mend the sluicegate")
    terminal.type("\x12")
    out = terminal.end()
    assert "codex resume 0badcafe-0000-4000-8000-000000000000" in out
    assert "the command is" in out
    assert terminal.code == 0


@pytest.mark.parametrize("size", [(1, 10), (3, 5), (5, 40), (60, 300)])
def test_any_size_of_terminal_will_do(shared: Program, terminals: list[Terminal], size: tuple[int, int]) -> None:
    terminal = opened(terminals, shared, "好", rows=size[0], columns=size[1])
    time.sleep(0.5)
    terminal.type(DOWN + "\x1b")
    terminal.end()
    assert terminal.code == 0, terminal.seen


def test_without_a_terminal_it_says_so(shared: Program) -> None:
    says(shared("search", "-i", "gauge"), 2, "search -i needs a terminal")


def test_a_query_is_needed_without_the_picker(shared: Program) -> None:
    says(shared("search"), 2, "say what to look for, or use -i")
    assert ok(shared("search", "gauge")).out
