"""The pages, asked for over HTTP: what stands in them, how fast they are, and that nothing foreign gets through."""

from __future__ import annotations

import base64
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessionstore.store import Store
from tests.web import stores

AGENT = "/-/conversation/native~3Aagent"
LONG = "/-/conversation/native~3Along"
HOSTILE = "/-/conversation/native~3Ahostile"
PICTURES = "/-/conversation/native~3Apictures"


class Tags(HTMLParser):
    """All start tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, Any]]:
        """The attributes of all tags of a name."""
        return [attributes for name, attributes in self.found if name == tag]


def page(web: httpx.Client, path: str, status: int = 200) -> str:
    """The text of a page."""
    answer = web.get(path)
    assert answer.status_code == status, answer.text[:500]
    return answer.text


def test_the_first_page_shows_counts_sources_activity_and_the_latest_sessions(web: httpx.Client) -> None:
    html = page(web, "/")
    assert "<strong>6</strong> sessions" in html
    assert '<svg class="activity"' in html
    assert "Ten thousand messages" in html
    assert 'href="/-/conversations/search?source=native"' in html


def test_search_understands_the_whole_language_and_marks_what_it_found(web: httpx.Client) -> None:
    html = page(web, '/-/conversations/search?q="question 40" role:user')
    assert "<mark>Question 40</mark>" in html
    assert "/-/conversation/native~3Along?at=40#m-40" in html
    assert "Nothing found" in page(web, '/-/conversations/search?q="question 40" role:tool')


def test_a_wrong_query_is_answered_with_what_is_wrong(web: httpx.Client) -> None:
    assert " in the search, at character 1" in page(web, "/-/conversations/search?q=(")


@pytest.mark.parametrize("query", ["'", '"', "* ", "a:b:c", "\\", "NEAR(", "-", "x" * 5000, "\x00", "%ff", "<script>"])
def test_nothing_that_can_be_typed_breaks_the_search_page(web: httpx.Client, query: str) -> None:
    answer = web.get("/-/conversations/search", params={"q": query})
    assert answer.status_code == 200
    assert "<script>" not in answer.text


def test_facets_count_sessions_and_narrow_the_search(web: httpx.Client) -> None:
    html = page(web, "/-/conversations/search?q=pytest")
    assert re.search(r'href="\?q=pytest&amp;project=shop">shop</a> <span class="facts">2<', html)
    assert re.search(r'href="\?q=pytest&amp;tool=Bash">Bash</a>', html)
    assert re.search(r'href="\?q=pytest&amp;month=2026-01">2026-01</a>', html)
    narrowed = page(web, "/-/conversations/search?q=pytest&project=garden")
    assert "A short one" in narrowed
    assert "Ten thousand" not in narrowed
    assert 'aria-label="Remove the filter project garden"' in narrowed


def test_without_a_query_all_sessions_are_listed(web: httpx.Client) -> None:
    html = page(web, "/-/conversations/search")
    assert html.count('<li class="session">') == 6


def test_a_conversation_shows_who_said_what_with_code_tools_and_tokens(web: httpx.Client) -> None:
    html = page(web, AGENT)
    assert "<h1>A thousand messages</h1>" in html
    assert '<span class="k">def</span>' in html
    assert '<span class="tool">Bash</span>' in html
    assert "<del>-    return f&quot;Hello" in html or '<del>-    return f"Hello' in html
    assert '<span class="a2">src/' in html
    assert "1,209 in · 300 out · $0.0012" in html
    assert "cd &#39;/src/my shop&#39;" not in html  # a session born here has no program of its own
    assert "sessionstore chat --session native:agent" in html
    assert "llm sessions continue native:agent" in html


def test_tool_calls_and_results_are_folded_and_linked(web: httpx.Client) -> None:
    html = page(web, AGENT)
    assert '<details class="call">' in html
    assert "<details open" not in html.partition('id="messages"')[2]
    assert f'<a href="{AGENT}?at=1#m-1">the call</a>' in html
    assert '<span class="tool">Error of Bash</span>' in html or '<span class="tool">Error of Edit</span>' in html


def test_a_permalink_opens_the_page_that_has_the_message(web: httpx.Client) -> None:
    html = page(web, f"{LONG}?at=7777")
    assert 'id="m-7777"' in html
    assert 'id="m-0"' not in html
    assert 'id="m-7777"' in page(web, f"{LONG}?message=m7778")
    assert 'id="m-9999"' in page(web, f"{LONG}?at=999999999")


def test_pages_cover_every_message_once(web: httpx.Client) -> None:
    seen: list[str] = []
    path: str | None = LONG
    while path:
        html = page(web, path)
        seen += re.findall(r'<article class="[^"]*" id="m-(\d+)"', html)
        following = re.search(r'<a rel="next" href="([^"]+)"', html)
        path = following[1].replace("&amp;", "&") if following else None
    assert seen == [str(n) for n in range(10_000)]


def test_the_contents_lead_to_the_questions_on_every_page(web: httpx.Client) -> None:
    html = page(web, LONG)
    assert 'href="#m-10"' in html
    assert f'href="{LONG}?at=9800#m-9800"' in html
    assert f'href="{LONG}?at=9990#m-9990"' not in html  # of so many, the first on each other page
    assert "Contents: 1,000 questions, of other pages the first" in html
    assert 'href="#m-9990"' in page(web, f"{LONG}?page=50")


def test_forks_and_subagents_are_linked_both_ways(web: httpx.Client) -> None:
    assert '<a href="/-/conversation/native~3Achild">The helper</a>' in page(web, AGENT)
    child = page(web, "/-/conversation/native~3Achild")
    assert f'Subagent of <a href="{AGENT}?message=m10">native:agent</a>' in child


def test_a_session_is_found_by_what_show_understands(web: httpx.Client) -> None:
    assert "A short one" in page(web, "/-/conversation/short")
    assert "no session, batch or message is called" in page(web, "/-/conversation/nobody", 404)


def test_images_are_served_by_what_their_bytes_are(web: httpx.Client) -> None:
    html = page(web, PICTURES)
    assert f'<img src="{PICTURES}/0/image/0"' in html
    for number in (0, 1):
        answer = web.get(f"{PICTURES}/{number}/image/0")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == base64.b64decode(stores.PNG)
        assert "sandbox" in answer.headers["content-security-policy"]
    blobs = len(stores.SCRIPTS) * 5 + 2
    fake = web.get(f"{HOSTILE}/{blobs}/image/0")
    assert fake.status_code == 415
    assert web.get(f"{HOSTILE}/{blobs}/image/1").status_code == 404  # the SVG is not shown at all


def test_messages_exports_and_originals_can_be_had_as_files(web: httpx.Client, full: Store) -> None:
    markdown = web.get(f"{AGENT}/export/markdown")
    assert markdown.text.startswith("# A thousand messages")
    assert markdown.headers["content-disposition"].startswith("attachment")
    assert len(web.get(f"{AGENT}/export/jsonl").text.splitlines()) >= 1000
    assert "Question 0" in page(web, f"{AGENT}/0.txt")
    assert web.get(f"{AGENT}/0.json").json() == next(full.messages(full.heads("native:agent")[0]))
    assert web.get(f"{AGENT}/export/exe").status_code == 400
    assert web.get(f"{AGENT}/original/0").status_code == 404


def test_hostile_conversations_are_text(web: httpx.Client) -> None:
    html = page(web, HOSTILE)
    tags = Tags(html)
    assert [script.get("src", "").partition("?")[0] for script in tags.all("script")] == [
        "/-/conversations/static/pages.js"
    ]
    assert not {tag for tag, _ in tags.found} & {"iframe", "object", "embed", "style", "base", "template"}
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("href", "src", "action"):
            value = (attributes.get(name) or "").strip().lower()
            assert not re.match(r"(javascript|vbscript|data):", value), (tag, attributes)
    assert all(image["src"].startswith("/-/") for image in tags.all("img"))
    assert [form["action"] for form in tags.all("form")] == ["/-/conversations/search"]
    assert tags.all("main") == [{"id": "content", "class": "conversation"}]
    assert html.count("</main>") == 1


def test_a_line_of_five_megabytes_is_cut_and_can_be_read_whole(web: httpx.Client) -> None:
    html = page(web, HOSTILE)
    assert len(html) < 1_500_000
    number = len(stores.SCRIPTS) * 5
    assert f'<a href="{HOSTILE}/{number}.txt">Read all of message {number + 1}</a>' in html
    assert web.get(f"{HOSTILE}/{number}.txt").text == stores.LONG_LINE


@pytest.mark.parametrize(
    "path",
    ["/", "/-/conversations/search?q=script", AGENT, HOSTILE, "/conversations", "/conversations/sessions",
     "/conversations/messages", "/-/conversation/nobody", f"{AGENT}/0.txt"],
)  # fmt: skip
def test_every_page_carries_a_policy_without_inline_scripts(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    policy = answer.headers["content-security-policy"]
    scripts = policy.partition("script-src")[2].partition(";")[0] or policy
    assert "unsafe" not in scripts
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    nonces = {script.get("nonce") for script in Tags(answer.text).all("script") if "src" not in script}
    assert all(nonce and f"'nonce-{nonce}'" in policy for nonce in nonces)


def test_nothing_can_be_changed(web: httpx.Client, full: Store) -> None:
    names = full.revision_names()
    for path in ("/", AGENT, "/-/conversations/search"):
        assert web.post(path).status_code in (403, 405)
    assert full.revision_names() == names


def test_another_name_for_this_machine_is_refused(web: httpx.Client) -> None:
    for path in ("/", AGENT, "/conversations/messages.json"):
        assert web.get(path, headers={"host": "evil.example:8017"}).status_code == 421
    assert web.get("/", headers={"host": "localhost:1"}).status_code == 200


def test_static_files_are_those_of_the_package_only(web: httpx.Client) -> None:
    assert web.get("/-/conversations/static/pages.css").headers["content-type"].startswith("text/css")
    for name in ("nothing.css", "..%2fplugin.py", "%2e%2e/plugin.py"):
        assert web.get(f"/-/conversations/static/{name}").status_code in (302, 404)


def best(web: httpx.Client, path: str, tries: int = 5) -> tuple[float, float]:
    """The best of some tries: seconds to the first byte and to the last."""
    found = []
    for _ in range(tries):
        began = time.perf_counter()
        with web.stream("GET", path) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            first = time.perf_counter() - began
            for _piece in pieces:
                pass
        found.append((first, time.perf_counter() - began))
    return min(first for first, _ in found), min(last for _, last in found)


def test_pages_are_fast(web: httpx.Client) -> None:
    first, last = best(web, f"{AGENT}?size=1000")
    assert first < 0.15
    assert last < 0.5
    assert max(best(web, f"{LONG}?at=5000")) < 0.5
    assert max(best(web, "/-/conversations/search?q=store mirrors")) < 0.2
    assert max(best(web, "/")) < 0.2


@pytest.mark.clock
def test_a_thousand_messages_that_were_never_shown_before_are_fast(full: Store) -> None:
    from sessionstore.web import conversation, reading
    from sessionstore.web.site import Site

    site = Site("x", f"{full.root}/index.sqlite", full)
    found = reading.find(site, "native:long")
    conversation.pieces(site, found, 9000, 9010, "/x")  # loads the libraries
    took = []
    for start in (0, 3000, 6000):
        began = time.perf_counter()
        conversation.pieces(site, found, start, start + 1000, "/x")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.5


def test_a_damaged_page_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    from sessionstore.web import conversation, reading
    from sessionstore.web.site import Site

    store = Store.init(tmp_path / "store")
    store.put("native:a", stores.agent_session(300))
    stores.mirror(store)
    site = Site("x", f"{store.root}/index.sqlite", store)
    found = reading.find(site, "native:a")
    pages = found.revision["pages"]
    path = Path(store.objects.find(pages[1]["id"], "jsonl") or "")
    path.write_bytes(path.read_bytes().replace(b"assistant", b"assistent"))
    made = [str(piece) for piece in conversation.pieces(site, found, 0, 300, "/x")]
    assert len(made) == 300
    assert sum("cannot be read" in piece for piece in made) == pages[1]["n"]
    assert "cannot be read" not in made[0] + made[-1]


def reader(store: Store) -> Any:
    """The site of a store that a test has made."""
    from sessionstore.web.site import Site

    stores.mirror(store)
    return Site("x", f"{store.root}/index.sqlite", store)


def test_what_an_edit_replaced_is_told_from_the_conversation(tmp_path: Path) -> None:
    from sessionstore.web import conversation, reading

    said = stores.said
    messages = [
        said(0, "user", stores.text("First")),
        said(1, "assistant", stores.text("Answer")),
        said(2, "user", stores.text("Wrong question"), parent="m2"),
        said(3, "assistant", stores.text("Wrong answer")),
        said(4, "user", stores.text("Right question"), parent="m2"),
        said(5, "assistant", {"type": "tool_call", "id": "a", "name": "A", "arguments": {}}, parent="m5"),
        said(6, "assistant", {"type": "tool_call", "id": "b", "name": "B", "arguments": {}}, parent="m6"),
        said(7, "tool", {"type": "tool_call_response", "id": "a", "response": "beside"}, parent="m6"),
        said(8, "tool", {"type": "tool_call_response", "id": "b", "response": "in line"}, parent="m7"),
        said(9, "assistant", stores.text("Right answer"), parent="m9"),
    ]
    store = Store.init(tmp_path / "store")
    store.put("native:tree", messages, {"active_leaf": "m10"})
    site = reader(store)
    found = reading.find(site, "native:tree")
    assert reading.other_branches(site, found) == {2, 3}
    made = [str(piece) for piece in conversation.pieces(site, found, 0, 10, "/x")]
    assert ["on another branch" in piece for piece in made] == [number in (2, 3) for number in range(10)]


def test_two_heads_are_two_branches_and_both_can_be_read(tmp_path: Path) -> None:
    from sessionstore.web import conversation, reading

    store = Store.init(tmp_path / "store")
    same = stores.agent_session(3)
    for words in ("this way", "that way"):
        store.put("native:two", [*same, stores.said(3, "user", stores.text(words))])
    site = reader(store)
    found = reading.find(site, "native:two")
    assert len(found.heads) == 2
    shown = conversation.context(site, found, {}, lambda key: f"/{key}")
    said = set()
    for head in shown["heads"]:
        one = reading.find(site, "native:two", head["sha"])
        assert one.sha.startswith(head["sha"])
        said.add(str(conversation.pieces(site, one, 3, 4, "/x")[0]).partition("<p>")[2].partition("</p>")[0])
    assert said == {"this way", "that way"}


def test_times_are_shown_in_utc_and_unknown_zones_are_said() -> None:
    from sessionstore.web.rendering import Place, message_html

    place = Place("/x", {})
    moved = {"id": "1", "role": "user", "time": "2026-01-31T23:30:00+02:00", "parts": [stores.text("a")]}
    assert ">2026-01-31 21:30:00<" in message_html(moved, 0, place)
    local = {"id": "1", "role": "user", "parts": [stores.text("a")], "x": {"time": {"raw": "2026-01-31 10:00"}}}
    assert "2026-01-31 10:00 (local time, zone unknown)" in message_html(local, 0, place)


def test_the_command_that_goes_on_is_quoted() -> None:
    from sessionstore.archive.resuming import line_of, lines_of

    codex = {"source": "codex", "native_id": "a'; rm -rf /", "key": "codex:x", "cwd": "/src/my shop"}
    assert line_of(codex) == """cd '/src/my shop' && codex resume 'a'"'"'; rm -rf /'"""
    assert line_of({"source": "claude-code", "native_id": "4f0c", "key": "claude-code:4f0c"}) == "claude --resume 4f0c"
    helper = {"source": "claude-code", "native_id": "4f0c/a", "key": "k:1", "forked_from": {"relation": "subagent"}}
    assert line_of(helper) is None
    assert lines_of(helper)[0] == ("any model", "sessionstore chat --session k:1")
