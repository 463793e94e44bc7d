"""The pages in a real browser, as a person uses them: reading, keys, links, dark and narrow, live, without JavaScript.

The fixture `tabs` holds for every page that nothing was logged as an error, no foreign script ran, and no other server
was asked for anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.store import Store
from tests.web import stores
from tests.web.conftest import Tabs
from tests.web.serving import browsing

pytestmark = pytest.mark.browser

AGENT = "/-/conversation/native~3Aagent"
LONG = "/-/conversation/native~3Along"
HOSTILE = "/-/conversation/native~3Ahostile"
SEARCH = "/-/conversations/search"


def in_view(page: Any, selector: str) -> bool:
    """Whether an element is to be seen without scrolling."""
    return bool(
        page.evaluate(
            "s => { const r = document.querySelector(s).getBoundingClientRect();"
            " return r.top < innerHeight && r.bottom > 0 }",
            selector,
        )
    )


def test_search_open_a_hit_and_land_on_the_message(tabs: Tabs) -> None:
    page = tabs("/")
    page.keyboard.press("/")
    page.keyboard.type('"question 4230"')
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    assert page.locator("mark").first.inner_text() == "Question 4230"
    page.locator(".hits a").first.click()
    page.wait_for_url("**/native~3Along?at=4230#m-4230")
    page.wait_for_selector("#m-4230:target")
    assert in_view(page, "#m-4230")


def test_a_tool_call_unfolds_and_folds(tabs: Tabs) -> None:
    page = tabs(AGENT)
    call = page.locator("details.call").first
    inside = call.locator("pre").first
    assert not inside.is_visible()
    call.locator("summary").click()
    assert inside.is_visible()
    call.locator("summary").focus()
    page.keyboard.press("Enter")
    assert not inside.is_visible()
    page.keyboard.press("e")
    assert page.evaluate("[...document.querySelectorAll('article details')].every(one => one.open)")
    page.keyboard.press("e")
    assert page.evaluate("[...document.querySelectorAll('article details')].every(one => !one.open)")


def test_ten_thousand_messages_are_paged_with_keys(tabs: Tabs) -> None:
    page = tabs(LONG)
    assert page.locator("article.message").count() == 200
    page.keyboard.press("n")
    page.wait_for_url("**?page=2")
    assert page.locator("#m-200").count() == 1
    page.keyboard.press("p")
    page.wait_for_url("**?page=1")
    page.get_by_role("link", name="Page 50").first.click()
    page.wait_for_url("**?page=50")
    assert page.locator("#m-9999").count() == 1
    assert page.locator("a[rel=next]").count() == 0


def test_a_link_to_a_message_on_another_page_is_followed(tabs: Tabs) -> None:
    page = tabs(f"{LONG}#m-5555")
    page.wait_for_url("**?at=5555#m-5555")
    assert in_view(page, "#m-5555")


def test_j_and_k_go_from_message_to_message(tabs: Tabs) -> None:
    page = tabs(AGENT)
    for _ in range(3):
        page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "m-2"
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "m-1"
    assert in_view(page, "#m-1 h2")


def test_a_message_is_copied(tabs: Tabs) -> None:
    page = tabs(AGENT)
    page.get_by_role("button", name="Copy message 1", exact=True).click()
    page.get_by_role("button", name="Copy message 1", exact=True).filter(has_text="Copied").wait_for()
    written = page.request.get(f"{tabs.address}{AGENT}/0.txt").text()
    assert page.evaluate("navigator.clipboard.readText()") == written.strip()
    assert written.startswith("Question 0:")
    page.locator("summary", has_text="About this conversation").click()
    page.get_by_role("button", name="resume in any model").click()
    assert page.evaluate("navigator.clipboard.readText()") == "sessionstore chat --session native:agent"


def test_images_are_shown(tabs: Tabs) -> None:
    page = tabs("/-/conversation/native~3Apictures")
    for image in page.locator("figure img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("async one => { await one.decode(); return one.naturalWidth }") == 16


def luminance(page: Any, expression: str) -> float:
    """How bright a colour is, from 0 to 255."""
    colour = page.evaluate(expression)
    parts = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(parts) / 3


@pytest.mark.parametrize("path", ["/", SEARCH, AGENT])
def test_dark_when_the_system_is_dark(tabs: Tabs, path: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.body).color"
    dark, light = tabs(path, color_scheme="dark"), tabs(path, color_scheme="light")
    assert luminance(dark, paper) < 60 < 180 < luminance(dark, ink)
    assert luminance(light, ink) < 60 < 180 < luminance(light, paper)


@pytest.mark.parametrize("path", ["/", f"{SEARCH}?q=pytest", AGENT, HOSTILE])
def test_a_narrow_screen_needs_no_sideways_scrolling(tabs: Tabs, path: str) -> None:
    page = tabs(path, viewport={"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_everything_can_be_read_without_javascript(tabs: Tabs) -> None:
    page = tabs("/", java_script_enabled=False)
    page.locator("#q").fill("question 4230")
    page.get_by_role("button", name="Search").click()
    page.locator(".hits a").first.click()
    assert page.locator("#m-4230").is_visible()
    call = page.locator("details.call").first
    call.locator("summary").click()
    assert call.locator("pre").first.is_visible()
    page.locator("a[rel=next]").first.click()
    assert "page=23" in page.url
    assert page.get_by_role("button", name="Copy").count() == 0  # what needs JavaScript is not offered


@pytest.mark.parametrize("path", [HOSTILE, f"{SEARCH}?q=pwned", "/", "/conversations/messages?_search=pwned"])
def test_hostile_conversations_run_nothing_and_log_nothing(tabs: Tabs, path: str) -> None:
    page = tabs(path)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for link in page.locator("#messages a").all()[:200]:
        address = link.get_attribute("href") or ""
        assert address.startswith(("/", "#", "http:", "https:", "mailto:", "?")), address
    page.mouse.wheel(0, 20000)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert page.locator("iframe, object, embed").count() == 0


@pytest.mark.parametrize(
    "path", ["/conversations", "/conversations/sessions", "/conversations/tool_errors", "/-/conversation/nobody"]
)
def test_pages_of_datasette_work_under_the_policy(tabs: Tabs, path: str) -> None:
    page = tabs("/")
    page.goto(f"{tabs.address}{path}")
    assert page.locator("h1").count() == 1
    if "nobody" in path:
        tabs.troubles.clear()  # the browser itself notes that the answer was 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", f"{SEARCH}?q=pytest", f"{SEARCH}?q=(", SEARCH, AGENT, HOSTILE])
def test_an_accessibility_checker_finds_nothing(tabs: Tabs, path: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = tabs(path, color_scheme=scheme)
    page.evaluate("[...document.querySelectorAll('details')].slice(0, 60).forEach(one => { one.open = true })")
    page.evaluate("document.querySelectorAll('.message').forEach(one => { one.style.contentVisibility = 'visible' })")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": rules}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options)
    told = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found.response["violations"]
    ]
    assert told == []


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store that a test may write to, and the address of a server on it."""
    store = Store.init(tmp_path / "store")
    store.put("native:live", stores.agent_session(30), {"title": "Live"})
    stores.mirror(store)
    with browsing(Path(store.root), tmp_path) as address:
        yield store, address


