"""Mistral Vibe: the sessions of Mistral's terminal agent.

Where: `~/.vibe/logs/session/<directory>/` on Linux, macOS and Windows (`$VIBE_HOME/logs/session` when that is set): one
directory for each session, with `meta.json` and `messages.jsonl`.

How it is recognised: a `meta.json` with `session_id`, `start_time` and `environment`; its messages, which are plain
chat messages that anybody may write, are read with it and never alone.

What the records are and how they map: the description is a record and so is each message, in OpenAI's dialect with a
`message_id`. The working directory, the branch and the commit are the session's; a parent session is where it was
forked from; the model and the token totals of the whole session stay in its `x`.

What it loses: times and models of messages, what each answer has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import Record, entitle, said, take_text, tell
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.editor_parts import place
from sessionstore.importers.exports import Ids, meta
from sessionstore.importers.kimi_parts import companion_records

_MESSAGES = "messages.jsonl"
_KEYS = frozenset({"session_id", "start_time", "environment"})


class MistralVibe(Importer):
    """Reader of Mistral Vibe's session directories."""

    source: ClassVar[str] = "mistral-vibe"
    title: ClassVar[str] = "Mistral Vibe"
    versions: ClassVar[str] = "session directories"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("meta.json",)
    companions: ClassVar[tuple[str, ...]] = (_MESSAGES,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        configured = machine.env.get("VIBE_HOME")
        yield Place((machine.cwd / configured if configured else machine.home / ".vibe") / "logs" / "session")

    def recognise(self, head: Head) -> bool:
        """A description with a session id, a start time and an environment, and without messages."""
        if not head.keys >= _KEYS or "messages" in head.keys:
            return False
        document = head.document
        return isinstance(document, dict) and isinstance(document.get("environment"), dict)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the session. Raises `Unparsable` when its description is no JSON object or has no id."""
        draft, rest = openai_chat.open_session(source, source.document(), "session_id")
        source.account.records += 1
        source.mapped()
        _forget_name(draft)
        _describe(draft, said(rest))
        beside = source.companions.get(_MESSAGES)
        if beside is None:
            draft.issue("messages-missing", "there are no messages beside the description")
            return
        ids, pairs = Ids(), openai_chat.ToolPairs(draft)
        for number, record in enumerate(companion_records(source, beside), 1):
            message = _message(record)
            name = record.get("message_id")
            wanted = ids.take(name if isinstance(name, str) and name else f"m{number}")
            message = {"id": wanted} | message if message is not None else meta(wanted, record)
            tell(source, message)
            if message["role"] != "system":
                pairs.see(message)
            entitle(draft, message)
            yield draft, message
        pairs.finish()


def _forget_name(draft: Draft) -> None:
    """Every description has the same file name, which says nothing."""
    draft.aliases = []
    draft.issues.pop("id-differs-from-file-name", None)


def _describe(draft: Draft, rest: Record) -> None:
    take_text(draft, "title", rest, "title")
    openai_chat.take_session_time(draft, rest, "start_time", "created_at")
    openai_chat.take_session_time(draft, rest, "end_time", "updated_at")
    environment = rest.get("environment")
    if isinstance(environment, dict) and isinstance(environment.get("working_directory"), str):
        place(draft, environment["working_directory"])
        if len(environment) == 1:
            del rest["environment"]
    for name, key in (("git_branch", "branch"), ("git_commit", "commit")):
        if isinstance(rest.get(name), str):
            draft.git[key] = rest.pop(name)
    parent = rest.get("parent_session_id")
    if isinstance(parent, str) and parent.strip():
        draft.forked_from = {"key": f"mistral-vibe:{rest.pop('parent_session_id')}"}
    openai_chat.keep_rest(draft, rest)


def _message(record: dict[str, Any]) -> Message | None:
    message = openai_chat.chat_message(record)
    if message is None:
        return None
    x = message.pop("x")
    if isinstance(x.get("message_id"), str):
        del x["message_id"]
    return message | ({"x": x} if x else {})
