"""llm-mcp-server's `server` module: sessions with Kimi by the older program's names, kept by this store.

The functions and tools have the names, arguments and answers they had there. See `docs/compat/kimi.md` for where the
sessions are, what differs, and why.
"""

# ruff: noqa: UP006, UP035, UP045, RUF013 - the annotations are the older program's own
from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from sessionstore import adapters, errors, wrappers
from sessionstore.adapters.base import Ask
from sessionstore.adapters.environment import settings_from
from sessionstore.chat import Answer
from sessionstore.compat import _kimi_blocks as blocks
from sessionstore.compat import _kimi_costs as costs
from sessionstore.compat import _kimi_files as files
from sessionstore.compat import _kimi_home as home
from sessionstore.compat import _kimi_shape as shape
from sessionstore.compat import _kimi_tools as tools
from sessionstore.compat._kimi_blocks import TextContent
from sessionstore.compat._kimi_costs import cost_tracker
from sessionstore.compat._kimi_tools import BUILTIN_TOOLS, execute_cli_tool, is_command_safe
from sessionstore.manager import Session

__all__ = [
    "BUILTIN_TOOLS",
    "FILES_ALLOWED",
    "KIMI_SESSIONS_DIR",
    "TextContent",
    "analyze_with_gemini",
    "clear_session",
    "construct_prompt",
    "cost_tracker",
    "estimate_tokens",
    "execute_cli_tool",
    "handle_call_tool",
    "handle_list_tools",
    "init_clients",
    "is_command_safe",
    "kimi_chat",
    "list_sessions",
    "load_session",
    "quick_gpt",
    "save_session",
    "truncate_messages_for_context",
]

_USUAL = Path(".kimi_sessions")
KIMI_SESSIONS_DIR = _USUAL
"""The directory whose sessions these are. A program may set another one."""
FILES_ALLOWED: list[str | os.PathLike[str]] = []
"""Files and directories that prompts may name although they are outside the working directory or look like secrets."""
_GEMINI, _NANO, _FLASH, _MINI = "gemini-2.5-pro", "gpt-4.1-nano", "gemini-2.5-flash", "gpt-4.1-mini"
_KIMIS = ("kimi", "moonshot")
_OPTIONS = set(Ask.__dataclass_fields__) - {"model", "messages", "session"}
Record = dict[str, Any]


# --- sessions ------------------------------------------------------------------------------------------------


def save_session(session_id: str, messages: List[Dict], metadata: Dict = None) -> None:  # type: ignore[type-arg,assignment]
    """Let a session say these messages; it is made when there is none. What it said before and is not among them
    stays in the store. Raises `UsageError`, `StorageError`."""
    _place().save(session_id, messages, metadata or {})


def load_session(session_id: str) -> Optional[Dict]:  # type: ignore[type-arg]
    """A session: {"session_id", "messages", "metadata", "created", "last_accessed", "message_count", "topics"}, None
    when there is none of that id. ``@last`` is the one in which something was said last. Raises `Ambiguous`."""
    session = _found(session_id)
    return shape.told(session).document if session else None


def list_sessions() -> List[Dict]:  # type: ignore[type-arg]
    """The directory's sessions, latest first: {"session_id", "created", "last_accessed", "message_count"}."""
    found = [shape.told(session).document for session in _place().own()]
    names = ("session_id", "created", "last_accessed", "message_count")
    listed = [{name: one[name] for name in names} for one in found]
    return sorted(listed, key=lambda one: str(one["last_accessed"]), reverse=True)


def clear_session(session_id: str) -> bool:
    """Forget a session, or with ``@all`` those of the directory; whether there was one. What was said stays in the
    store: `sessionstore show` finds it, `sessionstore purge` erases it."""
    if session_id == "@all":
        for session in list(_place().own()):
            _place().clear(session)
        return True
    found = _place().find(session_id)
    if found is None:
        return False
    _place().clear(found)
    return True


def truncate_messages_for_context(
    messages: List[Dict],  # type: ignore[type-arg]
    max_tokens: int = 100000,
) -> List[Dict]:  # type: ignore[type-arg]
    """The system messages and the last 50 others, fewer when they would be more than about `max_tokens` tokens. The
    result of a tool is never left without its call."""
    return shape.windowed(messages, max_tokens, shape.estimate) if messages else messages


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return len(text) // 4


