"""The store: what is put in comes out, whoever writes at the same time and whatever is killed or damaged."""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical, errors, layout, objects
from sessionstore.chunks import Chunker
from sessionstore.closure import objects_of, referenced
from sessionstore.compose import Composer
from sessionstore.store import Revision, Store
from tests.store.strategies import say, talk

Json = dict[str, Any]
KEY = "native:one"
PNG = b"\x89PNG\r\n\x1a\n"


def words(store: Store, key: str = KEY) -> list[str]:
    """The texts of every head, joined, the latest head first."""
    return ["".join(m["parts"][0]["content"] for m in store.messages(head)) for head in store.heads(key)]


def files(store: Store, folder: str = "sessions") -> list[str]:
    return sorted(path.name for path in Path(store.root, folder).rglob("*") if path.is_file())


def path_of(store: Store, name: str) -> Path:
    return Path(store.root, "sessions", name)


# -- putting and appending ---------------------------------------------------------------------------------------------


def test_what_is_put_is_found_and_read(store: Store) -> None:
    messages = [say(1, "user", "hello", time="2026-01-05T08:00:00Z"), say(2, "assistant", "hi", x={"k": [1, 2.5]})]
    name = store.put(KEY, messages, {"title": "Greeting"})
    [head] = store.heads(KEY)
    assert head["_name"] == name
    assert head["title"] == "Greeting"
    assert (head["source"], head["native_id"]) == ("native", "one")
    assert list(store.messages(head)) == messages


def test_an_append_goes_on_from_the_latest_head_and_leaves_no_garbage(store: Store) -> None:
    store.put(KEY, talk("ab"))
    store.append(KEY, [say(3, "user", "c")])
    store.append(KEY, [say(4, "user", "d"), say(5, "user", "e")])
    assert words(store) == ["abcde"]
    assert len(files(store)) == 1
    assert "parents" not in store.heads(KEY)[0]


def test_an_append_takes_over_every_session_field_also_unknown_ones(store: Store) -> None:
    fields = {"title": "T", "cwd": "/home/ann", "x": {"k": 1}, "later": [1], "created_at": "2020-01-01T00:00:00Z"}
    store.put(KEY, talk("a"), fields)
    store.append(KEY, [say(2, "user", "b", time="2026-01-05T08:00:00Z")], {"title": "New"})
    [head] = store.heads(KEY)
    assert {name: head[name] for name in fields} == {**fields, "title": "New"}
    assert head["updated_at"] == "2026-01-05T08:00:00Z"


def test_an_append_goes_on_where_the_active_path_ends(store: Store) -> None:
    branches = [say(2, "assistant", "b", parent="m1"), say(3, "assistant", "c", parent="m1")]
    store.put(KEY, [say(1, "user", "a"), *branches], {"active_leaf": "m2"})
    store.append(KEY, [say(4, "user", "d"), say(5, "assistant", "e")])
    [head] = store.heads(KEY)
    assert head["active_leaf"] == "m5"
    assert [message.get("parent") for message in store.messages(head)] == [None, "m1", "m1", "m2", None]
    store.append(KEY, [say(6, "user", "f", parent="m3")])
    [head] = store.heads(KEY)
    assert (head["active_leaf"], [*store.messages(head)][-1]["parent"]) == ("m6", "m3")
    store.append(KEY, [say(7, "user", "g", parent="m3")], {"active_leaf": "m6"})
    store.append(KEY, [], {"title": "T"})
    assert store.heads(KEY)[0]["active_leaf"] == "m6"
    with pytest.raises(errors.UsageError):
        store.append(KEY, ["no message"])  # type: ignore[list-item]


def test_appending_to_a_session_that_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(errors.NotFound):
        store.append(KEY, talk("a"))
    assert files(store) == []


def test_putting_a_longer_conversation_supersedes_the_shorter(store: Store) -> None:
    store.put(KEY, talk("ab"))
    store.put(KEY, talk("abc"))
    assert words(store) == ["abc"]
    assert len(files(store)) == 1


def test_putting_what_a_head_begins_with_changes_nothing(store: Store) -> None:
    name = store.put(KEY, talk("abc"))
    before = path_of(store, name).read_bytes()
    assert store.put(KEY, talk("ab")) == name
    assert store.put(KEY, []) == name
    assert files(store) == [os.path.basename(name)]
    assert path_of(store, name).read_bytes() == before


