"""Claude Code as a program: `claude -p --output-format json`, gone on with by `--resume`.

The program keeps its own transcript. What it has answered names its session id in `x["session_id"]`; the next question
resumes that and holds only what was said since. A session that it has not seen yet is told to it as text first."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

from sessionstore import errors
from sessionstore.adapters import usage
from sessionstore.adapters.anthropic import Events as MessageEvents
from sessionstore.adapters.anthropic import billed
from sessionstore.adapters.base import Adapter, Ask, Delta, Gatherer, Json, Message
from sessionstore.adapters.failures import kind_of, told
from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.turns import Ids, turns

_RESULT = frozenset({"type", "subtype", "result", "usage", "is_error", "total_cost_usd", "model"})
_USAGE = frozenset({"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"})
_STATUS = re.compile(r"API Error:? \(?([45]\d\d)\b")
_LIMIT = re.compile(r"usage limit reached(?:\|(\d{10})\b)?|hit your (?:\w+ )?limit", re.IGNORECASE)
"""How the program says that its user has asked too often, some releases with the second since 1970 when that ends."""
_ROLES = {"user": "User", "assistant": "Assistant"}


class ClaudeCode(Adapter):
    """The program `claude`."""

    name = "claude-code"
    provider = "claude-code"
    title = "Claude Code"

    def request(self, ask: Ask, report: Report) -> Json:
        """{"arguments", "input"}: how the program is called, and what it reads."""
        resumed, messages = _since(ask)
        arguments = ["-p"]
        if ask.model:
            arguments += ["--model", ask.model]
        if resumed:
            arguments += ["--resume", resumed]
        found = turns(messages, report, Ids("", 1 << 20), merged=True)
        system = content.texts([part for part in ask.session.get("system") or () if isinstance(part, dict)])
        system += [text for turn in found if turn.role == "system" for text in content.texts(turn.speech)]
        if system:
            arguments += ["--append-system-prompt", "\n\n".join(dict.fromkeys(system))]
        for wanted, what in (
            (ask.session.get("tools"), "tools of the session"),
            (ask.max_tokens, "the length of an answer"),
            (ask.temperature, "the temperature"),
            (ask.prefill, "the beginning of an answer"),
        ):
            if wanted is not None and wanted != []:
                report.tell(f"not taken by this program: {what}")
        arguments += [str(one) for one in ask.extra.get("arguments", ())]
        return {"arguments": arguments, "input": _prompt([t for t in found if t.role != "system"], report)}

    def message(self, response: Json) -> Message:
        """The result, with what it has cost. Raises `ProviderError` when the program says that it has failed."""
        if response.get("is_error"):
            raise _refusal(self.title, response)
        x = usage.without_nothing(response, _RESULT)
        raw = response.get("usage")
        if more := usage.rest(raw, _USAGE):
            x["usage"] = more
        figures = billed(raw)
        cost = response.get("total_cost_usd")
        if isinstance(cost, int | float) and cost > 0:
            figures["cost_microusd"] = round(cost * 1_000_000)
        text = response["result"]
        if not isinstance(text, str):
            raise TypeError("no text")
        parts = [{"type": "text", "content": text}] if text else []
        message: Message = {"role": "assistant", "parts": parts, "provider": self.provider}
        models = [name for name in response.get("modelUsage") or {} if isinstance(name, str)]
        if model := response.get("model") or (models[0] if len(models) == 1 else None):
            message["model"] = model
        if isinstance(response.get("subtype"), str):
            message["finish_reason"] = response["subtype"]
        return usage.put(message, figures, x)

    def gatherer(self) -> Gatherer:
        """For the program's events."""
        return Lines()

    def send(self, body: Json) -> Json:
        """Run the program to its end."""
        *_, last = [{}, *self._run(body, ["--output-format", "json"], None)]
        if not isinstance(last, dict) or last.get("type") != "result":
            raise errors.AnswerInvalid(provider=self.title, reason="there is no result in it")
        return last

    def open(self, body: Json) -> Iterator[Json]:
        """Run the program and read its events line by line."""
        form = ["--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        return self._run(body, form, self.settings.timeout)

    def _run(self, body: Json, form: list[str], patience: float | None) -> Iterator[Json]:
        command = [self.settings.command, *body["arguments"], *form]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    encoding="utf-8",
                    cwd=self.settings.directory,
                    env=None if self.settings.environment is None else dict(self.settings.environment),
                )
            except OSError:
                reason = f"the program {self.settings.command!r} cannot be run"
                raise errors.ProviderUnreachable(provider=self.title, reason=reason) from None
            try:
                yield from self._read(process, body["input"], complaints, patience)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with contextlib.suppress(OSError):
                            pipe.close()

    def _read(
        self, process: subprocess.Popen[str], said: str, complaints: IO[str], seconds: float | None
    ) -> Iterator[Json]:
        assert process.stdin is not None and process.stdout is not None
        ended = False
        with _Patience(process, seconds) as patience:
            with patience.listening(), contextlib.suppress(BrokenPipeError):
                process.stdin.write(said)
                process.stdin.close()
            while line := patience.line(process.stdout):
                if line.strip():
                    event = json.loads(line)
                    # Some releases print one list of all events.
                    for one in event if isinstance(event, list) else [event]:
                        ended = ended or (isinstance(one, dict) and one.get("type") == "result")
                        yield one
        if patience.lost and not ended:
            reason = f"it has said nothing for {seconds:g} seconds"
            raise errors.ProviderUnreachable(provider=self.title, reason=reason, timed_out=True)
        if process.wait(self.settings.timeout) and not ended:
            complaints.seek(0)
            reason = told(complaints.read(10_000) or "it said nothing")
            raise errors.ProviderRefused(
                provider=self.title,
                reason=f"{reason} (exit code {process.returncode})",
                returned=process.returncode,
            )


