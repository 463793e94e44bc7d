"""What the commands show a person: names, lists, conversations, exports, notes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionstore.store import Store
from tests.cli.running import Program, files, ok, says

GAUGE = "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"
NAMES = {
    "key": GAUGE,
    "native id": GAUGE.partition(":")[2],
    "beginning of the id": "5b0c2f",
    "beginning of the key": "codex:5b0",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_session_answers_to_its_names(shared: Program, name: str) -> None:
    assert ok(shared("show", NAMES[name], "--json")).json["key"] == GAUGE


def test_a_session_answers_to_an_old_id(shared: Program) -> None:
    shown = ok(shared("show", "migrated_clock-and-weather_20250712_2210", "--json")).json
    assert (shown["source"], shown["native_id"]) == ("kimi", "clock-and-weather_20250712_2210")


def test_last_is_the_session_that_list_shows_first(shared: Program) -> None:
    first = ok(shared("list", "--limit", 1, "--json")).json[0]["key"]
    assert ok(shared("show", "@last", "--json")).json["key"] == first
    assert ok(shared("log", "@last", "--json")).json[0]["key"] == first


def test_a_link_shows_the_messages_around_its_spot(shared: Program) -> None:
    whole = [message["id"] for message in ok(shared("show", GAUGE, "--json")).json["messages"]]
    at = whole.index("m10")
    for context in (0, 1, 3, 100):
        shown = ok(shared("show", f"{GAUGE}#m10", "-C", context, "--json")).json["messages"]
        assert [message["id"] for message in shown] == whole[max(0, at - context) : at + context + 1]
    assert ok(shared("show", f"{GAUGE}#m10")).out.count("▶ ") == 1


def test_bookkeeping_is_hidden_unless_asked_for(shared: Program) -> None:
    plain, everything = ok(shared("show", GAUGE)).out, ok(shared("show", GAUGE, "--all")).out
    assert "bookkeeping records not shown; --all shows them" in plain
    assert "  meta" not in plain
    assert "meta" in everything
    assert "bookkeeping" not in everything


def test_what_the_source_had_lost_is_said_above_the_conversation(shared: Program) -> None:
    assert "source: the file repeats lines of the session it was forked from" in ok(shared("show", "019cae2b")).out


def test_search_shows_session_role_snippet_and_link(shared: Program) -> None:
    out = ok(shared("search", "role:tool figlet")).out.splitlines()
    assert out[0].split("  ")[0] == "Draw a kelp forest in ASCII"
    assert out[1].strip() == "tool  figlet: not found"
    assert out[2].strip() == "codex:1badb002-2025-4422-8888-aaaaaaaaaaaa#m4"


def test_a_session_found_by_its_title_alone_is_shown_with_it(shared: Program) -> None:
    out = ok(shared("search", "in:title pancakes")).out.splitlines()
    assert [line.strip() for line in out[1:]] == [
        "title  Pancakes (Branch)",
        "claude-code:4f0c1d2e-6666-4a4a-9b9b-000000000006",
    ]


def test_a_search_without_a_hit_says_so_on_stderr(shared: Program) -> None:
    found = ok(shared("search", "nothinglikethis"))
    assert (found.out, found.err) == ("", "sessionstore: nothing found\n")


def test_words_may_be_given_as_one_argument_or_several(shared: Program) -> None:
    one, several = shared("search", "tide stations", "--json"), shared("search", "tide", "stations", "--json")
    assert ok(one).json == ok(several).json != []


def test_a_query_may_begin_with_a_dash(shared: Program) -> None:
    hits = ok(shared("search", "--json", "--", "-role:user", "tide")).json
    assert hits
    assert all(hit["role"] != "user" for hit in hits)


FILTERS = [
    (("--source", "kimi"), 6),
    (("--project", "tinyshop"), 4),
    (("--project", "src/tidepool"), 3),
    (("--model", "gpt-5"), 3),
    (("--after", "2026-01"), 4),
    (("--source", "codex", "--before", "2025-06"), 1),
    (("--source", "codex", "--after", "2026"), 2),
]


@pytest.mark.parametrize(("options", "count"), FILTERS, ids=str)
def test_list_stats_and_export_choose_by_the_same_filters(
    shared: Program, tmp_path: Path, options: tuple[str, ...], count: int
) -> None:
    listed = ok(shared("list", *options, "--json")).json
    assert len(listed) == count
    assert ok(shared("stats", *options, "--json")).json["sessions"] == count
    out = ok(shared("export", *options, "--to", "jsonl")).out
    headers = [json.loads(line) for line in out.splitlines() if '"t":"session"' in line]
    assert sorted(header["key"] for header in headers) == sorted(entry["key"] for entry in listed)


def test_several_sessions_are_exported_to_a_file_each(shared: Program, tmp_path: Path) -> None:
    ok(shared("export", "--source", "kimi", "--to", "markdown", "-o", tmp_path / "kimi"))
    written = files(tmp_path / "kimi")
    assert len(written) == 6
    assert all(name.endswith(".md") and data.startswith(b"# ") for name, data in written.items())
    assert shared("export", "--source", "kimi", "-o", tmp_path / "kimi").code == 6
    assert files(tmp_path / "kimi") == written


def test_stats_count_every_message_once(shared: Program) -> None:
    told = ok(shared("stats", "--json")).json
    listed = ok(shared("list", "--json")).json
    assert told["sessions"] == len(listed) == 25
    assert told["messages"] == sum(entry["messages"] for entry in told["by_source"])
    assert told["messages"] <= sum(entry["messages"] for entry in listed)
    out = ok(shared("stats")).out
    assert f"messages             {told['messages']}" in out
    assert "claude-sonnet-4-5-20250929" in out


def test_notes_change_what_lists_show_and_can_be_taken_back(imported: Program) -> None:
    for line in (f"title {GAUGE} Leap day", f"tag {GAUGE} tides urgent", f"star {GAUGE}"):
        ok(imported("note", *line.split(" ")))
    [listed] = ok(imported("list", "--tag", "tides", "--json")).json
    assert (listed["title"], listed["tags"], listed["starred"]) == ("Leap day", ["tides", "urgent"], True)
    assert [entry["key"] for entry in ok(imported("list", "--starred", "--json")).json] == [GAUGE]
    assert {hit["key"] for hit in ok(imported("search", "tag:urgent gauge", "--json")).json} == {GAUGE}
    for line in (f"title {GAUGE} ", f"untag {GAUGE} tides urgent", f"unstar {GAUGE}"):
        ok(imported("note", *line.split(" ")))
    [again] = [entry for entry in ok(imported("list", "--json")).json if entry["key"] == GAUGE]
    assert (again["title"][:14], again["tags"], again["starred"]) == ("The gauge test", [], False)


def test_an_archived_session_is_left_out_of_the_list_and_found_all_the_same(imported: Program) -> None:
    ok(imported("note", "archive", GAUGE))
    assert GAUGE not in [entry["key"] for entry in ok(imported("list", "--json")).json]
    assert [entry["key"] for entry in ok(imported("list", "--archived", "--json")).json] == [GAUGE]
    assert GAUGE in [hit["key"] for hit in ok(imported("search", "gauge", "--json")).json]
    assert GAUGE in ok(imported("export", "--source", "codex", "--to", "jsonl")).out
    ok(imported("note", "unarchive", GAUGE))
    assert GAUGE in [entry["key"] for entry in ok(imported("list", "--json")).json]


def test_views_link_to_the_sessions(imported: Program) -> None:
    ok(imported("note", "tag", GAUGE, "tides"))
    ok(imported("views"))
    assert imported.store is not None
    [link] = (imported.store / "views" / "by-tag" / "tides").iterdir()
    assert json.loads(link.read_text())["key"] == GAUGE
    assert {path.name for path in (imported.store / "views" / "by-source").iterdir()} == {
        "claude-code",
        "codex",
        "kimi",
        "llm-sessions",
    }


def test_escape_sequences_of_a_transcript_are_shown_and_not_obeyed(program: Program) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J and \x9b31m red \u202e txet"
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"look {evil}"}]}
    head = {"timestamp": "2026-01-01T00:00:00.000Z"}
    meta = {"id": "0badcafe-0000-4000-8000-000000000000", "cwd": f"/home/{evil}/x"}
    lines = [{**head, "type": "session_meta", "payload": meta}, {**head, "type": "response_item", "payload": said}]
    path = program.cwd / "rollout-2026-01-01T00-00-00-0badcafe-0000-4000-8000-000000000000.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ok(program("migrate", path))
    for arguments in (("list",), ("search", "look"), ("show", "@last"), ("show", "@last", "--all"), ("stats",)):
        raw = ok(program(*arguments)).out
        assert not [c for c in raw if not c.isprintable() and c not in "\n\t"], (arguments, raw)


def test_a_name_cannot_lead_out_of_the_store(shared: Program) -> None:
    for name in ("../../../etc/passwd", "codex:../../x", "/etc/passwd"):
        says(shared("show", name), 2, "no session, batch or message is called")


def test_an_empty_store_answers_everything_with_nothing(program: Program) -> None:
    ok(program("init"))
    for arguments in (("list",), ("stats",), ("batches",), ("verify",), ("gc",), ("compact",), ("views",)):
        ok(program(*arguments))
    assert ok(program("search", "anything", "--json")).json == []
    says(program("show", "@last"), 2, "'@last'")
    says(program("rollback", "@last"), 2, "'@last'")


def test_the_beginning_of_an_id_means_the_session_and_not_its_sub_agents(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store")
    store = Store.init(tmp_path / "store")
    text = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "hello"}]}]
    for key in ("claude-code:4f0c1d2e-aaaa", "claude-code:4f0c1d2e-aaaa/agent-1", "claude-code:4f0c1d2e-aaaa/agent-2"):
        store.put(key, text)
    assert ok(program("show", "4f0c1d", "--json")).json["key"] == "claude-code:4f0c1d2e-aaaa"
    store.put("codex:4f0c1d2e-bbbb", text)
    assert program("show", "4f0c1d", "--json").code == 2