def test_putting_another_way_on_makes_a_branch(store: Store) -> None:
    store.put(KEY, talk("ab"))
    store.put(KEY, talk("ac"))
    assert sorted(words(store)) == ["ab", "ac"]
    store.put(KEY, talk("abd"))
    assert sorted(words(store)) == ["abd", "ac"]


def test_putting_other_fields_replaces_the_revision(store: Store) -> None:
    store.put(KEY, talk("ab"), {"title": "one"})
    store.put(KEY, talk("ab"), {"title": "two"})
    assert [head["title"] for head in store.heads(KEY)] == ["two"]
    assert len(files(store)) == 1


def test_going_on_with_an_imported_session_keeps_its_originals(store: Store) -> None:
    """The original's bytes would be swept when no revision names them any more."""
    chunk = store.objects.put(b"the file\n", objects.CHUNK)
    entry = {"sha256": chunk, "bytes": 9, "chunks": [{"id": chunk, "bytes": 9}]}
    store.put(KEY, talk("ab"), {"originals": [entry]})
    store.append(KEY, [say(3, "user", "c")])
    assert store.heads(KEY)[0]["originals"] == [entry]
    store.put(KEY, talk("abcd"))
    assert store.heads(KEY)[0]["originals"] == [entry]


def test_what_follows_from_the_messages_is_added_up(store: Store) -> None:
    usage = {"input_tokens": 10, "output_tokens": 2, "cost_microusd": 7}
    store.put(KEY, [say(1, "user", "a"), say(2, "assistant", "b", model="m2", usage=usage)])
    store.append(KEY, [say(3, "assistant", "c", model="m1", usage={**usage, "estimated": True}), say(4, "tool", "d")])
    [head] = store.heads(KEY)
    assert head["counts"]["by_role"] == {"user": 1, "assistant": 2, "tool": 1}
    assert head["counts"]["messages"] == 4
    assert head["counts"]["bytes"] == sum(len(line) for line in store.lines(head))
    assert head["models"] == ["m2", "m1"]
    assert head["usage"] == {"input_tokens": 20, "output_tokens": 4, "cost_microusd": 14, "estimated": True}


def test_no_time_is_invented(store: Store) -> None:
    store.put(KEY, talk("ab"))
    [head] = store.heads(KEY)
    assert not {"created_at", "updated_at"} & head.keys()


def test_what_is_stored_says_nothing_about_when_it_was_stored(tmp_path: Path) -> None:
    names = {Store.init(tmp_path / name).put(KEY, talk("ab"), {"title": "T"}) for name in ("one", "two")}
    assert len(names) == 1


def test_a_revision_is_named_by_its_bytes(store: Store) -> None:
    name = store.put(KEY, talk("ab"))
    data = path_of(store, name).read_bytes()
    assert name == layout.document_name(KEY, data)
    assert canonical.dumps(json.loads(data)) == data


def test_a_small_session_is_one_file(store: Store) -> None:
    store.put(KEY, talk("ab"))
    assert files(store, "objects") == []
    assert files(store, "tmp") == []


def test_resumed_and_forked_sessions_share_their_pages(store: Store) -> None:
    long = [say(n, "user", "x" * 9000) for n in range(1, 21)]
    store.put("native:one", long)
    before = files(store, "objects")
    store.put("native:two", [*long, say(21, "user", "another way on")])
    assert files(store, "objects") == before
    assert len(before) == 5


# -- large values and blobs --------------------------------------------------------------------------------------------


def image(data: bytes = PNG) -> Json:
    """A message that shows an image."""
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": base64.b64encode(data).decode()}
    return {"id": "m1", "role": "user", "parts": [{"type": "text", "content": "look"}, blob]}


def test_an_image_is_an_object_of_its_own(store: Store) -> None:
    store.put(KEY, [image()])
    [head] = store.heads(KEY)
    [message] = store.messages(head)
    name = canonical.digest(PNG)
    part = {"type": "blob", "modality": "image", "mime_type": "image/png", "object": name, "bytes": len(PNG)}
    assert message["parts"][1] == part
    assert head["blobs"] == [{"id": name, "bytes": len(PNG)}]
    assert store.objects.get(name, objects.VALUE, check=True) == PNG


