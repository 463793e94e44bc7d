"""ChatGPT data exports: the zip file of "Export data", its unpacked folder, or one conversation on its own.

The export comes by e-mail and lies where the browser put it: `~/Downloads` on Linux and macOS,
`%USERPROFILE%\\Downloads` on Windows. It holds `conversations.json`, a list, or `conversations-000.json`,
`conversations-001.json`, …, and beside them pictures, sounds and uploads (`file-…`, `file_….dat`,
`dalle-generations/…`). A conversation document alone is what the website's own interface answers.

Recognised by content: conversations are objects with `mapping` and a field that only ChatGPT has beside it; a zip file
by a member of that kind. Names decide nothing.

Records are the conversations, the nodes of each `mapping`, and each other file of the export. Every node becomes a
message, whether on the active path or not; `active_leaf` is `current_node`. Nodes are told by time, parents before
their children. A node that holds no message (the root) is kept in `x.nodes_without_message`. An assistant message
with a `recipient` is a tool call, and the tool messages below it are its results: the export has no call ids, so the
call's node id stands for one, and a result whose call is not above it has none. Thoughts are reasoning; custom
instructions and hidden context are of kind `context`. Files that messages point at become blobs, their type told from
their first bytes. Content of unknown types is kept verbatim. Fields that are null or empty say nothing and are left
out, as are `status`, `weight` and `recipient` where they have their usual value; all others are in `x`. Ratings and
share links are in the `x` of their conversation. The other files (`user.json` with the account's e-mail address,
`chat.html`, which repeats the conversations, …) are preserved in the original and not made into messages.

What the source has already lost: token counts, the ids of tool calls, pictures and files that the service has deleted,
conversations that were deleted before the export, and of some conversations the `mapping`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers import exports
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.chatgpt_parts import Messages
from sessionstore.importers.chatgpt_tree import Node, last_leaf, odd_children, ordered
from sessionstore.importers.common import title_line
from sessionstore.importers.material import ZIP
from sessionstore.importers.openai_chat import text_of
from sessionstore.importers.parsing import Unparsable

TELLING = frozenset({"create_time", "update_time", "current_node", "conversation_id", "moderation_results", "title"})
"""One of these stands beside `mapping` in every conversation."""
SIGNS = TELLING | {"mapping", "id"}
"""An object with none of these is no conversation at all."""
FOREIGN = frozenset({"inserted_at", "chat_messages"})
"""Fields of other services' conversations that have a `mapping` too."""
LISTS = re.compile(r"conversations(-\d+)?\.json", re.ASCII | re.IGNORECASE)
ATTACHED = {"message_feedback.json": "feedback", "shared_conversations.json": "shares"}
"""Files whose entries belong to one conversation, and where they go in its `x`."""
NAMES = "conversation_asset_file_names.json"
MANIFEST = "export_manifest.json"


