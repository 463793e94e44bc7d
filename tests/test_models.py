"""The unified model and the JSON Schema made of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sessionstore.models import PARTS, Message, Note, Original, Revision, json_schema

ROOT = Path(__file__).resolve().parents[1]
SHA = "0123456789abcdef" * 4
MESSAGE: dict[str, Any] = {
    "id": "m1",
    "parent": None,
    "role": "assistant",
    "time": "2026-01-05T08:00:00.000Z",
    "model": "m",
    "provider": "p",
    "parts": [
        {"type": "text", "content": "hi", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "content": {"$object": SHA, "bytes": 300000}},
        {"type": "reasoning", "content": "", "signature": "s"},
        {"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}},
        {"type": "tool_call", "id": "", "name": "f", "arguments": None},
        {"type": "tool_call_response", "id": "c", "response": [{"type": "text", "content": "x"}], "is_error": True},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "AAAA"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "object": SHA, "bytes": 3},
        {"type": "uri", "uri": "https://example.org/a.png"},
        {"type": "file", "file_id": "f-1"},
        {"type": "record", "record": {"anything": [1, None]}},
        {"type": "server_tool_use", "whatever": 5},
    ],
    "usage": {"input_tokens": 5, "output_tokens": 2, "cost_microusd": 36, "estimated": True},
    "finish_reason": "stop",
    "kind": "sidechain",
    "x": {"requestId": "r"},
}
REVISION: dict[str, Any] = {
    "format": "sessionstore/session",
    "v": 1,
    "key": "kimi:x",
    "source": "kimi",
    "native_id": "x",
    "forked_from": {"key": "kimi:y", "message": "m4", "relation": "fork"},
    "pages": [{"id": SHA, "n": 3, "bytes": 40000}],
    "messages": [MESSAGE],
    "counts": {"messages": 4, "bytes": 40123, "by_role": {"user": 2, "assistant": 2}},
    "originals": [{"sha256": SHA, "bytes": 10, "chunks": [{"id": SHA, "bytes": 10}]}],
    "importer": {"name": "kimi", "version": 1},
    "issues": [
        {"code": "window-truncated", "n": 1, "note": "older messages may be lost"},
        {"code": "id-missing", "n": 2},
    ],
}
NOTE = {
    "format": "sessionstore/note",
    "v": 1,
    "key": "kimi:x",
    "field": "title",
    "value": "My talk",
    "time": "2026-01-05T08:00:00Z",
}


def refused(model: type[Message] | type[Revision] | type[Note] | type[Original], value: Any) -> bool:
    """Whether the model does not accept the value."""
    try:
        model.model_validate(value)
    except ValidationError:
        return True
    return False


def test_a_message_with_everything_is_accepted_and_comes_back_verbatim() -> None:
    message = Message.model_validate(deepcopy(MESSAGE))
    assert message.model_dump(exclude_unset=True, by_alias=True) == MESSAGE


def test_a_revision_and_a_note_are_accepted_and_come_back_verbatim() -> None:
    revision = Revision.model_validate(deepcopy(REVISION))
    assert revision.model_dump(exclude_unset=True, by_alias=True) == REVISION
    assert Note.model_validate(NOTE).model_dump(exclude_unset=True) == NOTE


@pytest.mark.parametrize("field", ["time", "model", "provider", "usage", "finish_reason", "kind", "x"])
def test_an_absent_field_is_never_null(field: str) -> None:
    assert not refused(Message, {name: value for name, value in MESSAGE.items() if name != field})
    assert refused(Message, MESSAGE | {field: None})


def test_only_a_parent_may_be_null_and_that_differs_from_absent() -> None:
    root = Message.model_validate({"id": "m1", "parent": None, "role": "user", "parts": []})
    follows = Message.model_validate({"id": "m1", "role": "user", "parts": []})
    assert "parent" in root.model_fields_set
    assert "parent" not in follows.model_fields_set


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 5},
        {"role": "developer"},
        {"parts": None},
        {"parts": [5]},
        {"parts": [{}]},
        {"parts": [{"type": 5}]},
        {"parts": [{"type": "text"}]},
        {"parts": [{"type": "text", "content": 5}]},
        {"parts": [{"type": "text", "content": {"$object": "x", "bytes": 1}}]},
        {"parts": [{"type": "tool_call", "id": "c", "name": "f"}]},
        {"parts": [{"type": "tool_call", "id": None, "name": "f", "arguments": {}}]},
        {"parts": [{"type": "tool_call_response", "id": "c", "response": "", "is_error": False}]},
        {"parts": [{"type": "blob", "modality": "image", "mime_type": "image/png"}]},
        {"parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "data": "A", "object": SHA}]},
        {"parts": [{"type": "record", "record": 5}]},
        {"usage": {"input_tokens": -1}},
        {"usage": {"input_tokens": True}},
        {"usage": {"input_tokens": 1.5}},
        {"usage": {"input_tokens": 2**63}},
        {"usage": {"tokens": 5}},
        {"usage": {"estimated": False}},
        {"kind": "other"},
        {"x": []},
        {"timestamp": "2026-01-05T08:00:00Z"},
    ],
)
def test_a_message_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    assert refused(Message, MESSAGE | change)


@pytest.mark.parametrize(
    ("time", "accepted"),
    [
        ("2026-01-05T08:00:00Z", True),
        ("2026-01-05T08:00:00.123456789+05:30", True),
        ("2016-12-31T23:59:60Z", True),
        ("2026-01-05T08:00:00", False),
        ("2026-01-05 08:00:00Z", False),
        ("2026-01-05", False),
        ("2026-13-05T08:00:00Z", False),
        ("2026-01-05T24:00:00Z", False),
        ("2026-01-05T08:00:00+0530", False),
        ("٢٠٢٦-01-05T08:00:00Z", False),
        ("2026-01-05T08:00:00Z\n", False),
        (1767600000, False),
    ],
)
def test_a_time_has_an_offset(time: Any, accepted: bool) -> None:
    assert refused(Message, MESSAGE | {"time": time}) is not accepted


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"format": "sessionstore/note"},
        {"key": ""},
        {"title": None},
        {"pages": [{"id": "x", "n": 1, "bytes": 1}]},
        {"pages": [{"id": SHA, "n": 0, "bytes": 1}]},
        {"messages": [{"id": "m1"}]},
        {"counts": {"messages": 1}},
        {"created_at": "yesterday"},
        {"parents": ["x"]},
        {"issues": {"id-missing": [1, None]}},
    ],
)
def test_a_revision_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    assert refused(Revision, REVISION | change)


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("title", "My talk", True),
        ("title", "", False),
        ("title", ["a"], False),
        ("tags", ["a", "b"], True),
        ("tags", "a", False),
        ("tags", [1], False),
        ("star", True, True),
        ("star", 1, False),
        ("archived", False, True),
        ("archived", "yes", False),
        ("tombstone", {"time": "2026-01-05T08:00:00Z", "reason": "asked to"}, True),
        ("tombstone", {"time": "2026-01-05T08:00:00Z", "content": "secret"}, False),
        ("tombstone", {"reason": "asked to"}, False),
        ("color", "red", False),
        ("title", None, True),
        ("tombstone", None, True),
    ],
)
def test_a_note_says_only_what_notes_are_for(field: str, value: Any, accepted: bool) -> None:
    assert refused(Note, NOTE | {"field": field, "value": value}) is not accepted


def test_a_note_states_its_time_and_its_value() -> None:
    for name in ("time", "value", "field", "key"):
        assert refused(Note, {field: value for field, value in NOTE.items() if field != name})


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from schemas(child)


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = json_schema()
    references = {found["$ref"] for found in schemas(schema) if isinstance(found.get("$ref"), str)}
    assert {"#/$defs/Message", "#/$defs/Revision", "#/$defs/Note"} <= references
    assert references == {f"#/$defs/{name}" for name in schema["$defs"]}


def test_the_schema_says_null_only_of_parents_and_of_notes_taken_back() -> None:
    defined = json_schema()["$defs"]
    assert defined["Message"]["properties"]["parent"]["type"] == ["string", "null"]
    assert {"type": "null"} in defined["Note"]["properties"]["value"]["anyOf"]
    del defined["Message"]["properties"]["parent"], defined["Note"]["properties"]["value"]
    for found in schemas(defined):
        assert found.get("type") != "null"
        assert found.get("default", ...) is ...


def test_each_kind_of_part_is_one_alternative_of_the_schema() -> None:
    defined = json_schema()["$defs"]
    alternatives = defined["Message"]["properties"]["parts"]["items"]["oneOf"]
    types = [defined[entry["$ref"].rpartition("/")[2]]["properties"]["type"] for entry in alternatives]
    assert tuple(kind["const"] for kind in types[:-1]) == PARTS
    assert types[-1]["not"] == {"enum": list(PARTS)}


def test_patterns_of_the_schema_mean_the_same_in_every_dialect() -> None:
    patterns = [found["pattern"] for found in schemas(json_schema()) if isinstance(found.get("pattern"), str)]
    assert patterns
    for pattern in patterns:
        re.compile(pattern)
        assert not re.search(r"\\[dwsb]", pattern), "Unicode or ASCII, depending on who reads it"


def make_schema(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the script that writes the schema."""
    command = [sys.executable, str(root / "scripts" / "make-schema"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_schema_in_the_docs_is_current() -> None:
    made = make_schema("--check")
    assert (made.returncode, made.stderr) == (0, "")
    assert json.loads((ROOT / "docs" / "schema.json").read_text("utf-8")) == json_schema()


def test_an_outdated_schema_is_noticed_and_written_anew(tmp_path: Path) -> None:
    for name in ("scripts/make-schema", "sessionstore/__init__.py", "sessionstore/models.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "docs").mkdir()
    assert make_schema("--check", root=tmp_path).returncode == 1
    assert make_schema(root=tmp_path).returncode == 0
    assert make_schema("--check", root=tmp_path).returncode == 0
    assert (tmp_path / "docs/schema.json").read_bytes() == (ROOT / "docs/schema.json").read_bytes()
    (tmp_path / "docs/schema.json").write_text("{}")
    assert make_schema("--check", root=tmp_path).returncode == 1
    assert make_schema("--wrong").returncode == 2


def test_an_original_lists_its_chunks_or_names_what_does() -> None:
    listed = {"sha256": SHA, "bytes": 1, "chunks": [{"id": SHA, "bytes": 1}]}
    named = {"sha256": SHA, "bytes": 1, "chunks_object": SHA, "name": "log-wal"}
    for entry in (listed, named):
        assert not refused(Original, entry)
    for entry in ({"sha256": SHA, "bytes": 1}, {**listed, **named}):
        assert refused(Original, entry)
