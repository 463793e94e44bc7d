"""A store with everything in it, a server on it, and a browser that forgives nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessionstore.store import Store
from tests.web import stores
from tests.web.serving import browsing, chromium


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the sessions of `stores`, and its index; only to be read."""
    store = Store.init(tmp_path_factory.mktemp("browse") / "store")
    stores.fill(store)
    stores.mirror(store)
    return store


@pytest.fixture(scope="session")
def address(full: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on it."""
    with browsing(Path(full.root), tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="session")
def web(address: str) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Tabs:
    """Opens pages, and holds that none of them logs an error, runs a foreign script or asks another server."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.troubles: list[str] = []
        self.contexts: list[Any] = []

    def __call__(self, path: str = "/", **settings: Any) -> Any:
        """A page of its own, opened at `path`; `settings` as for a browser context."""
        context = self.browser.new_context(**settings)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self.address)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: self._note(told.type in ("error", "warning"), f"console: {told.text}"))
        page.on("pageerror", lambda error: self._note(True, f"error: {error}"))
        page.on("dialog", lambda dialog: self._note(True, f"dialog: {dialog.message}"))
        page.on("request", lambda asked: self._note(not asked.url.startswith(self.address), f"asked {asked.url[:200]}"))
        page.goto(f"{self.address}{path}")
        return page

    def _note(self, bad: bool, words: str) -> None:
        if bad:
            self.troubles.append(words)

    def close(self) -> None:
        """Close all pages. Raises `AssertionError` when there was any trouble."""
        for context in self.contexts:
            for page in context.pages:
                if page.evaluate("() => 'pwned' in window"):
                    self.troubles.append("a foreign script has run")
            context.close()
        assert self.troubles == []


@pytest.fixture
def tabs(chrome: Any, address: str) -> Iterator[Tabs]:
    """Pages of the server."""
    made = Tabs(chrome, address)
    yield made
    made.close()