def test_new_messages_appear_by_themselves(chrome: Any, growing: tuple[Store, str]) -> None:
    store, address = growing
    tabs = Tabs(chrome, address)
    page = tabs("/-/conversation/native~3Alive")
    hostile = stores.said(30, "assistant", stores.text(f"Hello from **later** {stores.SCRIPTS[0]}"))
    store.append("native:live", [hostile])
    page.wait_for_selector("#m-30", timeout=10_000)
    assert "Hello from later" in (page.locator("#m-30 .prose").text_content() or "")
    assert page.locator("#live").inner_text() == "1 new message"
    assert page.locator("#count").inner_text() == "31"
    store.append("native:live", stores.agent_session(150)[31:])
    page.wait_for_selector("#m-149", timeout=15_000)
    assert page.locator("article.message").count() == 150
    tabs.close()


def test_a_rewritten_conversation_is_said_not_mixed(chrome: Any, growing: tuple[Store, str]) -> None:
    store, address = growing
    tabs = Tabs(chrome, address)
    page = tabs("/-/conversation/native~3Alive")
    other = stores.agent_session(60)
    other[29] = stores.said(29, "assistant", stores.text("It went another way."))
    store.put("native:live", other)
    page.locator("#live", has_text="was rewritten").wait_for(timeout=10_000)
    assert page.locator("article.message").count() == 30
    tabs.close()
