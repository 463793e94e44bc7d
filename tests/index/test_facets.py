"""Facets say how what a search finds is divided, and agree with what the search then finds."""

from __future__ import annotations

import pytest

from sessionstore.index import schema
from sessionstore.index.facets import NAMES, facets
from sessionstore.index.search import search
from sessionstore.index.sync import sync
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store


@pytest.fixture
def index(store: Store) -> schema.Connection:
    """An index of six small sessions."""
    for number in range(6):
        call = {"type": "tool_call", "id": "c", "name": "Bash" if number % 2 else "Read", "arguments": {"x": "apple"}}
        asked, answered = ({"type": "text", "content": words} for words in ("apple pear", "plum"))
        time = f"2026-0{1 + number % 3}-05T10:00:00Z"
        messages = [
            {"id": "1", "role": "user", "time": time, "parts": [asked]},
            {"id": "2", "role": "assistant", "model": f"m{number % 2}", "parts": [answered, call]},
        ]
        fields = {"project": "shop" if number < 4 else "[garden", "title": f"Fruit {number}"}
        store.put(f"native:{number}", messages, fields)
    path = f"{store.root}/index.sqlite"
    with IndexWriter(path, store.id) as writer:
        sync(store, writer)
    return schema.connect_reader(path)


def test_values_are_counted_by_session(index: schema.Connection) -> None:
    found = facets(index, "apple")
    assert found.complete
    assert found.by_name["project"] == [("shop", 4), ("[garden", 2)]
    assert found.by_name["role"] == [("assistant", 6), ("user", 6)]
    assert found.by_name["month"] == [("2026-03", 2), ("2026-02", 2), ("2026-01", 2)]
    assert dict(found.by_name["tool"]) == {"Bash": 3, "Read": 3}
    assert dict(found.by_name["model"]) == {"m0": 3, "m1": 3}


@pytest.mark.parametrize(
    "query", ["apple", "", "role:user", "pear OR plum", "title:fruit", '"apple pear"', "-apple", "fruit"]
)
def test_choosing_a_value_finds_as_many_sessions_as_it_said(index: schema.Connection, query: str) -> None:
    found = facets(index, query)
    field = {"month": "on"}
    for name in NAMES:
        for value, count in found.by_name[name]:
            if name in ("role", "tool", "month", "model") and "fruit" in query:
                continue  # a title has none of these of its own
            hits = search(index, query, limit=1000, per_session=1, fields={field.get(name, name): value})
            shown = {key for hit in hits for key in (hit["key"], *hit["also_in"])}
            assert len(shown) == count, (query, name, value)


def test_filters_narrow_the_facets(index: schema.Connection) -> None:
    found = facets(index, "apple", {"project": "garden"})
    assert found.by_name["project"] == [("[garden", 2)]
    assert found.by_name["source"] == [("native", 2)]


def test_nothing_found_has_no_facets(index: schema.Connection) -> None:
    found = facets(index, "nowhere")
    assert all(not values for values in found.by_name.values())
