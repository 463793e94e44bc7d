"""What a user of `llm` gets: fragments, tools, going on with a session, the import of llm's logs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sessionstore.archive import UNTRUSTED
from sessionstore.store import Store
from tests.cli.running import Program, Result, ok
from tests.llm_plugin.conftest import Llm

TAX = "claude-code:4f0c1d2e-1111-4a4a-9b9b-000000000001"
CHART = "codex:019cae2b-7777-7abc-9def-012345678901"


def given(result: Result) -> dict[str, Any]:
    """What the witness was given."""
    return dict(json.loads(ok(result).out.partition("GIVEN ")[2].splitlines()[0]))


def texts(message: dict[str, Any]) -> str:
    """The texts of a message of llm."""
    return "\n".join(part["text"] for part in message["parts"] if part["type"] == "text")


def refused(result: Result, words: str) -> None:
    """Hold that a run failed with one line that says `words`."""
    assert result.code != 0
    assert result.err.count("\n") == 1, result.err
    assert words in result.err
    assert "Traceback" not in result.err


def test_llm_finds_the_plugin(llm: Llm) -> None:
    (found,) = (plugin for plugin in json.loads(ok(llm("plugins")).out) if "register_tools" in plugin["hooks"])
    assert sorted(found["hooks"]) == ["register_commands", "register_fragment_loaders", "register_tools"]
    assert "session:" in ok(llm("fragments", "loaders")).out


def test_a_session_is_a_fragment(llm: Llm) -> None:
    (message,) = given(llm("-m", "witness", "-f", f"session:{TAX}", "What was it about?"))["messages"]
    assert texts(message).startswith(f"> {UNTRUSTED}\n\n# Tax rounding, done\n")
    assert "Why does tax_for(19.99) round down?" in texts(message)
    assert texts(message).endswith("What was it about?")
    with closing(sqlite3.connect(llm.logs)) as logs:
        assert logs.execute("SELECT source FROM fragments").fetchall() == [(f"session:{TAX}",)]


def test_a_spot_in_a_session_is_a_fragment(llm: Llm) -> None:
    spot = f"session:{TAX}#aaaaaaaa-0000-4000-8000-000000000004"
    (message,) = given(llm("-m", "witness", "-f", spot, "Well?"))["messages"]
    assert "Why does tax_for(19.99) round down?" in texts(message)
    assert len(texts(message)) < 20_000


@pytest.mark.parametrize("name", ["nobody", "codex:", f"{TAX}#nothing"])
def test_a_fragment_that_is_not_there_is_one_line(llm: Llm, name: str) -> None:
    refused(llm("-m", "witness", "-f", f"session:{name}", "x"), f"Could not load fragment session:{name}")


def test_without_a_store_llm_still_works(llm: Llm) -> None:
    given(llm("-m", "witness", "Hello", SESSIONSTORE_DIR="/nowhere"))
    refused(llm("-m", "witness", "-f", "session:@last", "x", SESSIONSTORE_DIR="/nowhere"), "no store at /nowhere")


def tool(llm: Llm, name: str, spec: str = "Sessions", /, **arguments: Any) -> str:
    """What a tool gives back to the model: llm-echo calls it as it is told."""
    prompt = json.dumps({"prompt": "", "tool_calls": [{"name": f"Sessions_{name}", "arguments": arguments}]})
    out = ok(llm("-m", "echo", "-T", spec, prompt)).out
    (result,) = json.JSONDecoder().raw_decode(out[out.rindex('{\n  "prompt"') :])[0]["tool_results"]
    return str(result["output"])


def test_a_model_searches_lists_reads_and_compares(llm: Llm) -> None:
    found = json.loads(tool(llm, "search", query="tax_for role:user picture"))
    assert found["notice"] == UNTRUSTED
    (session,) = found["sessions"]
    assert session["key"] == TAX
    page = json.loads(tool(llm, "read", session=TAX, around=session["hits"][0]["message"]))
    assert page["notice"] == UNTRUSTED
    assert any("picture" in message["text"] for message in page["messages"])
    ident = page["messages"][0]["id"]
    message = json.loads(tool(llm, "read_message", session=TAX, message=ident))
    assert message["text"] == page["messages"][0]["text"]
    listed = json.loads(tool(llm, "list", source="codex", limit=3))
    assert {one["source"] for one in listed["sessions"]} == {"codex"}
    assert len(listed["sessions"]) == 3
    similar = json.loads(tool(llm, "similar", text="the chart of the spring tide"))
    assert similar["sessions"][0]["project"] == "tidepool"


def test_a_tool_tells_the_model_what_is_wrong(llm: Llm) -> None:
    assert "no session, batch or message is called 'nobody'" in tool(llm, "read", session="nobody")
    assert "in the search, at character" in tool(llm, "search", query="before:never")
    assert len(json.loads(tool(llm, "list", limit=10**9))["sessions"]) == 25


def test_the_tools_can_be_given_another_store(llm: Llm, tmp_path: Path) -> None:
    Store.init(tmp_path / "other")
    told = json.loads(tool(llm, "list", f"Sessions({json.dumps(str(tmp_path / 'other'))})"))
    assert "sessions" not in told


def test_any_model_goes_on_with_an_archived_session(llm: Llm) -> None:
    result = llm("sessions", "continue", TAX, "And now?", "-m", "witness")
    messages = given(result)["messages"]
    assert messages[-1] == {"role": "user", "parts": [{"type": "text", "text": "And now?"}]}
    assert any("Why does tax_for(19.99) round down?" in texts(message) for message in messages[:-1])
    assert {message["role"] for message in messages} <= {"system", "user", "assistant"}
    assert any("(I used the tool Read with" in texts(message) for message in messages)
    spoken = [message["role"] for message in messages[:-1] if message["role"] != "system"]
    assert spoken[0] == "user"
    assert all(a != b for a, b in pairwise(spoken))
    assert "go on with `llm -c`" in result.err


def test_llm_itself_goes_on_from_there(llm: Llm) -> None:
    before = given(llm("sessions", "continue", TAX, "And now?", "-m", "witness"))["messages"]
    after = given(llm("-c", "-m", "seeing", "Really?"))["messages"]
    assert after[: len(before)] == before
    assert [message["role"] for message in after[len(before) :]] == ["assistant", "user"]
    assert texts(after[-1]) == "Really?"


def test_the_archived_session_is_not_changed(llm: Llm) -> None:
    before = Store(llm.store).revision_names()
    ok(llm("sessions", "continue", TAX, "x", "-m", "witness"))
    assert Store(llm.store).revision_names() == before


def test_tool_calls_are_handed_over_as_such_when_asked(llm: Llm) -> None:
    messages = given(llm("sessions", "continue", TAX, "x", "-m", "witness", "--tool-parts", "-n"))["messages"]
    calls = [part["tool_call_id"] for one in messages for part in one["parts"] if part["type"] == "tool_call"]
    results = [part["tool_call_id"] for one in messages for part in one["parts"] if part["type"] == "tool_result"]
    assert calls
    assert sorted(calls) == sorted(results)
    assert len(set(calls)) == len(calls)
    assert {one["role"] for one in messages if one["parts"][0]["type"] == "tool_result"} == {"tool"}


def test_images_go_to_models_that_take_them(llm: Llm) -> None:
    seen = given(llm("sessions", "continue", CHART, "x", "-m", "seeing"))["messages"]
    assert [part["type"] for one in seen for part in one["parts"]].count("attachment") == 1
    blind = llm("sessions", "continue", CHART, "x", "-m", "witness")
    assert "[image image/png" in json.dumps(given(blind)["messages"])
    assert "not taken along: images and files told by name only (1)" in blind.err


def test_options_system_prompt_and_the_number_of_messages_can_be_chosen(llm: Llm) -> None:
    found = given(
        llm("sessions", "continue", TAX, "-m", "witness", "-s", "Be brief.", "-o", "temperature", "0.5", typed="Now?")
    )
    assert found["system"] == "Be brief."
    assert found["temperature"] == 0.5
    assert [texts(one) for one in found["messages"] if one["role"] == "system"] == ["Be brief."]
    assert texts(found["messages"][-1]) == "Now?"
    short = given(llm("sessions", "continue", TAX, "x", "-m", "witness", "--last", "2"))
    assert len(short["messages"]) < len(found["messages"])


def test_nothing_is_logged_when_logging_is_off(llm: Llm) -> None:
    ok(llm("sessions", "continue", TAX, "x", "-m", "witness", "-n"))
    assert not llm.logs.exists()
    ok(llm("logs", "off"))
    ok(llm("sessions", "continue", TAX, "x", "-m", "witness"))
    assert not llm.logs.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", "x", "-m", "witness"), "no session, batch or message is called 'nobody'"),
        (("@last", "x", "-m", "nomodel"), "Unknown model: nomodel"),
        (("@last", "x", "-m", "witness", "-o", "temperature", "warm"), "temperature: Input should be a valid number"),
        (("@last", "fail", "-m", "witness"), "the model is not at home"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(llm: Llm, arguments: tuple[str, ...], words: str) -> None:
    result = llm("sessions", "continue", *arguments)
    last = Result(result.code, result.raw, result.err.splitlines(keepends=True)[-1])
    refused(last, words)
    assert "Traceback" not in result.err


def test_nothing_to_say_is_a_usage_error(llm: Llm) -> None:
    assert llm("sessions", "continue", TAX, "-m", "witness", typed=" \n").code == 2


def test_what_was_gone_on_with_comes_into_the_archive(llm: Llm, archive: Program, tmp_path: Path) -> None:
    assert archive.store is not None
    llm.store = Path(shutil.copytree(archive.store, tmp_path / "store", symlinks=True))
    refused(llm("sessions", "import"), "llm has logged nothing yet")
    ok(llm("sessions", "continue", TAX, "What did the heron say?", "-m", "witness"))
    assert "sessions   1 (1 new)" in ok(llm("sessions", "import")).out
    assert "unchanged" in ok(llm("sessions", "import")).out
    mine = Program(archive.home, archive.cwd, llm.store)
    (hit, *_) = ok(mine("search", "heron", "--json")).json
    assert hit["source"] == "llm"
    stored = ok(mine("show", hit["key"], "--json")).json["messages"]
    assert any("Why does tax_for(19.99) round down?" in json.dumps(message) for message in stored)
    assert stored[-1]["model"] == "witness"
    again = given(llm("sessions", "continue", hit["key"], "Once more.", "-m", "seeing"))["messages"]
    assert texts(again[-1]) == "Once more."
    assert any("heron" in texts(message) for message in again)
