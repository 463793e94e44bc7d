"""Inflected forms: with `--stem english`, `running` finds `run` and `runs` as well.

There is no second index: the words of the index that have the same stem are looked up and searched together. Stems
are the Snowball project's, from the package snowballstemmer.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from sessionstore import errors
from sessionstore.index.language import And, Node, Not, Or
from sessionstore.index.terms import Term, fold, term

SECONDS = 0.3
_MOST = 40
_SURE = 3
"""So many letters stay the same in all forms."""


def stemmed(connection: sqlite3.Connection, tree: Node, language: str) -> Node:
    """The tree with every plain word replaced by all words of the index that have its stem. Raises `UsageError`."""
    stem, end = _stemmer(language), time.monotonic() + SECONDS

    def replaced(node: Node) -> Node:
        if isinstance(node, And):
            return And(tuple(map(replaced, node.nodes)))
        if isinstance(node, Or):
            return Or(tuple(map(replaced, node.nodes)))
        if isinstance(node, Not):
            return Not(replaced(node.node))
        if not isinstance(node, Term) or not node.plain:
            return node
        forms = _forms(connection, fold(node.typed), stem, end)
        return Or((node, *(term(form, quoted=True) for form in forms))) if forms else node

    return replaced(tree)


def _forms(connection: sqlite3.Connection, word: str, stem: Callable[[str], str], end: float) -> list[str]:
    """Other words with the same stem, the most frequent first."""
    root = stem(word)
    if len(root) < _SURE:
        return []
    begin = root[: max(_SURE, len(root) - 1)]
    found = []
    sql = "SELECT term, doc FROM words WHERE term >= ? AND term < ?"
    for form, times in connection.execute(sql, (begin, begin + "\U0010ffff")):
        if time.monotonic() > end:
            break
        if form != word and stem(form) == root:
            found.append((-times, form))
    return [form for _, form in sorted(found)[:_MOST]]


def _stemmer(language: str) -> Callable[[str], str]:
    try:
        import snowballstemmer  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise errors.UsageError(
            reason="--stem needs the package snowballstemmer: pip install sessionstore[stem]"
        ) from None
    known = snowballstemmer.algorithms()
    if language not in known:
        raise errors.UsageError(reason=f"there is no stemmer for {language!r}; known: {', '.join(sorted(known))}")
    word: Callable[[str], str] = snowballstemmer.stemmer(language).stemWord
    return word
