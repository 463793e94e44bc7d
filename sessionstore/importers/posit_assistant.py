"""Posit Assistant: the conversations of the assistant in RStudio and Positron.

Where: `~/.posit/assistant/workspaces/<workspace>/<id>/` on Linux, macOS and Windows: `conversation.json` is the tree of
turns, `lm-messages.jsonl` what was said in them; sub-agents lie in `subagents/<id>/` of the same shape, and
`workspace.json` above names the directory. `ui-messages.jsonl` and `usage-events.jsonl`, where they are, say the same
once more; they are preserved in the original and not made into messages.

How it is recognised: a `conversation.json` with `schemaVersion`, a `root` and nodes with `lmMessageIds`; the messages
are read with it and never alone.

What the records are and how they map: the tree's envelope, each of its nodes, and each line of the messages. A line is
a message, in the order of the lines; a node's messages follow each other, and its first one the last of the node above.
All branches are kept; the last active node says where the conversation stands. Content is text, reasoning, tool calls
and results; the metadata of the provider gives time, model, provider and tokens (input without the cache). What a node
says beyond that goes to `x["node"]` of its first message.

What it loses: nothing that was found; the directory of the workspace called `default`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import (
    Record,
    below,
    entitle,
    linked,
    said,
    take_text,
    take_time,
    tell,
    with_rest,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.editor_parts import place, workspace
from sessionstore.importers.epoch import millis
from sessionstore.importers.exports import Ids, meta, record_part
from sessionstore.importers.kimi_parts import companion_records, usage_of
from sessionstore.importers.parsing import Unparsable

_LINES = "lm-messages.jsonl"
_COPIES = ("ui-messages.jsonl", "usage-events.jsonl")
_WORKSPACES = ("../workspace.json", "../../../workspace.json")
_KEYS = frozenset({"schemaVersion", "root", "messages"})
_FIGURES = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens")
_SUMS = {"totalTokens", "cacheWrite5mTokens", "cacheWrite1hTokens"}


class PositAssistant(Importer):
    """Reader of Posit Assistant's conversations."""

    source: ClassVar[str] = "posit-assistant"
    title: ClassVar[str] = "Posit Assistant"
    versions: ClassVar[str] = "conversation trees and model logs"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("conversation.json",)
    companions: ClassVar[tuple[str, ...]] = (_LINES, *_COPIES, *_WORKSPACES)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of workspaces."""
        yield Place(machine.home / ".posit" / "assistant" / "workspaces")

    def recognise(self, head: Head) -> bool:
        """A tree with a version, a root and nodes that name their messages."""
        if "schemaVersion" not in head.keys or "root" not in head.keys:
            return False
        document = head.document
        if not isinstance(document, dict) or not document.keys() >= _KEYS or not isinstance(document["root"], dict):
            return False
        nodes = document["messages"]
        return isinstance(nodes, list) and all(isinstance(node, dict) and "lmMessageIds" in node for node in nodes[:50])

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the conversation. Raises `Unparsable` when it has no root."""
        document = source.document()
        root = document.get("root") if isinstance(document, dict) else None
        if not isinstance(root, dict) or not isinstance(root.get("id"), str) or not root["id"].strip():
            raise Unparsable("no id of a conversation")
        draft = source.draft(root["id"])
        source.account.records += 1
        source.mapped()
        _describe(source, draft, said(document, "root", "messages"), said(root, "id"))
        copies = sum(name in source.companions for name in _COPIES)
        source.account.records += copies
        source.preserved(copies)
        nodes = document.get("messages")
        nodes = nodes if isinstance(nodes, list) else []
        source.account.records += len(nodes)
        lines = source.companions.get(_LINES)
        if lines is None:
            draft.issue("messages-missing", "there are no messages beside the tree")
            draft.x["nodes"] = nodes
            source.preserved(len(nodes))
            return
        yield from _messages(source, draft, nodes, companion_records(source, lines))


def _describe(source: Source, draft: Draft, rest: Record, root: Record) -> None:
    take_text(draft, "title", root, "title")
    if (time := millis(root.get("timestamp"))) is not None:
        draft.created_at = time
        del root["timestamp"]
    about = root.get("metadata")
    if isinstance(about, dict):
        about = {key: value for key, value in about.items() if value is not None and value != {}}
        if isinstance(about.get("gitBranch"), str):
            draft.git["branch"] = about.pop("gitBranch")
        parent = about.get("parentTreeId")
        if isinstance(parent, str) and parent.strip():
            draft.forked_from = {"key": f"posit-assistant:{about.pop('parentTreeId')}"}
            if about.get("kind") == "subagent":
                draft.forked_from["relation"] = "subagent"
        root["metadata"] = about
    for name in _WORKSPACES:
        folder = workspace(source, name).get("path")
        if isinstance(folder, str):
            place(draft, folder)
    openai_chat.keep_rest(draft, {key: value for key, value in (root | rest).items() if value not in ({}, [])})


def _messages(source: Source, draft: Draft, nodes: list[Any], lines: list[Record]) -> Iterator[tuple[Draft, Message]]:
    ids = Ids()
    names = [ids.take(_own(record, number)) for number, record in enumerate(lines)]
    parents, about, draft.active_leaf = _tree(source, draft, nodes, set(names))
    before: str | None = None
    for name, record in zip(names, lines, strict=True):
        message: Message = {"id": name} | made if (made := _message(record)) is not None else meta(name, record)
        tell(source, message)
        if name in about:
            message = with_rest(message, {**message.get("x", {}), "node": about[name]})
        if name in parents:
            below(message, parents[name], before)
        elif nodes:
            draft.issue("message-not-in-tree", "a message that no turn of the tree names")
        before = name
        entitle(draft, message)
        yield draft, message


