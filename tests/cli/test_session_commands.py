"""Changing conversations on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import Store
from sessionstore.verify import verify
from tests.cli.running import Program, ok, says
from tests.cli.test_json import held


@pytest.fixture
def talk(program: Program) -> Program:
    """A store with one conversation."""
    assert program.store is not None
    store = Store.init(program.store)

    def message(name: str, role: str, *parts: dict[str, Any]) -> dict[str, Any]:
        time = f"2026-01-01T00:00:0{name[1]}Z"
        return {"id": name, "role": role, "time": time, "parts": list(parts) or [{"type": "text", "content": name}]}

    image = {"type": "uri", "uri": "http://x/y.png", "modality": "image"}
    store.put("native:talk", [message("m1", "user", {"type": "text", "content": "whale"}, image)])
    store.append("native:talk", [{**message("m2", "assistant"), "model": "gpt-4o"}, message("m3", "user")])
    return program


def messages(program: Program, name: str) -> list[dict[str, Any]]:
    """The messages of a session."""
    found: list[dict[str, Any]] = ok(program("show", name, "--all", "--json")).json["messages"]
    return found


def test_a_branch_at_a_link(talk: Program) -> None:
    told = held("branch", ok(talk("branch", "talk#m2", "--id", "side", "--title", "Side", "--json")))
    assert (told["key"], told["messages"], told["forked_from"]["message"]) == ("native:side", 2, "m2")
    assert ok(talk("branch", "talk", "--at", "m1", "--id", "other")).out == "native:other: 1 messages of native:talk\n"
    assert {one["key"] for one in ok(talk("list", "--json")).json} == {"native:talk", "native:side", "native:other"}
    says(talk("branch", "talk#nobody"), 2, "native:talk#nobody")
    says(talk("branch", "talk", "--id", "side"), 2, "there is a session native:side already")
    says(talk("branch", "nobody"), 2, "nobody")


def test_merging_a_branch_back(talk: Program) -> None:
    ok(talk("branch", "talk#m2", "--id", "side"))
    assert talk.store is not None
    part = {"type": "text", "content": "new"}
    Store(talk.store).append(
        "native:side", [{"id": "n1", "role": "user", "time": "2026-01-01T00:00:02Z", "parts": [part]}]
    )
    assert held("merge", ok(talk("merge", "talk", "side", "--order", "time", "--json")))["added"] == 1
    assert [one["id"] for one in messages(talk, "talk")] == ["m1", "m2", "n1", "m3"]
    assert held("merge", ok(talk("merge", "talk", "side", "--json")))["added"] == 0
    assert ok(talk("merge", "talk")).out == "native:talk: 0 messages added\n"
    says(talk("merge", "talk", "talk"), 2, "cannot be merged with itself")


def test_editing_keeps_images_and_history(talk: Program) -> None:
    held("edit", ok(talk("edit", "talk#m1", "--text", "dolphin", "--json")))
    text, image = messages(talk, "talk")[0]["parts"]
    assert (text["content"], image["type"]) == ("dolphin", "uri")
    assert len(ok(talk("log", "talk", "--json")).json) == 2
    assert ok(talk("search", "whale", "--json")).json == []
    ok(talk("edit", "talk#m1", "--text", "-", typed="from stdin"))
    assert messages(talk, "talk")[0]["parts"][0]["content"] == "from stdin"
    assert ok(talk("edit", "talk#m2", "--delete")).out == "native:talk: message m2 taken out\n"
    assert [one["id"] for one in messages(talk, "talk")] == ["m1", "m3"]
    assert talk.store is not None
    assert verify(Store(talk.store)).ok


def test_editing_in_an_editor(talk: Program) -> None:
    talk.env["EDITOR"] = "sed -i s/whale/shark/"
    ok(talk("edit", "talk#m1"))
    assert messages(talk, "talk")[0]["parts"][0]["content"] == "shark"
    talk.env["EDITOR"] = "true"
    says(talk("edit", "talk#m1"), 2, "was not changed")


@pytest.mark.parametrize("arguments", [("talk",), ("talk#m1", "--delete", "--text", "x"), ("talk#m9", "--delete")])
def test_an_edit_that_says_too_little_or_too_much(talk: Program, arguments: tuple[str, ...]) -> None:
    assert talk("edit", *arguments).code == 2


def test_switching_asks_and_warns(talk: Program) -> None:
    refused = talk("switch-model", "talk", "kimi-k2", typed="n\n")
    assert refused.code == 2
    assert "kimi-k2 cannot see images: 1 are left out" in refused.err
    assert "only with consent" in refused.err
    done = ok(talk("switch-model", "talk", "kimi-k2", "--reason", "cheap", typed="y\n"))
    assert done.out == "native:talk: kimi-k2 answers from now on\n"
    told = held("switch-model", ok(talk("switch-model", "talk", "gpt-4o", "--yes", "--json")))
    assert (told["from"], told["to"]) == ("kimi-k2", "gpt-4o")
    assert [one["kind"] for one in messages(talk, "talk")[3:]] == ["switch", "switch"]
    assert ok(talk("switch-model", "talk", "gpt-4o")).out == "native:talk: gpt-4o answers already\n"
