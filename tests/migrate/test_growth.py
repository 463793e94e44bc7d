"""Sources that have changed since they were imported: grown, rewritten, cut off, replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Importer, Message, Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.codex import Codex
from sessionstore.migrate import workers
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import grow, run, write

Lines = Callable[..., bytes]
Place = Callable[[Path, int], Path]
FORMATS = [
    pytest.param(support.claude, support.claude_path, id="claude-code"),
    pytest.param(support.codex, support.codex_path, id="codex"),
]
each_format = pytest.mark.parametrize(("lines", "place"), FORMATS)


def one_shot(tmp_path: Path, path: Path) -> Store:
    """A fresh store that has read the file as it is now."""
    store = Store.init(tmp_path / "one-shot")
    run(store, path)
    return store


@each_format
def test_growth_in_any_steps_ends_at_the_revision_of_one_import(
    store: Store, tmp_path: Path, lines: Lines, place: Place
) -> None:
    final = lines(1, 40)
    steps = [0, len(lines(1, 10)), len(lines(1, 25)), len(lines(1, 30)) + 40, len(final)]
    path = write(place(tmp_path, 1), b"")
    for start, end in pairwise(steps):
        grow(path, final[start:end])
        support.rest()
        assert run(store, path).failed == []
    assert path.read_bytes() == final
    once = one_shot(tmp_path, path)
    assert store.revision_names() == once.revision_names()
    assert support.originals(store)[support.digest(final)] == final
    assert [line["account"] for line in support.live_lines(store)[-1:]] == [
        line["account"] for line in support.live_lines(once)
    ]
    support.assert_closed(store)


@each_format
def test_a_last_line_that_gets_its_line_feed_later_gives_the_same_messages(
    store: Store, tmp_path: Path, lines: Lines, place: Place
) -> None:
    path = write(place(tmp_path, 1), lines(1, 10)[:-1])
    support.rest()
    run(store, path)
    before = list(store.lines(support.only_head(store)))
    grow(path, b"\n")
    support.rest()
    assert run(store, path).sessions == {"updated": 1}
    assert list(store.lines(support.only_head(store))) == before
    assert support.originals(store)[support.digest(lines(1, 10))] == lines(1, 10)


@each_format
def test_a_torn_line_is_an_issue_only_while_it_is_torn(
    store: Store, tmp_path: Path, lines: Lines, place: Place
) -> None:
    path = write(place(tmp_path, 1), lines(1, 6) + lines(1, 7, 6)[:50])
    support.rest()
    torn = run(store, path)
    assert (torn.rejected, torn.issues) == (1, {"torn-last-line": 1})
    grow(path, lines(1, 7, 6)[50:])
    support.rest()
    whole = run(store, path)
    assert (whole.rejected, whole.issues) == (0, {})
    assert "torn-last-line" not in [issue["code"] for issue in support.only_head(store).get("issues", ())]


class Counting(Importer):
    """An importer that counts what another one is given to read."""

    def __init__(self, inner: Importer) -> None:
        self.inner, self.read_messages = inner, 0
        for name in ("source", "version", "title", "suffixes", "scoped", "window", "by_line"):
            setattr(self, name, getattr(inner, name))
        self.recognise = inner.recognise  # type: ignore[method-assign]

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        for pair in self.inner.read(source):
            self.read_messages += 1
            yield pair


@pytest.mark.parametrize(
    ("importer", "lines", "place"),
    [
        pytest.param(ClaudeCode, support.claude, support.claude_path, id="claude-code"),
        pytest.param(Codex, support.codex, support.codex_path, id="codex"),
    ],
)
def test_only_what_is_new_is_parsed_and_the_older_revision_goes_to_the_trash(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    importer: type[Importer],
    lines: Lines,
    place: Place,
) -> None:
    counting = Counting(importer())
    monkeypatch.setattr(workers, "all_importers", lambda: {counting.source: counting})
    path = write(place(tmp_path, 1), lines(1, 30))
    support.rest()
    run(store, path)
    [older] = store.revision_names()
    bytes_before = Path(store.root, "sessions", older).read_bytes()
    read_before = counting.read_messages
    grow(path, lines(1, 35, 30))
    support.rest()
    report = run(store, path)
    assert counting.read_messages - read_before == 5
    assert report.sessions == {"extended": 1}
    assert support.live_lines(store)[-1]["grown"] is True
    assert Path(store.root, "trash", str(report.batch), "sessions", older).read_bytes() == bytes_before
    assert older not in store.revision_names()
    assert support.only_head(store)["counts"]["messages"] == read_before + 5


def _replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


REWRITES = {
    "first line, same length": lambda data: _replaced(data, b"1: line 0 ", b"1: LINE 0 "),
    "first line, longer": lambda data: _replaced(data, b"1: line 0 ", b"1: the very first line 0 "),
    "middle line, same length": lambda data: _replaced(data, b"1: line 15 ", b"1: LINE 15 "),
    "middle line, shorter": lambda data: _replaced(data, b"1: line 15 ", b"15 "),
    "last line, same length": lambda data: _replaced(data, b"1: line 29 ", b"1: LINE 29 "),
    "last line, longer": lambda data: _replaced(data, b"1: line 29 ", b"1: the very last line 29 "),
}


@pytest.mark.parametrize("more", [0, 5], ids=["as long", "grown"])
@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES.keys())
def test_a_rewritten_file_becomes_a_second_head_and_the_first_one_stays(
    store: Store, tmp_path: Path, rewrite: Callable[[bytes], bytes], more: int
) -> None:
    before = support.claude(1, 30)
    after = rewrite(before) + support.claude(1, 30 + more, 30)
    path = write(support.claude_path(tmp_path, 1), before)
    support.rest()
    run(store, path)
    first = support.only_head(store)
    path.write_bytes(after)
    support.rest()
    report = run(store, path)
    assert report.sessions == {"branched": 1}
    [both] = support.heads(store).values()
    assert first["_name"] in [head["_name"] for head in both]
    assert len(both) == 2
    assert set(support.originals(store).values()) == {before, after}
    [fresh] = [head for head in both if head["_name"] != first["_name"]]
    assert list(store.lines(fresh)) == list(one_shot(tmp_path, path).lines(fresh))
    support.assert_closed(store)


def test_a_rewritten_file_goes_on_growing_from_its_own_head(store: Store, tmp_path: Path) -> None:
    before = support.claude(1, 30)
    path = write(support.claude_path(tmp_path, 1), before)
    support.rest()
    run(store, path)
    path.write_bytes(REWRITES["middle line, shorter"](before))
    support.rest()
    run(store, path)
    grow(path, support.claude(1, 33, 30))
    support.rest()
    assert run(store, path).sessions == {"extended": 1}
    [both] = support.heads(store).values()
    assert sorted(head["counts"]["messages"] for head in both) == [30, 33]


def test_a_line_that_was_whole_without_its_line_feed_may_not_go_on(store: Store, tmp_path: Path) -> None:
    whole = support.claude(1, 6)
    path = write(support.claude_path(tmp_path, 1), whole[:-1])
    support.rest()
    run(store, path)
    grow(path, b" " + support.claude(1, 8, 6))
    support.rest()
    run(store, path)
    fresh = one_shot(tmp_path, path)
    assert [list(store.lines(head)) for [head] in support.heads(store).values()] == [
        list(fresh.lines(head)) for [head] in support.heads(fresh).values()
    ]


@each_format
def test_a_truncated_file_loses_nothing_in_the_store(store: Store, tmp_path: Path, lines: Lines, place: Place) -> None:
    whole, cut = lines(1, 30), lines(1, 12)
    path = write(place(tmp_path, 1), whole)
    support.rest()
    run(store, path)
    before = support.parts(store, "sessions")
    path.write_bytes(cut)
    support.rest()
    assert run(store, path).sessions == {"contained": 1}
    assert support.parts(store, "sessions") == before
    [first, second] = support.live_lines(store)
    assert support.original(store, first["original"]) == whole
    assert support.original(store, second["original"]) == cut
    assert b"".join(store.original(first["original"], second["original"]["bytes"])) == cut


@each_format
def test_a_file_that_was_truncated_and_then_grows_again_is_not_counted_twice(
    store: Store, tmp_path: Path, lines: Lines, place: Place
) -> None:
    path = write(place(tmp_path, 1), lines(1, 30))
    for data in (lines(1, 12), lines(1, 30)):
        support.rest()
        run(store, path)
        path.write_bytes(data)
    before = support.parts(store, "sessions")
    support.rest()
    assert run(store, path).sessions == {"same": 1}
    assert support.parts(store, "sessions") == before


def test_an_older_copy_beside_it_adds_nothing(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path / "now", 1), support.claude(1, 30))
    write(support.claude_path(tmp_path / "backup", 1), support.claude(1, 10))
    report = run(store, tmp_path)
    assert report.sessions == {"new": 1, "contained": 1}
    assert support.only_head(store)["counts"]["messages"] == 30
    assert [support.original(store, line["original"]) for line in support.live_lines(store)] == [
        support.claude(1, 30),
        support.claude(1, 10),
    ]


def test_an_older_copy_that_is_read_first_is_extended(store: Store, tmp_path: Path) -> None:
    backup = write(support.claude_path(tmp_path / "backup", 1), support.claude(1, 10))
    run(store, backup)
    write(support.claude_path(tmp_path / "now", 1), support.claude(1, 30))
    report = run(store, tmp_path / "now")
    assert report.sessions == {"extended": 1}
    assert support.only_head(store)["counts"]["messages"] == 30


def test_one_line_that_is_not_told_apart_by_its_messages_is_still_kept_as_bytes(store: Store, tmp_path: Path) -> None:
    before = support.claude(1, 6)
    after = b"\n" + before
    path = write(support.claude_path(tmp_path, 1), before)
    support.rest()
    run(store, path)
    path.write_bytes(after)
    support.rest()
    assert run(store, path).sessions == {"updated": 1}
    assert {support.original(store, entry) for entry in support.only_head(store)["originals"]} == {before, after}


def test_a_copy_of_a_moved_file_is_the_same_session(store: Store, tmp_path: Path) -> None:
    old = write(support.claude_path(tmp_path / "old", 1), support.claude(1, 6))
    support.rest()
    run(store, old)
    before = support.parts(store)
    new = support.claude_path(tmp_path / "new", 1)
    new.parent.mkdir(parents=True)
    old.rename(new)
    support.rest()
    assert run(store, tmp_path).sessions == {"same": 1}
    assert support.parts(store) == before
    assert run(store, tmp_path).batch is None


class Newer(ClaudeCode):
    """The next version of an importer, which gives other messages."""

    version = ClaudeCode.version + 1

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        for draft, message in super().read(source):
            yield draft, {**message, "x": {**message.get("x", {}), "seen": True}}


def use_newer_importer(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on it is the newer one that reads."""
    newer: Any = Newer()
    monkeypatch.setattr(workers, "all_importers", lambda: {newer.source: newer})


