"""Many processes with many threads write to the same and to different sessions, and some are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from sessionstore.index.health import is_current
from sessionstore.manager import SessionManager
from sessionstore.verify import verify
from tests.manager.talker import SHARED

ROOT = Path(__file__).resolve().parents[2]
PROCESSES, THREADS = 8, 4
Speech = tuple[str, int, str]
"""(speaker, number, message id)"""


class Crowd:
    """The talking processes; `kills` were killed."""

    def __init__(self, place: Path, seconds: float) -> None:
        self.place, self.seconds = place, seconds
        self.began = time.monotonic()
        self.running: list[subprocess.Popen[bytes]] = []
        self.workers = self.kills = 0
        self.failed: list[bytes] = []

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.seconds - (time.monotonic() - self.began)

    def start(self) -> None:
        """Let one more process talk."""
        arguments = [
            self.place / "store",
            self.place / f"notes-{self.workers}",
            self.workers,
            THREADS,
            max(0.5, self.left),
        ]
        command = [sys.executable, "-m", "tests.manager.talker", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE))
        self.workers += 1

    def kill(self) -> None:
        """Kill one, wherever it is, and let another take its place."""
        victim = self.running.pop(random.randrange(len(self.running)))
        victim.send_signal(signal.SIGKILL)
        _, complaints = victim.communicate()
        if complaints:
            self.failed.append(complaints)
        self.kills += 1
        self.start()

    def finish(self) -> None:
        """Wait for all."""
        for process in self.running:
            _, complaints = process.communicate(timeout=self.seconds + 120)
            if complaints or process.returncode:
                self.failed.append(complaints)


def acknowledged(place: Path) -> dict[str, list[Speech]]:
    """What was acknowledged, by session, in the order of each speaker. The last line of a killed one may be torn."""
    found: dict[str, list[Speech]] = defaultdict(list)
    for notes in place.glob("notes-*"):
        for line in notes.read_bytes().split(b"\n"):
            try:
                key, speaker, number, message = json.loads(line)
            except ValueError:
                continue
            found[key].append((speaker, number, message))
    return found


def stored(manager: SessionManager) -> dict[str, list[Speech]]:
    """What the store has, by session, in its order."""
    found = {}
    for session in manager.list(limit=10_000, archived=None):
        messages: Any = manager.get(session["key"]).messages()
        found[session["key"]] = [(m["x"]["speaker"], m["x"]["number"], m["id"]) for m in messages]
    return found


def talk(place: Path, seconds: float, pause: float) -> tuple[Crowd, SessionManager]:
    """Let all talk, killing one every `pause` seconds."""
    manager = SessionManager(place / "store")
    for n in range(SHARED):
        manager.create(f"shared-{n}")
    crowd = Crowd(place, seconds)
    for _ in range(PROCESSES):
        crowd.start()
    while crowd.left > pause:
        time.sleep(pause)
        crowd.kill()
    crowd.finish()
    return crowd, manager


def check(crowd: Crowd, manager: SessionManager) -> int:
    """Every acknowledged turn is there, once, in the order of its speaker; how many there are."""
    assert crowd.failed == []
    told, held = acknowledged(crowd.place), stored(manager)
    assert set(told) <= set(held)
    unacknowledged = 0
    for key, speeches in held.items():
        names = [message for _, _, message in speeches]
        assert len(set(names)) == len(names), f"a turn is there twice in {key}"
        assert {message for _, _, message in told.get(key, ())} <= set(names), f"a turn of {key} is lost"
        unacknowledged += len(names) - len(told.get(key, ()))
        latest: dict[str, int] = {}
        for speaker, number, _ in speeches:
            assert number > latest.get(speaker, -1), f"the order of {speaker} in {key}"
            latest[speaker] = number
        assert len(manager.store.revisions_of(key)) <= 2
        assert len(manager.store.heads(key)) == 1
    # A killed thread may have stored a turn and died before it noted that.
    assert unacknowledged <= crowd.kills * THREADS
    assert verify(manager.store).ok
    manager.search("x", limit=1)
    assert is_current(manager.store, manager.keeper.path)
    return sum(map(len, told.values()))


def test_every_acknowledged_turn_is_there_once_and_in_order(tmp_path: Path) -> None:
    crowd, manager = talk(tmp_path, 4, 1)
    with manager:
        assert check(crowd, manager) > 200
    assert crowd.kills >= 2


@pytest.mark.slow
def test_the_same_for_half_a_minute(tmp_path: Path) -> None:
    crowd, manager = talk(tmp_path, 30, 0.7)
    with manager:
        assert check(crowd, manager) > 2_000
    assert crowd.kills >= 30
