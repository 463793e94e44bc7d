"""Reading JSON that others wrote (`importers/parsing.py`) and writing our own (`canonical.py`)."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import canonical
from sessionstore.importers.parsing import FLAGS, Unparsable, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
"""Any JSON value that a canonical document can hold, and infinities."""


def nested(depth: int) -> Any:
    """Lists in lists, `depth` of them."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def depth_of(value: Any) -> int:
    """How many lists lie in each other."""
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    return depth


@pytest.mark.parametrize(
    "raw",
    [
        b'{"b":1,"a":[true,null,-2.5,"x"]}',
        b'{ "a" : 1 }',
        b'{"a": "h\\u00e9 \\ud83d\\ude00"}',
        '{"a":"hé 😀\u2028"}'.encode(),
        b'{"a":1e5,"b":1.0,"c":2e-6}',
        b'"\\u0000"',
        b"18446744073709551615",
        b"-9223372036854775808",
        b" \r\n[1]\t",
        b'{"a":{"x":1},"b":{"x":1}}',
    ],
)
def test_json_that_loses_nothing_has_no_flags(raw: bytes) -> None:
    assert parse(raw) == (json.loads(raw), ())


@pytest.mark.parametrize(
    ("raw", "value", "flags"),
    [
        (b'{"a":1,"a":2}', {"a": 2}, ("duplicate-keys",)),
        (b'[{"a":1,"b":2,"\\u0061":3}]', [{"a": 3, "b": 2}], ("duplicate-keys",)),
        (b"18446744073709551616", "18446744073709551616", ("big-integer",)),
        (b"-9223372036854775809", "-9223372036854775809", ("big-integer",)),
        (b"9" * 5000, "9" * 5000, ("big-integer",)),
        (b"[NaN,Infinity,-Infinity]", ["NaN", "Infinity", "-Infinity"], ("non-finite-number",)),
        (b"[1e400,-1e400]", ["1e400", "-1e400"], ("non-finite-number",)),
        (b'"a\xffb"', "a\ufffdb", ("invalid-utf8",)),
        (b'"a\tb\x01"', "a\tb\x01", ("control-character",)),
        (b'{"a":NaN,"a":NaN}', {"a": "NaN"}, ("duplicate-keys", "non-finite-number")),
        (b'["\xff",18446744073709551616]', ["\ufffd", "18446744073709551616"], ("big-integer", "invalid-utf8")),
    ],
)
def test_what_json_loses_is_named(raw: bytes, value: Any, flags: tuple[str, ...]) -> None:
    assert parse(raw) == (value, flags)
    assert set(flags) <= set(FLAGS)


@pytest.mark.parametrize("raw", [b'"a\\ud83d"', b'{"\\udc00":1}', b'["\\udc00\\ud83d"]', b'"\\ud83d\\ud83d\\ude00"'])
def test_lone_surrogates_are_shown_as_replacement_characters(raw: bytes) -> None:
    value, flags = parse(raw)
    assert flags == ("lone-surrogate",)
    assert "\ufffd" in canonical.dumps(value).decode("utf-8")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (bytes(100), "only NUL bytes"),
        (b'{"a":1', "cut off in the middle"),
        (b'{"a":"x', "cut off in the middle"),
        (b'{"a":', "cut off in the middle"),
        (b'{"a":1}\n{"b":2}', "not JSON (extra data at character 8)"),
        (b"{'a':1, 'b':2}", "not JSON (expecting property name enclosed in double quotes at character 1)"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 300 + b"]" * 300, "nested too deeply"),
    ],
)
def test_what_is_not_json_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(Unparsable) as caught:
        parse(raw)
    assert str(caught.value) == reason


def test_nesting_is_read_as_deep_as_it_can_be_written() -> None:
    raw = b"[" * canonical.MAX_DEPTH + b"]" * canonical.MAX_DEPTH
    value, flags = parse(raw)
    assert flags == ()
    assert canonical.dumps(value) == raw


@settings(database=None, max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()[:-1]))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value, flags = parse(raw)
    except Unparsable as error:
        assert str(error)
    else:
        assert set(flags) <= set(FLAGS)
        canonical.dumps(value)


@settings(database=None, max_examples=200, deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_what_a_program_writes_reads_back_the_same(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    expected = canonical.clean(json.loads(raw))
    assert parse(raw)[0] == expected


# -- canonical form ----------------------------------------------------------------------------------------------------


def test_keys_are_sorted_by_code_point_and_nothing_is_escaped_that_need_not_be() -> None:
    value = {"\U0001f600": 1, "\uffff": 2, "b": [1, 2.0, "é/\u2028"], "a": {"y": None, "x": True}, "B": '"\\\n'}
    expected = '{"B":"\\"\\\\\\n","a":{"x":true,"y":null},"b":[1,2.0,"é/\u2028"],"\uffff":2,"\U0001f600":1}'
    assert canonical.dumps(value) == expected.encode()
    assert canonical.line(value) == expected.encode() + b"\n"


@settings(database=None, max_examples=200, deadline=None)
@given(JSON)
def test_canonical_bytes_are_a_fixed_point(value: Any) -> None:
    data = canonical.dumps(canonical.clean(value))
    assert canonical.dumps(canonical.loads(data)) == data
    assert parse(data) == (canonical.loads(data), ())
    assert canonical.line(canonical.loads(data)) == data + b"\n"


def test_the_order_in_which_keys_were_set_does_not_matter() -> None:
    assert canonical.dumps({"a": 1, "b": {"d": 1, "c": 2}}) == canonical.dumps({"b": {"c": 2, "d": 1}, "a": 1})


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert canonical.digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (2**64, "18446744073709551616"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63) - 1, "-9223372036854775809"),
        (True, True),
        ((1, 2), [1, 2]),
        ({1: "x"}, {"1": "x"}),
        ("a\ud83d", "a\ufffd"),
        ("\ud83d\ud83d", "\ufffd\ufffd"),
        ({"\udc00": "\udc00"}, {"\ufffd": "\ufffd"}),
    ],
)
def test_what_json_cannot_hold_is_made_representable(value: Any, cleaned: Any) -> None:
    assert canonical.clean(value) == cleaned
    assert type(canonical.clean(value)) is type(cleaned)
    assert canonical.loads(canonical.dumps({"v": value})) == {"v": cleaned}
    assert canonical.loads(canonical.line([value])) == [cleaned]


def test_what_is_nested_too_deeply_is_cut_off() -> None:
    deep = nested(1000)
    written = canonical.loads(canonical.dumps(deep))
    assert depth_of(written) == canonical.MAX_DEPTH
    assert "…" in canonical.dumps(deep).decode()
    assert canonical.clean(nested(canonical.MAX_DEPTH)) == nested(canonical.MAX_DEPTH)


def test_clean_changes_nothing_that_it_is_given() -> None:
    value = {"a": ["\ud83d", {"b": math.nan}]}
    canonical.clean(value)
    assert value["a"][0] == "\ud83d"


def test_text_without_surrogates_is_not_copied() -> None:
    text = "héllo 😀 " * 3
    assert canonical.clean_text(text) is text


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN"])
def test_a_damaged_document_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.loads(data)
