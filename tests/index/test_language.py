"""What a person types, as a tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import errors
from sessionstore.index.language import LONGEST, And, Field, Node, Not, Or, parse
from sessionstore.index.terms import Term


def plain(node: Node) -> object:
    """A tree in a form that is easy to compare: terms by their pattern or expression."""
    if isinstance(node, Term):
        return node.like or node.match
    if isinstance(node, Field):
        return f"{node.name}={node.value}"
    if isinstance(node, Not):
        return ["not", plain(node.node)]
    return ["and" if isinstance(node, And) else "or", *map(plain, node.nodes)]


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("word", '"word"'),
        ("two words", ["and", '"two"', '"words"']),
        ("two AND words", ["and", '"two"', '"words"']),
        ('"a phrase"', '"a phrase"'),
        ("a OR b c", ["or", '"a"', ["and", '"b"', '"c"']]),
        ("(a OR b) c", ["and", ["or", '"a"', '"b"'], '"c"']),
        ("a -b", ["and", '"a"', ["not", '"b"']]),
        ("NOT a", ["not", '"a"']),
        ("-(a b)", ["not", ["and", '"a"', '"b"']]),
        ('-"a b"', ["not", '"a b"']),
        ("begin*", '"begin"*'),
        ('"two beg"*', '"two beg"*'),
        ("NEAR(a b, 5)", 'NEAR("a" "b", 5)'),
        ("NEAR(a b)", 'NEAR("a" "b", 10)'),
        ("role:user a", ["and", "role=user", '"a"']),
        ('project:"my own" a', ["and", "project=my own", '"a"']),
        ("-source:codex a", ["and", ["not", "source=codex"], '"a"']),
        ("数据", '{cjk} : "数 据"'),
        ("用Python写", '{cjk} : "用 Python 写"'),
        ("or and not", ["and", '"or"', '"and"', '"not"']),
        ("what is this?", ["and", '"what"', '"is"', '"this"']),
    ],
)
def test_the_tree_of_a_query(query: str, tree: object) -> None:
    assert plain(parse(query)) == tree


@pytest.mark.parametrize(
    ("query", "pattern"),
    [
        ("foo.bar(", "%foo.bar(%"),
        ("foo(bar)", "%foo(bar)%"),
        ("(foo(bar))", "%foo(bar)%"),
        ("--no-verify", "%--no-verify%"),
        ("c++", "%c++%"),
        ("a/b.py:12", "%a/b.py:12%"),
        ("$HOME", "%$HOME%"),
        ("foo_bar", "%foo\\_bar%"),
        ("100%", "%100\\%%"),
        ("C:\\new", "%C:\\\\new%"),
        ("don't", "%don_t%"),
        ("http://x.y/z", "%http://x.y/z%"),
        ("sorce:codex", "%sorce:codex%"),
        ("->", "%->%"),
        (")", "%)%"),
        ("-", "%-%"),
        ('"x = 1"', "%x%=%1%"),
        ("🎉", "%🎉%"),
    ],
)
def test_code_and_punctuation_are_compared_letter_by_letter(query: str, pattern: str) -> None:
    assert plain(parse(query)) == pattern


@pytest.mark.parametrize(
    ("query", "position"),
    [
        ("", 1),
        ("   ", 1),
        ('a "open', 3),
        ("(a", 1),
        ("a OR", 4),
        ("OR a", 1),
        ("a OR OR b", 6),
        ("a AND", 3),
        ("NOT", 1),
        ("a ()", 4),
        ('a ""', 3),
        ("x NEAR(a)", 3),
        ("NEAR(a b, many)", 1),
        ("NEAR(a.b c, 5)", 1),
        ("(" * 60 + "a" + ")" * 60, 42),
        ("word " * 120, 501),
        ("a" * (LONGEST + 1), LONGEST + 1),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(query: str, position: int) -> None:
    with pytest.raises(errors.SearchSyntax) as caught:
        parse(query)
    assert caught.value.fields["position"] == position


@given(st.text(st.characters(codec=None)) | st.text('ab"()*-:+ORNEAT ,.5数', max_size=40))
def test_anything_typed_is_a_tree_or_refused(query: str) -> None:
    place = None
    try:
        node = parse(query)
    except errors.SearchSyntax as error:
        place = error.fields["position"]
    if place is None:
        assert isinstance(node, Term | Field | And | Or | Not)
    else:
        assert 1 <= place <= max(1, len(query))
