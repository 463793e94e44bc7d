"""Other programs for the same job, measured beside this one by `scripts/bench --peers`; those that are not installed
are left out.

Each is given a home directory of its own with the corpus in it, so that nothing of the user's is read or written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

Run = Callable[..., tuple[float, float, str]]
"""Runs a command: seconds, peak megabytes and output."""


class Peer(NamedTuple):
    """How a program is driven. In commands ``{query}`` stands for the question, ``{home}`` for the home directory."""

    name: str
    program: str
    index: tuple[str, ...] | None
    """Brings its index up to date, None when it does so by itself."""
    search: tuple[str, ...]
    data: tuple[str, ...]
    """Where its index lies, below the home directory."""
    environment: Mapping[str, str] = MappingProxyType({})
    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None
    """Begin and end what it needs in the background for searching."""
    phrases: bool = True
    """Whether a quoted phrase is searched as one."""


PEERS = (
    Peer(
        "agentsview",
        "agentsview",
        ("sync",),
        ("session", "search", "--fts", "{query}", "--json"),
        (".agentsview",),
        {"AGENTSVIEW_DATA_DIR": "{home}/.agentsview"},
        ("daemon", "start"),
        ("daemon", "stop"),
    ),
    Peer("agent-chat-reader", "agent-chat-reader", None, ("--find", "{query}"), (".cache/agent-chat-reader",)),
    Peer("ripgrep", "rg", None, ("-l", "{query}", "{home}/.claude", "{home}/.codex"), (), phrases=False),
)


def measure(corpus: Path, work: Path, run: Run, runs: int, append: Callable[[Path], Any]) -> dict[str, dict[str, Any]]:
    """Figures by program. `append` is a context in which a home's corpus is one line longer; it gives the new word."""
    truth = json.loads((corpus / "truth.json").read_text())
    found = {}
    for peer in PEERS:
        if program := shutil.which(peer.program):
            home = work / f"home-{peer.name}"
            shutil.copytree(corpus, home)
            found[peer.name] = _Measured(peer._replace(program=program), home, run, truth).figures(runs, append)
            shutil.rmtree(home)
    return found


class _Measured:
    def __init__(self, peer: Peer, home: Path, run: Run, truth: Mapping[str, Any]) -> None:
        self.peer, self.home, self.run, self.truth = peer, home, run, truth
        given = {name: value.format(home=home) for name, value in peer.environment.items()}
        self.environment = {**os.environ, "HOME": str(home), **given}

    def figures(self, runs: int, append: Callable[[Path], Any]) -> dict[str, Any]:
        """Everything that can be measured of it."""
        peer, figures = self.peer, dict[str, Any]()
        first = peer.index or (self._asking("qqzzxxjjvv") if peer.data else None)
        sync = {"AGENTSVIEW_NO_DAEMON": "1"}
        if first:
            seconds, peak, _ = self._call(first, sync, watch=True)
            figures |= {"migrate s": seconds, "peak MB": peak}
            figures["index / source"] = self._size() / self._size_of_sources()
        if peer.index:
            figures["unchanged s"] = min(self._call(peer.index, sync)[0] for _ in range(runs))
            with append(self.home):
                figures["append s"] = self._call(peer.index, sync)[0]
        if peer.before:
            subprocess.run([peer.program, *peer.before], env=self.environment, capture_output=True, check=True)
            time.sleep(1)
        try:
            self._searches(figures, runs)
        finally:
            if peer.after:
                subprocess.run([peer.program, *peer.after], env=self.environment, capture_output=True, check=True)
        return figures

    def _searches(self, figures: dict[str, Any], runs: int) -> None:
        for name in (name for name in ("rare", "phrase", "and2", "common", "nohit", "cjk") if name in self.truth):
            query = self.truth[name]
            asked = f'"{query}"' if name == "phrase" and self.peer.phrases else query
            times, text = [], ""
            for _ in range(runs):
                seconds, _, text = self._call(self._asking(asked))
                times.append(seconds)
            figures[f"search {name} s"] = sorted(times)[len(times) // 2]
            if wanted := self.truth.get(f"{name}_sessions"):
                figures[f"{name} found"] = f"{sum(session in text for session in wanted)} of {len(wanted)}"

    def _asking(self, query: str) -> tuple[str, ...]:
        return tuple(part.format(query=query, home=self.home) for part in self.peer.search)

    def _call(self, arguments: tuple[str, ...], more: Mapping[str, str] | None = None, **how: Any) -> Any:
        return self.run(self.peer.program, *arguments, env={**self.environment, **(more or {})}, fine=(0, 1), **how)

    def _size(self) -> int:
        return sum(_size(self.home / name) for name in self.peer.data)

    def _size_of_sources(self) -> int:
        return sum(_size(self.home / name) for name in (".claude", ".codex"))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