class ChatGpt(Importer):
    """Reader of ChatGPT data exports."""

    source: ClassVar[str] = "chatgpt"
    title: ClassVar[str] = "ChatGPT data export"
    versions: ClassVar[str] = "exports of 2023 to 2026: one file, numbered files, zip or folder; API captures"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".zip")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True
    leads: ClassVar[tuple[str, ...]] = ("conversations.json", "conversations-*.json")
    companions: ClassVar[tuple[str, ...]] = (
        "conversations-*.json",
        "*.dat",
        "file-*",
        "file_*",
        "*/*.dat",
        "*/file-*",
        "*/file_*",
        "*/audio/file-*",
        "*/audio/file_*",
        *ATTACHED,
        NAMES,
        MANIFEST,
        "chat.html",
        "library_files.json",
        "model_comparisons.json",
        "sectioned_conversations.json",
        "user.json",
        "user_settings.json",
    )

    def places(self, machine: Machine) -> Iterable[Place]:
        """The download folder."""
        return [Place(machine.home / "Downloads")]

    def recognise(self, head: Head) -> bool:
        """Conversations with a `mapping`, in the file or in a member of the zip file."""
        if not head.data.startswith(ZIP):
            return _is_list(head.data)
        try:
            lists = [name for name in head.members if LISTS.fullmatch(exports.base_name(name))]
            return any(_is_list(head.member(name).data) for name in lists[:4])
        except Unparsable:
            return False

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all conversations. Raises `Unparsable` when there are none or a list of them is cut off."""
        with exports.opened(source) as files:
            yield from _Export(source, files).read()
        exports.refuse_when_empty(source)


def _is_list(data: bytes) -> bool:
    for keys in exports.outline(data, "mapping", "current_node"):
        shown = "mapping" in keys or {"current_node", "conversation_id"} <= keys
        if shown and keys & TELLING and not keys & FOREIGN:
            return True
    return False


class _Export:
    """One export: its lists of conversations, the assets and the files beside them."""

    def __init__(self, source: Source, files: exports.Files) -> None:
        self._source = source
        self._files = files
        self._blank = "-"
        """stands for an empty node id, which no message may have"""
        self._ids = exports.Ids()
        self._told: set[tuple[str, str]] = set()
        """id and digest of each conversation: the parts of an export may overlap"""
        self._attached: dict[str, dict[str, list[Any]]] = {}
        """by conversation, what other files say of it"""
        self._lists = sorted(filter(self._is_conversations, files.names), key=_list_order)
        side = [name for name in files.names if name not in self._lists and _is_side(name)]
        self._side = sorted(side)
        taken = {*self._lists, *side}
        self._assets = exports.Assets(files, (n for n in files.names if n not in taken), self._titles())

    def _is_conversations(self, name: str) -> bool:
        return name == self._files.lead or LISTS.fullmatch(exports.base_name(name)) is not None

    def _titles(self) -> dict[str, str]:
        """The names under which the user knew the assets."""
        name = next((name for name in self._side if exports.base_name(name) == NAMES), None)
        found = exports.document(self._source, self._files, name) if name is not None else None
        return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}

    def read(self) -> Iterator[tuple[Draft, Message]]:
        if not self._lists:
            raise Unparsable("no conversations in the archive")
        for name in self._side:
            self._read_beside(name)
        for name in self._lists:
            for item in exports.elements(self._source, self._files, name):
                yield from self._conversation(item)
        self._source.preserved(sum(len(entries) for kinds in self._attached.values() for entries in kinds.values()))
        for _ in self._assets.unused if self._source.drafts else ():
            self._source.note("asset-not-shown", "files in the export that no conversation points at")

    def _read_beside(self, name: str) -> None:
        """Take over a file beside the conversations: entry by entry what belongs to one of them, else as a whole."""
        short = exports.base_name(name)
        found = exports.document(self._source, self._files, name) if short in (*ATTACHED, MANIFEST) else None
        if short in ATTACHED and isinstance(found, list):
            self._source.account.records += len(found)
            for entry in found:
                whose = entry.get("conversation_id") if isinstance(entry, dict) else None
                whose = whose if isinstance(whose, str) else ""
                self._attached.setdefault(whose, {}).setdefault(ATTACHED[short], []).append(entry)
            return
        self._source.account.records += 1
        self._source.preserved()
        if short == MANIFEST:
            self._look_for_missing(found)

    def _look_for_missing(self, manifest: Any) -> None:
        """Report the lists of conversations that the export should hold and does not."""
        place: Any = manifest
        for key in ("logical_files", "conversations.json", "files"):
            place = place.get(key) if isinstance(place, dict) else None
        here = {exports.base_name(name) for name in self._files.names}
        for name in place if isinstance(place, list) else ():
            if isinstance(name, str) and exports.base_name(name) not in here:
                self._source.note("part-missing", "a list of conversations that the export should hold is not there")

    def _conversation(self, item: Any) -> Iterator[tuple[Draft, Message]]:
        source = self._source
        if not isinstance(item, dict):
            source.reject("not a JSON object")
            return
        if not item.keys() & SIGNS:
            source.reject("not a conversation")
            return
        stated = _native_id(item)
        digest = canonical.digest(canonical.dumps(item))
        if (stated, digest) in self._told:
            source.mapped()
            return
        self._told.add((stated, digest))
        draft = self._open(dict(item), stated)
        mapping = item.get("mapping")
        if not isinstance(mapping, dict):
            draft.issue("mapping-missing", "the export names this conversation but does not hold its messages")
            source.preserved()
            yield draft, exports.meta("m1", item)
            return
        source.mapped()
        yield from self._messages(draft, mapping, item.get("current_node"))

    def _open(self, rest: dict[str, Any], stated: str) -> Draft:
        """The session of a conversation with everything but its messages."""
        native_id = self._ids.take(stated)
        draft = self._source.draft(native_id)
        if native_id != stated:
            draft.issue("conversation-twice", "the export holds this conversation in several states")
        if stated not in (rest.get("conversation_id"), rest.get("id")):
            draft.issue("id-missing", "the conversation states no id; one was made from its content")
        for name in ("conversation_id", "id"):
            other = rest.pop(name, None)
            if isinstance(other, str) and other.strip() and other != stated:
                draft.aliases.append(other)
            elif other != stated and exports.is_said(other):
                draft.x[name] = other
        title = rest.get("title")
        if isinstance(title, str) and title.strip():
            draft.title = rest.pop("title")
        for name, field in (("create_time", "created_at"), ("update_time", "updated_at")):
            if (time := exports.micros(rest.get(name))) is not None:
                setattr(draft, field, exports.instant(time))
                del rest[name]
        if isinstance(rest.get("mapping"), dict):
            del rest["mapping"]
        draft.x |= exports.kept(rest)
        for name, entries in self._attached.pop(stated, {}).items():
            self._source.mapped(len(entries))
            draft.x[exports.Ids(draft.x).take(name)] = entries
        return draft

    def _messages(self, draft: Draft, mapping: dict[str, Any], current: Any) -> Iterator[tuple[Draft, Message]]:
        nodes = ordered(mapping, draft)
        odd = odd_children(nodes)
        made = Messages(draft, self._assets)
        anchors: dict[str, str | None] = {}
        before: str | None = None
        self._blank = exports.Ids(mapping).take("-")
        for node in nodes:
            self._source.account.records += 1
            above = anchors.get(node.parent) if node.parent is not None else None
            message = self._message(made, node, above, _around(node, odd))
            anchors[node.id] = message["id"] if message is not None else above
            if message is None:
                draft.x.setdefault("nodes_without_message", []).append({"id": node.id} | _around(node, odd, True))
                continue
            if above != before:
                message["parent"] = above
            before = message["id"]
            if draft.title is None and message["role"] == "user" and message.get("kind") is None:
                draft.title = title_line(text_of(message)) or None
            yield draft, message
        self._take_leaf(draft, nodes, anchors, current)

    def _message(self, made: Messages, node: Node, above: str | None, around: dict[str, Any]) -> Message | None:
        """The message of a node; None when it holds none."""
        node_id = node.id or self._blank
        if isinstance(node.record, dict) and node.message is None:
            self._source.mapped()
            return None
        found = made.message(node_id, above, node.message) if isinstance(node.message, dict) else None
        if found is None:
            self._source.preserved()
            return exports.meta(node_id, node.record)
        self._source.mapped()
        if around:
            found.setdefault("x", {})["node"] = around
        return found

    def _take_leaf(self, draft: Draft, nodes: list[Node], anchors: dict[str, str | None], current: Any) -> None:
        """Say where the conversation stands."""
        if isinstance(current, str) and current in anchors:
            draft.x.pop("current_node", None)
        elif nodes:
            draft.issue("current-node-missing", "the export does not say where the conversation stands")
            current = last_leaf(nodes)
        draft.active_leaf = anchors.get(current) if isinstance(current, str) else None


def _around(node: Node, odd: dict[str, list[Any]], parent: bool = False) -> dict[str, Any]:
    """What a node says beside its message that the order and the parents of the messages do not say."""
    if not isinstance(node.record, dict):
        return {}
    found = {key: value for key, value in node.record.items() if key not in ("message", "children", "parent", "id")}
    if node.record.get("id", node.id) != node.id:
        found["id"] = node.record["id"]
    if node.broken or (parent and node.parent is not None):
        found["parent"] = node.record.get("parent")
    if node.id in odd:
        found["children"] = odd[node.id]
    return exports.kept(found)


def _native_id(item: dict[str, Any]) -> str:
    """The id that a conversation states, else one of its first node, which stays when it grows, else of all of it."""
    for name in ("conversation_id", "id"):
        found = item.get(name)
        if isinstance(found, str) and found.strip():
            return found
    mapping = item.get("mapping")
    told: Any = item
    if isinstance(mapping, dict) and mapping:
        roots = [name for name, node in mapping.items() if isinstance(node, dict) and node.get("parent") is None]
        told = [item.get("create_time"), min(roots or mapping)]
    return "conversation-" + canonical.digest(canonical.dumps(told))[:32]


def _list_order(name: str) -> tuple[str, int, str]:
    """Numbered lists in the order of their numbers."""
    number = re.search(r"-(\d{1,9})\.json", exports.base_name(name), re.IGNORECASE)
    return name.rpartition("/")[0], int(number[1]) if number else -1, name


def _is_side(name: str) -> bool:
    """Whether a file stands beside the conversations and is no picture, sound or upload."""
    short = exports.base_name(name).lower()
    return short.endswith((".json", ".html")) and not short.startswith(("file-", "file_"))
