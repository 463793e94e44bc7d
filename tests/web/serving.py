"""Running `sessionstore browse` as a person does, and asking it over HTTP."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The path of a Chromium on this machine."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def browser_works() -> bool:
    """Whether tests in a browser can run."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError:
        return False
    return chromium() is not None


@contextmanager
def browsing(store: Path, home: Path, *options: str) -> Iterator[str]:
    """`sessionstore browse` on a free port; gives its address."""
    command = [sys.executable, "-m", "sessionstore", "--store", str(store), "browse", "--port", "0", *options]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home), "TZ": "UTC", "PYTHONUTF8": "1"}
    started = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield _address(started)
    finally:
        started.terminate()
        _, err = started.communicate(timeout=20)
    assert "Traceback" not in err, err


def _address(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(started.stdout, selectors.EVENT_READ)
        assert selector.select(60), "the server says nothing"
    address = started.stdout.readline().strip().rstrip("/")
    if not address and started.poll() is not None:
        raise AssertionError(started.communicate()[1])
    import httpx

    for _ in range(200):
        try:
            httpx.get(f"{address}/-/conversations")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return address
    raise AssertionError("the server does not answer")
