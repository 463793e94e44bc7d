"""Markdown, code, terminal output and tool calls as HTML."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.web import images, plot, terminal, tools
from sessionstore.web.markup import code, markdown
from sessionstore.web.rendering import Place, message_html
from tests.web import stores


class Strict(HTMLParser):
    """Notes what is not balanced or not allowed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.bad: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "iframe", "object", "embed", "form", "input", "svg", "base", "meta", "link"):
            self.bad.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.bad.append(name)
            if name in ("href", "src") and re.match(r"\s*(javascript|vbscript|data):", value or "", re.IGNORECASE):
                self.bad.append(str(value))
        if tag not in ("br", "hr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.bad.append(f"/{tag}")


def sound(html: str) -> bool:
    """Whether HTML is balanced and holds nothing that runs."""
    seen = Strict(html)
    return not seen.bad and not seen.open


@pytest.mark.parametrize("text", stores.SCRIPTS)
def test_hostile_text_becomes_harmless_html(text: str) -> None:
    assert sound(markdown(text))
    assert sound(f"<pre>{terminal.html(text)}</pre>")
    assert sound(tools.result(text))
    assert sound(tools.call("Bash", {"command": text, text: text}))
    assert sound(code(text, text))


@given(st.text(alphabet=st.sampled_from(list("<>\"'&`*_[]()!#-+ \n\t|~:/\\x1b[m\x1b\x00ajsrcipt")), max_size=80))
def test_no_text_gets_out_of_its_place(text: str) -> None:
    assert sound(markdown(text))
    assert sound(f"<pre>{terminal.html(text)}</pre>")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["text", "reasoning", "tool_call", "tool_call_response", "blob", "uri", "file", "record", "?", 1]
)
NAMES = ("content", "arguments", "response", "name", "id", "object", "data", "mime_type", "source", "signature")
PARTS = st.builds(
    lambda kind, rest: {"type": kind, **rest}, KINDS, st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)
)


@given(
    st.fixed_dictionaries(
        {"parts": st.lists(PARTS | JSON, max_size=3) | JSON, "role": JSON, "kind": JSON, "usage": JSON}
    )
)
def test_no_message_is_so_odd_that_it_cannot_be_shown(message: dict[str, object]) -> None:
    assert sound(message_html(message, 0, Place("/x", {})))


def test_markdown_has_headings_in_order_whatever_was_written() -> None:
    html = markdown("#### deep\n\n# top\n\n###### skip\n\n## middle")
    assert re.findall(r"<(h\d)>", html) == ["h3", "h3", "h4", "h4"]


def test_markdown_images_are_links_and_nothing_is_fetched() -> None:
    html = markdown("![pixel](https://tracker.example/p.png)")
    assert "<img" not in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_code_is_coloured_by_its_language() -> None:
    assert '<span class="k">def</span>' in markdown("```python\ndef f(): ...\n```")
    assert "<span" not in markdown("```nonsense\ndef f(): ...\n```")


def test_long_or_tangled_markdown_does_not_hold_up_the_page() -> None:
    began = time.perf_counter()
    for text in (
        "*" * 50_000,
        "[" * 50_000,
        "> " * 20_000,
        "- " * 20_000,
        "`" * 50_000,
        "| a " * 20_000,
        "a\n" * 50_000,
    ):
        markdown(text)
    assert time.perf_counter() - began < 5


def test_terminal_colours_become_classes_and_the_rest_goes() -> None:
    assert (
        terminal.html("\x1b[1;31mred\x1b[0m \x1b[38;5;12mblue\x1b[39m\x1b[2J")
        == '<span class="a1 bold">red</span> blue'
    )
    assert terminal.html("10%\r50%\r100%\nnext") == "100%\nnext"
    assert terminal.html("a\r\nb") == "a\nb"
    assert terminal.html("\x1b]8;;https://x.example\x07link\x1b]8;;\x07 \x07<") == "link \ufffd&lt;"


def test_what_is_shown_of_a_folded_part_is_plain() -> None:
    answer = {"type": "tool_call_response", "id": "a", "response": "\x1b[32mok\x1b[0m\n\x07 12 passed"}
    html = message_html({"role": "tool", "parts": [answer]}, 0, Place("/x", {}))
    assert "<span>ok \ufffd 12 passed</span></summary>" in html


def test_edits_are_shown_as_differences() -> None:
    html = tools.call(
        "Edit", {"file_path": "/a.py", "old_string": "one\ntwo", "new_string": "one\n2", "replace_all": True}
    )
    assert "<del>-two\n</del><ins>+2\n</ins>" in html
    assert "replace_all" in html
    assert "<code>/a.py</code>" in html
    patch = "*** Begin Patch\n*** Update File: a\n@@\n-x\n+y\n*** End Patch"
    assert "<ins>+y\n</ins>" in tools.call("apply_patch", patch)
    assert "<ins>+y\n</ins>" in tools.call("shell", {"command": ["bash", "-lc", patch]})


def test_json_answers_are_indented() -> None:
    assert "<span" in tools.result('{"a":[1,2]}')
    assert "\n" in tools.result('{"a":[1,2]}')
    assert "{not json" in tools.result("{not json")


def test_images_are_told_by_their_bytes() -> None:
    part = {"type": "blob", "modality": "image", "mime_type": "image/png", "object": "ab"}
    (found,) = images.in_message({"parts": [part]})
    assert images.content(found, lambda name: b"\x89PNG\r\n\x1a\nrest") == (b"\x89PNG\r\n\x1a\nrest", "image/png")
    assert images.content(found, lambda name: b"<svg onload=x>") is None


def test_activity_has_a_bar_for_every_time_in_which_something_was_said() -> None:
    bars = plot.bars({"2026-01-01": (1, 10), "2026-01-03": (2, 5), "nonsense": (1, 1)})
    assert [(bar.label, bar.messages) for bar in bars] == [("2026-01-01", 10), ("2026-01-02", 0), ("2026-01-03", 5)]
    long = plot.bars({"0001-01-01": (1, 1), "2026-01-03": (1, 1), "9999-12-31": (1, 1)})
    assert len(long) < 500
    assert plot.svg(plot.bars({}), "/s") == ""
    assert sound(plot.svg(bars, "/s?<").replace("svg", "div"))


def test_a_call_says_on_one_line_what_it_is_about() -> None:
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** Add File: b.py\n+z\n*** End Patch\n"
    assert tools.summary(patch) == "update src/a.py, add b.py"
    assert tools.summary({"command": ["apply_patch", patch]}) == "update src/a.py, add b.py"
    assert tools.summary({"command": "git apply <<E\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\nE"}) == "edit x.py"
    assert tools.summary({"command": ["bash", "-lc", "pytest -q"]}) == "pytest -q"
    assert tools.summary({"command": "echo '+++ b' "}) == "echo '+++ b'"
