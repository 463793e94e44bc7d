"""The test vectors of store format 1, held by the real implementation and by one written from docs/format.md alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from sessionstore import canonical, chunks, compose, layout, lineage, objects, pages
from sessionstore.store import Store
from tests.conftest import FIXTURES, ROOT
from tests.store import independent

VECTORS = FIXTURES / "format-v1" / "vectors"
Json = dict[str, Any]


class Implementation(Protocol):
    """What both implementations can do."""

    def canonical(self, value: Any) -> bytes: ...
    def slug(self, key: str) -> str: ...
    def fanout(self, key: str) -> str: ...
    def document_name(self, key: str, data: bytes) -> str: ...
    def session_key(self, source: str, native_id: str, root: str | None) -> str: ...
    def pages(self, lengths: list[int], system_first: bool) -> tuple[list[int], int]: ...
    def chunks(self, data: bytes, rule: str) -> list[bytes]: ...
    def compose(self, case: Json, messages: list[Json]) -> tuple[str, bytes, dict[str, bytes]]: ...
    def heads(self, revisions: dict[str, Json], found: dict[str, bytes]) -> list[str]: ...


class Real:
    """sessionstore itself."""

    canonical = staticmethod(canonical.dumps)
    slug = staticmethod(layout.slug)
    fanout = staticmethod(layout.fanout)
    document_name = staticmethod(layout.document_name)
    session_key = staticmethod(layout.session_key)

    def __init__(self, store: Store) -> None:
        self.store = store

    def pages(self, lengths: list[int], system_first: bool) -> tuple[list[int], int]:
        pager, found = pages.Pager(), []
        for number, length in enumerate(lengths):
            closed = pager.add(b"x" * length, system=system_first and number == 0)
            found += [len(closed)] if closed else []
        return found, len(pager.tail)

    def chunks(self, data: bytes, rule: str) -> list[bytes]:
        chunker = chunks.Chunker(rule)
        found = [chunk for start in range(0, len(data), 999_983) for chunk in chunker.feed(data[start:][:999_983])]
        last = chunker.finish()
        return [*found, last] if last else found

    def compose(self, case: Json, messages: list[Json]) -> tuple[str, bytes, dict[str, bytes]]:
        composer = compose.Composer(self.store.objects)
        for message in messages:
            composer.add(message)
        revision = composer.finish(case["key"], case["fields"], case.get("parents", ()))
        name, data = self.store.name_of(revision)
        found = {page["id"]: self.store.page(page["id"]) for page in revision["pages"]}
        for blob in revision.get("blobs", ()):
            found[blob["id"]] = self.store.objects.get(blob["id"], objects.VALUE)
        return name, data, found

    def heads(self, revisions: dict[str, Json], found: dict[str, bytes]) -> list[str]:
        named = [{**revision, "_name": name} for name, revision in revisions.items()]
        return [revision["_name"] for revision in lineage.heads(named, found.__getitem__)]


class Independent:
    """The one written from the specification."""

    canonical = staticmethod(independent.canonical)
    slug = staticmethod(independent.slug)
    fanout = staticmethod(independent.fanout)
    document_name = staticmethod(independent.document_name)
    session_key = staticmethod(independent.session_key)
    pages = staticmethod(independent.cut_pages)

    def chunks(self, data: bytes, rule: str) -> list[bytes]:
        return list(independent.cut_chunks(data, rule))

    def compose(self, case: Json, messages: list[Json]) -> tuple[str, bytes, dict[str, bytes]]:
        found: dict[str, bytes] = {}

        def put(data: bytes, kind: str) -> str:
            name = independent.sha256(data)
            found[name] = data
            return name

        name, data = independent.compose(case["key"], case["fields"], case.get("parents", ()), messages, put)
        return name, data, found

    def heads(self, revisions: dict[str, Json], found: dict[str, bytes]) -> list[str]:
        lines = {}
        for name, revision in revisions.items():
            paged = b"".join(found[page["id"]] for page in revision["pages"]).splitlines(keepends=True)
            lines[name] = paged + [independent.canonical(message) + b"\n" for message in revision["messages"]]
        return independent.heads(revisions, lines)


@pytest.fixture(scope="module", params=["real", "independent"])
def implementation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Implementation:
    if request.param == "independent":
        return Independent()
    return Real(Store.init(tmp_path_factory.mktemp("vectors") / "store"))


def cases(file: str, member: str = "cases") -> list[Any]:
    """The cases of a vector file, each named for pytest."""
    document = json.loads((VECTORS / file).read_text("ascii"))
    return [pytest.param(case, id=str(case.get("name", ""))[:60] or None) for case in document[member]]


def expanded(value: Any) -> Any:
    """A case's input with its repetitions written out."""
    if isinstance(value, dict):
        if value.keys() == {"$repeat"}:
            text, times = value["$repeat"]
            return text * times
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def generated(parts: list[Json]) -> Iterator[bytes]:
    """The bytes of a chunk case."""
    for part in parts:
        for i in range(part.get("lines", 0)):
            yield f"{i} {chr(97 + i % 26) * (i * i % 977)}\n".encode()
        yield part.get("text", "").encode() * part.get("times", 0)


@pytest.mark.parametrize("case", cases("canonical.json"))
def test_a_value_has_one_canonical_form(implementation: Implementation, case: Json) -> None:
    data = implementation.canonical(json.loads(case["json"]))
    assert data == case["canonical"].encode()
    assert independent.sha256(data) == case["sha256"]


