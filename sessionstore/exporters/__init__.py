"""Writing a session in another form. An exporter is a pure function:

    export(revision, messages, report) -> pieces of text or bytes

It gets the messages that are to be shown (see `view`), one after the other, and names in the `Report` whatever its form
cannot hold. `FORMS` lists the forms with what they hold; `write` is the way in. The modules are loaded when used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sessionstore import errors
from sessionstore.exporters import view
from sessionstore.exporters.report import Report

TIMES, MODELS, USAGE, TITLE = "times", "models", "token counts", "the title"
_FACTS = (TIMES, MODELS, USAGE, TITLE)
_ALL = frozenset(_FACTS)


@dataclass(frozen=True, slots=True)
class Form:
    """A form that sessions can be exported to."""

    name: str
    title: str
    suffix: str
    module: str
    holds: frozenset[str] = frozenset()
    """What of `TIMES`, `MODELS`, `USAGE` and `TITLE` it can say; the others are named when a session has them."""
    branches: bool = False
    """Whether it can hold more than one path through the session."""
    whole: bool = False
    """Whether it always takes every message as it is stored."""
    native: bool = False
    """Whether a program reads it as its own: then `place` says where that program looks for the file."""


def _form(name: str, title: str, suffix: str, module: str = "", **more: Any) -> Form:
    return Form(name, title, suffix, f"sessionstore.exporters.{module or name}", **more)


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        _form("markdown", "Markdown, for reading", ".md", holds=_ALL - {USAGE}, branches=True),
        _form("text", "plain text, for reading", ".txt", "plain", holds=_ALL - {USAGE}, branches=True),
        _form("html", "one page for a browser", ".html", holds=_ALL - {USAGE}, branches=True),
        _form("jsonl", "everything the store knows, a message a line", ".jsonl", holds=_ALL, whole=True),
        _form("openai", "OpenAI chat messages, a session a line", ".jsonl"),
        _form("anthropic", "an Anthropic Messages request", ".json", holds=frozenset({MODELS})),
        _form("gemini", "a Gemini generateContent request", ".json"),
        _form("sharegpt", "ShareGPT conversations, a session a line", ".jsonl"),
        _form(
            "claude-code", "a Claude Code transcript", ".jsonl", "claude_code", holds=_ALL, branches=True, native=True
        ),
        _form("codex", "a Codex rollout", ".jsonl", holds=_ALL, native=True),
        _form("gemini-cli", "a Gemini CLI session", ".jsonl", "gemini_cli", holds=_ALL, native=True),
        _form("kimi", "a session of `.kimi_sessions`", ".json", native=True),
        _form(
            "llm-sessions",
            "a session of `.llm_sessions`",
            ".json",
            "llm_sessions",
            holds=frozenset({TIMES, MODELS, USAGE}),
            native=True,
        ),
    )
}
NAMES = tuple(FORMS)


def form(name: str) -> Form:
    """The form of that name. Raises `UsageError`."""
    if name not in FORMS:
        raise errors.UsageError(reason=f"cannot export to {name!r}; known: {', '.join(NAMES)}")
    return FORMS[name]


def write(
    name: str,
    revision: dict[str, Any],
    read: view.Read,
    report: Report,
    *,
    branches: bool = False,
    kinds: Iterable[str] = (),
) -> Iterator[bytes]:
    """A session in the form of that name, piece by piece. `read` gives its messages, each time anew; blobs must have
    their `data` but for forms that are `whole`. `branches` takes all branches instead of the active path, `kinds` of
    `view.LEFT_OUT` are taken along. Raises `UsageError`."""
    target = form(name)
    if branches and not (target.branches or target.whole):
        raise errors.UsageError(reason=f"{name} holds one path through a session, not all branches")
    if target.whole:
        messages: Iterable[dict[str, Any]] = read()
    else:
        messages = view.chosen(revision, read, report, branches=branches, kinds=kinds)
    pieces = import_module(target.module).export(revision, _watched(target, revision, messages, report), report)
    for piece in pieces:
        yield piece.encode("utf-8", "replace") if isinstance(piece, str) else piece


def place(name: str, revision: dict[str, Any]) -> str:
    """Where the program of a native form looks for the session: a path below the directory it keeps sessions in."""
    found: str = import_module(form(name).module).place(revision)
    return found


def _watched(
    target: Form, revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report
) -> Iterator[dict[str, Any]]:
    """The messages, while what the form cannot say of them is named."""
    unheld = [fact for fact in _FACTS if fact not in target.holds]
    if TITLE in unheld and revision.get("title"):
        report.tell(f"{TITLE} is not held by this format")
    names = {TIMES: "time", MODELS: "model", USAGE: "usage"}
    for message in messages:
        report.messages += 1
        for fact, field in names.items():
            if fact in unheld and message.get(field):
                report.tell(f"{fact} are not held by this format")
        yield message
