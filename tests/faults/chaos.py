"""A corpus worth several processes, programs to be killed while they work on it, and the killing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.migrate import support
from tests.migrate.support import LEGACY, write

MIGRATE = """
import sys
from pathlib import Path
from sessionstore.importers.base import Machine
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
print(flush=True)
request = Request((sys.argv[2],), jobs=2, retire=sys.argv[3:] == ["--retire"])
sys.exit(5 if migrate(Store(sys.argv[1]), request, Machine(Path("/"), Path("/"))).failed else 0)
"""
ROLLBACK = """
import sys
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
print(flush=True)
store = Store(sys.argv[1])
for batch in reversed(Journals(store.root).all()):
    if not batch.undone:
        rollback(store, batch.id)
"""
HERE = str(Path(__file__).parents[2])


def make_corpus(root: Path, chance: random.Random, size: int = 5 << 20) -> None:
    """About `size` bytes of sources: transcripts large and small, and perturbed copies of the fixtures."""
    number = total = 0
    while total < size:
        number += 1
        filler = "".join(chance.choices("abcdefgh ijklmn opqrst uvwxyz", k=chance.randrange(200, 900)))
        lines = chance.choice((3, 10, 40, 400, 900))
        data = support.claude(number, lines, filler=filler)
        total += len(write(support.claude_path(root / str(number % 5), number), data).read_bytes())
    for number, path in enumerate(sorted(LEGACY.rglob("*.jsonl"))):
        records = path.read_bytes().splitlines(keepends=True)
        kept = records[: chance.randrange(1, len(records) + 1)]
        write(root / "legacy" / f"whole{number}" / path.name, path.read_bytes())
        write(root / "legacy" / f"part{number}" / path.name, b"".join(kept))
    for number in range(30):
        document = json.loads(support.kimi(f"turn {n}" for n in range(number % 6, 50)))
        document["session_id"] = name = f"tides_{number % 10}"
        write(root / f"window{number}" / ".kimi_sessions" / f"{name}.json", json.dumps(document).encode())


def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a program as the leader of its own process group, and wait until it is about to work."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, start_new_session=True, cwd=HERE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def run_through(program: str, *arguments: str) -> float:
    """Run a program to its end; returns how many seconds it worked."""
    process = start(program, *arguments)
    begun = time.monotonic()
    assert process.wait(timeout=120) == 0
    return time.monotonic() - begun


def run_and_kill(chance: random.Random, longest: float, program: str, *arguments: str) -> bool:
    """Start a program and kill it with all its workers at a random moment; whether that was before its end."""
    process = start(program, *arguments)
    time.sleep(chance.uniform(0, longest))
    working = process.poll() is None
    if working:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    return working


def is_zombie(temp_name: str) -> bool:
    """Whether the process that made a temp file is dead, but nobody has asked for its exit code yet."""
    try:
        status = Path("/proc", str(int(temp_name.partition("-")[0], 16)), "stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"
