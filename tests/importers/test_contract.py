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
from sessionstore.importers.parsing import Unparsable, parse
from sessionstore.migrate.bundles import members_of
from sessionstore.migrate.finding import Roots, candidates

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
SIDECARS = {"history.jsonl", "session_index.jsonl", "workspace.json"}
"""Files that lie beside sessions and are none."""
ANYWHERE = {"aider", "chuk-sessions", "oasst", "openai-messages", "sharegpt", "swe-agent"}
"""Formats without a place of their own: they are read where somebody names them."""
BESIDE = "beside"
"""A directory of fixtures that no importer may recognise."""
LONG = 5 << 20
MUTATIONS = 60
SPLITS = 60


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
    """(importer, file) of every fixture that an importer with that suffix could be offered; of several files that are
    one source the one that stands for it."""
    suffixes = tuple({suffix for importer in all_importers().values() for suffix in importer.suffixes})
    found = candidates(
        Roots([str(ROOT / "fixtures")], suffixes), all_importers(), {}, on_error=lambda path, reason: None
    )
    for path in sorted(Path(candidate.path) for candidate in found):
        owner = owner_of(path)
        if owner not in IMPORTERS or path.name in SIDECARS or BESIDE in path.parts:
            continue
        if path.name.lower().endswith(all_importers()[owner].suffixes):
            yield owner, path


def is_lines(path: Path) -> bool:
    """Whether a fixture is one record a line; an importer of such files may read documents of its format as well."""
    return not {".jsonl", ".ndjson"}.isdisjoint(path.suffixes)


def is_text(path: Path) -> bool:
    """Whether a fixture is JSON or other text, not a database, an archive or the like."""
    return path.name.lower().endswith((".json", ".jsonl", ".jsonl.zst", ".ndjson", ".html", ".md", ".txt", ".traj"))


ALL = [pytest.param(owner, path, id=f"{owner}-{path.name}") for owner, path in fixtures()]
CASES = [case for case in ALL if is_text(Path(str(case.values[1])))]
BINARY = [case for case in ALL if not is_text(Path(str(case.values[1])))]
JSON = [case for case in CASES if Path(str(case.values[1])).name.lower().endswith(("json", "jsonl", "zst"))]
BY_LINE = [case for case in CASES if is_lines(Path(str(case.values[1]))) and all_importers()[case.values[0]].by_line]
each_fixture = pytest.mark.parametrize(("owner", "path"), CASES)
each_json_fixture = pytest.mark.parametrize(("owner", "path"), JSON)
each_binary_fixture = pytest.mark.parametrize(("owner", "path"), BINARY)
every_fixture = pytest.mark.parametrize(("owner", "path"), ALL)


def head_of(data: bytes, name: str, path: Path | None = None) -> Head:
    """What `recognise` is shown of a file."""
    return Head(name, data[:HEAD], len(data) <= HEAD, lambda: [data], data[:4], str(path) if path else None)


def companions(owner: str, path: Path) -> dict[str, bytes]:
    """The files that belong to a fixture."""
    return {member.name: Path(member.path).read_bytes() for member in members_of(all_importers()[owner], str(path))}


def source_of(owner: str, path: Path, data: bytes | None = None) -> Source:
    """A fixture as its importer is handed it, or other bytes in its place."""
    return Source.of(unpacked(path) if data is None else data, str(path), companions(owner, path))


def account_of(account: Account) -> tuple[int, int, int, list[tuple[int, str]]]:
    """An account as comparable data."""
    return account.records, account.mapped, account.preserved, sorted(account.rejected)


def result(importer: Importer, source: Source) -> tuple[list[tuple[str, dict[str, Any]]], list[Any], Any]:
    """Everything a read gives: messages with their session, drafts, account and issues of the file."""
    messages = [(draft.native_id, deepcopy(message)) for draft, message in importer.read(source)]
    return messages, [draft.state() for draft in source.drafts], (account_of(source.account), source.file_issues)


def check(importer: Importer, data: bytes, name: str, beside: dict[str, bytes] | None = None) -> bool:
    """Read bytes whatever they are and hold every promise that is made for all of them. Whether it could be read."""
    try:
        importer.recognise(head_of(data, name))
    except Unparsable as error:
        assert str(error)
    source = Source.of(data, name, beside)
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
    assert any(case.values[0] == name for case in ALL)


@pytest.mark.parametrize("name", IMPORTERS)
def test_places_are_named_without_looking_at_the_disk(name: str) -> None:
    machine = Machine(home=Path("/nowhere/home"), cwd=Path("/nowhere/home/project"), env={})
    places = list(all_importers()[name].places(machine))
    assert bool(places) == (name not in ANYWHERE)
    assert all(isinstance(place, Place) and place.root.is_absolute() for place in places)
    assert len({place.root for place in places}) == len(places)


@every_fixture
def test_a_fixture_is_recognised_by_its_importer_and_by_no_other(owner: str, path: Path) -> None:
    head = head_of(unpacked(path), path.name, path)
    assert [name for name in IMPORTERS if all_importers()[name].recognise(head)] == [owner]


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (ROOT / "fixtures").rglob("*") if p.is_file() and (p.name in SIDECARS or BESIDE in p.parts)),
    ids=lambda p: p.name,
)
def test_a_file_beside_the_sessions_is_recognised_by_nobody(path: Path) -> None:
    head = head_of(path.read_bytes(), path.name, path)
    assert not [name for name in IMPORTERS if all_importers()[name].recognise(head)]


