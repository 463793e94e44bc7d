"""The provider "langchain" of mcp_coder: OpenAI, Anthropic, Gemini or Ollama, by configuration, asked through this
package's own adapters; the conversation in LangChain's form in a file, and in the store.

1. the question is appended to the session in the store, durable    a history with an unanswered question
2. the model is asked                                               the same
3. question and answer are appended to what the file holds now      a whole turn, also when others wrote meanwhile
"""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sessionstore import adapters, errors
from sessionstore.adapters.base import Adapter, Ask, Settings
from sessionstore.compat import _mcp_coder_history as history
from sessionstore.compat import _mcp_coder_store as kept
from sessionstore.compat._mcp_coder_claude import LLMTimeoutError
from sessionstore.compat._mcp_coder_tools import Toolbox
from sessionstore.compat._mcp_coder_types import LLM_RESPONSE_VERSION, LLMResponseDict, StreamEvent, UsageInfo
from sessionstore.exporters.content import texts

Entry = dict[str, Any]
_SETTINGS = {"backend": ("BACKEND",), "model": ("MODEL",), "base_url": ("BASE_URL", "ENDPOINT"), "api_key": ()}
_SETTINGS["api_version"] = ("API_VERSION",)
_ADAPTERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "ollama": "openai"}
ROUNDS = 20
"""So often a model may use tools before it has to answer."""
LONGER = 300
"""Seconds that a model with tools may take at least."""
_SLOW = re.compile(r"(?i)time[d-]?\s?out")
_OLLAMA = "http://localhost:11434"


def configuration() -> dict[str, str | None]:
    """{"backend", "model", "base_url", "api_key", "api_version"} from the section [llm.langchain] of
    `~/.mcp_coder/config.toml`; the variables MCP_CODER_LLM_LANGCHAIN_* count more."""
    told = _section()
    found: dict[str, str | None] = {}
    for name, variables in _SETTINGS.items():
        said = [os.environ.get(f"MCP_CODER_LLM_LANGCHAIN_{variable}") for variable in variables]
        file = told.get(name) or (told.get("endpoint") if name == "base_url" else None)
        found[name] = next(filter(None, said), file if isinstance(file, str) else None)
    return found


def _section() -> dict[str, Any]:
    for home in (Path.home() / ".mcp_coder", Path.home() / ".config" / "mcp_coder"):
        try:
            document = tomllib.loads((home / "config.toml").read_text(encoding="utf-8"))
        except OSError:
            continue
        except ValueError as error:
            kept.logger.warning("%s cannot be read: %s", home / "config.toml", error)
            continue
        section = document.get("llm", {})
        section = section.get("langchain", {}) if isinstance(section, dict) else {}
        return section if isinstance(section, dict) else {}
    return {}


@dataclass(frozen=True, slots=True)
class _Model:
    """Who is asked."""

    backend: str
    name: str
    adapter: Adapter


def model_for(timeout: float) -> _Model:
    """The configured model. Raises `ValueError` when the configuration names none."""
    told = configuration()
    backend, name = told["backend"], told["model"]
    if not backend:
        raise ValueError(
            "llm.langchain.backend not configured. "
            "Set [llm.langchain] backend in config.toml or MCP_CODER_LLM_LANGCHAIN_BACKEND env var."
        )
    if backend not in _ADAPTERS:
        supported = ", ".join(map(repr, _ADAPTERS))
        raise ValueError(f"Unsupported langchain backend: {backend!r}. Supported backends: {supported}.")
    if not name:
        raise ValueError("llm.langchain.model not configured. Set it or MCP_CODER_LLM_LANGCHAIN_MODEL.")
    if told["api_version"]:
        raise ValueError("llm.langchain.api_version (Azure) is not supported; use a base_url that needs none")
    kind = adapters.named(_ADAPTERS[backend])
    url = told["base_url"]
    if backend == "ollama":
        url = f"{(url or _OLLAMA).rstrip('/').removesuffix('/v1')}/v1"
    settings = Settings(
        api_key=(_first(kind.keys) if backend != "ollama" else None) or told["api_key"],
        base_url=url or _first(kind.url_names),
        timeout=timeout,
        patience=timeout,
        sleep=_until(time.monotonic() + timeout, timeout),
    )
    return _Model(backend, name, kind(settings))


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _until(end: float, timeout: float) -> Callable[[float], None]:
    """Waits between two tries, but not beyond a time."""

    def sleep(seconds: float) -> None:
        if time.monotonic() + seconds > end:
            raise _timed_out(timeout)
        time.sleep(seconds)

    return sleep


