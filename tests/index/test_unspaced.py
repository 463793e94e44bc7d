"""Scripts without spaces between words."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.index import unspaced
from sessionstore.index.unspaced import GAP, column


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("数据库", "数 据 库"),
        ("用Python写", "用 Python 写"),
        ("数据。库", f"数 据 {GAP} 库"),
        ("カタカナ", "カ タ カ ナ"),
        ("한국어", "한 국 어"),
        ("plain wörds", None),
        ("", None),
    ],
)
def test_every_character_of_a_run_is_a_token(text: str, kept: str | None) -> None:
    assert column([text]) == kept


def test_runs_of_different_texts_never_touch() -> None:
    assert column(["数", None, "据"]) == f"数 {GAP} 据"


def test_decomposed_characters_are_kept_composed() -> None:
    assert column([unicodedata.normalize("NFD", "한국어")]) == column(["한국어"])


def test_words_of_other_scripts_around_a_run_are_not_repeated() -> None:
    assert column(["hello 世界 again"]) == "世 界"


@given(st.text(st.characters(codec="utf-8")))
def test_something_is_kept_exactly_when_there_is_such_a_character(text: str) -> None:
    assert (column([text]) is not None) == unspaced.found_in(text)


@given(st.text("a1é_ .-数据ก์", max_size=40))
def test_runs_and_what_lies_around_them_are_the_whole_text(text: str) -> None:
    runs, around = unspaced.runs(text)
    assert len(around) == len(runs) + 1
    joined = around[0] + "".join(run + rest for run, rest in zip(runs, around[1:], strict=True))
    assert joined == text


def test_a_very_long_word_costs_no_more_than_reading_it() -> None:
    begin = time.process_time()
    column(["a" * 1_000_000 + " é", "數" * 100_000])
    assert time.process_time() - begin < 2
