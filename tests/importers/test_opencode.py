"""opencode's database and its tree of files."""

from __future__ import annotations

import json
import runpy
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.opencode import OpenCode
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.bundles import Bundles, members_of
from tests.importers.support import FORMATS, ROOT, Imported, imported, recognised, roles, text

PLACE = FORMATS / "opencode" / ".local" / "share" / "opencode"
BASE = PLACE / "opencode.db"
LEAD = PLACE / "storage" / "session" / "p1" / "ses_2.json"


def tree(lead: Path) -> Imported:
    """Read a tree, with all files that belong to it."""
    beside = {member.name: Path(member.path) for member in members_of(OpenCode(), str(lead))}
    return imported(OpenCode(), lead, companions=beside)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree, to change."""
    shutil.copytree(PLACE / "storage", tmp_path / "storage")
    return tmp_path / "storage"


def lead_of(storage: Path) -> Path:
    """The file that stands for a tree."""
    return storage / "session" / "p1" / "ses_2.json"


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "opencode.py"))["make"](tmp_path)
    place = tmp_path / ".local" / "share" / "opencode"
    assert imported(OpenCode(), place / "opencode.db").sessions == imported(OpenCode(), BASE).sessions
    assert tree(lead_of(place / "storage")).sessions == tree(LEAD).sessions


def test_every_file_of_a_tree_belongs_to_one_source() -> None:
    several = Bundles(all_importers(), {})
    files = [path for path in (PLACE / "storage").rglob("*") if path.is_file()]
    assert {several.lead_of(str(path)) for path in files} == {str(LEAD)}
    assert len(several.members(str(LEAD))) == len(files) - 1
    assert several.members(str(BASE)) == () and several.lead_of(str(BASE)) == str(BASE)


def test_a_tree_whose_last_session_is_torn_is_read_nevertheless(copy: Path) -> None:
    lead_of(copy).write_text('{"id": "ses_2", ')
    other = copy / "session" / "p1" / "ses_1.json"
    assert Bundles(all_importers(), {}).lead_of(str(copy / "part" / "msg_1" / "prt_00.json")) == str(other)
    result = tree(other)
    assert list(result.sessions) == ["ses_1", "ses_2"]
    assert "session-file-missing" in result.drafts["ses_2"].issues


def test_messages_are_put_together_from_their_parts() -> None:
    result = tree(LEAD)
    files = sum(1 for path in (PLACE / "storage").rglob("*") if path.is_file())
    assert result.counts == (files, files - 2, 2, 0)
    messages = result.sessions["ses_2"]
    assert [message["id"] for message in messages] == ["msg_1", "msg_2", "msg_2:results", "msg_3", "msg_4", "msg_5"]
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "assistant", "user"]
    assert [message.get("kind") for message in messages] == [None, None, None, "error", "compaction", "context"]
    assert [part["type"] for part in messages[0]["parts"]] == ["text", "blob", "uri"]
    assert messages[0]["parts"][0] == {"type": "text", "content": "How many? 书", "part_id": "prt_00"}
    kinds = [part["type"] for part in messages[1]["parts"]]
    assert kinds == ["step-start", "reasoning", *["tool_call"] * 3, "step-finish"]
    assert messages[1]["parts"][4]["state"] == {"status": "running"}
    good, bad = messages[2]["parts"]
    assert good["response"] == "2" and good["title"] == "wc" and bad["is_error"] is True
    assert messages[1]["time"] == "2026-02-02T02:40:00.002Z" and messages[1]["x"]["parentID"] == "msg_1"


def test_tokens_are_counted_once_and_reasoning_is_output() -> None:
    answer = tree(LEAD).sessions["ses_2"][1]
    assert answer["usage"] == {
        "input_tokens": 112,
        "output_tokens": 35,
        "cache_read_tokens": 100,
        "cache_write_tokens": 10,
        "reasoning_tokens": 5,
        "cost_microusd": 12500,
    }
    assert (answer["model"], answer["provider"], answer["finish_reason"]) == ("large-1", "anthropic", "stop")


def test_sessions_know_their_project_place_and_parent() -> None:
    result = tree(LEAD)
    whole, sub = result.drafts["ses_2"], result.drafts["ses_1"]
    assert whole.title == "Books" and whole.cwd == "/home/ann/shelf-app"
    assert whole.x["diff"][0]["file"] == "shelf.txt" and whole.x["project"]["vcs"] == "git"
    assert "diff" not in sub.x and sub.forked_from == {"key": "opencode:ses_2", "relation": "subagent"}
    assert result.sessions["ses_1"][1]["kind"] == "meta"


def test_the_database_gives_the_same_messages_as_the_tree() -> None:
    result = imported(OpenCode(), BASE)
    records, mapped, preserved, rejected = result.counts
    assert (records, preserved, rejected) == (1 + 2 + 1 + 7 + 14, 2, 1) and mapped == records - 3
    assert result.sessions == tree(LEAD).sessions
    assert result.drafts["ses_2"].x["todo"][0]["content"] == "Count the books"
    assert result.drafts["ses_2"].x["model"] == {"providerID": "anthropic", "modelID": "large-1"}
    assert "secret-token" not in json.dumps([draft.state() for draft in result.source.drafts])


def test_parts_that_lie_anywhere_are_found_by_what_they_say(copy: Path) -> None:
    for path in sorted((copy / "part").glob("*/*.json")):
        path.rename(copy / "part" / path.name)
    (copy / "message" / "ses_1").rename(copy / "message" / "elsewhere")
    assert tree(lead_of(copy)).sessions == tree(LEAD).sessions


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"5", b"null", b'{"type": []}', b'{"type": "tool", "tool": "x"}'])
@pytest.mark.parametrize("name", ["part/msg_1/prt_00.json", "message/ses_2/msg_1.json", "project/p1.json"])
def test_a_broken_file_costs_no_other(copy: Path, name: str, broken: bytes) -> None:
    (copy / name).write_bytes(broken)
    result = tree(lead_of(copy))
    assert text(result.sessions["ses_2"][-1]) == "Go on."


def test_a_part_without_its_message_is_rejected(copy: Path) -> None:
    (copy / "message" / "ses_2" / "msg_4.json").unlink()
    assert tree(lead_of(copy)).counts[3] == 1


def test_a_session_alone_has_no_messages() -> None:
    result = imported(OpenCode(), LEAD, companions={})
    assert result.counts == (1, 1, 0, 0) and result.one()[1] == []


@pytest.mark.parametrize(
    "document", [{"id": "msg_1", "sessionID": "ses_1", "role": "user", "time": {}}, [], {"id": "x"}]
)
def test_other_documents_are_not_recognised(document: Any) -> None:
    assert not recognised(OpenCode(), json.dumps(document).encode())
    with pytest.raises(Unparsable):
        imported(OpenCode(), json.dumps(document).encode(), "x.json", {})


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    several = Bundles(all_importers(), {})
    files = [path for path in sorted((samples / "opencode").rglob("*")) if path.is_file() and path.name != "migration"]
    leads = {several.lead_of(str(path)) for path in files}
    assert len(leads) == 3
    for lead in leads:
        assert recognised(OpenCode(), Path(lead))
        assert tree(Path(lead)).source.account.rejected == []


def test_a_name_that_ends_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    path.write_bytes(BASE.read_bytes())
    base = sqlite3.connect(path)
    base.execute("UPDATE message SET session_id = 'ses_%' WHERE id = 'msg_6'")
    base.execute("UPDATE part SET session_id = 'ses_%' WHERE message_id = 'msg_6'")
    base.commit()
    base.close()
    result = imported(OpenCode(), path)
    assert {name: len(messages) for name, messages in result.sessions.items()} == {"ses_2": 6, "ses_1": 1, "ses_%": 1}
