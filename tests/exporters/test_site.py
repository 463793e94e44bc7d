"""`export --to site` as people use it: what is in the directory, that it is whole or not there, and always the same."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sessionstore.publish.lookup import Lookup, encoded, terms
from sessionstore.publish.site import Choice, publish
from sessionstore.store import Store
from tests.cli.running import Program, files, ok, one_line
from tests.web import stores


class Links(HTMLParser):
    """The ids, links and loaded files of a page, and everything in it that could run or load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.scripts: list[dict[str, Any]] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if tag == "script":
            self.scripts.append(given)
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        self.loaded += [str(given[name]) for name in ("src", "data", "poster") if given.get(name)]
        if tag == "link":
            self.loaded.append(str(given["href"]))


def pages(site: Path) -> dict[str, Links]:
    return {str(path.relative_to(site)): Links(path.read_text()) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path]:
    """A store with long, hostile and illustrated sessions, and a site of it."""
    place = tmp_path_factory.mktemp("site")
    store = Store.init(place / "store")
    stores.fill(store)
    publish(store, revisions(store), place / "site", Choice())
    return store, place / "site"


def revisions(store: Store) -> list[dict[str, Any]]:
    return [store.load_revision(name) for name in sorted(store.revision_names())]


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(everything: tuple[Store, Path]) -> None:
    _, site = everything
    found = pages(site)
    assert {"index.html", "sessions.html", "search.html"} <= set(found)
    for name, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https", "mailto"), (name, link)
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.is_file(), (name, link)
            if parts.fragment and parts.fragment != "content":
                there = found[str(target.resolve().relative_to(site.resolve()))]
                assert parts.fragment in there.ids, (name, link)
        for source in page.loaded:
            assert ((site / name).parent / source).is_file(), (name, source)


def test_pages_hold_one_script_that_their_policy_knows(everything: tuple[Store, Path]) -> None:
    import base64
    import hashlib

    _, site = everything
    for name, page in pages(site).items():
        [inline] = re.findall(r"<script>(.*?)</script>", (site / name).read_text())
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}' 'strict-dynamic';" in page.policy
        assert page.policy.startswith("default-src 'none';")
        assert "unsafe" not in page.policy
        assert "http" not in page.policy
        assert page.scripts == [{}]
        assert page.handlers == []


def test_long_sessions_are_paged_and_long_texts_are_files(everything: tuple[Store, Path]) -> None:
    store, site = everything
    assert len(list(site.glob("sessions/native-long-*.html"))) == 50
    texts = list(site.glob("texts/native-hostile-*.txt"))
    assert [path.read_bytes()[:3] for path in texts] == [b"\xef\xbb\xbf"] * len(texts)
    assert {path.stat().st_size for path in texts} == {len(stores.LONG_LINE) + 3}
    assert len(list(site.glob("images/*.png"))) == 1, "the same picture twice is one file"
    mark = json.loads((site / "site.json").read_text())
    assert (mark["sessions"], mark["format"]) == (len(revisions(store)), "sessionstore/site")


def test_the_same_sessions_give_the_same_bytes(everything: tuple[Store, Path], tmp_path: Path) -> None:
    store, site = everything
    publish(store, reversed(revisions(store)), tmp_path / "again", Choice())
    assert files(tmp_path / "again") == files(site)


def test_a_killed_or_failed_site_leaves_what_was_there(
    everything: tuple[Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = everything
    publish(store, revisions(store)[:2], tmp_path / "site", Choice())
    before = files(tmp_path)
    monkeypatch.setattr(Lookup, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(Exception, match="no space left"):
        publish(store, revisions(store), tmp_path / "site", Choice(), force=True)
    assert files(tmp_path) == before


# --- the index of the search ----------------------------------------------------------------------------------


def test_terms_are_words_without_case_and_accents_and_neighbours_in_scripts_without_spaces() -> None:
    assert terms("The Café_au-lait, ÉTÉ 42!") == {"the", "cafe", "au", "lait", "ete", "42"}
    assert terms("用Python写数据") == {"用", "python", "写", "数", "据", "写数", "数据"}
    assert terms("한국어") == {"한", "국", "어", "한국", "국어"}
    assert terms("x" * 100) == {"x" * 40}


def test_lists_are_written_as_differences() -> None:
    from array import array

    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for numbers in ([0], [5, 6, 7], [31, 63, 2_000_000], list(range(0, 100_000, 977))):
        read, last, value = [], 0, 0
        for digit in encoded(array("I", numbers)):
            value = value * 32 + (digits.index(digit) & 31)
            if digits.index(digit) < 32:
                last, value = last + value, 0
                read.append(last)
        assert read == numbers


# --- the command line -----------------------------------------------------------------------------------------


def test_a_filtered_set_becomes_a_site(shared: Program, tmp_path: Path) -> None:
    keys = {hit["key"] for hit in ok(shared("search", "--json", "tide")).json}
    result = ok(shared("export", "--to", "site", "--search", "tide", "--out", tmp_path / "site", "--json"))
    told = result.json
    assert (told["sessions"], told["path"]) == (len(keys), str(tmp_path / "site"))
    assert told["files"] == len(files(tmp_path / "site"))
    assert told["bytes"] == sum(map(len, files(tmp_path / "site").values()))
    manifest = (tmp_path / "site/search/manifest.js").read_text()
    listed = json.loads(manifest.removeprefix("sessionstoreSearch.manifest(").removesuffix(");\n"))
    assert {session["key"] for session in listed["sessions"]} == keys
    assert {path.name for path in tmp_path.iterdir()} == {"site"}


def test_the_whole_store_by_source_and_by_name(shared: Program, tmp_path: Path) -> None:
    ok(shared("export", "--to", "site", "--all", "-o", tmp_path / "all"))
    sessions = len({line["key"] for line in ok(shared("list", "--limit", 10000, "--json")).json})
    assert json.loads((tmp_path / "all/site.json").read_text())["sessions"] == sessions
    ok(shared("export", "--to", "site", "--source", "codex", "-o", tmp_path / "codex"))
    assert all(path.name.startswith("codex-") for path in (tmp_path / "codex/sessions").iterdir())
    ok(shared("export", "5b0c2f4e", "--to", "site", "-o", tmp_path / "one"))
    assert json.loads((tmp_path / "one/site.json").read_text())["sessions"] == 1


def test_only_a_site_is_replaced_and_only_when_told_to(shared: Program, tmp_path: Path) -> None:
    def make(*more: str) -> Any:
        return shared("export", "5b0c2f4e", "--to", "site", "-o", tmp_path / "site", *more)

    (tmp_path / "site").mkdir()
    ok(make())
    again = make()
    assert again.code == 6
    one_line(again.err, "there is a site already; --force replaces it")
    (tmp_path / "site/stray").write_text("x")
    ok(make("--force"))
    assert not (tmp_path / "site/stray").exists()
    (tmp_path / "site/site.json").unlink()
    refused = make("--force")
    assert refused.code == 6
    one_line(refused.err, "something that is no site")
    shutil.rmtree(tmp_path / "site")
    (tmp_path / "site").write_text("mine")
    assert make("--force").code == 6
    assert (tmp_path / "site").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"site"}


def test_a_site_needs_a_directory_and_a_session(shared: Program) -> None:
    for arguments, words in (
        (("5b0c2f4e",), "a site is a directory; name it with --out DIR"),
        (("--search", "nothinglikethis", "-o", "x"), "no session to make a site of"),
    ):
        result = shared("export", "--to", "site", *arguments)
        assert (result.code, result.raw) == (2, b"")
        one_line(result.err, words)