@every_fixture
def test_reading_is_deterministic_and_does_not_depend_on_block_sizes(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    once = result(importer, source_of(owner, path))
    assert result(importer, source_of(owner, path)) == once
    again = source_of(owner, path)
    again.blocks = [data[start : start + 1009] for start in range(0, len(data), 1009)]
    assert result(importer, again) == once


@every_fixture
def test_every_record_is_accounted_for_exactly_once(owner: str, path: Path) -> None:
    source = source_of(owner, path)
    messages = list(all_importers()[owner].read(source))
    assert messages
    assert source.account.records > 0
    assert source.account.adds_up
    if is_lines(path) and all_importers()[owner].by_line and not source.companions:
        assert source.account.records == sum(1 for line in unpacked(path).split(b"\n") if line.strip())


@every_fixture
def test_messages_are_of_the_unified_model(owner: str, path: Path) -> None:
    assert check(all_importers()[owner], unpacked(path), str(path), companions(owner, path))


@every_fixture
def test_messages_come_back_from_their_stored_line_unchanged(owner: str, path: Path) -> None:
    for _, message in all_importers()[owner].read(source_of(owner, path)):
        assert canonical.loads(canonical.line(message)) == message


@every_fixture
def test_parents_name_messages_of_the_session_or_are_reported_as_missing(owner: str, path: Path) -> None:
    source = source_of(owner, path)
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


@every_fixture
def test_only_figures_that_are_not_zero_are_written(owner: str, path: Path) -> None:
    for _, message in all_importers()[owner].read(source_of(owner, path)):
        assert "usage" not in message or (message["usage"] and all(message["usage"].values()))
        assert "x" not in message or message["x"]


@every_fixture
def test_a_file_cut_anywhere_is_read_or_refused(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    for step in range(20):
        check(importer, data[: len(data) * step // 20], str(path), companions(owner, path))
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    check(importer, data[: (last + len(data)) // 2], path.name)


@every_fixture
def test_a_flipped_bit_is_survived(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    dice = random.Random(zlib.crc32(data))
    for _ in range(30):
        damaged = bytearray(data)
        damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        check(importer, bytes(damaged), str(path), companions(owner, path))


@every_fixture
def test_a_companion_cut_or_flipped_anywhere_is_survived(owner: str, path: Path) -> None:
    importer, data, beside = all_importers()[owner], unpacked(path), companions(owner, path)
    for name, content in beside.items():
        dice = random.Random(zlib.crc32(content))
        for step in range(10):
            check(importer, data, str(path), {**beside, name: content[: len(content) * step // 10]})
            damaged = bytearray(content or b"x")
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
            check(importer, data, str(path), {**beside, name: bytes(damaged)})
        for hostile in (b"", b"[]", b"{}", b"5", b"\xff\xfe", bytes(64), b"[" * 100_000, b'{"a":\n'):
            check(importer, data, str(path), {**beside, name: hostile})


@every_fixture
def test_a_source_without_its_companions_is_read_or_refused(owner: str, path: Path) -> None:
    check(all_importers()[owner], unpacked(path), str(path))


@each_binary_fixture
def test_bytes_of_another_kind_are_refused_or_hold_no_session(owner: str, path: Path) -> None:
    data = unpacked(path)
    for hostile in (b"", bytes(4096), data[:100] + bytes(4096), b'{"a": 1}', data[:16] * 300):
        assert check(all_importers()[owner], hostile, str(path)) is False or not list(
            all_importers()[owner].read(Source.of(hostile, str(path)))
        )


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
@each_json_fixture
def test_hostile_bytes_are_read_or_refused(owner: str, path: Path, kind: str) -> None:
    check(all_importers()[owner], HOSTILE[kind](unpacked(path)), path.name)


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_line_of_five_megabytes_is_read(name: str) -> None:
    path = next((Path(str(case.values[1])) for case in JSON if case.values[0] == name), None)
    if path is None:
        return  # a format that has no JSON files
    assert check(all_importers()[name], with_member(unpacked(path), b'"zz":"' + b"x" * LONG + b'"'), path.name)


@each_json_fixture
def test_a_mark_at_the_beginning_and_carriage_returns_change_no_message(owner: str, path: Path) -> None:
    importer, data = all_importers()[owner], unpacked(path)
    messages = result(importer, Source.of(data, path.name))[0]
    assert result(importer, Source.of(b"\xef\xbb\xbf" + data, path.name))[0] == messages
    assert result(importer, Source.of(data.replace(b"\n", b"\r\n"), path.name))[0] == messages


def records_of(path: Path, data: bytes) -> list[Any]:
    """The JSON values of a fixture: one a line, or the one document."""
    if not is_lines(path):
        try:
            return [json.loads(data)]
        except ValueError:
            return []  # no JSON at all
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


@each_json_fixture
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


@each_json_fixture
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
        owners = [name for name in IMPORTERS if all_importers()[name].recognise(head_of(data, str(path), path))]
        assert len(owners) <= 1, (path, owners)
        for owner in owners:
            assert check(all_importers()[owner], data, str(path), companions(owner, path)), path
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