class _Patience:
    """Ends a program that says nothing for so many seconds while it is listened to; never when that is None."""

    def __init__(self, process: subprocess.Popen[str], seconds: float | None) -> None:
        self.lost = False
        """Whether the program was ended."""
        self._process, self._seconds = process, seconds
        self._since: float | None = None
        self._over = threading.Event()

    def __enter__(self) -> _Patience:
        if self._seconds is not None:
            threading.Thread(target=self._watch, args=(self._seconds,), name="claude-code", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """From now on, until it is left, the program has to do something."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def line(self, stream: IO[str]) -> str:
        """The next line, empty at the end."""
        with self.listening():
            return stream.readline()

    def _watch(self, seconds: float) -> None:
        while not self._over.wait(min(0.05, seconds)):
            since = self._since
            if since is not None and time.monotonic() - since >= seconds:
                self.lost = True
                self._process.kill()
                return


def _refusal(title: str, response: Json) -> errors.ProviderError:
    """Why the program has failed: it says in its text what the interface behind it has answered."""
    text = str(response.get("result") or response.get("subtype") or "it has failed")
    limit, said = _LIMIT.search(text), _STATUS.search(text)
    status = response.get("api_error_status")
    if not isinstance(status, int) or not 400 <= status < 600:
        status = int(said[1]) if said else 429 if limit else None
    fields: dict[str, Any] = {"provider": title, "reason": told(text), "status": status, "model": "Claude"}
    if status is None:
        return errors.ProviderRefused(**fields)
    wait = max(0.0, float(limit[1]) - time.time()) if limit and limit[1] else None
    return kind_of(status, {}, fields["reason"])(**fields, retry_after=wait, again=status == 429 or status >= 500)


def _since(ask: Ask) -> tuple[str | None, list[Message]]:
    """The program's session to go on with, and what was said since."""
    messages = list(ask.messages)
    for number in range(len(messages) - 1, -1, -1):
        message = messages[number]
        ident = (message.get("x") or {}).get("session_id")
        if message["role"] == "assistant":
            if message.get("provider") == ClaudeCode.provider and isinstance(ident, str):
                return ident, messages[number + 1 :]
            if message.get("kind") != "error":
                return None, messages
    return None, messages


def _prompt(found: list[Any], report: Report) -> str:
    """What the program reads: the words themselves, or when others have spoken before, the whole conversation."""
    told = [(turn.role, "\n\n".join(content.texts(turn.speech)), turn) for turn in found]
    report.count("images and files left out", sum(p["type"] in ("blob", "uri") for t in found for p in t.speech))
    if all(role == "user" for role, _, _ in told):
        return "\n\n".join(text for _, text, _ in told)
    lines = ["This conversation has gone so far:"]
    for role, text, turn in told[:-1]:
        lines += [f"{_ROLES[role]}: {text}"] if text else []
        for call in turn.calls:
            lines += [f"(used the tool {call.name} with {content.arguments_string(call.arguments)})"]
            lines += [f"(it gave: {' '.join(content.texts(call.result))})"]
    return "\n\n".join([*lines, "Go on from there. The next message is:", told[-1][1]])


class Lines(Gatherer):
    """The program's events: the result is the answer, the pieces before it are shown while they come."""

    def __init__(self) -> None:
        self._result: Json = {}
        self._text = ""
        self._ident: str | None = None
        self._model: str | None = None
        self._inner = MessageEvents()

    def take(self, event: Json) -> Iterator[Delta]:
        """An event."""
        kind = event.get("type")
        self._ident = event.get("session_id") or self._ident
        if kind == "result":
            self._result, self.finished = event, True
        elif kind == "system":
            self._model = event.get("model") or self._model
        elif kind == "stream_event":
            inner = event["event"]
            if inner.get("type") == "message_start":
                self._inner, self._text = MessageEvents(), ""
            for delta in self._inner.take(inner):
                self._text += delta.text if delta.kind == "text" else ""
                yield delta

    def response(self) -> Json:
        """The result; of one that was cut off, the text so far."""
        found = self._result or {"type": "result", "result": self._text, "session_id": self._ident}
        return {**found, **({"model": self._model} if self._model else {})}
