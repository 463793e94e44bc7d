"""A session with secrets is not given away as a file before its owner has said what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sessionstore.store import Store
from tests.web import stores
from tests.web.serving import browsing

TOKEN = "ghp_q7Zr2Xn5Lk8Vb1Tc4Yw9Md3Hs6Jf0Pg5Ra2E"
FILE = "/-/conversation/native~3Aleaky/export"


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server whose store has a token in it."""
    place = tmp_path_factory.mktemp("leaky")
    store = Store.init(place / "store")
    store.put("native:leaky", [stores.said(0, "user", stores.text(f"Take {TOKEN} for it."))])
    store.put("native:clean", [stores.said(0, "user", stores.text("Nothing here."))])
    stores.mirror(store)
    with browsing(Path(store.root), place) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.mark.parametrize("form", ["markdown", "jsonl", "openai"])
def test_a_download_asks_first(leaky: httpx.Client, form: str) -> None:
    asked = leaky.get(f"{FILE}/{form}")
    assert (asked.status_code, asked.headers["content-type"]) == (409, "text/html; charset=utf-8")
    assert TOKEN not in asked.text
    assert f"{FILE}/{form}?secrets=redact" in asked.text
    assert "?message=m1" in asked.text
    redacted = leaky.get(f"{FILE}/{form}", params={"secrets": "redact"})
    assert redacted.status_code == 200
    assert TOKEN not in redacted.text
    assert "[redacted:github-token#1]" in redacted.text
    assert TOKEN in leaky.get(f"{FILE}/{form}", params={"secrets": "allow"}).text
    assert leaky.get(f"/-/conversation/native~3Aclean/export/{form}").status_code == 200