@pytest.mark.parametrize("case", cases("names.json", "keys"))
def test_a_key_has_one_directory_and_slug(implementation: Implementation, case: Json) -> None:
    assert (implementation.fanout(case["key"]), implementation.slug(case["key"])) == (case["fanout"], case["slug"])


@pytest.mark.parametrize("case", cases("names.json", "documents"))
def test_a_document_is_named_by_key_and_bytes(implementation: Implementation, case: Json) -> None:
    data = implementation.canonical(case["document"])
    assert data == case["bytes"].encode()
    assert implementation.document_name(case["document"]["key"], data) == case["name"]


@pytest.mark.parametrize("case", cases("names.json", "session_keys"))
def test_a_source_and_native_id_give_one_key(implementation: Implementation, case: Json) -> None:
    assert implementation.session_key(case["source"], case["native_id"], case["root"]) == case["key"]


@pytest.mark.parametrize("case", cases("pages.json"))
def test_line_lengths_give_one_set_of_pages(implementation: Implementation, case: Json) -> None:
    lengths = [length for length, count in case["lines"] for _ in range(count)]
    assert implementation.pages(lengths, case["system_first"]) == (case["pages"], case["tail"])


@pytest.mark.parametrize("case", cases("chunks.json"))
def test_bytes_give_one_set_of_chunks(implementation: Implementation, case: Json) -> None:
    found = implementation.chunks(b"".join(generated(case["input"])), case["rule"])
    assert [{"id": independent.sha256(chunk), "bytes": len(chunk)} for chunk in found] == case["chunks"]


@pytest.mark.parametrize("case", cases("sessions.json"))
def test_messages_give_one_revision_and_its_objects(implementation: Implementation, case: Json) -> None:
    name, data, found = implementation.compose(case, expanded(case["messages"]))
    expect = case["expect"]
    if "revision" in expect:
        assert data.decode() == expect["revision"]
    assert (name, len(data)) == (expect["name"], expect["bytes"])
    assert {name: len(data) for name, data in found.items()} == {o["id"]: o["bytes"] for o in expect["objects"]}
    assert all(independent.sha256(data) == name for name, data in found.items())


@pytest.mark.parametrize("case", cases("heads.json"))
def test_revisions_of_a_session_have_one_set_of_heads(implementation: Implementation, case: Json) -> None:
    revisions: dict[str, Json] = {}
    found: dict[str, bytes] = {}
    for entry, name in zip(expanded(case["revisions"]), case["names"], strict=True):
        messages = [
            {"id": f"m{n}", "role": "user", "parts": [{"type": "text", "content": text}]}
            for n, text in enumerate(entry["texts"], 1)
        ]
        fields = {"source": "native", "native_id": "tree", "title": entry.get("title"), "updated_at": entry.get("at")}
        parents = [case["names"][position].split(".")[-2] for position in entry.get("parents", ())]
        given = {"key": "native:tree", "fields": fields, "parents": parents}
        made, data, pages_found = implementation.compose(given, messages)
        assert made == name
        revisions[name] = json.loads(data)
        found |= pages_found
    assert implementation.heads(revisions, found) == [case["names"][position] for position in case["heads"]]


def test_the_examples_in_the_specification_are_true(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "format.md").read_text("utf-8")
    examples = re.findall(r"^`(sessions|notes)/(.+)`\n```json\n(.+)\n```$", text, re.MULTILINE)
    assert [folder for folder, _, _ in examples] == ["sessions", "sessions", "notes"]
    for _, name, example in examples:
        document = json.loads(example)
        assert independent.canonical(document) == example.encode()
        assert independent.document_name(document["key"], example.encode()) == name
    (_, before, first), (_, after, second), _ = examples
    messages = json.loads(second)["messages"]
    assert [len(canonical.line(message)) for message in messages[:2]] == [110, 176]
    store = Store.init(tmp_path)
    assert store.put("native:hello", json.loads(first)["messages"], {"title": "The time"}) == before
    assert store.append("native:hello", messages[2:]) == after
    assert store.revision_names() == {after}


def test_the_vectors_are_what_the_script_writes() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "make-vectors"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_finds_a_changed_vector(tmp_path: Path) -> None:
    for name in ("scripts", "fixtures", "sessionstore"):
        (tmp_path / name).mkdir()
    (tmp_path / "sessionstore").rmdir()
    (tmp_path / "sessionstore").symlink_to(ROOT / "sessionstore")
    script = tmp_path / "scripts" / "make-vectors"
    script.write_bytes((ROOT / "scripts" / "make-vectors").read_bytes())
    copied = tmp_path / "fixtures" / "format-v1"
    (copied / "vectors").mkdir(parents=True)
    for path in (FIXTURES / "format-v1").rglob("*"):
        if path.is_file() and path.parent.name in ("format-v1", "vectors"):
            (copied / path.relative_to(FIXTURES / "format-v1")).write_bytes(path.read_bytes())
    changed = copied / "vectors" / "pages.json"
    changed.write_text(changed.read_text("ascii").replace("32767", "32766", 1), "ascii")
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "pages.json is not current" in done.stderr


def test_the_fixtures_stay_small() -> None:
    sizes = [path.stat().st_size for path in (FIXTURES / "format-v1").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in VECTORS.iterdir()) < 400_000
    assert sum(sizes) < 800_000