def test_a_message_given_is_not_changed(store: Store) -> None:
    message = image()
    before = json.dumps(message)
    store.put(KEY, [message])
    assert json.dumps(message) == before


def test_an_image_of_one_session_put_into_another_is_needed_by_both(store: Store) -> None:
    """As when a session is branched, edited, merged or stitched: its messages are read and stored again."""
    store.put("native:one", [image()])
    [head] = store.heads("native:one")
    store.put("native:two", store.messages(head))
    [copy] = store.heads("native:two")
    assert (canonical.digest(PNG), objects.VALUE) in set(objects_of(store, copy))


def test_text_that_looks_like_a_reference_stays_as_it_is(store: Store) -> None:
    """A conversation about a store may hold the very form in which large strings are kept."""
    large = "z" * 300_000
    imitation = {"$object": canonical.digest(large.encode()), "bytes": len(large)}
    messages = [say(1, "user", large), say(2, "user", "b", x={"quoted": imitation})]
    store.put(KEY, messages)
    assert list(store.messages(store.heads(KEY)[0])) == messages


def test_a_large_string_in_any_field_of_a_message_leaves_the_session_usable(store: Store) -> None:
    messages = [say(1, "user", "a", model="m" * 300_000), say(2, "user", "b")]
    store.put(KEY, messages)
    store.put(KEY, [say(1, "user", "other", time="2026-01-05T08:00:00Z")])
    heads = store.heads(KEY)
    assert len(heads) == 2
    assert messages in [list(store.messages(head)) for head in heads]


def test_the_lines_of_a_session_hold_references_and_the_messages_hold_the_strings(store: Store) -> None:
    store.put(KEY, [say(1, "user", "z" * 300_000)])
    [head] = store.heads(KEY)
    assert sum(map(len, store.lines(head))) < 1000
    [message] = store.messages(head)
    assert message["parts"][0]["content"] == "z" * 300_000


@pytest.mark.parametrize("depth", [190, 199, 230, 251, 252, 260])
def test_a_deeply_nested_message_is_the_same_in_tail_and_page(store: Store, depth: int) -> None:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    message = say(1, "user", "a", x={"deep": value})
    lines, revisions = [], []
    for messages in ([message], [message, say(2, "user", "x" * 40_000)]):
        composer = Composer(store.objects)
        lines.append(next(iter([composer.add(message) for message in messages])))
        name, data = store.name_of(composer.finish(KEY, {"source": "native", "native_id": "one"}))
        store.write_revision(name, data)
        revisions.append(store.load_revision(name))
    tail, page = revisions
    assert (len(tail["pages"]), len(page["pages"])) == (0, 1)
    assert lines[0] == lines[1] == next(store.lines(tail)) == next(store.lines(page))
    assert store.extends(page, tail)


# -- originals ---------------------------------------------------------------------------------------------------------


def keep(store: Store, data: bytes) -> Json:
    """Store bytes as an original, in blocks; returns its entry."""
    chunker = Chunker("B1")
    found = [*chunker.feed(data), chunker.finish()]
    chunks = [{"id": store.objects.put(chunk, objects.CHUNK), "bytes": len(chunk)} for chunk in found if chunk]
    return {"sha256": canonical.digest(data), "bytes": len(data), "chunks": chunks}


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_an_original_comes_back_exactly(store: Store, size: int) -> None:
    data = os.urandom(size)
    entry = keep(store, data)
    assert b"".join(store.original(entry)) == data
    assert b"".join(store.original(entry, size // 2)) == data[: size // 2]


def test_chunks_in_the_wrong_order_are_found_out(store: Store) -> None:
    entry = keep(store, os.urandom(3 << 20))
    entry["chunks"].reverse()
    with pytest.raises(errors.ObjectCorrupt):
        list(store.original(entry))


def test_an_original_with_a_missing_end_is_found_out(store: Store) -> None:
    entry = keep(store, os.urandom(3 << 20))
    entry["chunks"].pop()
    with pytest.raises(errors.ObjectCorrupt):
        list(store.original(entry))


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 1, 50, -1])
def test_a_changed_byte_in_a_revision_is_found(store: Store, position: int) -> None:
    path = path_of(store, store.put(KEY, talk("ab")))
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.RevisionCorrupt, match="its bytes have changed") as caught:
        store.heads(KEY)
    assert caught.value.exit_code == 3