def construct_prompt(template: str, base_path: str | None = None) -> str:
    """A prompt with the files it names (`{file:PATH}`, `{file:PATH:10-20}`, `{files:PATTERN}`) in their places. Files
    outside `base_path` (None: the working directory), secrets and large files are not read."""
    return files.construct_prompt(template, base_path, allowed=FILES_ALLOWED)


def _place() -> home.Place:
    return home.place(Path(KIMI_SESSIONS_DIR), _USUAL)


def _found(session_id: str) -> Session | None:
    return _place().latest() if session_id == "@last" else _place().find(session_id)


# --- talking with Kimi ---------------------------------------------------------------------------------------


def kimi_chat(
    prompt: str | None = None,
    messages: list[Record] | None = None,
    system: str | None = None,
    partial_response: str | None = None,
    model: str = wrappers.KIMI,
    temperature: float = 0.6,
    max_tokens: int = 4096,
    available_tools: Sequence[str] | None = None,
    dynamic_tools: Sequence[Mapping[str, Any]] | None = None,
    session_id: str | None = None,
    return_conversation: bool = False,
) -> list[Any]:
    """Talk with Kimi; the answer in a block of text, with `return_conversation` the conversation in a second one.

    `session_id` is a session's id, keywords for a new one, ``@last``, ``@list``, ``@clear:ID`` or ``@clear:@all``.
    With it `messages` are not looked at, and in a session that is there neither is `system`. What goes wrong is said
    in the block; nothing is raised."""
    try:
        if session_id and session_id.startswith("@") and (told := _command(session_id)) is not None:
            return [blocks.block(told)]
        reach = settings_from(os.environ, adapters.named("kimi"))
        if not reach.api_key and not reach.base_url:
            return [blocks.block("Error: Moonshot API key not configured. Set MOONSHOT_API_KEY in the environment")]
        schemas, toolbox = tools.tools_of(available_tools, dynamic_tools)
        chat = _place().chat if session_id else _place().apart
        session, said, prefill = _conversation(prompt, messages, system, session_id)
        if session is None and not said:
            return [blocks.block("Error: Must provide either 'prompt' or 'messages'")]
        if session_id and session is None:
            session = _begun(session_id, system, prompt or "")
        before = session.count if session else 0
        answer = chat.ask(
            said,
            _kimi(model, session),
            session.key if session else None,
            consent=True,
            tools=schemas or None,
            toolbox=toolbox if schemas else None,
            temperature=temperature,
            max_tokens=max_tokens,
            prefill=partial_response or prefill,
        )
    except tools.Unknown as unknown:
        return [blocks.block(str(unknown))]
    except (errors.SessionstoreError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [blocks.block(f"Kimi Chat error: {error}")]
    return _answered(answer, before, return_conversation)


def _command(session_id: str) -> str | None:
    """What a command instead of a session's id answers; None for what is none."""
    if session_id == "@list":
        return wrappers.listed(list_sessions())
    if session_id.startswith("@clear:"):
        name = session_id.removeprefix("@clear:")
        return f"Session '{name}' cleared successfully." if clear_session(name) else f"Session '{name}' not found."
    if session_id == "@last" or _found(session_id):
        return None
    return f"Error: '{session_id}' is no session, and none of @last, @list and @clear:ID"


def _conversation(
    prompt: str | None, messages: list[Record] | None, system: str | None, session_id: str | None
) -> tuple[Session | None, list[Record], str | None]:
    """The session to go on with, what is new in it, and how the answer shall begin."""
    asked = [{"role": "user", "content": construct_prompt(prompt)}] if prompt else []
    if session_id:
        return _found(session_id), asked, None
    if not messages:
        return None, ([{"role": "system", "content": system}, *asked] if system and asked else asked), None
    said, prefill = list(messages), None
    if said[-1].get("role") == "assistant" and said[-1].get("partial"):
        prefill = str(said.pop().get("content") or "")
    return None, said, prefill


def _begun(session_id: str, system: str | None, about: str) -> Session:
    """A new session, called after what is asked first. `@last` where there is none begins one under a name of its
    own."""
    name = shape.stamped("chat" if session_id == "@last" else session_id)
    first = [{"role": "system", "content": system}] if system else []
    metadata = {"created": shape.now(), "topics": shape.topics(name)}
    return _place().make(name, [shape.unified(one) for one in first], metadata, about)


def _kimi(model: str, session: Session | None) -> str:
    """The model to ask: a session's own unless another one than the usual is named. Always one of Kimi's provider."""
    own = session.model if session else None
    if model == wrappers.KIMI and own and own.lower().startswith(_KIMIS):
        return own
    return model if model.lower().startswith(_KIMIS) else f"kimi/{model}"


def _answered(answer: Answer, before: int, return_conversation: bool) -> list[Any]:
    """The blocks that tell an answer."""
    session: Any = answer.session
    fresh = list(session.messages(before))
    used = tools.told_of(fresh)
    text = wrappers.told(answer)
    if any(message["role"] == "tool" for message in fresh):
        text += "\n\n**Tool Executions:**\n" + "\n".join(used)
    told = [blocks.block(text + costs.track(fresh, str(session.model or wrappers.KIMI)))]
    if return_conversation:
        state = json.dumps(shape.told(session).records, indent=2)
        told.append(blocks.block(f"\n\n---\n🗨️ Conversation State:\n```json\n{state}\n```"))
    return told


# --- all models ----------------------------------------------------------------------------------------------


def analyze_with_gemini(text: str, **kwargs: Any) -> str:
    """What Gemini has to say about a long text. Options are those of the chat core, `session_id` among them. Raises
    `ProviderError`, `UsageError`."""
    return _asked(f"Analyze: {text}", {"model": _GEMINI, "max_tokens": 8192, **kwargs})[0]


def quick_gpt(prompt: str, **kwargs: Any) -> str:
    """A short answer to a short question. Options are those of the chat core, `session_id` among them. Raises
    `ProviderError`, `UsageError`."""
    return _asked(prompt, {"model": _NANO, "temperature": 0.3, "max_tokens": 500, **kwargs})[0]


async def _chat_unified(  # type: ignore[no-untyped-def]
    messages: List[Dict],  # type: ignore[type-arg]
    model: str,
    session_id: Optional[str] = None,
    temperature: float = 0.7,
    max_tokens: Optional[int] = None,
    stream: bool = False,
    **kwargs,
) -> Tuple[str, Dict]:  # type: ignore[type-arg]
    """Ask any model: what it answers, and facts about it. With `stream` the first is an iterator of
    {"content": piece}, and the facts are there when it has ended. Raises `ValueError` for a model that nobody knows,
    `ProviderError`, `UsageError`."""
    given = {**kwargs, "temperature": temperature, "max_tokens": max_tokens}
    if stream:
        return await asyncio.to_thread(_streamed, messages, model, session_id, given)
    return await asyncio.to_thread(_unified, messages, model, session_id, given)


def _unified(messages: Any, model: str, session_id: str | None, given: Record) -> tuple[str, Record]:
    answer = _chat(session_id).ask(messages, _known(model), session_id, consent=True, **_options(given))
    return answer.text, _facts(answer, model)


def _streamed(messages: Any, model: str, session_id: str | None, given: Record) -> tuple[Any, Record]:
    streaming = _chat(session_id).stream(messages, _known(model), session_id, consent=True, **_options(given))
    facts: Record = {}

    def pieces() -> Iterator[Record]:
        for piece in streaming:
            if piece.kind == "text":
                yield {"content": piece.text}
        facts.update(_facts(streaming.answer, model))

    return pieces(), facts


def _chat(session_id: str | None) -> Any:
    return home.unified() if session_id else _place().apart


def _known(model: str) -> str:
    try:
        adapters.find(model)
    except errors.UnknownModel:
        raise ValueError(f"No adapter found for model: {model}") from None
    return model


def _options(given: Record) -> Record:
    """What the chat core takes of some options; what it has no name for goes to the provider as it is."""
    named = {name: value for name, value in given.items() if name in _OPTIONS | {"tools", "toolbox", "system"}}
    if given.get("partial_response"):
        named["prefill"] = given["partial_response"]
    rest = {name: value for name, value in given.items() if name not in named and name != "partial_response"}
    return {**named, "extra": {**rest, **(named.get("extra") or {})}}


def _facts(answer: Answer, model: str) -> Record:
    """What the older program tells of an answer."""
    message, usage = answer.message, answer.usage
    came, went = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    x = message.get("x") or {}
    found = {
        "timestamp": time.time(),
        "tokens": {"input": came, "output": went, "total": came + went},
        "model": model,
        "finish_reason": message.get("finish_reason"),
        "request_id": x.get("response_id") or x.get("request_id"),
    }
    if (cost := costs.cost_of([message], model)) is not None:
        found |= {"cost": round(cost, 6), "cost_currency": "USD"}
    costs.track([message], model)
    if answer.tool_calls:
        found["tool_calls"] = shape.records(message)[0].get("tool_calls")
    return found


def _asked(text: str, given: Record) -> tuple[str, Record]:
    model, session_id = given.pop("model"), given.pop("session_id", None)
    return _unified([{"role": "user", "content": text}], model, session_id, given)


# --- the tools by name ---------------------------------------------------------------------------------------


def init_clients() -> None:
    """Nothing has to be prepared; the keys are read from the environment when a model is asked."""


async def handle_list_tools() -> list[Any]:
    """The tools, as the Model Context Protocol describes them."""
    return [blocks.tool(name, *about) for name, about in blocks.TOOLS.items()]


async def handle_call_tool(name: str, arguments: Record) -> list[Any]:
    """What a tool answers, in blocks of text. What goes wrong is said in the block; only a required argument that is
    missing raises `KeyError`."""
    return await asyncio.to_thread(_call_tool, name, dict(arguments))


def _call_tool(name: str, given: Record) -> list[Any]:
    if name == "kimi_chat":
        known = {one: value for one, value in given.items() if one in blocks.TOOLS[name][1]["properties"]}
        return kimi_chat(**known)
    if name == "check_costs":
        return [blocks.block(costs.report())]
    if name not in blocks.TOOLS:
        return [blocks.block(f"Unknown tool: {name}")]
    if name == "route_to_best_model":
        return _routed(given["prompt"], given.get("task_type", "auto"))
    prompt = construct_prompt(given["prompt"])
    session_id = given.get("session_id")
    if name == "analyze_with_gemini":
        return _told("Gemini", _with_files(prompt, given), _GEMINI, session_id, max_tokens=8192, temperature=0.7)
    if name == "quick_gpt":
        cool = given.get("temperature", 0.3)
        return _told("OpenAI", prompt, _NANO, session_id, max_tokens=500, temperature=cool)
    if given.get("model", "gemini-flash") == "gemini-flash":
        return _told("Gemini Flash", prompt, _FLASH)
    return _told("GPT-4.1-mini", prompt, _MINI, max_tokens=given.get("max_tokens", 1000))


def _told(who: str, prompt: str, model: str, session_id: str | None = None, **given: Any) -> list[Any]:
    try:
        text, facts = _asked(prompt, {"model": model, "session_id": session_id, **given})
    except (errors.SessionstoreError, ValueError) as error:
        return [blocks.block(f"{who} error: {error}")]
    if "cost" not in facts:
        return [blocks.block(text)]
    total = cost_tracker[model]["total_cost"]
    return [blocks.block(f"{text}\n\n---\n💰 Cost: ${facts['cost']:.6f} | Total: ${total:.4f}")]


def _with_files(prompt: str, given: Record) -> str:
    """A question to Gemini with the files and the text that go along."""
    context = files.along(given.get("files") or (), allowed=FILES_ALLOWED) + str(given.get("context") or "")
    return f"Context:\n{context}\n\nQuery: {prompt}" if context else prompt


def _routed(prompt: str, task: str) -> list[Any]:
    if task == "analysis" or len(prompt) > 5000:
        return _call_tool("analyze_with_gemini", {"prompt": prompt})
    if task == "simple" or len(prompt) < 200:
        return _call_tool("quick_gpt", {"prompt": prompt})
    return _call_tool("balanced_llm", {"prompt": prompt, "model": "gemini-flash"})
