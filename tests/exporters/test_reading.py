"""Forms for people: pages that need no network and can do no harm, text that can be read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters import support
from tests.exporters.support import FIXTURES, answer, call, exported, image, say, session
from tests.store import strategies

VOID = {"meta", "img"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>&amp;</style></title>"


class Page(HTMLParser):
    """A page, read strictly: every element is closed where it must be, and what it holds is remembered."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of one kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(messages: list[support.Message], **fields: object) -> Page:
    """The page of a session."""
    return harmless(exported("html", session(messages, **fields), messages)[0].decode())


def harmless(text: str) -> Page:
    """A page, after holding that it loads nothing and runs nothing."""
    page = Page(text)
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "h1", "dl", "dt", "dd", "main", "article"}
    allowed |= {"h2", "a", "small", "div", "pre", "code", "details", "summary", "p", "img", "audio", "video"}
    assert {tag for tag, _ in page.elements} <= allowed
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "https://", "http://"))
        assert tag in ("meta", "html") or "style" not in attributes
    assert "url(" not in text.partition("</style>")[0]
    [policy] = [one["content"] for one in page.of("meta") if one.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    return page


# --- HTML ----------------------------------------------------------------------------------------------------


def test_everything_of_a_page_is_escaped() -> None:
    messages = [
        say(1, "user", EVIL, model=EVIL, time="2026-01-01T00:00:00Z"),
        say(2, "assistant", {"type": "reasoning", "content": EVIL}, call("a", EVIL, {EVIL: EVIL})),
        say(3, "tool", answer("a", EVIL)),
        say(4, "user", {"type": EVIL, "what": EVIL}, {"type": "uri", "uri": f"javascript:{EVIL}"}),
        {**say(5, "user", "```" + EVIL + "\n" + EVIL + "\n```"), "id": EVIL},
    ]
    page = page_of(messages, title=EVIL, cwd=EVIL, models=[EVIL])
    assert page.text.count(EVIL) >= 10
    assert not page.of("script")
    assert not page.of("img")


def test_pictures_are_inside_the_page_and_links_stay_links() -> None:
    link = {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"}
    nested = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": support.PNG}}
    bad = {"type": "blob", "modality": "image", "mime_type": 'image/png"onload="x', "data": "AAAA"}
    messages = [
        say(1, "user", image(), link, bad),
        say(2, "assistant", call("a")),
        say(3, "tool", answer("a", [nested])),
    ]
    page = page_of(messages)
    source = f"data:image/png;base64,{support.PNG}"
    assert [one["src"] for one in page.of("img")] == [source, source]
    assert "https://example.org/a.png" in [one["href"] for one in page.of("a")]
    report = exported("html", session(messages), messages)[1]
    assert "files that a page cannot show told by name only (1)" in report.lines


def test_tool_calls_open_on_a_click_and_messages_have_anchors() -> None:
    messages = [
        say(1, "user", "go"),
        say(2, "assistant", {"type": "reasoning", "content": "hm"}, "look:", call("a", "ls", {"path": "."})),
        say(3, "tool", answer("a", "README", is_error=True)),
        say(4, "user", "<environment/>", kind="context"),
    ]
    page = page_of(messages)
    assert [one["id"] for one in page.of("article")] == ["m1", "m2", "m3", "m4"]
    assert [one["href"] for one in page.of("a")] == ["#m1", "#m2", "#m3", "#m4"]
    assert len(page.of("details")) == len(page.of("summary")) == 4
    assert "open" not in {name for one in page.of("details") for name in one}
    for word in ("Thinking", "Tool call ls", "Tool result failed", "Added by the program"):
        assert word in page.text


def test_a_page_is_light_or_dark_as_the_reader_likes() -> None:
    text = exported("html", session([]), [])[0].decode()
    assert "color-scheme: light dark" in text
    assert "@media (prefers-color-scheme: dark)" in text


def test_fenced_code_is_set_apart_and_nothing_of_it_is_lost() -> None:
    page = page_of([say(1, "user", "see\n```python\nprint('```')\n```\nend\n~~~\nopen")])
    assert len(page.of("pre")) == 2
    assert [word for word in ("see", "print('```')", "end", "open") if word not in page.text] == []


@settings(max_examples=60, deadline=None)
@given(messages=strategies.messages(strategies.sound_text | st.just(EVIL)))
def test_no_session_breaks_a_page(messages: list[support.Message]) -> None:
    page_of(messages)


@pytest.mark.parametrize("form", ["html", "markdown", "text"])
def test_every_fixture_can_be_read(form: str) -> None:
    for name, revision, messages in FIXTURES:
        data, _ = exported(form, revision, messages)
        text = harmless(data.decode()).text if form == "html" else data.decode()
        spoken = [part["content"] for message in messages for part in message["parts"] if part["type"] == "text"]
        if name.startswith("clock"):
            assert len(spoken) > 5
            assert all(said in text for said in spoken if said.strip()), name


# --- text ----------------------------------------------------------------------------------------------------


def test_plain_text_says_who_said_what() -> None:
    messages = [
        say(1, "user", "go", time="2026-01-01T00:00:00Z"),
        say(2, "assistant", {"type": "reasoning", "content": "hm\nhm"}, call("a", "ls", {"path": "."}), model="gpt-5"),
        say(3, "tool", answer("a", "README\nLICENSE", is_error=True)),
    ]
    text = exported("text", session(messages, title="A\ntitle"), messages)[0].decode()
    rule = "-" * 72
    assert text == (
        f"A title\n\nSession: native:a\nMessages: 3\n\n{rule}\nUser, 2026-01-01T00:00:00Z\n\ngo\n"
        f'\n{rule}\nAssistant, gpt-5\n\nThinking:\n    hm\n    hm\nTool call ls:\n    {{\n      "path": "."\n    }}\n'
        f"\n{rule}\nTool\n\nTool result (error):\n    README\n    LICENSE\n"
    )


@pytest.mark.parametrize("form", ["markdown", "text", "html"])
def test_branches_are_shown_when_asked_for(form: str) -> None:
    messages = [say(1, "user", "one"), say(2, "assistant", "left"), say(3, "assistant", "right", parent="m1")]
    revision = session(messages, active_leaf="m3")
    data, report = exported(form, revision, messages)
    assert b"left" not in data.replace(b"margin-left", b"").replace(b"border-left", b"")
    assert "messages on other branches left out (1)" in report.lines
    data, report = exported(form, revision, messages, branches=True)
    assert re.search(rb"left\b[^-:;]", data)
    assert b"answers m1" in data
    assert report.lines == []


def test_fences_of_markdown_cannot_be_broken_by_what_they_hold() -> None:
    messages = [say(1, "assistant", call("a", "run", "```\n````\n")), say(2, "tool", answer("a", "`````"))]
    text = exported("markdown", session(messages), messages)[0].decode()
    assert "\n`````json\n```\n````\n\n`````\n" in text
    assert "\n``````\n`````\n``````\n" in text
