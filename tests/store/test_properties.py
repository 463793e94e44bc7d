"""What must hold of the store for any input, checked with Hypothesis."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sessionstore import canonical, chunks, lineage, objects
from sessionstore.importers import all_importers
from sessionstore.importers.base import Machine
from sessionstore.layout import split_name
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
from tests.store import independent
from tests.store import strategies as some

Json = dict[str, Any]
often = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
seldom = settings(often, max_examples=40)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all examples of this file; every example uses keys of its own."""
    return Store.init(tmp_path_factory.mktemp("properties") / "store")


def fresh_key() -> str:
    """A session key that no other example uses."""
    return f"native:{next(_numbers)}"


# -- canonical JSON ----------------------------------------------------------------------------------------------------


@often
@given(some.loose_json)
def test_anything_like_json_can_be_written_and_is_stable(value: Any) -> None:
    data = canonical.dumps(value)
    assert canonical.dumps(canonical.loads(data)) == data
    assert canonical.dumps(json.loads(data)) == data
    assert canonical.line(value) == data + b"\n"


@often
@given(some.sound_json)
def test_what_json_holds_is_read_back_as_it_was_written(value: Any) -> None:
    assert canonical.loads(canonical.dumps(value)) == value
    assert canonical.dumps(value) == independent.canonical(value)


