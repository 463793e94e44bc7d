"""Servers and clients for the tests: the real program, the official client, both transports, both generations of the
protocol."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
MODES = ("auto", "legacy")
"""With the protocol's newest revision, and with the handshake of the ones before."""
SLOW = """
import sys, time
from sessionstore.archive.asking import Archive
from sessionstore.cli.app import note
from sessionstore.mcp_server import http
from sessionstore.mcp_server.server import make_server
from sessionstore.store import Store

COUNT = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

class Slow(Archive):
    def stats(self, filters, work=None):
        note("begun")
        try:
            return self.ask(lambda connection: connection.execute(COUNT).fetchall(), work)
        finally:
            note("ended")

server = make_server(Slow(Store(sys.argv[1]), note), seconds=float(sys.argv[2]))
if sys.argv[3] == "stdio":
    server.run("stdio")
else:
    http.serve(server, http.listen("127.0.0.1", 0), (), None, lambda url: note(f"serving {url}; Ctrl-C ends"))
"""
"""A server whose statistics never end by themselves."""


def environment() -> dict[str, str]:
    """What a server needs of the environment."""
    known = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR", "HOME") if name in os.environ}
    return {**known, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    """Run an asynchronous test, within a limited time."""

    async def limited() -> Any:
        with anyio.fail_after(SECONDS):
            return await test()

    return anyio.run(limited)


def stdio(store: Path, *options: str, program: tuple[str, ...] = ("-m", "sessionstore", "mcp")) -> Any:
    """How a client starts the server over stdin and stdout."""
    arguments = [*program, *(["--store", str(store), *options] if program[0] == "-m" else [str(store), *options])]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment())


@contextmanager
def http(
    store: Path,
    *options: str,
    slow: bool = False,
    token: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """A server over HTTP on any port: its address, and its process. `env` is added to its environment."""
    program = ["-c", SLOW, str(store), *options, "http"] if slow else ["-m", "sessionstore", "mcp", "--http"]
    if not slow:
        program += ["--store", str(store), "--port", "0", *options, *(["--token-file", str(token)] if token else [])]
    process = subprocess.Popen(
        [sys.executable, *program],
        env={**environment(), **(env or {})},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        found = re.search(r"serving (http://\S+/mcp)", process.stderr.readline())
        assert found, process.stderr.read()
        yield found[1], process
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stderr.close()
        process.stdout.close()


@asynccontextmanager
async def connected(transport: str, store: Path, *options: str, mode: str = "auto") -> AsyncIterator[Client]:
    """An official client of a server of its own."""
    if transport == "stdio":
        async with Client(stdio(store, *options), mode=mode) as client:
            yield client
    else:
        with http(store, *options) as (url, _):
            async with Client(url, mode=mode) as client:
                yield client


def error(result: Any) -> str:
    """The one line of a call that failed as it should."""
    assert result.is_error
    assert result.structured_content is None
    (content,) = result.content
    assert content.text
    assert "\n" not in content.text
    return str(content.text)