def put_document(store: Store, key: str, data: bytes) -> str:
    """Put bytes where a revision of a session with these bytes would be."""
    name = layout.document_name(key, data)
    store.write_revision(name, data)
    return name


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b'"text"', b'{"v":1}', b'{"v":1,"key":5}', b"\xff"])
def test_a_document_that_is_none_is_found(store: Store, data: bytes) -> None:
    with pytest.raises(errors.RevisionCorrupt):
        store.load_revision(put_document(store, KEY, data))


def test_a_revision_under_the_name_of_another_session_is_found(store: Store) -> None:
    data = path_of(store, store.put("native:other", talk("ab"))).read_bytes()
    with pytest.raises(errors.RevisionCorrupt, match="another session"):
        store.load_revision(put_document(store, KEY, data))


def test_a_revision_of_a_newer_version_is_refused_as_too_new(store: Store) -> None:
    data = canonical.dumps({"format": "sessionstore/session", "v": 2, "key": KEY})
    with pytest.raises(errors.FormatTooNew):
        store.load_revision(put_document(store, KEY, data))


def test_files_that_are_no_revisions_are_left_alone(store: Store) -> None:
    name = store.put(KEY, talk("ab"))
    folder = path_of(store, name).parent
    for stranger in (".DS_Store", "README.txt", f"{os.path.basename(name)}.sync-conflict", "~lock"):
        (folder / stranger).write_text("stranger")
    assert words(store) == ["ab"]
    assert store.revision_names() == {name}


def paged(store: Store) -> tuple[Revision, Path]:
    """A session with one page, and the page's file."""
    store.put(KEY, [say(1, "user", "x" * 40_000)])
    [head] = store.heads(KEY)
    path = store.objects.find(head["pages"][0]["id"], objects.PAGE)
    assert path is not None
    return head, Path(path)


@pytest.mark.parametrize(
    "change",
    [lambda d: d[:-1], lambda d: d + b"\n", lambda d: b"", lambda d: d.replace(b"x", b"y", 1)],
    ids=["cut", "longer", "empty", "changed"],
)
def test_a_changed_page_is_found_when_it_is_read(store: Store, change: Callable[[bytes], bytes]) -> None:
    head, path = paged(store)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(errors.ObjectCorrupt):
        list(store.messages(head))


def test_a_missing_page_is_found_when_it_is_read(store: Store) -> None:
    head, path = paged(store)
    path.unlink()
    with pytest.raises(errors.ObjectMissing):
        list(store.messages(head))


@pytest.mark.parametrize(
    "change",
    [lambda d: d[:-1], lambda d: d + b"more", lambda d: b"", lambda d: d[:9] + b"\xff" + d[10:]],
    ids=["cut", "longer", "empty", "changed"],
)
def test_a_changed_compressed_object_is_found_when_it_is_read(store: Store, change: Callable[[bytes], bytes]) -> None:
    head, path = paged(store)
    path.with_name(path.name + ".zst").write_bytes(change(objects.compress(path.read_bytes())))
    path.unlink()
    with pytest.raises(errors.ObjectCorrupt):
        list(store.messages(head))


def test_a_compressed_object_that_claims_to_be_enormous_is_not_unpacked(store: Store) -> None:
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(errors.ObjectCorrupt):
        objects.decompress(bomb, "bomb")


@pytest.mark.parametrize("left", [b"", b"{"])
def test_an_object_that_a_power_cut_left_unfinished_is_written_anew(store: Store, left: bytes) -> None:
    """Without an fsync before it, a rename can survive a power cut while the bytes do not."""
    head, path = paged(store)
    path_of(store, head["_name"]).unlink()
    path.write_bytes(left)
    store.put(KEY, [say(1, "user", "x" * 40_000)])
    [again] = store.heads(KEY)
    assert sum(1 for _ in store.messages(again)) == 1