@often
@given(st.dictionaries(some.sound_text, some.sound_json, max_size=6), st.randoms())
def test_the_order_of_keys_makes_no_difference(value: Json, random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical.dumps(dict(items)) == canonical.dumps(value)


@given(st.integers(0, 400), st.booleans())
@settings(often, max_examples=30)
def test_no_depth_of_nesting_is_too_much_to_write(depth: int, finite: bool) -> None:
    value: Any = 1.5 if finite else float("nan")
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    data = canonical.dumps(value)
    assert canonical.dumps(canonical.loads(data)) == data


@pytest.mark.parametrize("digits", [20, 100, 4299, 5000])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_integer_is_too_large_to_write(digits: int, sign: int) -> None:
    assert isinstance(canonical.loads(canonical.dumps([sign * 10**digits]))[0], str)


# -- pages -------------------------------------------------------------------------------------------------------------


@seldom
@given(some.sized_messages(), st.lists(st.integers(0, 9), max_size=4))
def test_pages_do_not_depend_on_how_a_session_was_written(shared: Store, messages: list[Json], cuts: list[int]) -> None:
    whole, parted = fresh_key(), fresh_key()
    at_once = shared.load_revision(shared.put(whole, messages))
    borders = sorted(min(cut, len(messages)) for cut in cuts)
    pieces = [messages[start:end] for start, end in itertools.pairwise([0, *borders, len(messages)])]
    name = shared.put(parted, pieces[0])
    for piece in pieces[1:]:
        name = shared.append(parted, piece)
    bit_by_bit = shared.load_revision(name)
    for field in at_once.keys() - {"_name", "key", "native_id"}:
        assert bit_by_bit[field] == at_once[field], field
    assert [head["_name"] for head in shared.heads(parted)] == [name]


@seldom
@given(some.sized_messages(), some.sized_messages())
def test_a_common_beginning_is_stored_once(shared: Store, messages: list[Json], more: list[Json]) -> None:
    short = shared.load_revision(shared.put(fresh_key(), messages))
    long = shared.load_revision(shared.put(fresh_key(), [*messages, *more]))
    assert long["pages"][: len(short["pages"])] == short["pages"]
    assert shared.extends(long, short)


@seldom
@given(some.sized_messages())
def test_pages_are_cut_as_the_specification_says(shared: Store, messages: list[Json]) -> None:
    revision = shared.load_revision(shared.put(fresh_key(), messages))
    lengths = [len(independent.canonical(message)) + 1 for message in messages]
    system_first = bool(messages) and messages[0]["role"] == "system"
    cut, tail = independent.cut_pages(lengths, system_first)
    assert ([page["n"] for page in revision["pages"]], len(revision["messages"])) == (cut, tail)


# -- messages ----------------------------------------------------------------------------------------------------------


def with_data(store: Store, message: Json) -> Json:
    """A message as it was given: blobs hold their base64 again."""
    parts = []
    for part in message["parts"]:
        if part["type"] == "blob" and "object" in part:
            raw = store.objects.get(part["object"], objects.VALUE, check=True)
            part = {**part, "data": base64.b64encode(raw).decode()}
            assert part.pop("bytes") == len(raw)
            del part["object"]
        parts.append(part)
    return {**message, "parts": parts}


@often
@given(some.messages())
def test_messages_are_read_as_they_were_written(shared: Store, messages: list[Json]) -> None:
    revision = shared.load_revision(shared.put(fresh_key(), messages))
    assert [with_data(shared, message) for message in shared.messages(revision)] == messages
    assert revision["counts"]["messages"] == len(messages)
    assert sum(revision["counts"]["by_role"].values()) == len(messages)


def strings(value: Any) -> Iterator[str]:
    """Every string in a value, keys apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # a failing example is long to print
@settings(often, max_examples=15)
@given(some.messages(some.large_texts, most=3))
def test_large_strings_are_read_as_they_were_written(shared: Store, messages: list[Json]) -> None:
    revision = shared.load_revision(shared.put(fresh_key(), messages))
    assert [with_data(shared, message) for message in shared.messages(revision)] == messages
    for line in shared.lines(revision):
        assert all(len(text.encode()) <= 262144 for text in strings(json.loads(line)))


@seldom
@given(some.messages(some.any_text), st.dictionaries(some.any_text, some.loose_json, max_size=3))
def test_what_json_cannot_hold_is_stored_in_its_clean_form(shared: Store, messages: list[Json], extra: Json) -> None:
    given_messages = [{**message, "x": extra} for message in messages]
    revision = shared.load_revision(shared.put(fresh_key(), given_messages))
    expected = [canonical.loads(canonical.dumps(message)) for message in given_messages]
    assert [with_data(shared, message) for message in shared.messages(revision)] == expected


@often
@given(some.messages(), st.integers(0, 9))
def test_reading_can_start_anywhere(shared: Store, messages: list[Json], start: int) -> None:
    revision = shared.load_revision(shared.put(fresh_key(), messages))
    assert list(shared.messages(revision, start)) == list(shared.messages(revision))[start:]


@often
@given(some.messages())
def test_putting_twice_is_putting_once(shared: Store, messages: list[Json]) -> None:
    key = fresh_key()
    name = shared.put(key, messages)
    files = {path: path.stat().st_mtime_ns for path in Path(shared.root, "sessions", name[:2]).iterdir()}
    assert shared.put(key, messages) == name
    assert {path: path.stat().st_mtime_ns for path in Path(shared.root, "sessions", name[:2]).iterdir()} == files


# -- revisions and heads -----------------------------------------------------------------------------------------------

branches = st.text("ab", max_size=5)


def texts(store: Store, revision: Json) -> str:
    """A conversation of one-letter messages as a word."""
    return "".join(message["parts"][0]["content"] for message in store.messages(revision))


def maximal(words: list[str]) -> set[str]:
    """The words that no other one begins with."""
    return {word for word in words if not any(other != word and other.startswith(word) for other in words)}


@often
@given(st.lists(branches, min_size=1, max_size=7))
def test_heads_are_the_conversations_that_none_goes_on_from(shared: Store, words: list[str]) -> None:
    key = fresh_key()
    for word in words:
        shared.put(key, some.talk(word))
    heads = shared.heads(key)
    assert {texts(shared, head) for head in heads} == maximal(words)
    assert len(heads) == len(maximal(words)) == len(shared.revisions_of(key))


@often
@given(branches, branches)
def test_one_extends_the_other_exactly_when_it_begins_with_it(shared: Store, one: str, two: str) -> None:
    ours = shared.load_revision(shared.put(fresh_key(), some.talk(one)))
    theirs = shared.load_revision(shared.put(fresh_key(), some.talk(two)))
    assert shared.extends(ours, theirs) == one.startswith(two)
    assert lineage.same_messages(ours, theirs) == (one == two)


@seldom
@given(some.sized_messages(), st.integers(0, 9), st.integers(0, 8))
def test_a_prefix_is_recognised_across_pages(shared: Store, messages: list[Json], cut: int, change: int) -> None:
    whole = shared.load_revision(shared.put(fresh_key(), messages))
    prefix = shared.load_revision(shared.put(fresh_key(), messages[:cut]))
    assert shared.extends(whole, prefix)
    assert shared.extends(prefix, whole) == (len(messages) <= cut)
    if change < len(messages[:cut]):
        other = [*messages[:cut]]
        other[change] = {**other[change], "x": {"changed": True}}
        changed = shared.load_revision(shared.put(fresh_key(), other))
        assert not shared.extends(whole, changed)
        assert not shared.extends(changed, prefix)


@st.composite
def families(draw: st.DrawFn) -> list[tuple[str, list[int], str | None]]:
    """Revisions of one session: words, the positions of the earlier ones they replace, times."""
    found: list[tuple[str, list[int], str | None]] = []
    for number in range(draw(st.integers(1, 6))):
        parents = draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else []
        found.append((draw(branches), parents, draw(st.none() | some.times)))
    return found


def written(store: Store, key: str, family: list[tuple[str, list[int], str | None]]) -> dict[str, Json]:
    """Revisions made as a family says, by file name, without `_name`; not put into the store."""
    made: list[tuple[str, bytes]] = []
    for word, parents, time in family:
        fields = {"source": "native", "native_id": key, "updated_at": time}
        shas = [split_name(made[position][0])[1] for position in parents]
        put = store.objects.put
        made.append(independent.compose(key, fields, shas, some.talk(word), put))
    return {name: json.loads(data) for name, data in made}


@often
@given(families())
def test_heads_agree_with_a_simple_model(shared: Store, family: list[tuple[str, list[int], str | None]]) -> None:
    revisions = written(shared, fresh_key(), family)
    named = [{**revision, "_name": name} for name, revision in revisions.items()]
    found = [revision["_name"] for revision in lineage.heads(named, shared.page)]
    lines = {name: independent.read_lines(Path(shared.root), revision) for name, revision in revisions.items()}
    assert found == independent.heads(revisions, lines)
    assert found
    assert [revision["_name"] for revision in lineage.heads(named[::-1], shared.page)] == found


def copied(source: Store, target: Path) -> None:
    """Copy a store's files into another one, as any tool would."""
    for folder in ("objects", "sessions", "notes"):
        shutil.copytree(Path(source.root, folder), target / folder, dirs_exist_ok=True)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store, Store, Store]:
    """Two stores to write to, and two to merge them into."""
    first, second, one_way, other_way = (Store.init(tmp_path / name) for name in ("a", "b", "ab", "ba"))
    return first, second, one_way, other_way


