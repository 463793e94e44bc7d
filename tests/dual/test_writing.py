"""What is written to legacy files is, byte for byte, what the older programs write."""

from __future__ import annotations

import gzip
import json
import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sessionstore.dual.moving import adopt
from sessionstore.flags import Flags
from tests.dual.conftest import Pair
from tests.dual.programs import KimiProgram, UnifiedProgram

LEGACY = Path(__file__).resolve().parents[2] / "fixtures" / "legacy" / "project"
Make = Callable[..., Pair]
CALL = {"id": "clock:0", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}


def here(time: str) -> datetime:
    """A stored time as a program on this machine would have seen it on its clock."""
    return datetime.fromisoformat(time).astimezone().replace(tzinfo=None)


def talk(pair: Pair, turns: int) -> list[dict[str, Any]]:
    """A conversation with everything that the format knows; returns what the older program would have kept of it."""
    session = pair.manager.create("api-design_20250712_2100", model="kimi-k2-0711-preview", system="You are terse.")
    session.add_user("héllo 你好 😀")
    session.append(
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "clock:0", "name": "clock", "arguments": '{"zone": "UTC"}'}],
        }
    )
    session.add_tool_result("clock:0", "12:00")
    session.add_assistant("Well, noon.", x={"prefill": "Well,"})
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "héllo 你好 😀"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "clock:0", "content": "12:00"},
        {"role": "assistant", "content": "Well,", "partial": True},
        {"role": "assistant", "content": "Well, noon."},
    ]
    for number in range(turns):
        session.add_user(f"question {number}")
        session.add_assistant(f"answer {number}")
        said += [
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        ]
    return said


@pytest.mark.parametrize("turns", [0, 22, 23, 60])
def test_a_kimi_file_is_what_the_program_writes(pair: Make, tmp_path: Path, turns: int) -> None:
    made = pair("kimi")
    said = talk(made, turns)
    revision = made.manager.get("native:api-design_20250712_2100").revision
    program = KimiProgram(tmp_path / "program")
    program.save("api-design_20250712_2100", said[:1], here(revision["created_at"]))
    program.save("api-design_20250712_2100", said, here(revision["updated_at"]))
    ours = made.path("api-design_20250712_2100")
    assert ours.read_bytes() == program.path("api-design_20250712_2100").read_bytes()
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(program.path("api-design_20250712_2100").stat().st_mode)
    assert made.manager.get("native:api-design_20250712_2100").count == 5 + 2 * turns
    assert not made.manager.mirrors.failed


def test_a_unified_file_is_what_the_program_writes(pair: Make, tmp_path: Path) -> None:
    made = pair("llm-sessions")
    session = made.manager.create("review", model="gpt-4.1-mini", system="Be brief.", metadata={"customer": 7})
    session.add_user("Is `except:` ever right? 你怎么看 😀")
    session.add_assistant(
        "Almost never.",
        usage={"input_tokens": 41, "output_tokens": 12, "cost_microusd": 36},
        finish_reason="stop",
        x={"response_id": "chatcmpl-1"},
    )
    session.switch_model("gemini-2.5-pro", "second opinion", consent=True)
    session.add_user("And you?")
    times = [message["time"] for message in session.messages()]
    program = UnifiedProgram(tmp_path / "program")
    began = here(session.revision["created_at"]).isoformat()
    document = program.create("review", "gpt-4.1-mini", "Be brief.", {"customer": 7}, began)
    local = [here(time).isoformat() for time in times]
    document["messages"][0]["timestamp"] = local[0]
    document["messages"] += [
        {"role": "user", "content": "Is `except:` ever right? 你怎么看 😀", "timestamp": local[1]},
        {
            "role": "assistant",
            "content": "Almost never.",
            "timestamp": datetime.fromisoformat(times[2]).timestamp(),
            "tokens": {"input": 41, "output": 12, "total": 53},
            "cost": 3.6e-05,
            "finish_reason": "stop",
            "request_id": "chatcmpl-1",
            "model": "gpt-4.1-mini",
        },
        {
            "role": "system",
            "content": "Model switched from gpt-4.1-mini to gemini-2.5-pro. Reason: second opinion",
            "timestamp": local[3],
            "model_switch": True,
        },
        {"role": "user", "content": "And you?", "timestamp": local[4]},
    ]
    document["model"], document["models_used"] = "gemini-2.5-pro", ["gpt-4.1-mini", "gemini-2.5-pro"]
    switch = {"timestamp": local[3], "from_model": "gpt-4.1-mini", "to_model": "gemini-2.5-pro"}
    document["metadata"]["model_switches"] = [{**switch, "reason": "second opinion", "message_count": 3}]
    program.save(document, here(session.revision["updated_at"]).isoformat())
    assert made.path("review").read_bytes() == (program.folder / "review.json").read_bytes()
    assert stat.S_IMODE(made.path("review").stat().st_mode) == 0o600


FIXTURES = [
    *(("kimi", path) for path in sorted((LEGACY / ".kimi_sessions").glob("*.json"))),
    *(("llm-sessions", path) for path in sorted((LEGACY / ".llm_sessions" / "sessions").glob("*.json"))),
]