def test_a_newer_importer_reads_again_and_keeps_the_older_reading(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 6))
    support.rest()
    run(store, path)
    first = support.only_head(store)
    use_newer_importer(monkeypatch)
    assert run(store, path).sessions == {"reimported": 1}
    head = support.only_head(store)
    assert head["parents"] == [first["_name"].rpartition(".")[0].rpartition(".")[2]]
    assert first["_name"] in store.revision_names()
    assert all(message["x"]["seen"] for message in store.messages(head))
    assert run(store, path).batch is None


@pytest.mark.parametrize("between", [True, False], ids=["after it was read again", "at the same time"])
def test_growth_read_by_a_newer_importer_leaves_one_head(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: bool
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 6))
    support.rest()
    run(store, path)
    first = support.only_head(store)
    use_newer_importer(monkeypatch)
    if between:
        run(store, path)
    for count in (9, 12):
        grow(path, support.claude(1, count, count - 3))
        support.rest()
        run(store, path)
    head = support.only_head(store)
    assert head["counts"]["messages"] == 12
    assert all(message["x"]["seen"] for message in store.messages(head))
    assert first["_name"] in store.revision_names()


@pytest.mark.parametrize("newer", [False, True], ids=["same importer", "newer importer"])
def test_a_session_continued_by_hand_and_grown_at_its_source_has_two_heads(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: bool
) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 6))
    support.rest()
    run(store, path)
    [key] = support.keys(store)
    store.append(key, [{"id": "mine", "role": "user", "parts": [{"type": "text", "content": "By hand."}]}])
    if newer:
        use_newer_importer(monkeypatch)
    grow(path, support.claude(1, 9, 6))
    support.rest()
    run(store, path)
    [both] = support.heads(store).values()
    assert sorted(support.texts(store, head)[-1][:8] for head in both) == ["1: line ", "By hand."]
    assert {support.original(store, entry) for head in both for entry in head["originals"]} >= {path.read_bytes()}


def test_fields_that_a_program_has_set_stay_when_the_source_grows(store: Store, tmp_path: Path) -> None:
    path = write(support.claude_path(tmp_path, 1), support.claude(1, 20))
    support.rest()
    run(store, path)
    [key] = support.keys(store)
    store.append(key, [], {"tools": ["mine"], "cwd": "/elsewhere", "reviewed": True, "x": {"mood": "good"}})
    grow(path, support.claude(1, 40, 20))
    assert run(store, path).sessions == {"extended": 1}
    head = support.only_head(store)
    assert (head["tools"], head["reviewed"], head["x"]["mood"]) == (["mine"], True, "good")
    assert head["cwd"] == "/home/ada/src/tinyshop"  # what the source states wins
    assert head["counts"]["messages"] == 40
