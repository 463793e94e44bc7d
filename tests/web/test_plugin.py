"""The plugin inside Datasette: table pages for people, an index alone, other databases, permissions."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from datasette import __version__ as version
from datasette.app import Datasette

from sessionstore.store import Store
from sessionstore.web import server, tables
from sessionstore.web.site import indexes, sites

OLD = version.startswith("0.")


def get(datasette: Any, path: str, **settings: Any) -> Any:
    """One answer of a Datasette inside this process."""

    async def ask() -> Any:
        await datasette.invoke_startup()
        return await datasette.client.get(path, **settings)

    return asyncio.run(ask())


@pytest.fixture
def served(full: Store) -> Any:
    """A Datasette on the full store's index."""
    return server.datasette(f"{full.root}/index.sqlite", {})


def test_an_index_alone_gives_the_pages(full: Store) -> None:
    server.datasette(f"{full.root}/index.sqlite", {})  # registers the plugin, which an installation does by itself
    plain = Datasette([f"{full.root}/index.sqlite"])
    assert "<strong>6</strong> sessions" in get(plain, "/").text
    assert "Question 0" in get(plain, "/-/conversation/native~3Aagent").text


def test_an_index_without_its_store_shows_the_words(full: Store, tmp_path: Path) -> None:
    shutil.copy(f"{full.root}/index.sqlite", tmp_path / "copy.sqlite")
    alone = server.datasette(str(tmp_path / "copy.sqlite"), {})
    assert sites(alone)[0].store is None
    html = get(alone, "/-/conversation/native~3Aagent?at=5").text
    assert "The store is not beside this index" in html
    assert "Question 0" in html
    assert "pytest -q 1" in html
    assert get(alone, "/-/conversation/native~3Aagent/export/markdown").status_code == 404


def test_the_store_can_be_elsewhere(full: Store, tmp_path: Path) -> None:
    shutil.copy(f"{full.root}/index.sqlite", tmp_path / "copy.sqlite")
    found = server.datasette(str(tmp_path / "copy.sqlite"), {"store": full.root})
    assert "The store is not beside" not in get(found, "/-/conversation/native~3Aagent").text


def test_other_databases_are_left_alone(tmp_path: Path, served: Any) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sessions (key TEXT, title TEXT)")
        connection.execute("INSERT INTO sessions VALUES ('a', 'b')")
    other = Datasette([str(path)])
    assert indexes(other) == {}
    home = get(other, "/")
    assert "other" in home.text
    assert "Latest sessions" not in home.text
    assert "content-security-policy" not in home.headers
    assert "/-/conversation/" not in get(other, "/other/sessions").text
    assert get(other, "/-/conversations").status_code == 404


def test_who_may_not_see_the_database_may_not_read_conversations(full: Store) -> None:
    refused = {"databases": {server.DATABASE: {"allow": {"id": "root"}}}}
    given: dict[str, Any] = {"metadata": refused} if OLD else {"config": refused}
    made = Datasette([], **given)
    from datasette.database import Database

    made.add_database(Database(made, path=f"{full.root}/index.sqlite", is_mutable=True), name=server.DATABASE)
    for path in (
        "/",
        "/-/conversations/search?q=x",
        "/-/conversation/native~3Aagent",
        "/-/conversation/native~3Aagent/0.txt",
    ):
        assert get(made, path).status_code == 403, path


def test_tables_have_names_facets_descriptions_and_links(served: Any) -> None:
    html = get(served, f"/{server.DATABASE}/sessions").text
    assert re.search(r'<a href="/-/conversation/row-\d+">A thousand messages</a>', html)
    assert "revision" not in re.findall(r'data-column="([a-z_]+)"', html)
    everything = get(served, f"/{server.DATABASE}/sessions?_all=1").text
    assert '<a href="/-/conversation/native~3Aagent">A thousand messages</a>' in everything
    assert "revision" in re.findall(r'data-column="([a-z_]+)"', everything)
    assert "revision" in get(served, f"/{server.DATABASE}/sessions.json?_shape=array&_size=1").json()[0]
    assert "One row for each head of each conversation" in html
    assert "Source and native id" in html
    assert "facet-results" in html
    assert re.search(r'href="http://localhost/conversations/sessions\?_col=title[^"]*&amp;project=shop"', html)
    messages = get(served, f"/{server.DATABASE}/messages?_size=5").text
    assert re.search(r"\?at=\d+#m-\d+", messages)
    link = messages.partition('href="/-/conversation/row-')[2].partition('"')[0]
    opened = get(served, f"/-/conversation/row-{link}")
    assert opened.status_code == 200
    assert "<h1>" in opened.text
    calls = get(served, f"/{server.DATABASE}/tool_calls?_size=5").text
    assert re.search(r'/sessions/\d+">[^<]+</a>&nbsp;<em>', calls)  # a foreign key shows the session's title


def test_helper_tables_are_hidden(served: Any) -> None:
    told = get(served, f"/{server.DATABASE}.json").json()["tables"]
    shown = {table["name"] for table in told if not table["hidden"]}
    assert shown == {"sessions", "messages", "tool_calls", "files_touched", "tags", "sources"}


@pytest.mark.parametrize("name", list(tables.QUERIES))
def test_every_ready_made_question_gives_an_answer(served: Any, name: str) -> None:
    answer = get(served, f"/{server.DATABASE}/{name}.json?_shape=array&key=native:agent")
    assert answer.status_code == 200, answer.text[:300]
    assert answer.json()
    assert get(served, f"/{server.DATABASE}/{name}?key=native:agent").status_code == 200


def test_tables_search_by_themselves(served: Any) -> None:
    html = get(served, f"/{server.DATABASE}/messages?_search=question&_size=3").text
    assert 'type="search"' in html
    assert "Question" in html


def test_nothing_is_written_even_with_sql(served: Any, full: Store) -> None:
    before = Path(f"{full.root}/index.sqlite").read_bytes()
    path = (
        f"/{server.DATABASE}?sql=delete+from+sessions"
        if OLD
        else f"/{server.DATABASE}/-/query?sql=delete+from+sessions"
    )
    assert get(served, path).status_code in (400, 403, 404)
    assert Path(f"{full.root}/index.sqlite").read_bytes() == before


def test_below_another_root_every_link_leads_there(full: Store) -> None:
    made = Datasette([f"{full.root}/index.sqlite"], settings={"base_url": "/talk/"})
    html = get(made, "/").text
    assert 'href="/talk/-/conversation/native~3Aagent"' in html
    assert 'href="/talk/-/conversations/static/pages.css?' in html
