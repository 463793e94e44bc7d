"""What programs rely on: every shape in docs/json.md, exactly."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import LEGACY, ROOT, Program, Result, ok

TEXT = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = {
    name: re.findall(r"^\| `([^`]+)` \|", body, re.MULTILINE)
    for name, body in re.findall(r"^###? (.+?)\n(.*?)(?=^###? |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
SHAPES = {
    "init": ("init",),
    "sources": ("sources", LEGACY),
    "migrate": ("migrate", LEGACY, "--dry-run"),
    "batches": ("batches",),
    "search": ("search", "error"),
    "sql": ("sql", "SELECT key, title, bytes FROM sessions"),
    "list": ("list",),
    "show": ("show", "4f0c1d2e-1111-4a4a-9b9b-000000000001"),
    "log": ("log", "@last"),
    "stats": ("stats",),
    "index status": ("index", "status"),
    "index sync": ("index", "sync"),
    "verify": ("verify",),
    "gc": ("gc", "--dry-run"),
    "compact": ("compact",),
    "note": ("note", "title", "@last", "New"),
    "views": ("views",),
    "doctor": ("doctor",),
    "secrets": ("secrets",),
}


def held(section: str, result: Result) -> Any:
    """The JSON of a run, after holding that it has exactly the documented keys."""
    value = result.json
    assert result.raw.count(b"\n") == 1
    _compare(SECTIONS[section], value, "")
    return value


def _compare(rows: list[str], value: Any, at: str) -> None:
    """Hold that a value below path `at` has the documented keys, none more, none less."""
    if isinstance(value, list):
        if any(row.startswith(f"{at}[]") for row in rows):
            for item in value:
                _compare(rows, item, f"{at}[]")
        return
    start = f"{at}." if at else ""
    below = [row.removeprefix(start) for row in rows if row.startswith(start) and row != at]
    here = {row for row in below if not re.search(r"[.\[]", row.rstrip("?"))}
    if not isinstance(value, dict) or "*" in here:
        return
    if at:
        assert here or not value, f"nothing is said of {at}"
    keys = {row.rstrip("?") for row in here}
    required = {row for row in here if not row.endswith("?")}
    assert required <= value.keys() <= keys, (at, sorted(required - value.keys()), sorted(value.keys() - keys))
    for key, item in value.items():
        _compare([row.replace("?", "") if row.startswith(f"{start}{key}?") else row for row in rows], item, start + key)


def test_the_comparison_notices_what_is_missing_and_what_is_new() -> None:
    rows = ["a", "b?", "b.c", "d", "d[].e"]
    _compare(rows, {"a": 1, "d": [{"e": 2}]}, "")
    _compare(rows, {"a": 1, "b": {"c": 1}, "d": []}, "")
    wrongs: list[dict[str, Any]] = [{"d": []}, {"a": 1, "d": [{}]}, {"a": 1, "d": [], "z": 1}]
    for wrong in (*wrongs, {"a": 1, "b": {"e": 1}, "d": []}):
        with pytest.raises(AssertionError):
            _compare(rows, wrong, "")


def test_every_command_that_prints_json_has_its_shape_documented() -> None:
    tested = {*SHAPES, "rollback", "purge", "export", "restore", "branch", "merge", "edit", "switch-model"}
    tested |= {"dual", "debug"}  # in tests of their own
    assert {name for name in SECTIONS if "--" not in name} == tested


@pytest.mark.parametrize("section", SHAPES)
def test_json_has_exactly_the_documented_keys(imported: Program, section: str) -> None:
    held(section, ok(imported(*SHAPES[section], "--json")))


def test_a_migration_tells_programs_what_became_of_everything(program: Program, tmp_path: Path) -> None:
    shutil.copytree(LEGACY, tmp_path / "legacy", symlinks=True)
    broken = tmp_path / "broken.json"
    broken.write_text('{"session_id": "x", "messages": [')
    first = program("migrate", "--json", tmp_path / "legacy", broken)
    told = held("migrate", first)
    assert first.code == 5
    assert [entry["path"] for entry in told["failed"]] == [str(broken)]
    assert "no importer recognises its content" in told["failed"][0]["reason"]
    assert told["sources"] == 24
    assert told["sessions"] == sum(told["outcomes"].values()) == 25
    assert told["records"] == {"mapped": 216, "preserved": 36, "rejected": 1}
    assert sum(told["formats"].values()) == 24
    assert told["issues"]["torn-last-line"] == 1
    assert [Path(entry["path"]).name for entry in told["unrecognised"]] == ["history.jsonl"]
    again = held("migrate", ok(program("migrate", "--json", tmp_path / "legacy")))
    assert (again["batch"], again["sources"], again["skipped"], again["records"]["mapped"]) == (None, 0, 24, 0)


def test_batches_are_listed_newest_first_with_their_state(imported: Program, tmp_path: Path) -> None:
    later = tmp_path / "later"
    shutil.copytree(LEGACY / "project" / ".kimi_sessions", later)
    for path in later.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["session_id"] = f"later-{document['session_id']}"
        path.write_text(json.dumps(document), encoding="utf-8")
    second = ok(imported("migrate", later, "--json")).json["batch"]
    listed = held("batches", ok(imported("batches", "--json")))
    assert [(entry["state"], entry["sources"], entry["sessions"]) for entry in listed] == [
        ("done", 6, 6),
        ("done", 24, 25),
    ]
    assert listed[0]["id"] == second
    assert listed[0]["id"] > listed[1]["id"]
    undone = held("rollback", ok(imported("rollback", "@last", "--json")))
    assert (undone["batch"], undone["removed"], undone["restored"], undone["returned"]) == (second, 6, 0, 0)
    assert [entry["state"] for entry in ok(imported("batches", "--json")).json] == ["rolled-back", "done"]


def test_sessions_alike_are_listed_with_what_they_share(shared: Program) -> None:
    found = ok(shared("search", "--like", "@last", "--json")).json
    assert found
    _compare([*SECTIONS["list"], *SECTIONS["search --like"]], found, "")


def test_hits_with_their_surroundings_have_the_documented_keys(imported: Program) -> None:
    hits = held("search", ok(imported("search", "role:tool error", "-C", "2", "--json")))
    assert all(len(hit["before"]) <= 2 and len(hit["after"]) <= 2 for hit in hits)
    assert any(hit["before"] for hit in hits)
    for hit in hits:
        shown = ok(imported("show", hit["link"], "-C", "20", "--json")).json["messages"]
        ids = [message["id"] for message in shown]
        assert [message["message"] for message in hit["before"]] == [
            name for name in ids[: ids.index(hit["message"])] if name in {m["message"] for m in hit["before"]}
        ]


def test_counts_are_those_of_the_hits(shared: Program) -> None:
    hits = ok(shared("search", "error", "--json", "--limit", 1000)).json
    told = ok(shared("search", "error", "--count", "--json")).json
    assert told.keys() == {"messages", "sessions"}
    assert told["sessions"] >= len({hit["key"] for hit in hits})
    assert told["messages"] >= len([hit for hit in hits if hit["message"]])
    assert ok(shared("search", "nothinglikethis", "--count")).out == "0 messages in 0 sessions\n"


def test_hits_name_session_message_and_spot(shared: Program) -> None:
    hits = ok(shared("search", "--json", "role:tool error")).json
    assert hits
    for hit in hits:
        assert hit["role"] == "tool"
        assert hit["link"] == f"{hit['key']}#{hit['message']}"
        assert all(hit["snippet"][start:end].casefold() == "error" for start, end in hit["marks"])
        messages = ok(shared("show", hit["key"], "--json")).json["messages"]
        assert messages[hit["seq"]]["id"] == hit["message"]
    title = ok(shared("search", "--json", "in:title pancakes")).json
    assert [(hit["part"], hit["message"], hit["seq"], hit["link"] == hit["key"]) for hit in title] == [
        ("title", None, None, True)
    ]


def test_list_pages_through_sessions_and_search_through_hits(shared: Program) -> None:
    whole = [entry["key"] for entry in ok(shared("list", "--json")).json]
    pages = [ok(shared("list", "--json", "--limit", 10, "--offset", start)).json for start in (0, 10, 20)]
    assert [entry["key"] for page in pages for entry in page] == whole
    hits = ok(shared("search", "--json", "role:user", "--limit", 12)).json
    assert len(hits) == 12
    pages = [ok(shared("search", "--json", "role:user", "--limit", 4, "--offset", start)).json for start in (0, 4, 8)]
    assert [hit["link"] for page in pages for hit in page] == [hit["link"] for hit in hits]


def test_nothing_found_is_an_empty_list(shared: Program) -> None:
    found = shared("search", "--json", "nothinglikethis")
    assert (found.code, found.out) == (0, "[]\n")


def test_exported_lines_are_what_show_prints(shared: Program) -> None:
    shown = ok(shared("show", "5b0c2f4e", "--json")).json
    header, *messages = [json.loads(line) for line in ok(shared("export", "5b0c2f4e", "--json")).out.splitlines()]
    assert messages == shown.pop("messages")
    assert (header.pop("t"), header.pop("format"), header.pop("v")) == ("session", "sessionstore/jsonl", 1)
    assert header == {key: value for key, value in shown.items() if key not in ("format", "v", "revision")}


def test_damage_is_told_with_path_kind_and_sessions(imported: Program) -> None:
    assert imported.store is not None
    shown = ok(imported("show", "5b0c2f4e", "--json")).json
    name = shown["originals"][0]["chunks"][0]["id"]
    path = f"objects/{name[:2]}/{name}.raw.zst"
    data = bytearray((imported.store / path).read_bytes())
    data[-9] ^= 1
    (imported.store / path).write_bytes(data)
    found = imported("verify", "--json")
    assert found.code == 3
    assert held("verify", found)["damage"] == [{"path": path, "kind": "object-corrupt", "sessions": [shown["key"]]}]
    mended = imported("verify", "--repair", "--json")
    assert mended.code == 3
    repair = held("verify", mended)["repair"]
    assert (repair["moved"], repair["missing"]) == ([path], [{"path": path, "sessions": [shown["key"]]}])
    assert (imported.store / "quarantine" / repair["quarantine"] / path).is_file()


def test_a_purge_tells_what_it_has_removed(imported: Program) -> None:
    told = held("purge", ok(imported("purge", "1badb002", "--yes", "--json")))
    assert told["key"] == "codex:1badb002-2025-4422-8888-aaaaaaaaaaaa"
    assert told["revisions"] == 1
    assert told["shared"] == []
    assert "codex:1badb002-2025-4422-8888-aaaaaaaaaaaa" not in ok(imported("list")).out