def _timed_out(timeout: float) -> LLMTimeoutError:
    return LLMTimeoutError(
        f"LLM inactivity timeout (langchain): no output for {timeout}s. "
        "Stream stalled. You can retry, or use --timeout to increase the limit."
    )


class _Turn:
    """One question to the configured model, and everything that is said until it is answered."""

    def __init__(self, question: str, session_id: str | None, timeout: float, tools: Toolbox) -> None:
        self.model, self.timeout, self.tools = model_for(timeout), timeout, tools
        self.manager = history.manager_of()
        if session_id and history.existing(session_id) is None:
            raise ValueError(
                f"No conversation is stored for session '{session_id}': {history.path_of(session_id)} does not exist"
            )
        self.session_id = session_id or str(uuid.uuid4())
        self.path = history.path_of(self.session_id)
        self._said = [entry("human", {"content": question})]

    def ask(self) -> Ask:
        """Keep what was said; what the model is asked."""
        found = kept.found_in(kept.HISTORY, json.dumps(self._keep(to_file=False)).encode(), str(self.path))
        assert found is not None
        told = [one for one in found.messages if one["role"] != "system"]
        return Ask(self.model.name, told, {"tools": self.tools.definitions} if self.tools.definitions else {})

    def used(self, call: Entry) -> tuple[str, bool]:
        """Run a tool that the model wants to use: (what it gives, whether it has failed)."""
        output, failed = self.tools.run(call["name"], call["arguments"])
        about = {"tool_call_id": call["id"], "artifact": None, "status": "error" if failed else "success"}
        self._said.append(entry("tool", {"content": output, "name": call["name"], **about}))
        return output, failed

    def say(self, message: Entry) -> None:
        """Take an answer, or a wish to use tools."""
        self._said.append(answer(message, self.model.name))

    def answered(self, *, whole: bool = True) -> list[Entry]:
        """Keep the turn; the history as it is now. A turn that is not whole is kept in the store only."""
        return self._keep(to_file=whole)

    def _keep(self, *, to_file: bool) -> list[Entry]:
        return history.rewrite(self.manager, self.path, lambda: [*self._before(), *self._said], to_file=to_file)

    def _before(self) -> list[Entry]:
        """The history as it is now. System prompts that older versions have stored again and again are left out."""
        known = [current(one) for one in history.load_langchain_history(self.session_id)]
        return [one for one in known if one.get("type") != "system"]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Tells failures as the caller knows them."""
        try:
            yield
        except LLMTimeoutError as error:
            error.session_id = self.session_id
            raise
        except errors.ProviderError as error:
            if _SLOW.search(str(error)):
                made = _timed_out(self.timeout)
                made.session_id = self.session_id
                raise made from error
            if error.status == 404:
                raise ValueError(f"Model {self.model.name!r} not found. {error}") from error
            raise
        finally:
            self.model.adapter.close()


def ask(
    question: str,
    session_id: str | None,
    timeout: float,
    mcp_config: str | None = None,
    env_vars: dict[str, str] | None = None,
    execution_dir: str | None = None,
) -> LLMResponseDict:
    """The whole response. Raises as `prompt_llm` does."""
    timeout = max(timeout, LONGER) if mcp_config else timeout
    with Toolbox(mcp_config, None, env_vars, execution_dir, timeout) as tools:
        turn = _Turn(question, session_id, timeout, tools)
        trace: list[StreamEvent] = []
        steps = 0
        with turn.asking():
            while True:
                message = turn.model.adapter.answer(turn.ask())
                turn.say(message)
                calls = _calls(message) if tools.definitions else []
                for call in calls:
                    trace.append(_started(call))
                    trace.append(_finished(call, *turn.used(call)))
                steps += 1
                if not calls or steps == ROUNDS:
                    break
        entries = turn.answered()
    text = "\n\n".join(texts(message["parts"]))
    raw: dict[str, object] = {"backend": turn.model.backend, "model": turn.model.name, "response_content": text}
    raw["usage"] = usage(message)
    if mcp_config:
        raw |= {"messages": entries, "agent_steps": steps, "total_tool_calls": len(trace) // 2, "tool_trace": trace}
    return LLMResponseDict(
        version=LLM_RESPONSE_VERSION,
        timestamp=datetime.now().isoformat(),
        text=text,
        session_id=turn.session_id,
        provider="langchain",
        raw_response=raw,
    )


def stream(
    question: str,
    session_id: str | None,
    timeout: float,
    mcp_config: str | None = None,
    env_vars: dict[str, str] | None = None,
    execution_dir: str | None = None,
    tools: list[Any] | None = None,
) -> Iterator[StreamEvent]:
    """The response as events. Raises as `prompt_llm` does."""
    with Toolbox(mcp_config, tools, env_vars, execution_dir, timeout) as toolbox:
        turn = _Turn(question, session_id, timeout, toolbox)
        with turn.asking():
            for _ in range(ROUNDS):
                message = yield from _streamed(turn)
                turn.say(message)
                calls = _calls(message) if toolbox.definitions else []
                for call in calls:
                    yield _started(call)
                    yield _finished(call, *turn.used(call))
                if not calls:
                    break
        turn.answered()
    yield {"type": "done", "session_id": turn.session_id, "usage": usage(message)}


def _streamed(turn: _Turn) -> Generator[StreamEvent, None, Entry]:
    """The events of one answer; gives the whole of it. What has come of one that is cut off is kept."""
    pieces = turn.model.adapter.stream(turn.ask())
    try:
        for piece in pieces:
            if piece.kind == "text" and piece.text:
                line = {"type": "AIMessageChunk", "content": piece.text}
                yield {"type": "raw_line", "line": json.dumps(line, ensure_ascii=False)}
                yield {"type": "text_delta", "text": piece.text}
        return pieces.message()
    except BaseException:
        if (partial := pieces.partial()) is not None:
            turn.say(partial)
            turn.answered(whole=False)
        raise
    finally:
        pieces.close()


def _calls(message: Entry) -> list[Entry]:
    return [part for part in message["parts"] if part["type"] == "tool_call"]


def _started(call: Entry) -> StreamEvent:
    return {"type": "tool_use_start", "name": call["name"], "args": call["arguments"], "tool_call_id": call["id"]}


def _finished(call: Entry, output: str, failed: bool) -> StreamEvent:
    event: StreamEvent = {"type": "tool_result", "name": call["name"], "output": output, "is_error": failed}
    return {**event, "tool_call_id": call["id"]}


def entry(kind: str, data: Entry) -> Entry:
    """A message in the form in which LangChain dumps it."""
    common: Entry = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
    return {"type": kind, "data": {"content": data["content"], **common, **data}}


def current(one: Entry) -> Entry:
    """A message of a history in the present form; those of March 2026 had only a role and a content."""
    if isinstance(one, dict) and "type" not in one and isinstance(one.get("role"), str):
        return entry(one["role"], {name: value for name, value in one.items() if name != "role"})
    return one


def answer(message: Entry, model: str) -> Entry:
    """An answer as LangChain would have dumped it."""
    about = {"model_name": message.get("model") or model, "finish_reason": message.get("finish_reason")}
    calls = _calls(message)
    data: Entry = {
        "content": "\n\n".join(texts(message["parts"])),
        "response_metadata": {name: value for name, value in about.items() if value},
        "id": (message.get("x") or {}).get("response_id"),
        "tool_calls": [
            {"name": call["name"], "args": call["arguments"], "id": call["id"], "type": "tool_call"} for call in calls
        ],
        "invalid_tool_calls": [],
        "usage_metadata": None,
    }
    spent = message.get("usage") or {}
    if spent:
        told = {"input_tokens": spent.get("input_tokens", 0), "output_tokens": spent.get("output_tokens", 0)}
        details = {
            "input_token_details": _told(spent, cache_read="cache_read_tokens", cache_creation="cache_write_tokens"),
            "output_token_details": _told(spent, reasoning="reasoning_tokens"),
        }
        figures = {**told, "total_tokens": sum(told.values())}
        data["usage_metadata"] = figures | {name: value for name, value in details.items() if value}
    return entry("ai", data)


def _told(spent: Entry, **names: str) -> dict[str, int]:
    return {name: spent[field] for name, field in names.items() if spent.get(field)}


def usage(message: Entry) -> UsageInfo:
    """What an answer has used, in mcp_coder's names."""
    spent = message.get("usage") or {}
    found: UsageInfo = {}
    if "input_tokens" in spent:
        found["input_tokens"] = spent["input_tokens"]
    if "output_tokens" in spent:
        found["output_tokens"] = spent["output_tokens"]
    if spent.get("cache_read_tokens"):
        found["cache_read_input_tokens"] = spent["cache_read_tokens"]
    if spent.get("cache_write_tokens"):
        found["cache_creation_input_tokens"] = spent["cache_write_tokens"]
    return found
