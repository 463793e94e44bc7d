"""Thin functions over the chat core, with the names and defaults of llm-mcp-server's tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sessionstore import errors
from sessionstore.chat.core import Answer, Chat, Toolbox
from sessionstore.chat.sessions import Session
from sessionstore.exporters.content import texts

GEMINI, QUICK, KIMI = "gemini-2.5-pro", "gpt-4o-mini", "kimi-k2-0711-preview"
"""The models that are asked when none is named."""
OLDER = ("kimi", "llm-sessions")
"""The sources of sessions that llm-mcp-server has made."""


def analyze_with_gemini(
    text: str,
    *,
    chat: Chat,
    instruction: str = "Analyze",
    model: str = GEMINI,
    max_tokens: int = 8192,
    session_id: str | None = None,
    **options: Any,
) -> str:
    """What Gemini has to say about a long text. Raises `ProviderError`, `UsageError`."""
    said = f"{instruction}: {text}"
    return chat.ask(said, _model(chat, model, GEMINI, session_id), session_id, max_tokens=max_tokens, **options).text


def quick_gpt(
    prompt: str,
    *,
    chat: Chat,
    model: str = QUICK,
    temperature: float = 0.3,
    max_tokens: int = 500,
    session_id: str | None = None,
    **options: Any,
) -> str:
    """A short answer to a short question. Raises `ProviderError`, `UsageError`."""
    wanted = _model(chat, model, QUICK, session_id)
    return chat.ask(prompt, wanted, session_id, temperature=temperature, max_tokens=max_tokens, **options).text


def kimi_chat(
    prompt: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    system: str | None = None,
    partial_response: str | None = None,
    *,
    chat: Chat,
    model: str = KIMI,
    temperature: float = 0.6,
    max_tokens: int = 4096,
    available_tools: Sequence[Any] | None = None,
    toolbox: Toolbox | None = None,
    session_id: str | None = None,
    return_conversation: bool = False,
) -> str:
    """Talk with Kimi. `session_id` may be ``@last`` (the session of Kimi's that was talked in last), ``@list`` (a
    report of them) or ``@clear:ID`` (the next word in ID begins anew; nothing is deleted; ``@clear:@all`` for all).
    With a `session_id`, `messages` are not looked at; of a session that is there, neither is `system`. Raises
    `ProviderError`, `UsageError`."""
    if session_id == "@list":
        return report(list(_sessions(chat)))
    if session_id is not None and session_id.startswith("@clear:"):
        return clear(chat, session_id.removeprefix("@clear:"))
    if session_id == "@last":
        session_id = next((session.key for session in _sessions(chat)), None)
    elif session_id is not None and session_id.startswith("@") and not _there(chat, session_id):
        raise errors.UsageError(reason=f"{session_id} is none of @last, @list and @clear:ID")
    said: list[Mapping[str, Any]] = list(messages or ()) if session_id is None else []
    if prompt:
        said.append({"role": "user", "content": prompt})
    options: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens, "prefill": partial_response}
    if session_id is None or not _there(chat, session_id):
        options["system"] = system
    answer = chat.ask(
        said,
        _model(chat, model, KIMI, session_id),
        session_id,
        tools=available_tools,
        toolbox=toolbox,
        **options,
    )
    return f"{told(answer)}\n\n{conversation(answer.session)}" if return_conversation else told(answer)


def told(answer: Answer) -> str:
    """What an answer says; the tools it wants to use when it wants nothing else."""
    if answer.text or not answer.tool_calls:
        return answer.text
    calls = [{"id": call["id"], "name": call["name"], "arguments": call["arguments"]} for call in answer.tool_calls]
    return "Tool calls:\n" + json.dumps(calls, ensure_ascii=False, indent=2)


def conversation(session: Session, most: int | None = None) -> str:
    """The whole conversation as JSON, in OpenAI's dialect; with `most` only its end, of about so many characters."""
    from sessionstore.exporters import openai
    from sessionstore.exporters.report import Report

    told_of = openai.request(dict(session.revision), session.history(), Report(), forbidden="[^a-zA-Z0-9_.:-]")
    messages, left = told_of["messages"], 0
    size = sum(len(json.dumps(one, ensure_ascii=False)) for one in messages)
    while most is not None and size > most:
        size -= len(json.dumps(messages[left], ensure_ascii=False))
        left += 1
    state = f"Conversation State:\n```json\n{json.dumps(messages[left:], ensure_ascii=False, indent=2)}\n```"
    return f"{state}\nThe first {left} messages are left out." if left else state