def _own(record: Record, number: int) -> str:
    own = record.get("id")
    return str(own) if type(own) is int or (isinstance(own, str) and own) else f"m{number + 1}"


def _tree(
    source: Source, draft: Draft, nodes: list[Any], known: set[str]
) -> tuple[dict[str, str | None], dict[str, Record], str | None]:
    """Of each message its parent, of the first message of each node what that node says, and where it all ends."""
    told: dict[str, Record] = {}
    for node in nodes:
        own = node.get("id") if isinstance(node, dict) else None
        if isinstance(own, str) and own and own not in told and isinstance(node.get("lmMessageIds"), list):
            source.mapped()
            told[own] = node
        else:
            source.preserved()
            draft.x.setdefault("nodes", []).append(node)
    above = linked([(name, node.get("parentId")) for name, node in told.items()], draft, (None, draft.native_id))
    inside: dict[str, list[str]] = {}
    taken: set[str] = set()
    for name, node in told.items():
        inside[name] = []
        for own in node["lmMessageIds"]:
            message = str(own) if type(own) in (int, str) else ""
            if message in known and message not in taken:
                taken.add(message)
                inside[name].append(message)
            else:
                draft.issue("message-missing", "a turn names a message that is not there, or not its own")
    parents: dict[str, str | None] = {}
    about: dict[str, Record] = {}
    ends = _ends(above, inside)
    for name, messages in inside.items():
        last = ends.get(above[name] or "")
        for message in messages:
            parents[message] = last
            last = message
        if messages:
            about[messages[0]] = said(told[name], "parentId", "lmMessageIds")
    active = [name for name, node in told.items() if node.get("isActive") is True and inside[name]]
    return parents, about, inside[active[-1]][-1] if active else None


def _ends(above: dict[str, str | None], inside: dict[str, list[str]]) -> dict[str, str | None]:
    """The last message of each node, or when it has none of the next one above that has any."""
    ends: dict[str, str | None] = {}
    for name in inside:
        trail: list[str] = []
        step: str | None = name
        while step is not None and step not in ends and not inside[step]:
            trail.append(step)
            step = above[step]
        end = None
        if step is not None:
            end = ends[step] = inside[step][-1] if inside[step] else ends[step]
        ends.update(dict.fromkeys(trail, end))
    return ends


def _message(record: Record) -> Message | None:
    """A line as a message without its id."""
    said_in = record.get("message")
    if not isinstance(said_in, dict) or not isinstance(said_in.get("role"), str):
        return None
    role, content = said_in["role"], said_in.get("content")
    if role not in openai_chat.ROLES or not isinstance(content, str | list):
        return None
    parts = [{"type": "text", "content": content}] if isinstance(content, str) else [_part(item) for item in content]
    message: Message = {"role": role, "parts": parts}
    x = said(record, "id", "message") | said(said_in, "role", "content")
    options = x.get("providerOptions")
    metadata = options.get("providerMetadata") if isinstance(options, dict) else None
    about = metadata.get("positai") if isinstance(metadata, dict) else None
    if isinstance(about, dict) and isinstance(options, dict) and isinstance(metadata, dict):
        del x["providerOptions"]
        x |= {key: value for key, value in options.items() if key != "providerMetadata" and key not in x}
        more = _told(message, said(about))
        if others := {key: value for key, value in metadata.items() if key != "positai"}:
            x["providerMetadata"] = others
        if more:
            x["positai"] = more
    return with_rest(message, x)


def _told(message: Message, about: Record) -> Record:
    """State what the provider's metadata says of a message; the rest of it."""
    take_time(message, about, "timestamp")
    for name, field in (("modelId", "model"), ("providerId", "provider")):
        if message["role"] == "assistant" and isinstance(about.get(name), str) and about[name]:
            message[field] = about.pop(name)
    if usage := usage_of(about.get("usage"), *_FIGURES):
        message["usage"] = usage
    counts = about.get("usage")
    if isinstance(counts, dict) and all(type(value) is int for value in counts.values()):
        known = {*_FIGURES, *_SUMS}
        if not counts.get("cacheWrite1hTokens") and counts.keys() <= known:
            del about["usage"]
    return about


def _part(item: Any) -> Record:
    """A part of content as the program's interface to models writes it."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind in ("text", "reasoning") and isinstance(item.get("text"), str):
        return _more({"type": kind, "content": item["text"]}, item, "text")
    own = item.get("toolCallId") if isinstance(item, dict) else None
    if kind == "tool-call" and isinstance(own, str) and isinstance(item.get("toolName"), str):
        part = {"type": "tool_call", "id": own, "name": item["toolName"], "arguments": item.get("input")}
        return _more(part, item, "toolCallId", "toolName", "input")
    if kind == "tool-result" and isinstance(own, str):
        output, part = item.get("output"), {"type": "tool_call_response", "id": own}
        if isinstance(output, dict) and output.keys() == {"type", "value"} and isinstance(output["type"], str):
            part["response"] = output["value"]
            if output["type"].startswith("error"):
                part["is_error"] = True
        else:
            part["response"] = output
        return _more(part, item, "toolCallId", "output")
    return record_part(item)


def _more(part: Record, item: Record, *known: str) -> Record:
    rest = said(item, "type", *known)
    return record_part(item) if rest.keys() & {*part, "signature", "is_error"} else part | rest
