"""What every importer promises, tested on every importer with its own fixtures."""

from __future__ import annotations

import ast
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sessionstore import canonical, importers, models
from sessionstore.importers import all_importers
from sessionstore.importers.base import Account, Head, Importer, Machine, Place, Source
from sessionstore.importers.material import SQLITE, ZIP
from sessionstore.importers.parsing import Unparsable, parse

ROOT = Path(__file__).resolve().parents[2]
OWNERS = {
    ".kimi_sessions": "kimi",
    ".llm_sessions": "llm-sessions",
    "claude-code": "claude-code",
    ".claude": "claude-code",
    "codex": "codex",
    ".codex": "codex",
}
"""Whose fixture a file is, by a directory it lies under."""
IMPORTERS = sorted(all_importers())
HEAD = 16 << 10
"""How many bytes of a file `recognise` is shown here."""
SIDECARS = {"history.jsonl", "session_index.jsonl"}
"""Files that lie beside sessions and are none."""
LONG = 5 << 20
MUTATIONS = 150
SPLITS = 120


def unpacked(path: Path) -> bytes:
    """A file's bytes as an importer is given them."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def owner_of(path: Path) -> str | None:
    """The importer that a fixture is for."""
    parts = path.relative_to(ROOT).parts
    if parts[:2] == ("fixtures", "formats") and len(parts) > 3:
        return parts[2]
    return next((OWNERS[part] for part in parts if part in OWNERS), None)


def fixtures() -> Iterator[tuple[str, Path]]:
    """(importer, file) of every fixture that an importer with that suffix could be offered."""
    for path in sorted((ROOT / "fixtures").rglob("*")):
        owner = owner_of(path)
        if owner not in IMPORTERS or path.is_symlink() or not path.is_file() or path.name in SIDECARS:
            continue
        if path.name.lower().endswith(all_importers()[owner].suffixes):
            yield owner, path


def is_lines(path: Path) -> bool:
    """Whether a fixture is one record a line; an importer of such files may read documents of its format as well."""
    return ".jsonl" in path.suffixes


CASES = [pytest.param(owner, path, id=f"{owner}-{path.name}") for owner, path in fixtures()]
BY_LINE = [
    case for case in CASES if is_lines(Path(str(case.values[1]))) and all_importers()[str(case.values[0])].by_line
]
TEXTS = [case for case in CASES if not Path(str(case.values[1])).read_bytes().startswith((SQLITE, ZIP))]
"""The fixtures that are no databases and no archives."""
each_fixture = pytest.mark.parametrize(("owner", "path"), CASES)
each_text = pytest.mark.parametrize(("owner", "path"), TEXTS)


def head_of(data: bytes, name: str, path: Path | None = None) -> Head:
    """What `recognise` is shown of a file; of one that lies on the disk as it is, its tables and members too."""
    return Head(name, data[:HEAD], len(data) <= HEAD, lambda: data, data[:4], str(path) if path else None)


def account_of(account: Account) -> tuple[int, int, int, list[tuple[int, str]]]:
    """An account as comparable data."""
    return account.records, account.mapped, account.preserved, sorted(account.rejected)


def result(importer: Importer, source: Source) -> tuple[list[tuple[str, dict[str, Any]]], list[Any], Any]:
    """Everything a read gives: messages with their session, drafts, account and issues of the file."""
    messages = [(draft.native_id, deepcopy(message)) for draft, message in importer.read(source)]
    return messages, [draft.state() for draft in source.drafts], (account_of(source.account), source.file_issues)


def check(importer: Importer, data: bytes, name: str) -> bool:
    """Read bytes whatever they are and hold every promise that is made for all of them. Whether it could be read."""
    importer.recognise(head_of(data, name))
    source = Source.of(data, name)
    ids: dict[int, set[str]] = {}
    try:
        for draft, message in importer.read(source):
            models.Message.model_validate(message)
            line = canonical.line(message)
            assert canonical.line(canonical.loads(line)) == line
            seen = ids.setdefault(id(draft), set())
            assert message["id"] not in seen
            seen.add(message["id"])
    except Unparsable as error:
        assert str(error)
        return False
    source.settle()
    assert source.account.adds_up, account_of(source.account)
    for draft in source.drafts:
        assert draft.native_id
        canonical.dumps(draft.state())
        for code, (count, note) in draft.issues.items():
            assert count > 0 and code == code.lower() and (note is None or isinstance(note, str))
    return True


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_states_what_it_is(name: str) -> None:
    importer = all_importers()[name]
    assert importer.source == name
    assert importer.version >= 1
    assert importer.title
    assert importer.suffixes and all(s.startswith(".") and s == s.lower() for s in importer.suffixes)
    assert importer.window is None or importer.window > 0
    assert (type(importer).__doc__ or "").strip()


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_has_fixtures(name: str) -> None:
    assert any(case.values[0] == name for case in CASES)


@pytest.mark.parametrize("name", IMPORTERS)
def test_places_are_named_without_looking_at_the_disk(name: str) -> None:
    machine = Machine(home=Path("/nowhere/home"), cwd=Path("/nowhere/home/project"), env={})
    places = list(all_importers()[name].places(machine))
    assert places
    assert all(isinstance(place, Place) and place.root.is_absolute() for place in places)
    assert len({place.root for place in places}) == len(places)


@each_fixture
def test_a_fixture_is_recognised_by_its_importer_and_by_no_other(owner: str, path: Path) -> None:
    head = head_of(unpacked(path), path.name, path)
    assert [name for name in IMPORTERS if all_importers()[name].recognise(head)] == [owner]


@pytest.mark.parametrize(
    "path", sorted(p for p in (ROOT / "fixtures").rglob("*") if p.name in SIDECARS), ids=lambda p: p.name
)
def test_a_file_beside_the_sessions_is_recognised_by_nobody(path: Path) -> None:
    head = head_of(path.read_bytes(), path.name)
    assert not [name for name in IMPORTERS if all_importers()[name].recognise(head)]


@each_fixture
def test_reading_is_deterministic_and_does_not_depend_on_block_sizes(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    once = result(importer, Source.of(data, path.name))
    assert result(importer, Source.of(data, path.name)) == once
    blocks = [data[start : start + 1009] for start in range(0, len(data), 1009)]
    assert result(importer, Source(path.name, blocks, size=len(data))) == once


@each_fixture
def test_every_record_is_accounted_for_exactly_once(owner: str, path: Path) -> None:
    source = Source.of(unpacked(path), path.name)
    messages = list(all_importers()[owner].read(source))
    assert messages
    assert source.account.records > 0
    assert source.account.adds_up
    if is_lines(path) and all_importers()[owner].by_line:
        assert source.account.records == sum(1 for line in unpacked(path).split(b"\n") if line.strip())


@each_fixture
def test_messages_are_of_the_unified_model(owner: str, path: Path) -> None:
    assert check(all_importers()[owner], unpacked(path), path.name)


@each_fixture
def test_messages_come_back_from_their_stored_line_unchanged(owner: str, path: Path) -> None:
    for _, message in all_importers()[owner].read(Source.of(unpacked(path), path.name)):
        assert canonical.loads(canonical.line(message)) == message


@each_fixture
def test_parents_name_messages_of_the_session_or_are_reported_as_missing(owner: str, path: Path) -> None:
    source = Source.of(unpacked(path), path.name)
    sessions: dict[str, list[dict[str, Any]]] = {}
    for draft, message in all_importers()[owner].read(source):
        sessions.setdefault(draft.native_id, []).append(message)
    for draft in source.drafts:
        messages = sessions.get(draft.native_id, [])
        ids = {message["id"] for message in messages}
        for message, before in zip(messages, [None, *messages], strict=False):
            parent = message.get("parent")
            assert parent is None or parent in ids or any("parent" in code for code in draft.issues)
            assert "parent" not in message or before is None or parent != before["id"], "a parent that says nothing"


@each_fixture
def test_only_figures_that_are_not_zero_are_written(owner: str, path: Path) -> None:
    for _, message in all_importers()[owner].read(Source.of(unpacked(path), path.name)):
        assert "usage" not in message or (message["usage"] and all(message["usage"].values()))
        assert "x" not in message or message["x"]


@each_fixture
def test_a_file_cut_anywhere_is_read_or_refused(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    for step in range(20):
        check(importer, data[: len(data) * step // 20], path.name)
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    check(importer, data[: (last + len(data)) // 2], path.name)


@each_fixture
def test_a_flipped_bit_is_survived(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    dice = random.Random(zlib.crc32(data))
    for _ in range(30):
        damaged = bytearray(data)
        damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        check(importer, bytes(damaged), path.name)


def with_member(data: bytes, member: bytes) -> bytes:
    """The file with one more member at the beginning of its first object."""
    return data.replace(b"{", b"{" + member + b",", 1)


def in_every_text(data: bytes, escape: bytes) -> bytes:
    """The file with `escape` at the beginning of every string value."""
    return data.replace(b'": "', b'": "' + escape).replace(b'":"', b'":"' + escape)


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "white space": lambda data: b" \n\n\t",
    "NUL padding": lambda data: data[: len(data) // 2] + bytes(4096) + data[len(data) // 2 :],
    "NULs at the end": lambda data: data + bytes(512),
    "only NULs": lambda data: bytes(len(data)),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "invalid UTF-8": lambda data: with_member(data, b'"zz":"\xff\xc0\x80\xed\xa0\x80"'),
    "lone surrogates": lambda data: with_member(data, b'"z\\udfff":"\\ud83d"'),
    "lone surrogates in every text": lambda data: in_every_text(data, b"\\ud83d"),
    "raw control characters": lambda data: in_every_text(data, b"\x01"),
    "NaN": lambda data: with_member(data, b'"zz":NaN,"zy":-Infinity,"zx":1e999'),
    "2^64": lambda data: with_member(data, b'"zz":18446744073709551616,"zy":-9223372036854775809'),
    "5000 digits": lambda data: with_member(data, b'"zz":' + b"9" * 5000),
    "duplicate keys": lambda data: with_member(data, b'"zz":1,"zz":2'),
    "depth 100,000": lambda data: with_member(data, b'"zz":' + b"[" * 100_000 + b"]" * 100_000),
    "depth 100,000 and no end": lambda data: with_member(data, b'"zz":' + b'{"a":' * 100_000),
    "depth 240": lambda data: with_member(data, b'"zz":' + b"[" * 240 + b"]" * 240),
    "another kind of document": lambda data: b'["an", {"array": 1}]\n',
    "a number": lambda data: b"5",
    "concatenated with itself": lambda data: data + data,
}


@pytest.mark.parametrize("kind", HOSTILE)
@each_text
def test_hostile_bytes_are_read_or_refused(owner: str, path: Path, kind: str) -> None:
    check(all_importers()[owner], HOSTILE[kind](unpacked(path)), path.name)


@pytest.mark.parametrize("name", sorted({str(case.values[0]) for case in TEXTS}))
def test_a_line_of_five_megabytes_is_read(name: str) -> None:
    path = next(Path(str(case.values[1])) for case in TEXTS if case.values[0] == name)
    assert check(all_importers()[name], with_member(unpacked(path), b'"zz":"' + b"x" * LONG + b'"'), path.name)


@each_text
def test_a_mark_at_the_beginning_and_carriage_returns_change_no_message(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    messages = result(importer, Source.of(data, path.name))[0]
    assert result(importer, Source.of(b"\xef\xbb\xbf" + data, path.name))[0] == messages
    assert result(importer, Source.of(data.replace(b"\n", b"\r\n"), path.name))[0] == messages


def records_of(path: Path, data: bytes) -> list[Any]:
    """The JSON values of a fixture: one a line, or the one document."""
    if not is_lines(path):
        return [json.loads(data)]
    values = []
    for line in data.split(b"\n"):
        try:
            values.append(parse(line)[0])
        except Unparsable:
            continue
    return values


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from spots(child)


WRONG: tuple[Any, ...] = (None, 5, -1.5, 2**63, True, "", "x", [], {}, [None], [[]], {"type": []}, [{"type": "text"}])


@each_text
def test_a_value_of_the_wrong_type_anywhere_is_survived(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    dice = random.Random(zlib.crc32(data))
    records = records_of(path, data)
    places = list(spots(records))
    for container, key in dice.sample(places, min(MUTATIONS, len(places))):
        kept = container[key]
        container[key] = deepcopy(dice.choice(WRONG))
        check(importer, b"".join(json.dumps(record).encode() + b"\n" for record in records), path.name)
        container[key] = kept


@each_text
def test_a_missing_field_anywhere_is_survived(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    dice = random.Random(zlib.crc32(data) + 1)
    records = records_of(path, data)
    places = [(container, key) for container, key in spots(records) if isinstance(container, dict)]
    for container, key in dice.sample(places, min(MUTATIONS, len(places))):
        kept = dict(container)
        del container[key]
        check(importer, b"".join(json.dumps(record).encode() + b"\n" for record in records), path.name)
        container.clear()
        container.update(kept)


@pytest.mark.parametrize(("owner", "path"), BY_LINE)
def test_going_on_after_any_line_gives_what_one_read_gives(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    whole = result(importer, Source.of(data, path.name))
    ends = [position + 1 for position, byte in enumerate(data) if byte == 10]
    for end in random.Random(0).sample(ends, min(SPLITS, len(ends))):
        first = Source.of(data[:end], path.name)
        before = result(importer, first)[0]
        if first.resume is None:
            continue
        state = canonical.loads(canonical.dumps(first.resume))
        second = Source(path.name, [data[end:]], account=first.account, resumed=state, file_issues=first.file_issues)
        messages, drafts, account = result(importer, second)
        assert (before + messages, drafts, account) == whole, f"split at byte {end}"


@pytest.mark.parametrize("name", sorted({str(case.values[0]) for case in BY_LINE}))
def test_most_growing_files_can_be_gone_on_with(name: str) -> None:
    resumes = []
    for path in (Path(str(case.values[1])) for case in BY_LINE if case.values[0] == name):
        source = Source.of(unpacked(path), path.name)
        for _ in all_importers()[name].read(source):
            pass
        resumes.append(source.resume is not None)
    assert sum(resumes) * 2 > len(resumes)


@pytest.mark.parametrize(("owner", "path"), BY_LINE)
def test_what_is_kept_to_go_on_later_is_small(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    source = Source.of(data, path.name)
    for _ in importer.read(source):
        pass
    if source.resume is not None:
        assert len(canonical.dumps(source.resume)) < 32 << 10


@pytest.mark.samples
def test_every_sample_belongs_to_one_importer_at_most_and_can_be_read(samples: Path) -> None:
    suffixes = tuple(suffix for name in IMPORTERS for suffix in all_importers()[name].suffixes)
    read = 0
    for path in sorted(samples.rglob("*")):
        if not path.is_file() or not path.name.lower().endswith(suffixes):
            continue
        data = unpacked(path)
        head = head_of(data, path.name, path)
        owners = [name for name in IMPORTERS if all_importers()[name].recognise(head)]
        assert len(owners) <= 1, path
        for owner in owners:
            assert check(all_importers()[owner], data, path.name), path
            read += 1
    assert read


# -- purity ------------------------------------------------------------------------------------------------------------

ALLOWED = ("sessionstore.importers", "sessionstore.canonical", "sessionstore.errors")
FORBIDDEN_MODULES = {"os", "io", "pickle", "marshal", "shelve", "subprocess", "socket", "shutil", "sqlite3", "urllib"}
FORBIDDEN_MODULES |= {"http", "ctypes", "tempfile", "glob", "builtins", "importlib", "runpy", "code"}
FORBIDDEN_CALLS = {"open", "exec", "eval", "compile", "__import__", "input", "print"}
FORBIDDEN_ATTRIBUTES = {"environ", "getenv", "open", "read_text", "read_bytes", "write_text", "write_bytes", "iterdir"}
FORBIDDEN_ATTRIBUTES |= {"rglob", "exists", "is_file", "is_dir", "stat", "unlink", "mkdir", "resolve", "expanduser"}
VIEWS = {"material"}
"""What makes the views of databases and archives that importers are handed; it reads private copies only."""
MODULES = sorted(
    p for p in Path(importers.__file__).parent.glob("*.py") if p.stem not in VIEWS and p.name != "__init__.py"
)


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of everything a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_importers_import_nothing_that_reads_or_writes(path: Path) -> None:
    for name in imported(ast.parse(path.read_text("utf-8"))):
        if name.startswith("sessionstore"):
            assert name.startswith(ALLOWED), name
        assert name.partition(".")[0] not in FORBIDDEN_MODULES, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_importers_touch_no_files_and_no_environment(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"{node.func.id} in line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in FORBIDDEN_ATTRIBUTES, f"{node.attr} in line {node.lineno}"


def test_every_importer_module_is_registered_or_shared() -> None:
    registered = {type(importer).__module__.rpartition(".")[2] for importer in all_importers().values()}
    for path in MODULES:
        lines = path.read_text("utf-8").splitlines()
        if any(line.startswith("class ") and "(Importer)" in line for line in lines):
            assert path.stem in registered
