"""Pickled sessions of gmargetis/kimi-cli (`~/.kimi_sessions/*.pkl`)."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import kimi_pickle
from sessionstore.importers.kimi_pickle import KimiPickle, plain
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles, text

PLACE = FORMATS / "kimi-pickle" / ".kimi_sessions"
USER = {"role": "user", "content": "hello"}
BOT = {"role": "assistant", "content": "hi"}


class Exploit:
    """Something that runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return (print, ("never",))


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    path = ROOT / "scripts" / "make-fixtures.d" / "kimi-pickle.py"
    spec = importlib.util.spec_from_file_location("kimi_pickle_fixtures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path)
    for written in tmp_path.rglob("*.pkl"):
        kept = (FORMATS / "kimi-pickle" / written.relative_to(tmp_path)).read_bytes()
        assert plain(kept) == plain(written.read_bytes())


@pytest.mark.parametrize("name", ["default", "old"])
def test_a_session_keeps_its_messages(name: str) -> None:
    draft, messages = imported(KimiPickle(), PLACE / f"{name}.pkl", companions={}).one()
    assert draft.native_id == name and draft.title == "Read a, please. 你好"
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant", "user", "assistant"]
    assert messages[2]["parts"][0]["id"] == "read_file:0"
    assert messages[5]["parts"][1]["modality"] == "image"
    assert not draft.issues


def test_a_full_window_says_that_older_messages_may_be_lost() -> None:
    found = imported(KimiPickle(), PLACE / "long-talk.pkl", companions={})
    draft, messages = found.one()
    assert len(messages) == KimiPickle.window == 30
    assert {"window-truncated", "orphan-tool-message"} <= set(draft.issues)
    assert found.counts == (30, 30, 0, 0)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_gives_the_same(protocol: int) -> None:
    value = [
        USER,
        {"role": "user", "content": ["ü", 1, -7, 2**40, 0.5, None, True, ("a", ("b",)), {}, {"k": {"l": []}}]},
    ]
    data = pickle.dumps(value, protocol)
    assert recognised(KimiPickle(), data, "x.pkl")
    assert plain(data) == [
        USER,
        {"role": "user", "content": ["ü", 1, -7, 2**40, 0.5, None, True, ["a", ["b"]], {}, {"k": {"l": []}}]},
    ]


def test_the_oldest_protocol_can_be_read_as_well() -> None:
    assert plain(pickle.dumps([USER, (1, 2.5, 2**70), "ü"], 0)) == [USER, [1, 2.5, str(2**70)], "ü"]


@pytest.mark.parametrize(
    "value", [Exploit(), [USER, Exploit()], [USER, {1, 2}], [USER, Path("x")], [USER, 1j], [USER, bytearray(b"x")]]
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_code_and_objects_are_refused_and_never_run(
    value: Any, protocol: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unparsable, match="never run"):
        imported(KimiPickle(), pickle.dumps(value, protocol), "x.pkl", {})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x80\x04]Pid\n.",
        b"\x80\x04]}Q.",
        b"\x80\x04cos\nsystem\n(S'x'\ntR.",
        b"\x80\x02(S'x'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04]\x82\x01.",
        b"\x80\x05\x97.",
    ],
)
def test_every_instruction_that_could_run_something_is_refused(opcodes: bytes) -> None:
    with pytest.raises(Unparsable, match=r"never run|damaged"):
        plain(opcodes)


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    value: Any = ["x" * 10]
    for _ in range(40):
        value = [value, value]
    monkeypatch.setattr(kimi_pickle, "MAX_VALUES", 10_000)
    with pytest.raises(Unparsable, match="far more"):
        plain(pickle.dumps(value, 4))
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    with pytest.raises(Unparsable, match="too deeply"):
        plain(pickle.dumps(deep, 4))
    itself: list[Any] = [USER]
    itself.append(itself)
    with pytest.raises(Unparsable):
        plain(pickle.dumps(itself, 4))
    with pytest.raises(Unparsable, match="bits"):
        plain(pickle.dumps([1 << 100_000], 4))
    monkeypatch.setattr(kimi_pickle, "MAX_TEXT", 1_000)
    with pytest.raises(Unparsable, match="far more"):
        plain(pickle.dumps(["y" * 900, "z" * 900, 1], 4))
    monkeypatch.setattr(kimi_pickle, "MAX_PICKLE", 10)
    with pytest.raises(Unparsable, match="over the limit"):
        plain(pickle.dumps([USER], 4))


def test_what_json_does_not_have_is_kept_and_reported() -> None:
    value = [USER | {"raw": b"\x00\xff", "n": float("nan"), "half": "\ud83d", "big": 2**80, 5: "five"}]
    found = imported(KimiPickle(), pickle.dumps(value, 4), "x.pkl", {})
    draft, messages = found.one()
    extra = messages[0]["x"]
    assert extra == {"raw": "\x00\u00ff", "n": "NaN", "half": "\ufffd", "big": str(2**80), "5": "five"}
    assert {"bytes-as-text", "non-finite-number", "lone-surrogate", "big-integer", "key-not-text"} <= set(draft.issues)


def test_a_record_that_is_no_message_is_preserved_in_its_place() -> None:
    found = imported(KimiPickle(), pickle.dumps([USER, 5, {"role": "narrator"}, BOT], 4), "x.pkl", {})
    messages = found.one()[1]
    assert [message.get("kind") for message in messages] == [None, "meta", "meta", None]
    assert [text(messages[0]), text(messages[3])] == ["hello", "hi"]
    assert found.counts == (4, 2, 2, 0)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04", pickle.dumps(USER, 4), pickle.dumps("x", 4), b"\x80\x04].x", b"\x80\x04(."]
)
def test_what_is_no_list_of_messages_is_refused(data: bytes) -> None:
    if data == b"\x80\x04].x":
        assert imported(KimiPickle(), data, "x.pkl", {}).one()[1] == []
        return
    with pytest.raises(Unparsable):
        imported(KimiPickle(), data, "x.pkl", {})


def test_a_pickle_cut_anywhere_is_refused() -> None:
    data = (PLACE / "default.pkl").read_bytes()
    for size in range(len(data)):
        with pytest.raises(Unparsable):
            plain(data[:size])


@pytest.mark.parametrize("name", [".kimi_history.pkl", ".kimi_index.pkl", ".kimi_config.json"])
def test_the_programs_other_files_are_never_read(name: str) -> None:
    data = pickle.dumps([USER, BOT], 4)
    assert not recognised(KimiPickle(), data, f"/home/ann/{name}")
    with pytest.raises(Unparsable):
        imported(KimiPickle(), data, f"/home/ann/{name}", {})


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (pickle.dumps([USER], 4), True),
        (pickle.dumps({"role": 1, "content": 2}, 4), False),
        (pickle.dumps([1, 2, 3], 4), False),
        (b'[{"role": "user", "content": "x"}]', False),
        (b"", False),
    ],
)
def test_recognition_is_by_content(data: bytes, wanted: bool) -> None:
    assert recognised(KimiPickle(), data, "x.pkl") is wanted