def test_object_names_are_told_from_other_files() -> None:
    sha = "ab" * 32
    for ending, kind in (
        ("jsonl", "jsonl"),
        ("jsonl.zst", "jsonl"),
        ("raw.zst", "raw"),
        ("bin", "bin"),
        ("bin.zst", "bin"),
    ):
        assert objects.parse_name(f"ab/{sha}.{ending}") == (sha, kind)
    for other in (
        f"cd/{sha}.jsonl",
        f"ab/{sha}.raw",
        f"ab/{sha}",
        f"ab/{sha}.json",
        f"ab/{sha}.jsonl.zst.zst",
        f"ab/{sha}.zst",
        f"ab/{sha.upper()}.jsonl",
        f"ab/{sha[:-1]}.jsonl",
        f"ab/{sha}.jsonl.tmp",
        f"{sha}.jsonl",
        ".DS_Store",
    ):
        assert objects.parse_name(other) is None, other


# -- several at once ---------------------------------------------------------------------------------------------------


def _append_many(root: str, worker: int, count: int) -> None:
    store = Store(root)
    for number in range(count):
        store.append(KEY, [say(worker * 1000 + number, "user", f"{worker}.{number} ")])


def test_appends_of_several_processes_are_all_there_in_one_head(store: Store) -> None:
    store.put(KEY, [])
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_append_many, args=(store.root, worker, 10)) for worker in range(3)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(60)
        assert process.exitcode == 0
    [text] = words(store)
    assert sorted(text.split()) == sorted(f"{worker}.{number}" for worker in range(3) for number in range(10))
    assert len(files(store)) == 1


