"""llm's third generation: `threads` and `turns` over messages that are stored once and named by their hash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import title_line
from sessionstore.importers.database_rows import decoded, plain, stated, utc
from sessionstore.importers.llm_rows import (
    Library,
    Part,
    Session,
    call_fields,
    extended,
    leftover,
    other_part,
    payload_of,
    said,
    usage,
)

ROLES = frozenset({"system", "user", "assistant", "tool"})
LINKS = ("turn_fragments", "turn_tools", "tool_instantiations")
REPEATED = ("part_attachments", "part_fragments")
"""Tables that say again what the parts say themselves."""

LONGEST_ANSWER = 1000
"""More messages than this are no answer to one call."""


class Threads:
    """Reads the messages of all threads. Which message follows which is held in memory, their content is not."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.source, self.database = library.source, library.database
        self.parents: dict[str, str | None] = {}
        self.threads: dict[str, dict[str, Any]] = {}
        self.turns: dict[Any, list[dict[str, Any]]] = {}
        self.made: dict[str, str] = {}
        """by message: the first turn that asked or answered with it"""
        self._seen: set[str] = set()
        self.links = {table: library.links(table, "turn_id") for table in LINKS}
        for table in REPEATED:
            rows = self.database.count(table)
            self.source.account.records += rows
            self.source.mapped(rows)
        self._load()

    def _load(self) -> None:
        for row in self.database.rows("messages", ("hash", "parent_hash")):
            if isinstance(row.get("hash"), str) and row["hash"]:
                parent = row.get("parent_hash")
                self.parents[row["hash"]] = parent if isinstance(parent, str) and parent else None
        self.source.account.records += self.database.count("messages")
        self.source.mapped(len(self.parents))
        for _ in range(self.database.count("messages") - len(self.parents)):
            self.source.reject("a message without a hash")
        for row in self.database.rows("threads"):
            self.source.account.records += 1
            name = row.pop("id", None)
            if not isinstance(name, str) or not name or name in self.threads:
                self.source.reject("a second thread with one id" if name in self.threads else "a thread without an id")
                continue
            self.source.mapped()
            self.threads[name] = row
        columns = ("id", "thread_id", "parent_message_hash", "tip_message_hash")
        roles = {row["hash"]: row.get("role") for row in self.database.rows("messages", ("hash", "role"))}
        for row in self.database.rows("turns", columns):
            self.source.account.records += 1
            if not isinstance(row.get("id"), str) or not row["id"]:
                self.source.reject("a turn without an id")
                continue
            self.source.mapped()
            self.turns.setdefault(row.get("thread_id"), []).append(row)
            self._claim(row, roles)

    def _claim(self, turn: dict[str, Any], roles: dict[str, Any]) -> None:
        """Note which messages a turn brought: its answer, and what was asked right before it."""
        parent, here = turn.get("parent_message_hash"), turn.get("tip_message_hash")
        while isinstance(here, str) and here in self.parents and here not in self.made and here != parent:
            self.made[here] = turn["id"]
            here = self.parents[here]
        here = parent
        while isinstance(here, str) and here not in self.made and roles.get(here) in ("user", "tool"):
            self.made[here] = turn["id"]
            here = self.parents.get(here)

    def rest(self) -> Iterator[tuple[Draft, Message]]:
        """The messages of the threads that no conversation of the second generation has, of turns without a thread,
        and of messages without either."""
        for name in list(self.threads):
            yield from self.read(Session(self.source.draft(name)))
        for thread, turns in list(self.turns.items()):
            for turn in turns if not isinstance(thread, str) or not thread else turns[:1]:
                name = thread if isinstance(thread, str) and thread else turn["id"]
                session = Session(self.source.draft(name))
                session.draft.issue("thread-missing", "the thread's own row is not in the file")
                self.turns.pop(thread, None)
                yield from self._turns(session, turns if name == thread else [turn], None)
        yield from self._lost()
        self._reject_leftover()

    def read(self, session: Session) -> Iterator[tuple[Draft, Message]]:
        """The messages of the thread that has the session's name, if there is one."""
        name = session.draft.native_id
        row = self.threads.pop(name, None)
        turns = self.turns.pop(name, [])
        if row is None and not turns:
            return
        tip = self._describe(session, row) if row is not None else None
        yield from self._turns(session, turns, tip)

    def _describe(self, session: Session, row: dict[str, Any]) -> Any:
        draft = session.draft
        name, forked_from, raw = row.pop("name", None), row.pop("forked_from", None), row.pop("datetime_utc", None)
        if isinstance(name, str) and draft.title is None:
            draft.title = title_line(name) or None
        if isinstance(forked_from, str) and forked_from:
            draft.forked_from = {"key": f"llm:{forked_from}", "relation": "fork"}
        time = utc(raw)
        if time and not session.trail:
            draft.created_at = time
        elif raw is not None:
            draft.x["thread_datetime_utc"] = plain(raw)
        tip = row.pop("tip_message_hash", None)
        draft.x |= {name: value for name, value in stated(row).items() if name not in draft.x}
        return tip

    def _turns(self, session: Session, turns: list[dict[str, Any]], tip: Any) -> Iterator[tuple[Draft, Message]]:
        walk = _Walk(self, session)
        for turn in turns:
            for message in walk.turn(turn):
                yield session.draft, message
        for message in walk.up_to(tip, None):
            yield session.draft, message
        leaf = walk.names.get(tip) if isinstance(tip, str) else None
        if leaf is not None and leaf != session.last:
            session.draft.active_leaf = leaf

    def _lost(self) -> Iterator[tuple[Draft, Message]]:
        """Messages that no thread and no turn leads to, a session for each beginning."""
        sessions: dict[str, tuple[Session, _Walk]] = {}
        roots: dict[str, str] = {}
        for name in self.parents:
            if name in self._seen:
                continue
            chain: dict[str, None] = {}
            here: str | None = name
            while here is not None and here in self.parents and not (here in chain or here in roots):
                if here in self._seen:
                    break
                chain[here] = None
                here = self.parents[here]
            root = roots[here] if here in roots else next(reversed(chain))
            roots.update(dict.fromkeys(chain, root))
            if root not in sessions:
                session = Session(self.source.draft(root))
                session.draft.issue("messages-without-thread", "messages that no thread of the file leads to")
                sessions[root] = session, _Walk(self, session)
            for message in sessions[root][1].up_to(name, None):
                yield sessions[root][0].draft, message

    def _reject_leftover(self) -> None:
        for _, table, _ in leftover(self.links):
            self.source.reject(f"a row of {table} that belongs to no turn")
        for row in self.database.rows("parts", ("message_hash",)):
            name = row.get("message_hash")
            if not isinstance(name, str) or name not in self.parents:
                self.source.account.records += 1
                self.source.reject("a part that belongs to no message")

    def first_time(self, name: str) -> bool:
        """Whether a message is read for the first time: then its parts are counted."""
        known = name in self._seen
        self._seen.add(name)
        return not known