@pytest.mark.parametrize(("format", "source"), FIXTURES, ids=[path.stem for _, path in FIXTURES])
def test_the_program_s_own_files_go_on_as_they_are(pair: Make, format: str, source: Path) -> None:
    """A turn more, and everything that was there is there in the same bytes; also when the file was lost."""
    made = pair(format)
    path = made.path(source.stem)
    path.parent.mkdir(parents=True)
    shutil.copy(source, path)
    assert adopt(made.manager.store, made.legacy, [str(path)]) == {}
    session = made.manager.get(source.stem)
    assert session.key.startswith(f"{format}:")
    data = source.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    before = json.loads(gzip.decompress(data) if packed else data)
    session.append({"role": "user", "content": "one more", "time": "2026-01-02T03:04:05.678Z"})
    for attempt in range(2):
        after = json.loads(path.read_bytes())
        added = {"role": "user", "content": "one more"}
        stamp, accessed = "2026-01-02T04:04:05.678000", "last_accessed"
        if format == "llm-sessions":
            added["timestamp"], accessed = stamp, "updated_at"
        written = here(made.manager.get(session.key).revision["updated_at"]).isoformat()
        expected = {**before, "messages": [*before["messages"], added], accessed: written}
        if format == "kimi":
            others = [one for one in expected["messages"] if one["role"] != "system"]
            system = [one for one in expected["messages"] if one["role"] == "system"]
            expected["messages"] = [*system, *others[-50:]]
            expected["message_count"] = len(expected["messages"])
        if format == "llm-sessions":
            expected |= {"model": after["model"], "models_used": after["models_used"]}
            assert set(before["models_used"]) <= set(after["models_used"])
        text = json.dumps(expected, indent=2, ensure_ascii=format == "kimi")
        assert path.read_text(encoding="utf-8") == text, attempt
        path.unlink()
        made = made.again()
        made.manager.set_fields(session.key, title="other")
    made.manager.close()


def test_long_sessions_are_packed_when_the_switch_is_on(pair: Make) -> None:
    made = pair("llm-sessions", Flags(dual_write=True, compress=True, compression_threshold=2000))
    session = made.manager.create("long")
    session.add_user("short")
    assert made.path("long").read_bytes().startswith(b"{")
    session.add_user("x" * 3000)
    data = made.path("long").read_bytes()
    assert data.startswith(b"\x1f\x8b")
    assert json.loads(gzip.decompress(data))["messages"][-1]["content"] == "x" * 3000
    session.add_user("on")
    assert not made.manager.mirrors.failed


def test_what_was_edited_or_cleared_is_followed(pair: Make) -> None:
    made = pair("kimi")
    session = made.manager.create("edits")
    first = session.add_user("wrogn")
    session.add_assistant("What?")
    session.edit(first, "wrong")
    assert [one["content"] for one in json.loads(made.path("edits").read_text())["messages"]] == ["wrong", "What?"]
    session.delete_message(1)
    assert [one["content"] for one in json.loads(made.path("edits").read_text())["messages"]] == ["wrong"]
    session.append({"role": "system", "parent": None, "parts": [], "x": {"cleared": True}})
    assert not made.path("edits").exists()
    session.add_user("anew")
    assert [one["content"] for one in json.loads(made.path("edits").read_text())["messages"]] == ["anew"]
    assert not made.manager.mirrors.failed


def test_a_mirror_that_fails_fails_no_write_and_is_told(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi")
    session = made.manager.create("kept")
    session.add_user("one")
    path = made.path("kept")
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    session.add_user("two")
    path.rmdir()
    path.write_bytes(content)
    assert session.count == 2
    [(where, reason)] = made.manager.mirrors.failed.items()
    assert where == (str(tmp_path / ".kimi_sessions"), "native:kept")
    assert "kept.json" in reason
    session.add_user("three")
    assert not made.manager.mirrors.failed
    assert len(json.loads(made.path("kept").read_text())["messages"]) == 3


def test_a_mirror_where_a_file_is_in_the_way(pair: Make, tmp_path: Path) -> None:
    (tmp_path / ".kimi_sessions").write_text("not a directory")
    made = pair("kimi")
    session = made.manager.create("kept")
    session.add_user("one")
    assert session.count == 1
    assert made.manager.mirrors.failed


def test_no_id_leads_out_of_the_directory(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi")
    for ident in ("../../out", "/etc/passwd", "a/b", "con", ".hidden"):
        made.manager.create(ident).add_user("hi")
    below = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert below == {"store", ".kimi_sessions"}
    assert len(list((tmp_path / ".kimi_sessions").iterdir())) == 6


def test_two_stores_do_not_write_the_same_files(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi")
    made.manager.create("one").add_user("hi")
    other = Pair(tmp_path, "kimi", made.flags)
    other.manager.close()
    other.manager = type(other.manager)(tmp_path / "other", mirrors=other.manager.mirrors.all)
    other.manager.create("two").add_user("hi")
    assert not made.path("two").exists()
    [reason] = other.manager.mirrors.failed.values()
    assert "another store" in reason


def test_without_a_switch_nothing_is_written(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi", Flags())
    made.manager.create("one").add_user("hi")
    assert not (tmp_path / ".kimi_sessions").exists()
