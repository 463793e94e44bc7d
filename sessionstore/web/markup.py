"""Markdown and code as safe HTML.

Raw HTML in Markdown is shown as text, images become links (nothing is fetched from elsewhere), and what comes out is
sanitised once more, so that a mistake in one library is not enough to run a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST_MARKDOWN = 100_000
"""Characters; longer texts are shown as they are, because reading them as Markdown would take too long."""
LONGEST_CODE = 20_000
"""Characters; longer code is shown without colours."""
_DEEPEST = 20
"""How deep lists and quotations may be nested."""
_FIRST_LEVEL = 3
"""The heading level of a message's own headings; its role is a heading of the level above."""

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"),
    *("span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "div"),
}
_ATTRIBUTES = {
    "a": {"href", "title", "class"},
    "ol": {"start"},
    "span": {"class"},
    "pre": {"class"},
    "code": {"class"},
    "div": {"class", "tabindex", "role", "aria-label"},
}
_PLAIN = re.compile(r"[*_`#\[\]<>|~\\&]|^\s*(?:[-+]|\d+[.)]|=+$|\t| {4})|://", re.MULTILINE)
"""Whatever may mean something in Markdown; a text without it is paragraphs."""
_BLANK = re.compile(r"\n[ \t]*\n\s*")


def markdown(text: str) -> str:
    """Markdown as HTML that is safe to put into a page."""
    if len(text) > LONGEST_MARKDOWN:
        return plain(text)
    if not _PLAIN.search(text):
        paragraphs = (escape(part).replace("\n", "<br>\n") for part in _BLANK.split(text.strip()))
        return "".join(f"<p>{part}</p>\n" for part in paragraphs if part)
    try:
        made = _parser().render(text)
    except (RecursionError, ValueError, IndexError):
        return plain(text)
    return clean(made)


def clean(html: str) -> str:
    """HTML without anything that a message may not have."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def plain(text: str) -> str:
    """A text as it is, its lines kept."""
    return f'<pre class="plain">{escape(text)}</pre>'


def code(text: str, language: str = "") -> str:
    """A block of code, coloured when the language is known."""
    return f'<pre class="code"><code>{_coloured(text, language) or escape(text)}</code></pre>'


def _coloured(text: str, language: str) -> str | None:
    """HTML spans with Pygments' short class names; None when the code is too long or of no known language."""
    lexer = _lexer(language.lower()[:40]) if language and len(text) <= LONGEST_CODE else None
    if lexer is None:
        return None
    from pygments.token import STANDARD_TYPES

    pieces = []
    for kind, value in lexer.get_tokens(text):
        while kind not in STANDARD_TYPES:
            kind = kind.parent
        name = STANDARD_TYPES[kind]
        pieces.append(f'<span class="{name}">{escape(value)}</span>' if name[:1] in _KINDS else escape(value))
    return "".join(pieces).removesuffix("\n")


_KINDS = frozenset("kscmgneo")
"""The first letters of the token classes that the style sheet has colours for."""


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _DEEPEST})
    parser.enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.core.ruler.push("levels", _levels)
    return parser


def _fence(_self: Any, tokens: Sequence[Token], number: int, _options: Any, _env: Any) -> str:
    token = tokens[number]
    words = token.info.split()
    return code(token.content.removesuffix("\n"), words[0] if words else "") + "\n"


def _image(_self: Any, tokens: Sequence[Token], number: int, _options: Any, _env: Any) -> str:
    token = tokens[number]
    source, words = str(token.attrs.get("src") or ""), token.content or "image"
    return f'<a class="image-link" href="{escape(source)}">{escape(words)} (image elsewhere)</a>'


def _table_open(*_: Any) -> str:
    return '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _levels(state: Any) -> None:
    """Make headings begin at `_FIRST_LEVEL` and never skip a level, whatever the message's author wrote."""
    above: list[int] = []
    for token in state.tokens:
        if token.type == "heading_open":
            given = int(token.tag[1])
            while above and above[-1] >= given:
                above.pop()
            above.append(given)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, _FIRST_LEVEL - 1 + len(above))}"
