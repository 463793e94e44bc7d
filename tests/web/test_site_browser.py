"""An exported site in a real browser, opened as files: search, permalinks, dark and narrow, without JavaScript, hostile
content. The fixture holds for every page that nothing was logged as an error, no foreign script ran, and nothing
outside the site's directory was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.publish.site import Choice, publish
from sessionstore.store import Store
from tests.web import stores
from tests.web.conftest import Tabs

pytestmark = pytest.mark.browser

CJK = "我们在数据库里查找会话。検索エンジンはとても速い。한국어 문장도 찾는다."


def add_words(store: Store) -> None:
    """A session with what is searched for below."""
    messages = [
        stores.said(0, "user", stores.text("Where is the café? See a/b.py:12 and foo.bar(1) in C++.")),
        stores.said(1, "assistant", stores.text(CJK), model="claude-sonnet-4-5"),
        stores.said(2, "assistant", stores.text("The copper lantern treaty was signed."), model="claude-sonnet-4-5"),
        stores.said(3, "assistant", stores.text("A lantern of copper, and no treaty."), model="claude-sonnet-4-5"),
    ]
    store.put("native:words", messages, {"title": "Words in many scripts", "project": "words"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of all the stores' sessions."""
    place = tmp_path_factory.mktemp("site")
    store = Store.init(place / "store")
    stores.fill(store)
    add_words(store)
    revisions = [store.load_revision(name) for name in store.revision_names()]
    publish(store, revisions, place / "my site", Choice())
    return place / "my site"


class Files(Tabs):
    """Pages that are files."""

    def __init__(self, browser: Any, site: Path) -> None:
        super().__init__(browser, site.as_uri())

    def __call__(self, path: str = "/index.html", **settings: Any) -> Any:
        """A page of its own."""
        context = self.browser.new_context(**settings)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: self._note(told.type in ("error", "warning"), f"console: {told.text}"))
        page.on("pageerror", lambda error: self._note(True, f"error: {error}"))
        page.on("dialog", lambda dialog: self._note(True, f"dialog: {dialog.message}"))
        page.on("request", lambda asked: self._note(not asked.url.startswith(self.address), f"asked {asked.url[:200]}"))
        page.goto(f"{self.address}{path}")
        return page


@pytest.fixture
def pages(chrome: Any, site: Path) -> Iterator[Files]:
    """Pages of the site."""
    made = Files(chrome, site)
    yield made
    made.close()


def hostile(site: Path) -> str:
    return f"/sessions/{next(site.glob('sessions/native-hostile-*.html')).name}"


def long(site: Path) -> str:
    return next(path.stem for path in site.glob("sessions/native-long-*.html") if path.stem.count("-") == 2)


def ask(page: Any, query: str) -> None:
    page.locator("#q").fill(query)
    page.keyboard.press("Enter")
    page.locator("#told", has_text="found").or_(page.locator("#told", has_text="session")).first.wait_for()
    page.wait_for_function("q => document.getElementById('heading').textContent === 'Search: ' + q", arg=query)
    page.wait_for_timeout(150)


def test_search_open_a_hit_and_land_on_the_message(pages: Files) -> None:
    page = pages()
    page.keyboard.press("/")
    page.keyboard.type('"question 4230"')
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    page.locator("mark").first.wait_for()
    assert page.locator("mark").first.inner_text() == "Question 4230"
    page.locator(".hits a").first.click()
    page.wait_for_url("**/native-long-*-22.html#m-4230")
    page.wait_for_selector("#m-4230:target")
    assert page.locator("#m-4230 .prose").inner_text().startswith("Question 4230")


@pytest.mark.parametrize(
    ("query", "number", "mark"),
    [
        ("cafe", 0, "café"),
        ("CAFÉ", 0, "café"),
        ("库", 1, "库"),
        ("数据库", 1, "数据库"),
        ("検索", 1, "検索"),
        ("エンジン", 1, "エンジン"),
        ("한국어", 1, "한국어"),
        ("foo.bar(", 0, "foo.bar("),
        ("a/b.py:12", 0, "a/b.py:12"),
        ("c++", 0, "C++"),
        ('"copper lantern"', 2, "copper lantern"),
        ("lantern -signed", 3, "lantern"),
        ("lante*", 2, "lante"),
        ("role:user café", 0, "café"),
        ("project:words treaty", 2, "treaty"),
        ("treaty after:2025 before:9999 on:2026-01..2026-02", 2, "treaty"),
        ("treaty before:today", 2, "treaty"),
    ],
)
def test_words_code_and_scripts_without_spaces_are_found(pages: Files, query: str, number: int, mark: str) -> None:
    page = pages("/search.html")
    page.locator("#told", has_text="can be searched").wait_for()
    ask(page, query)
    group = page.locator("article.group", has=page.locator("a", has_text="Words in many scripts"))
    links = [one.get_attribute("href") for one in group.locator(".hits a").all()]
    assert any(link.endswith(f"#m-{number}") for link in links), links
    assert mark in group.locator("mark").all_inner_texts()


