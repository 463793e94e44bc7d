"""The search language: what a person types, as a tree.

    word word            both, in one message                 "a phrase"       the words next to each other
    a OR b               either                               NOT a, -a        without
    ( … )                grouping                             begin*           any continuation
    NEAR(a b, 5)         at most 5 words apart (10 if unsaid)
    role:user            field: role source model project branch tool session tag title file before after on has in
    /regular exp/i       what a regular expression finds; `^` and `$` are the ends of a line

Fields stand for filters and may be combined like words. Everything else that looks like code is searched literally:
`foo.bar(`, `c++`, `--no-verify`, `a/b.py:12`, `$HOME`, `/etc/hosts`. Six or more hexadecimal digits, or the beginning
of a UUID, stand for any that begin so. A word with a colon whose beginning is no field is such a word.
Whatever is typed either gives a tree or raises `SearchSyntax` with the place (from 1) where it went wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from sessionstore import errors
from sessionstore.index import pattern
from sessionstore.index.terms import Term, term

_NAMED = ("role", "source", "model", "project", "branch", "tool", "session", "tag", "title", "file")
FIELDS = frozenset((*_NAMED, "before", "after", "on", "has", "in"))
LONGEST = 4096
"""Longest query, in characters."""
MOST_TERMS = 100
DEEPEST = 40

_SPACE = re.compile(r"\s+")
_FIELD = re.compile(r"([a-z]+):(?=\S)")
_NEAR = re.compile(r"NEAR\(([^()\"]*)\)")
_REGEX = re.compile(r"/(?!\*)((?:[^/\\\[\n]|\\.|\[\^?\]?(?:[^\]\\\n]|\\.)*\])+)/([a-z]*)(?=[\s)]|$)")


class Field(NamedTuple):
    """A filter: the field's name, what it is to be, and where it stands."""

    name: str
    value: str
    position: int


class Regex(NamedTuple):
    """A regular expression, and an FTS5 expression that holds wherever it does (None when there is none)."""

    pattern: pattern.Pattern
    match: str | None


class And(NamedTuple):
    """All of them."""

    nodes: tuple[Node, ...]


class Or(NamedTuple):
    """Any of them."""

    nodes: tuple[Node, ...]


class Not(NamedTuple):
    """Everything but it."""

    node: Node


Node: TypeAlias = Term | Field | Regex | And | Or | Not


def parse(query: str) -> Node:
    """The tree of a query. Raises `SearchSyntax`."""
    text = query.replace("\0", " ")
    text = text.encode("utf-8", "replace").decode() if not text.isascii() else text
    if len(text) > LONGEST:
        raise wrong(f"more than {LONGEST} characters", LONGEST)
    if not text.strip():
        raise wrong("there is nothing to look for", 0)
    parser = _Parser(text)
    node = parser.alternatives(0)
    if not parser.ended():
        raise wrong("a closing bracket without an opening one", parser.at)
    return node


def wrong(reason: str, at: int) -> errors.SearchSyntax:
    """The error of a query that makes no sense at offset `at` (from 0)."""
    return errors.SearchSyntax(reason=reason, position=at + 1)


