"""Running the program as a person does: its own process, its own home, its own store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LEGACY = ROOT / "fixtures" / "legacy"
RULES = Path.home() / ".cache" / "kingfisher"
"""Where Kingfisher keeps its compiled rules; every home of its own would have them compiled again."""
FAST_CLOCK = """
import sys, time
real = time.monotonic
time.monotonic = lambda: real() * 300
from sessionstore.cli import main
main()
"""
"""The program with a clock on which it has waited for minutes within a second."""


class Result(NamedTuple):
    """How a run ended and what it printed."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """What went to stdout, as text."""
        return self.raw.decode()

    @property
    def json(self) -> Any:
        """What went to stdout, as JSON."""
        return json.loads(self.raw)


@dataclass
class Program:
    """The program in a home directory and a working directory of its own. Without `store` it looks for one itself."""

    home: Path
    cwd: Path
    store: Path | None = None
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Nothing of the environment of the tests, but for where programs are."""
        known = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        known |= {"HOME": str(self.home), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TZ": "UTC"}
        known["KF_RULE_CACHE_DIR"] = str(RULES)
        if self.store:
            known["SESSIONSTORE_DIR"] = str(self.store)
        return known | self.env

    def command(self, *arguments: str | Path | int, fast: bool = False) -> list[str]:
        """What is executed."""
        program = ["-c", FAST_CLOCK] if fast else ["-m", "sessionstore"]
        return [sys.executable, *program, *map(str, arguments)]

    def __call__(
        self, *arguments: str | Path | int, fast: bool = False, typed: str = "", limit: Mapping[int, int] | None = None
    ) -> Result:
        """Run one command to its end. `fast` lets its clock run; `limit` are resource limits by number."""

        def restrict() -> None:
            import resource

            for number, size in (limit or {}).items():
                resource.setrlimit(number, (size, size))

        done = subprocess.run(
            self.command(*arguments, fast=fast),
            cwd=self.cwd,
            env=self.environment(),
            input=typed.encode(),
            capture_output=True,
            timeout=60,
            preexec_fn=restrict if limit else None,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Begin one command."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.cwd,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def ok(result: Result) -> Result:
    """The result of a run that must have gone well."""
    assert result.code == 0, result.err
    return result


def says(result: Result, code: int, words: str = "") -> None:
    """Hold that a run failed as documented: the exit code, nothing on stdout, one line on stderr that says `words`."""
    assert (result.code, result.raw) == (code, b""), result
    one_line(result.err, words)


def one_line(err: str, words: str = "") -> None:
    """Hold that stderr is one line from the program, and says `words`."""
    assert err.startswith("sessionstore: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert words in err


def files(root: Path) -> dict[str, bytes]:
    """Everything below a directory, by relative path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