class _Walk:
    """The messages of one session in the order in which its turns brought them."""

    def __init__(self, threads: Threads, session: Session) -> None:
        self.threads = threads
        self.library, self.source, self.database = threads.library, threads.source, threads.database
        self.session = session
        self.names: dict[str, str | None] = {}
        """by hash: the id of the session's message"""
        self._matched = 0
        """how many messages of the second generation have been repeated so far; -1 when no more can be"""
        self._calls: dict[str, dict[str, Any]] = {}

    def turn(self, light: dict[str, Any]) -> Iterator[Message]:
        """The messages a turn adds."""
        tip, parent = light.get("tip_message_hash"), light.get("parent_message_hash")
        repeats = isinstance(tip, str) and tip in self.names and tip != parent
        yield from self.up_to(parent, None)
        number = light["id"]
        if number in self.session.responses:
            yield from self.up_to(tip, None)
            self._drop_links(number)
            return
        self._matched = -1
        row = next((row for row in self.database.rows("turns", where={"id": number}) if row["id"] == number), light)
        call = self._call(row)
        if not isinstance(tip, str) or tip == parent or tip not in self.threads.parents:
            x = call.pop("x", {})
            yield self.session.message(
                number, "system", [{"type": "record", "record": {"turn": x}}], self._id(parent), kind="meta", **call
            )
            return
        if not repeats:
            yield from self.up_to(tip, call)
            return
        known = {name: self.names.pop(name) for name in self._answer(tip, parent)}
        yield from self.up_to(tip, call)
        self.names |= known

    def _answer(self, tip: str, parent: Any) -> list[str]:
        """The messages between a turn's parent and its tip; only the tip when there are too many to believe."""
        chain: dict[str, None] = {}
        here: str | None = tip
        while here is not None and here in self.names and here != parent:
            if here in chain or len(chain) == LONGEST_ANSWER:
                return [tip]
            chain[here] = None
            here = self.threads.parents[here]
        return list(chain) if here == parent else [tip]

    def up_to(self, tip: Any, call: dict[str, Any] | None) -> Iterator[Message]:
        """The messages of the chain that ends with `tip` and that are not there yet; `call` belongs to the last."""
        chain: dict[str, None] = {}
        here = tip
        while isinstance(here, str) and here in self.threads.parents and here not in self.names and here not in chain:
            chain[here] = None
            here = self.threads.parents[here]
        if isinstance(here, str) and here not in self.threads.parents:
            self.session.draft.issue("parent-missing", "a message follows one that is not in the file")
        for name in reversed(chain):
            message = self._message(name, call if name == tip else None)
            if message is not None:
                yield message

    def _id(self, name: Any) -> str | None:
        return self.names.get(name) if isinstance(name, str) else None

    def _message(self, name: str, call: dict[str, Any] | None) -> Message | None:
        """One message; None when it repeats one of the second generation."""
        row = next((row for row in self.database.rows("messages", where={"hash": name}) if row["hash"] == name), {})
        role, parent = row.get("role"), self._id(self.threads.parents[name])
        parts = self._parts(name)
        if role not in ROLES:
            record = {"role": plain(role), "parts": parts}
            role, parts, kind = "system", [{"type": "record", "record": record}], "meta"
        else:
            kind = ""
        if self._repeats(name, {"role": role, "parts": parts}):
            return None
        x: dict[str, Any] = {}
        metadata = decoded(self.source, row.get("provider_metadata"))
        if metadata is not None:
            x["provider_metadata"] = metadata
        fields = self._provenance(name, str(role)) | (call or {})
        fields["x"] = x | fields.get("x", {})
        if self.session.draft.title is None and role == "user":
            text = next((part["content"] for part in parts if part["type"] == "text"), "")
            self.session.draft.title = title_line(text) or None
        message = self.session.message(name, str(role), parts, parent, kind=kind, **fields)
        self.names[name] = message["id"]
        return message

    def _repeats(self, name: str, message: dict[str, Any]) -> bool:
        """Whether a message is the next one that the second generation has told already."""
        trail = self.session.trail
        if not 0 <= self._matched < len(trail):
            return False
        what, known = trail[self._matched]
        if said(message) != what:
            self._matched = -1
            return False
        self._matched += 1
        self.names[name] = known
        return True

    def _provenance(self, name: str, role: str) -> dict[str, Any]:
        """Time and model, by the turn that brought the message first, in whichever thread that was."""
        turn = self.threads.made.get(name)
        if turn is None:
            return {}
        if turn not in self._calls:
            columns = ("id", "model", "datetime_utc")
            rows = self.database.rows("turns", columns, where={"id": turn})
            self._calls = {turn: next((row for row in rows if row["id"] == turn), {})}
        row = self._calls[turn]
        fields: dict[str, Any] = {"time": utc(row.get("datetime_utc"))}
        if role == "assistant" and isinstance(row.get("model"), str):
            fields["model"] = row["model"]
        return fields

    def _call(self, row: dict[str, Any]) -> dict[str, Any]:
        """What a turn's row says of its answer: time, model, tokens, and the rest in `x`."""
        number = row.pop("id")
        x: dict[str, Any] = {"turn": number} | call_fields(self.library, row)
        raw = row.pop("datetime_utc", None)
        time = utc(raw)
        if time is None and raw not in (None, ""):
            x["time"] = plain(raw)
        model = row.pop("model") if isinstance(row.get("model"), str) else None
        figures = usage(row, x)
        for name in ("thread_id", "parent_message_hash", "tip_message_hash"):
            row.pop(name, None)
        linked = self._links(number)
        x |= stated(row) | {name: rows for name, rows in linked.items() if rows}
        return {"time": time, "model": model, "usage": figures, "x": x}

    def _links(self, number: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"tools": [], "fragments": [], "instances": []}
        for link in self._taken("turn_tools", number):
            tool = self.library.tool(link.get("tool_id"))
            if tool is not None:
                self.session.tool(link.get("tool_id"), tool)
            found["tools"].append(tool.get("name") if tool else plain(link.get("tool_id")))
            if link.get("instance_id") is not None:
                found["instances"].append({"tool": found["tools"][-1], "instance": self._instance(link)})
        for link in self._taken("turn_fragments", number):
            _, known = self.library.fragment(self.session.draft, link.get("fragment_id"))
            found["fragments"].append(known | {"kind": plain(link.get("kind"))})
        for link in self._taken("tool_instantiations", number):
            found["instances"].append(
                {"tool_call_id": plain(link.get("tool_call_id")), "instance": self._instance(link)}
            )
        return found

    def _instance(self, link: dict[str, Any]) -> Any:
        return plain(self.library.instance(link.get("instance_id")))

    def _taken(self, table: str, number: str) -> list[dict[str, Any]]:
        rows = self.threads.links[table].pop(number, [])
        self.source.mapped(len(rows))
        return rows

    def _drop_links(self, number: str) -> None:
        for table in LINKS:
            self._taken(table, number)

    def _parts(self, name: str) -> list[Part]:
        found = []
        first = self.threads.first_time(name)
        for row in self.database.rows("parts", order="position", where={"message_hash": name}):
            if row["message_hash"] != name:
                continue
            if first:
                self.source.account.records += 1
                self.source.mapped()
            found += self._part({key: row.get(key) for key in ("type", "tool_name", "text", "payload")})
        return found

    def _part(self, row: dict[str, Any]) -> list[Part]:
        payload = payload_of(self.source, row)
        kind, text = row.get("type"), row.get("text")
        if payload is None:
            return [other_part(kind, row)]
        extra = dict(payload)
        if kind in ("text", "reasoning"):
            if "text_ref" in extra and text is None:
                text, extra["fragments"] = self._borrowed(extra.pop("text_ref"))
            elif isinstance(extra.get("text"), str) and text is None:
                text = extra.pop("text")
            if isinstance(text, str):
                return [extended({"type": kind, "content": text}, extra)]
        elif kind == "tool_call" and isinstance(extra.get("name"), str):
            call_id = extra.pop("tool_call_id", None)
            call = {"type": kind, "id": call_id if isinstance(call_id, str) else "", "name": extra.pop("name")}
            return [extended(call | {"arguments": extra.pop("arguments", None)}, extra)]
        elif kind == "tool_result":
            call_id, attached = extra.pop("tool_call_id", None), extra.pop("attachments", None)
            result: Part = {"type": "tool_call_response", "id": call_id if isinstance(call_id, str) else ""}
            result["response"] = extra.pop("output", None)
            if extra.get("exception"):
                result["is_error"] = True
            return [extended(result, extra), *self._attached(attached)]
        elif kind == "attachment":
            attached = self._attached([extra.pop("attachment", None)])
            return [extended(part, extra) for part in attached] or [other_part(kind, row)]
        return [other_part(kind, row)]

    def _borrowed(self, pieces: Any) -> tuple[str, list[Any]]:
        """A text put together from literals and fragments, and which fragments these were."""
        text, fragments = [], []
        for piece in pieces if isinstance(pieces, list) else []:
            if isinstance(piece, dict) and isinstance(piece.get("literal"), str):
                text.append(piece["literal"])
            elif isinstance(piece, dict) and "fragment" in piece:
                content, known = self.library.fragment(self.session.draft, plain_key(piece["fragment"]))
                text.append(content)
                fragments.append(known)
        return "".join(text), fragments

    def _attached(self, references: Any) -> list[Part]:
        found = []
        for reference in references if isinstance(references, list) else []:
            number = reference.get("id") if isinstance(reference, dict) else None
            found.append(self.library.attachment(self.session.draft, plain_key(number)))
        return found


def plain_key(value: Any) -> Any:
    """A reference inside JSON as a database can look it up; None when it is none."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