class _Parser:
    """Recursive descent: alternatives of sequences of possibly negated units."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.count, self.groups = text, 0, 0, 0

    def ended(self) -> bool:
        """Skip white space; whether nothing follows."""
        if space := _SPACE.match(self.text, self.at):
            self.at = space.end()
        return self.at >= len(self.text)

    def alternatives(self, depth: int) -> Node:
        """``sequence OR sequence …``"""
        nodes = [self.sequence(depth)]
        while self._operator("OR"):
            nodes.append(self.sequence(depth))
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def sequence(self, depth: int) -> Node:
        """Units next to each other, all of which must hold."""
        nodes: list[Node] = []
        while not self.ended() and not self._closes() and not self._ahead("OR"):
            begin = self.at
            if self._operator("AND"):
                if not nodes or self.ended() or self._closes() or self._ahead("OR") or self._ahead("AND"):
                    raise wrong("AND needs something on both sides", begin)
                continue
            nodes.append(self.unit(depth))
        if not nodes:
            raise wrong("something is missing", min(self.at, len(self.text) - 1))
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def unit(self, depth: int) -> Node:
        """A group, a phrase, a field or a word, possibly negated."""
        begin = self.at
        if depth > DEEPEST:
            raise wrong("too many brackets inside each other", begin)
        if self._operator("NOT"):
            if self.ended() or self._closes() or self._ahead("OR") or self._ahead("AND"):
                raise wrong("NOT needs something after it", begin)
            return Not(self.unit(depth + 1))
        character, following = self.text[begin], self.text[begin + 1 : begin + 2]
        if character == "-" and following and self._negates(following):
            self.at += 1
            return Not(self.unit(depth + 1))
        self.count += 1
        if self.count > MOST_TERMS:
            raise wrong(f"more than {MOST_TERMS} words", begin)
        if character == "(":
            return self._group(depth)
        if character == '"':
            return self._phrase(begin)
        if near := _NEAR.match(self.text, begin):
            return self._near(near)
        if character == "/" and (regex := _REGEX.match(self.text, begin)):
            return self._regex(regex)
        if (field := _FIELD.match(self.text, begin)) and field[1] in FIELDS and not self._is_address(field):
            self.at = field.end()
            value = self._quoted(self.at) if self.text[self.at] == '"' else self._word()
            return Field(field[1], value, begin)
        return self._plain()

    def _negates(self, following: str) -> bool:
        """Whether a dash before this character means "without"."""
        if following == "/":
            return _REGEX.match(self.text, self.at + 1) is not None
        return following.isalnum() or following in '"(_'

    def _is_address(self, field: re.Match[str]) -> bool:
        """Whether it is ``file://…``, which is no field."""
        return field[1] == "file" and self.text.startswith("//", field.end())

    def _regex(self, found: re.Match[str]) -> Node:
        source, letters = found[1], found[2]
        if unknown := set(letters) - pattern.FLAGS.keys():
            raise wrong(f"a pattern has the flags i, s and m, not {min(unknown)}", found.start(2))
        try:
            made = pattern.compiled(source, letters)
        except re.error as error:
            raise wrong(f"the pattern is not one: {error.msg}", found.start(1) + (error.pos or 0)) from None
        self.at = found.end()
        return Regex(made, pattern.words(source))

    def _group(self, depth: int) -> Node:
        begin = self.at
        self.at += 1
        self.groups += 1
        node = self.alternatives(depth + 1)
        if self.ended():
            raise wrong("a bracket is not closed", begin)
        self.at += 1
        self.groups -= 1
        return node

    def _phrase(self, begin: int) -> Node:
        inside = self._quoted(begin)
        if not inside.strip():
            raise wrong("an empty phrase", begin)
        prefix = self.text[self.at : self.at + 1] == "*"
        self.at += prefix
        return term(inside, quoted=True, prefix=prefix)

    def _quoted(self, begin: int) -> str:
        """What stands between the quotation mark at `begin` and the next; a doubled one stands for itself."""
        end = begin + 1
        while (end := self.text.find('"', end)) >= 0:
            if self.text[end + 1 : end + 2] != '"':
                self.at = end + 1
                return self.text[begin + 1 : end].replace('""', '"')
            end += 2
        raise wrong("a quotation mark is not closed", begin)

    def _plain(self) -> Node:
        word = self._word()
        if len(word) > 1 and word.endswith("*") and (word[-2].isalnum() or word[-2] == "_"):
            return term(word[:-1], quoted=False, prefix=True)
        return term(word, quoted=False)

    def _word(self) -> str:
        """A run of characters up to white space or to the bracket that closes the group around it. Brackets opened
        inside the word belong to it: ``foo(bar)``."""
        begin, inner = self.at, 0
        while self.at < len(self.text) and not (character := self.text[self.at]).isspace():
            if character == "(":
                inner += 1
            elif character == ")" and (inner := inner - 1) < 0 < self.groups:
                break
            self.at += 1
        return self.text[begin : self.at]

    def _near(self, near: re.Match[str]) -> Node:
        inside, _, distance = near[1].partition(",")
        words = inside.split()
        limit = distance.strip() or "10"
        if len(words) < 2 or not limit.isdecimal() or len(limit) > 6 or not all(word.isalnum() for word in words):
            raise wrong("NEAR is written NEAR(word word, 5)", near.start())
        self.at = near.end()
        found = [term(word, quoted=True) for word in words]
        if any(word.like for word in found):
            raise wrong("NEAR takes plain words only", near.start())
        marks = "|".join(word.mark for word in found)
        return Term(f"NEAR({' '.join(word.match or '' for word in found)}, {int(limit)})", None, None, f"(?:{marks})")

    def _operator(self, name: str) -> bool:
        if self._ahead(name):
            self.at += len(name)
            return True
        return False

    def _ahead(self, name: str) -> bool:
        """Whether an operator, a word of its own, is next."""
        self.ended()
        end = self.at + len(name)
        return self.text.startswith(name, self.at) and (end >= len(self.text) or self.text[end] in ' \t\r\n()"')

    def _closes(self) -> bool:
        return self.groups > 0 and self.text[self.at] == ")"
