"""Which revision supersedes which, and which are the heads of a session."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, fsio, lineage
from sessionstore.compose import Composer
from sessionstore.layout import split_name
from sessionstore.store import Store
from tests.store.strategies import say, talk

Json = dict[str, Any]
KEY = "native:tree"


def revision(store: Store, messages: Iterable[Json], parents: Iterable[Json] = (), **fields: Any) -> Json:
    """A revision of the session, written as it is, whatever else there is."""
    composer = Composer(store.objects)
    for message in messages:
        composer.add(message)
    shas = [split_name(parent["_name"])[1] for parent in parents]
    made = composer.finish(KEY, {"source": "native", "native_id": "tree", **fields}, shas)
    name, data = store.name_of(made)
    store.write_revision(name, data)
    return store.load_revision(name)


def names(revisions: Iterable[Json]) -> list[str]:
    return [found["_name"] for found in revisions]


# -- one extends another -----------------------------------------------------------------------------------------------


def test_a_longer_conversation_extends_a_shorter_one(store: Store) -> None:
    short, long = revision(store, talk("ab")), revision(store, talk("abc"))
    assert store.extends(long, short)
    assert not store.extends(short, long)


def test_a_conversation_extends_itself(store: Store) -> None:
    one = revision(store, talk("ab"))
    assert store.extends(one, one)


def test_every_conversation_extends_the_empty_one(store: Store) -> None:
    empty = revision(store, [])
    assert store.extends(revision(store, talk("a")), empty)
    assert not store.extends(empty, revision(store, talk("a")))


def test_a_message_that_differs_in_any_field_is_another_message(store: Store) -> None:
    one = revision(store, [say(1, "user", "a")])
    for other in (
        say(1, "assistant", "a"),
        say(2, "user", "a"),
        say(1, "user", "a", time="2026-01-05T08:00:00Z"),
        say(1, "user", "a", parent=None),
        say(1, "user", "a", x={"k": 1}),
    ):
        assert not store.extends(revision(store, [other, say(9, "user", "z")]), one)


def test_session_fields_do_not_matter_to_extending(store: Store) -> None:
    short = revision(store, talk("a"), title="one", cwd="/here")
    assert store.extends(revision(store, talk("ab"), title="two"), short)


@pytest.mark.parametrize("lead", [0, 5000])
@pytest.mark.parametrize("tail", range(6))
def test_a_tail_is_recognised_in_the_page_it_has_become(store: Store, lead: int, tail: int) -> None:
    messages = [say(1, "system", "s" * lead)] + [say(n, "user", "x" * 6000) for n in range(2, 9)]
    whole = revision(store, messages)
    assert len(whole["pages"]) == (2 if lead else 1)
    prefix = revision(store, messages[: tail + 1])
    assert store.extends(whole, prefix)
    changed = revision(store, [*messages[:tail], say(tail + 1, "user", "other")])
    assert not store.extends(whole, changed)


def test_only_one_page_is_read_to_recognise_a_prefix(store: Store) -> None:
    messages = [say(n, "user", "x" * 12000) for n in range(1, 20)]
    whole, prefix = revision(store, messages), revision(store, messages[:8])
    read: list[str] = []

    def reading(name: str) -> bytes:
        read.append(name)
        return store.page(name)

    assert lineage.extends(whole, prefix, reading)
    assert len(read) == 1
    read.clear()
    other = revision(store, [say(1, "user", "other"), *messages[1:]])
    assert not lineage.extends(other, prefix, reading)
    assert read == []


def test_a_missing_page_is_an_error_and_no_answer(store: Store) -> None:
    messages = [say(n, "user", "x" * 12000) for n in range(1, 5)]
    whole, prefix = revision(store, messages), revision(store, messages[:1])
    name = whole["pages"][0]["id"]
    fsio.remove(f"{store.root}/objects/{name[:2]}/{name}.jsonl")
    with pytest.raises(errors.ObjectMissing):
        store.extends(whole, prefix)


def test_the_same_messages_are_told_whatever_the_fields(store: Store) -> None:
    one = revision(store, talk("ab"))
    assert lineage.same_messages(one, revision(store, talk("ab"), title="other"))
    assert not lineage.same_messages(one, revision(store, talk("a")))


# -- heads -------------------------------------------------------------------------------------------------------------


def test_a_session_that_does_not_exist_has_no_heads(store: Store) -> None:
    assert store.heads("native:nothing") == []


def test_a_superseded_prefix_that_is_still_there_is_no_head(store: Store) -> None:
    """As after a kill between writing a revision and removing its predecessor."""
    revision(store, talk("a"))
    revision(store, talk("ab"))
    long = revision(store, talk("abc"))
    assert names(store.heads(KEY)) == names([long])


def test_two_ways_on_are_two_heads_the_later_first(store: Store) -> None:
    early = revision(store, talk("ab"), updated_at="2026-01-01T00:00:00Z")
    late = revision(store, talk("ac"), updated_at="2026-01-02T00:00:00Z")
    assert names(store.heads(KEY)) == names([late, early])


def test_an_edit_hides_what_it_replaces(store: Store) -> None:
    before = revision(store, talk("ab"))
    after = revision(store, talk("xb"), [before])
    assert names(store.heads(KEY)) == names([after])
    assert len(store.revisions_of(KEY)) == 2


def test_an_edit_that_takes_messages_away_hides_what_it_shortens(store: Store) -> None:
    before = revision(store, talk("abc"))
    after = revision(store, talk("a"), [before])
    assert names(store.heads(KEY)) == names([after])


def test_an_edit_back_to_the_first_wording_is_a_head(store: Store) -> None:
    first = revision(store, talk("ab"), updated_at="2026-01-03T00:00:00Z")
    second = revision(store, talk("xb"), [first])
    third = revision(store, talk("ab"), [second], updated_at="2026-01-01T00:00:00Z")
    assert names(store.heads(KEY)) == names([third])


def test_merging_two_heads_hides_both(store: Store) -> None:
    one, two = revision(store, talk("ab")), revision(store, talk("ac"))
    merged = revision(store, talk("abc"), [one, two])
    assert names(store.heads(KEY)) == names([merged])


def test_a_missing_parent_does_no_harm(store: Store) -> None:
    before = revision(store, talk("ab"))
    after = revision(store, talk("xb"), [before])
    fsio.remove(f"{store.root}/sessions/{before['_name']}")
    assert names(store.heads(KEY)) == names([after])


def test_of_two_revisions_with_the_same_messages_one_is_the_head(store: Store) -> None:
    made = [revision(store, talk("ab"), title=title) for title in ("one", "two", "three")]
    assert names(store.heads(KEY)) == [max(names(made))]


def test_the_order_in_which_revisions_are_listed_makes_no_difference(store: Store) -> None:
    one = revision(store, talk("ab"))
    made = [one, revision(store, talk("a")), revision(store, talk("cd"), [one]), revision(store, talk("ef"))]
    orders = {tuple(names(store.heads_of(list(order)))) for order in itertools.permutations(made)}
    assert len(orders) == 1


def test_a_session_that_goes_on_after_an_edit_keeps_hiding_what_was_edited(store: Store) -> None:
    before = revision(store, talk("ab"))
    revision(store, talk("xb"), [before])
    store.append(KEY, [say(3, "user", "c")])
    heads = store.heads(KEY)
    assert ["".join(m["parts"][0]["content"] for m in store.messages(head)) for head in heads] == ["xbc"]


def test_putting_a_longer_version_of_an_edit_keeps_hiding_what_was_edited(store: Store) -> None:
    before = revision(store, talk("ab"))
    revision(store, talk("xb"), [before])
    store.put(KEY, talk("xbc"))
    assert len(store.heads(KEY)) == 1


def test_an_older_copy_of_what_was_edited_since_is_no_head(store: Store, tmp_path: Path) -> None:
    """Another store still has the conversation as it was before it went on and was then edited; copying that in must
    not bring it back: "ab" supersedes "a", and the edit supersedes "ab"."""
    other = Store.init(tmp_path / "other")
    early = other.put(KEY, talk("a"))
    whole = revision(store, talk("ab"))
    edited = revision(store, talk("xb"), [whole])
    store.write_revision(early, fsio.read_bytes(f"{other.root}/sessions/{early}"))
    assert names(store.heads(KEY)) == names([edited])


def test_an_older_copy_of_what_was_shortened_since_does_not_hide_the_edit(store: Store, tmp_path: Path) -> None:
    other = Store.init(tmp_path / "other")
    early = other.put(KEY, talk("ab"))
    whole = revision(store, talk("abc"))
    edited = revision(store, talk("a"), [whole])
    store.write_revision(early, fsio.read_bytes(f"{other.root}/sessions/{early}"))
    assert names(store.heads(KEY)) == names([edited])


def test_keys_with_the_same_slug_are_two_sessions(store: Store) -> None:
    """A slug holds 80 characters of the key and 32 bits of its hash, so that two keys can have the same one."""
    one, two = ("native:" + "a" * 80 + end for end in ("16097", "56257"))
    store.put(one, talk("a"))
    store.put(two, talk("b"))
    assert [head["key"] for head in store.heads(one)] == [one]
    assert [head["key"] for head in store.heads(two)] == [two]
    store.put(one, talk("ba"))
    assert [head["counts"]["messages"] for head in store.heads(two)] == [1]