@pytest.mark.parametrize(
    "query",
    ["zebrafinch", "数库", "role:tool café", "lantern -copper", "-", "(((", "source:none", "treaty before:2025"],
)
def test_what_is_not_there_is_not_found(pages: Files, query: str) -> None:
    page = pages("/search.html")
    page.locator("#told", has_text="can be searched").wait_for()
    page.locator("#q").fill(query)
    page.keyboard.press("Enter")
    page.wait_for_function("() => /Nothing found|no word/.test(document.getElementById('told').textContent)")
    assert page.locator("article.group").count() == 0


def test_links_of_the_first_page_search_and_more_shows_more(pages: Files) -> None:
    page = pages()
    page.locator("table.sources a").first.click()
    page.wait_for_url("**/search.html?source=native")
    page.locator("article.group").first.wait_for()
    assert page.locator("#told").inner_text() == "7 sessions"
    page.go_back()
    page.locator("svg.activity a").first.click()
    page.wait_for_url("**/search.html?q=after*")
    page.locator("article.group").first.wait_for()


def test_permalinks_lead_to_the_page_that_has_the_message(pages: Files, site: Path) -> None:
    page = pages(f"/sessions/{long(site)}.html#m-4230")
    page.wait_for_url("**-22.html#m-4230")
    page.wait_for_selector("#m-4230:target")
    page.locator("#m-4230 a.permalink").click()
    assert page.url.endswith("-22.html#m-4230")
    page.locator("a[rel=next]").first.click()
    page.wait_for_url("**-23.html")
    assert page.locator("article.message").count() == 200


def test_reading_needs_no_javascript(pages: Files) -> None:
    page = pages(java_script_enabled=False)
    page.locator("a.title", has_text="A thousand messages").first.click()
    call = page.locator("details.call").first
    assert call.locator("pre").first.is_hidden()
    call.locator("summary").click()
    assert call.locator("pre").first.is_visible()
    page.locator("a[rel=next]").first.click()
    assert page.url.endswith("-2.html")
    page.get_by_role("link", name="Search").click()
    assert page.locator("noscript").inner_text().startswith("Searching needs JavaScript.")
    page.locator("noscript a").click()
    assert page.locator("li.session").count() == 7


def test_pictures_are_files_of_the_site(pages: Files) -> None:
    page = pages()
    page.locator("a.title", has_text="Pictures").click()
    pictures = page.locator("figure img")
    assert pictures.count() == 2
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert (picture.get_attribute("src") or "").startswith("../images/")
        page.wait_for_function("one => one.complete && one.naturalWidth === 16", arg=picture.element_handle())


def test_hostile_conversations_run_nothing_and_log_nothing(pages: Files, site: Path) -> None:
    page = pages(hostile(site))
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for link in page.locator("#messages a").all()[:200]:
        address = link.get_attribute("href") or ""
        assert address.startswith(("native-hostile-", "../texts/", "http:", "https:", "mailto:")), address
    page.mouse.wheel(0, 20000)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert page.locator("iframe, object, embed, form").count() == 1  # the search in the head
    page.goto(f"{pages.address}/search.html?q=pwned")
    page.locator(".hits .snippet").first.wait_for()
    assert page.locator("#results script, #results img, #results svg").count() == 0
    page.goto(f"{pages.address}/search.html?q=%3Cscript%3Ewindow.pwned=1%3C/script%3E")
    page.locator(".hits .snippet").first.wait_for()


def test_what_is_put_into_a_page_cannot_run(pages: Files, site: Path) -> None:
    page = pages(hostile(site))
    before = list(pages.troubles)
    page.evaluate(
        "const one = document.createElement('div'); one.innerHTML = '<img src=x onerror=\"window.pwned=1\">';"
        " document.body.append(one)"
    )
    page.wait_for_timeout(200)
    assert any("Content Security Policy" in told for told in pages.troubles)
    pages.troubles[:] = before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["/index.html", "/sessions.html", "/search.html?q=pytest", "/search.html", "long", "hostile"]
)
def test_an_accessibility_checker_finds_nothing(pages: Files, site: Path, name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = {"long": f"/sessions/{long(site)}.html", "hostile": hostile(site)}.get(name, name)
    page = pages(path, color_scheme=scheme)
    page.evaluate("[...document.querySelectorAll('details')].slice(0, 60).forEach(one => { one.open = true })")
    page.evaluate("document.querySelectorAll('.message').forEach(one => { one.style.contentVisibility = 'visible' })")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": rules}, "resultTypes": ["violations"], "preload": False}
    if "?q=" in path:
        page.locator("article.group").first.wait_for()
    found = Axe().run(page, options=options)
    told = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found.response["violations"]
    ]
    assert told == []


@pytest.mark.parametrize("path", ["/index.html", "/sessions.html", "/search.html?q=pytest", "long"])
def test_narrow_screens_scroll_one_way_only(pages: Files, site: Path, path: str) -> None:
    page = pages(f"/sessions/{long(site)}.html" if path == "long" else path, viewport={"width": 360, "height": 740})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
