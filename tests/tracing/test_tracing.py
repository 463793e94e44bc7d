"""What is told of what happens: to whom, how much, and never what was said."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, fsio, tracing
from sessionstore.chat import Chat
from sessionstore.manager import SessionManager
from sessionstore.tracing.figures import percentile
from sessionstore.tracing.trace import Trace, parsed

SECRET = "the owl flies at midnight"


class Kept(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(0)
        self.documents: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.documents.append({**record.__dict__["document"], **record.__dict__["content"]})

    def named(self, name: str, phase: str | None = "end") -> list[dict[str, Any]]:
        return [one for one in self.documents if one["event"] == name and one.get("phase") == phase]


def converse(sessions: SessionManager, model: str = "simulated/500,echo", prompt: str = SECRET) -> str:
    with Chat(sessions) as chat:
        chat.ask(prompt, model, "s")
    return "native:s"


def test_nothing_is_told_and_nothing_is_made_while_nobody_listens(sessions: SessionManager) -> None:
    first, second = tracing.operation("persistence", "x"), tracing.operation("persistence", "y")
    assert first is second
    with first as entered:
        entered.told(a=1)
    tracing.event(tracing.ERROR, "error", "x")
    converse(sessions)


def test_an_operation_costs_next_to_nothing_while_nobody_listens() -> None:
    def spent() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            with tracing.operation("persistence", "append", "native:s", messages=1):
                pass
        return time.perf_counter() - began

    assert min(spent() for _ in range(5)) / 1000 < 20e-6  # measured: less than 1 µs


def test_a_turn_is_told_step_by_step_with_its_session(sessions: SessionManager) -> None:
    kept = Kept()
    with tracing.configure("TRACE", handlers=[kept]):
        key = converse(sessions)
    order = [(one["event"], one.get("phase")) for one in kept.documents if one["event"] in ("create", "append", "chat")]
    assert order == [(name, phase) for name in ("create", "append", "chat", "append") for phase in ("begin", "end")]
    [retry] = kept.named("retry", None)
    assert (retry["level"], retry["status"], retry["session"], retry["category"]) == ("WARNING", 500, key, "provider")
    [talk] = kept.named("chat")
    assert talk["model"] == "500,echo" and talk["provider"] == "simulated" and talk["usage"]["output_tokens"] > 0
    assert talk["ms"] > 0 and talk["length"] == len(SECRET) and talk["finish_reason"] == "stop"
    append = kept.named("append")[0]
    assert append["session"] == key and append["messages"] == 1 and append["bytes_written"] > 100
    assert append["fsyncs"] >= 2 and 0 < append["fsync_ms"] <= append["ms"] and append["max_rss_kib"] > 1000
    assert kept.named("fsync", None) and all(one["ms"] >= 0 for one in kept.named("fsync", None))
    write = kept.named("write")[-1]
    assert write["within"] == kept.named("append")[-1]["operation"]


@pytest.mark.parametrize("level", ["INFO", "DEBUG", "TRACE"])
def test_what_was_said_is_never_told_unless_asked_for(level: str, sessions: SessionManager, tmp_path: Path) -> None:
    console = io.StringIO()
    with tracing.configure(level, console=console, file=tmp_path / "t.jsonl"):
        key = converse(sessions)
        sessions.edit(key, 0, f"{SECRET} again")
        with pytest.raises(errors.UsageError), Chat(sessions) as chat:
            chat.ask(SECRET, "simulated", "s", temperatur=SECRET)
        sessions.switch_model(key, "simulated/echo", SECRET, consent=True)
        sessions.set_metadata(key, {"secret": SECRET})
    told = console.getvalue() + (tmp_path / "t.jsonl").read_text()
    assert "switch_model" in told and key in told
    assert "midnight" not in told


def test_what_was_said_is_told_when_asked_for_and_only_at_trace(sessions: SessionManager) -> None:
    loud, other = Kept(), Kept()
    with (
        tracing.configure("TRACE", handlers=[loud], content=True),
        tracing.configure("TRACE", handlers=[other]),
        tracing.configure("DEBUG", handlers=[other], content=True),
    ):
        converse(sessions)
    assert SECRET in json.dumps(loud.named("chat", "begin")[0]["input_messages"])
    assert SECRET not in json.dumps(other.documents)


def test_a_providers_words_are_told_from_debug_down_only(sessions: SessionManager) -> None:
    def told(level: str) -> dict[str, Any]:
        kept = Kept()
        with tracing.configure(level, handlers=[kept]), pytest.raises(errors.ProviderRefused):
            converse(sessions, "simulated/400")
        [failure] = kept.named("chat")
        assert (failure["level"], failure["category"], failure["of"]) == ("ERROR", "error", "provider")
        assert (failure["error"], failure["status"], failure["state"]) == ("ProviderRefused", 400, "active")
        assert failure["conversation"] == 1 or level == "DEBUG"
        sessions.get("s").add_assistant("Never mind.")
        return failure

    assert "reason" not in told("INFO")
    kept = Kept()
    with tracing.configure("DEBUG", handlers=[kept]), pytest.raises(errors.ProviderRefused):
        converse(sessions, "simulated/400", "once more")
    assert "asked for" in kept.named("chat")[0]["reason"]


def test_no_key_is_ever_told(sessions: SessionManager, talk: Chat, mocked: Any) -> None:
    from tests.adapters.mocked import SECRET as KEY

    kept = Kept()
    with tracing.configure("TRACE", handlers=[kept], content=True):
        mocked.break_({"type": "fail", "status": 401, "message": f"bad key {KEY}"})
        with pytest.raises(errors.ProviderDenied):
            talk.ask("Hello", "gpt-5", "keys")
    assert kept.named("chat") and KEY not in json.dumps(kept.documents)


def test_levels_and_categories_choose(sessions: SessionManager) -> None:
    lives, faults = Kept(), Kept()
    with (
        tracing.configure("DEBUG", "lifecycle", handlers=[lives]),
        tracing.configure("WARNING", "error,provider", handlers=[faults]),
    ):
        key = converse(sessions)
        sessions.archive(key)
        with pytest.raises(errors.UsageError):
            sessions.append(key, {"role": "user", "parts": []})
    assert {one["category"] for one in lives.documents} == {"lifecycle"}
    [archived] = lives.named("set_state")
    assert (archived["before"], archived["after"]) == ("active", "archived")
    [refused] = faults.named("append")
    assert (refused["category"], refused["of"], refused["level"]) == ("error", "persistence", "WARNING")
    assert (refused["state"], refused["conversation"]) == ("archived", 2)
    assert {one["event"] for one in faults.documents} == {"retry", "append"}


def test_lines_of_json_in_a_file_of_ones_own_that_is_rotated(sessions: SessionManager, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with tracing.configure("TRACE", file=path, rotate_bytes=4000, keep=2):
        for number in range(10):
            sessions.create(f"s{number}")
    files = sorted(path.name for path in tmp_path.glob("trace.jsonl*"))
    assert files == ["trace.jsonl", "trace.jsonl.1", "trace.jsonl.2"]
    for name in files:
        assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600
        assert (tmp_path / name).stat().st_size <= 4000
        for line in (tmp_path / name).read_text().splitlines():
            assert json.loads(line)["time"].endswith("Z")
    size = path.stat().st_size
    with tracing.configure("INFO", file=path):
        sessions.create("another")
    assert path.stat().st_size > size  # appended to


def test_a_line_cannot_be_broken_by_what_is_in_it(sessions: SessionManager) -> None:
    console = io.StringIO()
    with tracing.configure("DEBUG", console=console), pytest.raises(errors.NotFound):
        sessions.get("evil\n\x1b[31mERROR all is lost")
    lines = console.getvalue().splitlines()
    assert len(lines) == 1 and "\x1b" not in lines[0] and "all is lost" in lines[0]


def test_the_programs_own_logging_can_take_it(sessions: SessionManager, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sessionstore.trace")
    with tracing.configure("TRACE", logging=True):
        sessions.create("s")
    [record] = [one for one in caplog.records if one.name.startswith("sessionstore.trace")]
    assert (record.name, record.levelname) == ("sessionstore.trace.lifecycle", "INFO")
    assert record.__dict__["session"] == "native:s" and "create" in record.getMessage()


def test_the_manager_can_bring_its_trace(tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store", trace=f"DEBUG,lifecycle:{tmp_path / 't.log'}") as manager:
        manager.create("s")
        assert tracing.active()
    assert "[native:s] create" in (tmp_path / "t.log").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debug", {"level": 10, "categories": None, "console": True}),
        ("TRACE,provider,error", {"level": 5, "categories": "provider,error", "console": True}),
        ("warn:C:\\logs\\t.txt", {"level": 30, "categories": None, "file": "C:\\logs\\t.txt"}),
        (":t.log", {"level": 20, "categories": None, "file": "t.log"}),
    ],
)
def test_a_trace_can_be_written_in_one_word(text: str, expected: dict[str, Any]) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize("text", ["loud", "debug,nonsense", "debug,,"])
def test_wrong_words_are_refused(text: str) -> None:
    with pytest.raises(errors.UsageError, match="there is no"):
        parsed(text)


def test_a_file_that_cannot_be_written_is_said_at_once_and_never_later(tmp_path: Path) -> None:
    with pytest.raises(errors.WriteFailed):
        Trace(file=tmp_path / "no" / "t.log")
    stream = io.StringIO()
    with tracing.configure("INFO", console=stream):
        stream.close()
        tracing.event(tracing.INFO, "lifecycle", "x")


def test_the_summary_says_what_takes_the_time_and_what_was_used(sessions: SessionManager) -> None:
    with tracing.configure("ERROR") as trace, Chat(sessions) as chat:
        chat.ask("one", "simulated/slow:0.2", "a")
        chat.ask("two", session_id="a")
        list(chat.stream("three", "simulated/429,echo", "b"))
        with pytest.raises(errors.ProviderDown):
            chat.ask("four", "simulated/503,503,503,503", "c")
    summary = trace.summary()
    talk = summary["operations"]["chat"]
    assert (talk["count"], talk["errors"]) == (4, 1) and talk["max_ms"] >= 200
    assert talk["p50_ms"] <= talk["p95_ms"] <= talk["max_ms"] <= talk["total_ms"]
    assert summary["bottlenecks"][0]["operation"] == "chat" and 0.3 < summary["bottlenecks"][0]["share"] <= 1
    append = summary["operations"]["append"]
    assert append["count"] == 7 and append["bytes_written"] > 0 and append["fsyncs"] >= 14
    assert append["own_ms"] <= append["total_ms"]
    assert summary["models"]["slow:0.2"]["requests"] == 2 and summary["models"]["slow:0.2"]["input_tokens"] > 0
    assert summary["models"]["429,echo"]["retries"] == 1
    assert summary["models"]["503,503,503,503"]["failures"] == 1 and summary["errors"] == {"ProviderDown": 1}
    assert {"native:a", "native:b", "native:c"} <= trace.figures._sessions and summary["max_rss_kib"] > 0


def test_percentiles() -> None:
    assert percentile([float(n) for n in range(1, 101)], 95) == 95.0
    assert percentile([7.0], 50) == 7.0


def test_threads_do_not_mix_their_operations(sessions: SessionManager) -> None:
    kept = Kept()

    def work(number: int) -> None:
        session = sessions.create(f"s{number}")
        for _ in range(10):
            session.add_user("x" * 100)

    with tracing.configure("DEBUG", handlers=[kept]):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(kept.named("append")) == 60
    appends = {one["operation"]: one for one in kept.named("append")}
    inner = [one for one in kept.named("write") if one.get("within") in appends]
    assert len(inner) == 60
    assert all(appends[one["within"]]["session"] == one["session"] for one in inner)
    assert all(one["messages"] == 1 and one["fsyncs"] >= 2 for one in appends.values())


def test_a_fallback_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsio, "warnings", [])
    kept = Kept()
    with tracing.configure("WARNING", handlers=[kept]):
        fsio.warn("no working locks on the file system of /x: use one program at a time")
    assert kept.named("fallback", None)[0]["warning"].startswith("no working locks")


def test_recovery_is_told(sessions: SessionManager) -> None:
    sessions.create("s").add_user("Anyone?")
    kept = Kept()
    with tracing.configure("INFO", handlers=[kept]):
        sessions.recover()
    [told] = kept.named("recover")
    assert (told["pending"], told["branches"], told["damaged"]) == (1, 0, 0)


def test_importing_the_package_loads_neither_logging_handlers_nor_opentelemetry() -> None:
    code = "import sys, sessionstore.tracing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "sessionstore.tracing" in loaded and not {"logging.handlers", "opentelemetry"} & set(loaded)


@pytest.mark.clock
def test_an_append_is_not_slower_by_much_while_it_is_traced(sessions: SessionManager, tmp_path: Path) -> None:
    session = sessions.create("s")

    def median() -> float:
        times = []
        for _ in range(40):
            began = time.perf_counter()
            session.add_user("x")
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    plain = median()
    with tracing.configure("DEBUG", file=tmp_path / "t.jsonl"):
        traced = median()
    assert traced < plain + 5e-3


def test_a_sink_that_raises_stops_nothing(sessions: SessionManager) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no")

    with tracing.configure("TRACE", handlers=[Broken()]):
        assert sessions.create("s").add_user("x")


def test_names_are_found_without_the_index_and_that_is_told(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.create("session-of-ada")
    monkeypatch.setattr(sessions.keeper, "reader", _busy)
    kept = Kept()
    with tracing.configure("WARNING", handlers=[kept]):
        assert sessions.get("session-of").key == "native:session-of-ada"
    assert "Busy" in kept.named("fallback", None)[0]["warning"]


def _busy() -> Any:
    raise errors.Busy(what="the index", holder="")