@settings(
    often, max_examples=40, suppress_health_check=[*often.suppress_health_check, HealthCheck.function_scoped_fixture]
)
@given(st.lists(branches, max_size=4), st.lists(branches, max_size=4))
def test_two_stores_merge_by_copying_in_any_order(
    stores: tuple[Store, Store, Store, Store], ours: list[str], theirs: list[str]
) -> None:
    first, second, one_way, other_way = stores
    key = fresh_key()
    for store, words in ((first, ours), (second, theirs)):
        for word in words:
            store.put(key, some.talk(word))
    for target, order in ((one_way, (first, second)), (other_way, (second, first))):
        for store in order:
            copied(store, Path(target.root))
    merged = one_way.heads(key)
    assert {texts(one_way, head) for head in merged} == maximal([*ours, *theirs])
    assert [head["_name"] for head in other_way.heads(key)] == [head["_name"] for head in merged]


# -- originals ---------------------------------------------------------------------------------------------------------

some_bytes = st.binary(max_size=400) | st.lists(st.sampled_from([b"\n", b"{}\n", b"\0", b"\xff\r\n", b"a" * 70])).map(
    b"".join
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunk rules with limits so small that short inputs reach all of them."""
    for name, value in {"LEAST": 32, "MOST": 128, "HARD": 512, "ODDS": 4, "BLOCK": 100}.items():
        monkeypatch.setattr(chunks, name, value)


with_fixtures = settings(
    often, suppress_health_check=[*often.suppress_health_check, HealthCheck.function_scoped_fixture]
)


@with_fixtures
@given(
    some_bytes.map(lambda data: data * 5),
    st.sampled_from(["L1", "E1", "B1"]),
    st.lists(st.integers(0, 2000), max_size=8),
)
@pytest.mark.usefixtures("small_chunks")
def test_chunks_depend_on_the_bytes_only(data: bytes, rule: str, cuts: list[int]) -> None:
    def chunked(borders: list[int]) -> list[bytes]:
        chunker = chunks.Chunker(rule)
        blocks = [data[start:end] for start, end in itertools.pairwise([0, *sorted(borders), len(data)])]
        return [*(chunk for block in blocks for chunk in chunker.feed(block)), chunker.finish()]

    whole = chunked([])
    assert b"".join(whole) == data
    assert chunked([min(cut, len(data)) for cut in cuts]) == whole


@with_fixtures
@given(some_bytes.map(lambda data: data * 5), some_bytes, st.sampled_from(["L1", "E1", "B1"]))
@pytest.mark.usefixtures("small_chunks")
def test_growth_changes_the_last_chunk_only(data: bytes, more: bytes, rule: str) -> None:
    def chunked(content: bytes) -> list[bytes]:
        chunker = chunks.Chunker(rule)
        found = [*chunker.feed(content)]
        return [*found, last] if (last := chunker.finish()) else found

    closed = chunked(data)[:-1]
    assert chunked(data + more)[: len(closed)] == closed


@settings(with_fixtures, max_examples=50)
@given(some_bytes, st.sampled_from(["lines", "blocks"]))
@example(b"", "lines")
@example(b"\x1f\x8b", "lines")
@example(b"\x28\xb5\x2f\xfd", "blocks")
def test_any_bytes_come_back_from_a_migration(
    shared: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes, kind: str
) -> None:
    with monkeypatch.context() as patch:
        for importer in (some.Lines(), some.Blocks()):
            patch.setitem(all_importers(), importer.source, importer)
        path = tmp_path / f"{next(_numbers)}.{kind}"
        path.write_bytes(data)
        report = migrate(shared, Request((str(path),)), Machine(tmp_path, tmp_path))
    if data.startswith((b"\x28\xb5\x2f\xfd", b"\x1f\x8b")) and report.failed:
        assert [entry["path"] for entry in report.failed] == [str(path)], "compressed, and damaged"
        return
    assert report.failed == []
    [head] = shared.heads(f"{kind}:{path.stem}")
    [original] = head["originals"]
    assert b"".join(shared.original(original)) == data
    assert (original["bytes"], original["sha256"]) == (len(data), canonical.digest(data))
    assert path.read_bytes() == data