def test_appends_of_several_threads_are_all_there_in_one_head(store: Store) -> None:
    store.put(KEY, [])
    threads = [threading.Thread(target=_append_many, args=(store.root, worker, 8)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [text] = words(store)
    assert len(text.split()) == 32


class Overtaken(Store):
    """A store in which another writer appends just before each of the first reads of a revision."""

    def __init__(self, root: str, times: int) -> None:
        super().__init__(root)
        self.times = times

    def load_revision(self, name: str) -> Revision:
        if self.times:
            self.times -= 1
            Store(self.root).append(KEY, [say(100 - self.times, "user", ".")])
        return super().load_revision(name)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_reader_that_finds_a_revision_gone_lists_the_heads_again(store: Store, times: int) -> None:
    store.put(KEY, talk("ab"))
    assert words(Overtaken(store.root, times)) == ["ab" + "." * times]


def test_a_session_is_never_missing_while_it_grows(store: Store) -> None:
    store.put(KEY, [])
    writer = threading.Thread(target=_append_many, args=(store.root, 0, 60))
    writer.start()
    seen = 0
    while writer.is_alive():
        [head] = Store(store.root).heads(KEY)
        assert head["counts"]["messages"] >= seen
        seen = head["counts"]["messages"]
    writer.join()


def test_a_writer_waits_for_whoever_has_the_store_alone(store: Store) -> None:
    with store.exclusively("gc"), pytest.raises(errors.Busy), store.writing(timeout=0):
        pass
    with store.writing(), pytest.raises(errors.Busy), store.exclusively("gc", timeout=0):
        pass
    with store.writing(), store.writing():
        pass


def test_two_sessions_can_be_locked_in_any_order(store: Store) -> None:
    keys = [f"native:{number}" for number in range(40)]
    done: list[int] = []

    def work(order: list[str]) -> None:
        for _ in range(20):
            with store.sessions_locked(order, timeout=30):
                done.append(1)

    threads = [threading.Thread(target=work, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 40


# -- durability and kills ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process has been killed."""


CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir")


@contextlib.contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, die_at: int = -1) -> Iterator[list[tuple[str, str]]]:
    """What the store asks of the operating system, as (call, path), in order; the call number `die_at` kills."""
    seen: list[tuple[str, str]] = []
    paths: dict[int, str] = {}

    def wrap(call: str) -> Callable[..., Any]:
        real = getattr(os, call)

        def wrapper(target: Any, *rest: Any, **named: Any) -> Any:
            path = paths.get(target, "?") if isinstance(target, int) else os.fspath(target)
            seen.append((call, path))
            if len(seen) - 1 == die_at:
                raise Killed
            result = real(target, *rest, **named)
            if call == "open":
                paths[result] = path
            if call == "replace":
                seen[-1] = (call, f"{path} {rest[0]}")
            return result

        return wrapper

    with monkeypatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call, wrap(call))
        yield seen


def first(events: list[tuple[str, str]], call: str, part: str) -> int:
    return next(number for number, (name, path) in enumerate(events) if name == call and part in path)


@pytest.mark.skipif(os.name != "posix", reason="directories are not synced elsewhere")
def test_data_is_durable_before_the_revision_and_the_revision_before_its_predecessor_goes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [say(n, "user", "x" * 20_000) for n in range(1, 5)]
    old = store.put(KEY, messages[:1])
    with watched(monkeypatch) as events:
        new = store.put(KEY, [*messages[:3], image()])
    commit = first(events, "replace", new)
    made = [path for call, path in events if call == "replace" and "/objects/" in path]
    assert len(made) == 2
    for source, target in (path.split() for path in [*made, events[commit][1]]):
        named = first(events, "replace", target)
        assert ("fsync", source) in events[:named], "the bytes are durable before the name is given"
        assert ("fsync", os.path.dirname(target)) in events[named:]
        assert "/objects/" not in target or ("fsync", os.path.dirname(target)) in events[named:commit]
    durable = commit + first(events[commit:], "fsync", os.path.dirname(new))
    assert first(events, "unlink", old) > durable


def test_a_kill_at_any_step_leaves_the_session_as_before_or_as_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [say(n, "user", "x" * 12_000) for n in range(1, 4)]
    after = [*before, say(4, "user", "y" * 40_000), {**image(), "id": "m5"}, say(6, "user", "end")]
    step, died = 0, True
    while died:
        store = Store.init(tmp_path / str(step))
        store.put(KEY, before)
        died = False
        with watched(monkeypatch, step):
            try:
                store.append(KEY, after[3:])
            except Killed:
                died = True
        _check(Store(store.root), before, after)
        step += 1
    assert step > 15


def _check(store: Store, before: list[Json], after: list[Json]) -> None:
    [head] = store.heads(KEY)
    ids = [message["id"] for message in store.messages(head)]
    assert ids in ([m["id"] for m in before], [m["id"] for m in after])
    for name, kind in referenced(store):
        store.objects.get(name, kind, check=True)
    store.put(KEY, after)
    [head] = store.heads(KEY)
    assert [message["id"] for message in store.messages(head)] == [m["id"] for m in after]


def test_a_kill_while_a_store_is_made_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, died = 0, True
    while died:
        died = False
        with watched(monkeypatch, step):
            try:
                Store.init(tmp_path / str(step))
            except Killed:
                died = True
        with contextlib.suppress(errors.NoStore):
            assert layout.is_ulid(Store(tmp_path / str(step)).id)
        store = Store.init(tmp_path / str(step))
        store.put(KEY, talk("ab"))
        assert words(store) == ["ab"]
        step += 1
    assert step > 15


def test_what_an_append_replaces_leaves_it_its_originals(store: Store) -> None:
    """A branch that the new revision makes superfluous may have originals that the head it goes on from has not."""
    first, second = (entry_of(store, data) for data in (b"first", b"second"))
    store.put(KEY, [say(1, "user", "a")], {"originals": [first]})
    store.put(KEY, [say(1, "user", "a"), say(2, "user", "b")], {"originals": [second]})
    store.append(KEY, [say(3, "user", "c")])
    [head] = store.heads(KEY)
    assert {entry["sha256"] for entry in head["originals"]} == {first["sha256"], second["sha256"]}


def entry_of(store: Store, data: bytes) -> dict[str, Any]:
    """The original of a file of one chunk."""
    chunk = store.objects.put(data, objects.CHUNK)
    return {"sha256": chunk, "bytes": len(data), "chunks": [{"id": chunk, "bytes": len(data)}]}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "parts": []}, "message 2 is none: id"),
        ({"id": "m2", "role": "robot", "parts": []}, "message 2 is none: role"),
        ({"id": "m2", "role": "user", "parts": "text"}, "message 2 is none: parts"),
        ("text", "message 2 is none: it"),
    ],
)
def test_what_is_no_message_is_refused(store: Store, message: Any, words: str) -> None:
    with pytest.raises(errors.UsageError, match=words):
        store.put(KEY, [say(1, "user", "a"), message])
    assert store.heads(KEY) == []


def test_a_link_to_nowhere_among_the_revisions_is_passed_over(store: Store) -> None:
    name = store.put(KEY, [say(1, "user", "a")])
    folder, file = name.split("/")
    Path(store.root, "sessions", folder, file.replace(file.split(".")[-2], "0" * 64)).symlink_to("nowhere")
    assert [head["_name"] for head in store.heads(KEY)] == [name]