def report(sessions: Sequence[Session]) -> str:
    """Sessions for people, in that order."""
    return listed(
        {
            "session_id": session.id,
            "created": str(session.revision.get("created_at") or "Unknown"),
            "last_accessed": str(session.revision.get("updated_at") or "Unknown"),
            "message_count": len(session.history()),
        }
        for session in sessions
    )


def listed(sessions: Iterable[Mapping[str, Any]]) -> str:
    """Sessions for people: {"session_id", "created", "last_accessed", "message_count"}; of times the day is shown."""
    told = []
    for one in sessions:
        name = str(one["session_id"])
        told.append(
            f"- **{name}**\n"
            f"  - Topics: {name.split('_')[0].replace('-', ' ')}\n"
            f"  - Messages: {one['message_count']}\n"
            f"  - Created: {str(one['created']).partition('T')[0]}\n"
            f"  - Last accessed: {str(one['last_accessed']).partition('T')[0]}\n\n"
        )
    return f"## Active Kimi Sessions\n\n{''.join(told)}" if told else "No active sessions found."


def clear(chat: Chat, name: str) -> str:
    """Let the next word in a session begin anew. What was said stays in the store, beside the path."""
    if name == "@all":
        found = list(_sessions(chat))
        for session in found:
            begin_anew(session)
        return f"All {len(found)} sessions cleared successfully."
    try:
        session = chat.sessions.get(name)
    except errors.NotFound:
        return f"Session '{name}' not found."
    begin_anew(session)
    return f"Session '{name}' cleared successfully."


def begin_anew(session: Session, *, system: bool = True) -> None:
    """Let the next word in a session begin anew, with the same instructions unless `system` is false."""
    told = [message for message in session.history() if message["role"] == "system" and "kind" not in message]
    parts = [{"type": "text", "content": text} for one in told for text in texts(one["parts"]) if system]
    session.append([{"role": "system", "parent": None, "parts": parts, "x": {"cleared": True}}])


def is_cleared(session: Session) -> bool:
    """Whether a session was cleared and nothing was said in it since."""
    history = session.history()
    return bool(history) and bool((history[-1].get("x") or {}).get("cleared"))


def _sessions(chat: Chat) -> Iterator[Session]:
    """The sessions in which Kimi has spoken or shall speak, latest first; those that were born here, and those of the
    server these tools are named after, but none of Kimi's coding programs."""
    for one in chat.sessions.list(limit=1_000_000):
        if one["source"] == "native" or (one["source"] in OLDER and any(map(_is_kimi, one["models"]))):
            session = chat.sessions.get(one["key"])
            if _is_kimi(session.model) and not is_cleared(session):
                yield session


def _is_kimi(model: str | None) -> bool:
    return (model or "").lower().startswith(("kimi", "moonshot"))


def _there(chat: Chat, name: str) -> bool:
    from sessionstore.chat.thread import find

    try:
        return find(chat.sessions, name) is not None
    except errors.NotFound:
        return False


def _model(chat: Chat, model: str, usual: str, session_id: str | None) -> str | None:
    """The model to ask: the session's own, if it has one, unless another one than the usual is named."""
    from sessionstore.chat.thread import find

    session = find(chat.sessions, session_id) if model == usual else None
    return model if session is None or not session.model else None
