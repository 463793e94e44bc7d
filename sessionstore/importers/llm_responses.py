"""llm's second generation: `conversations` and `responses`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import title_line
from sessionstore.importers.database_rows import decoded, plain, stated, utc
from sessionstore.importers.llm_rows import Library, Part, Session, call_fields, leftover, said, usage

LINKS = {
    "prompt_attachments": (),
    "prompt_fragments": (),
    "system_fragments": (),
    "tool_responses": (),
    "tool_calls": ("id", "response_id"),
    "tool_results": ("id", "response_id"),
}
"""Tables that belong to responses; of the long ones only which row belongs where is held in memory."""


class Responses:
    """Reads the responses of all conversations."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.source, self.database = library.source, library.database
        self.links = {table: library.links(table, "response_id", columns) for table, columns in LINKS.items()}
        self.result_attachments = library.links("tool_results_attachments", "tool_result_id")
        self._rows: Iterator[dict[str, Any]] = iter(())

    def sessions(self) -> Iterator[Session]:
        """Every conversation, and every response that has none, each to be read before the next."""
        conversations = self._conversations()
        rows = self.database.rows("responses", order="conversation_id, rowid")
        for name, group in groupby(rows, key=lambda row: row.get("conversation_id")):
            if isinstance(name, str) and name:
                session = Session(self.source.draft(name))
                known = conversations.pop(name, None)
                if known is None:
                    session.draft.issue("conversation-missing", "the conversation's own row is not in the file")
                else:
                    self._describe(session.draft, known)
                self._rows = group
                yield session
                continue
            for row in group:
                if not isinstance(row.get("id"), str) or not row["id"]:
                    self.source.account.records += 1
                    self.source.reject("a response without an id and a conversation")
                    continue
                self._rows = iter((row,))
                yield Session(self.source.draft(row["id"]))
        for name, known in conversations.items():
            session = Session(self.source.draft(name))
            self._describe(session.draft, known)
            self._rows = iter(())
            yield session

    def _conversations(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in self.database.rows("conversations"):
            self.source.account.records += 1
            name = row.pop("id", None)
            if not isinstance(name, str) or not name or name in found:
                self.source.reject(
                    "a second conversation with one id" if name in found else "a conversation without id"
                )
                continue
            self.source.mapped()
            found[name] = row
        return found

    def _describe(self, draft: Draft, row: dict[str, Any]) -> None:
        if isinstance(row.get("name"), str):
            draft.title = title_line(row["name"]) or None
            if draft.title == row["name"]:
                del row["name"]
        draft.x |= stated(row)

    def read(self, session: Session) -> Iterator[tuple[Draft, Message]]:
        """The messages of the session that `sessions` gave last."""
        for row in self._rows:
            self.source.account.records += 1
            self.source.mapped()
            for message in self._messages(session, row):
                session.trail.append((said(message), message["id"]))
                yield session.draft, message

    def _messages(self, session: Session, row: dict[str, Any]) -> Iterator[Message]:
        name = row.pop("id", None)
        row.pop("conversation_id", None)
        if isinstance(name, str):
            session.responses.add(name)
        linked = {table: self._linked(table, name) for table in LINKS}
        raw = row.pop("datetime_utc", None)
        time = utc(raw)
        draft = session.draft
        x = {} if time or raw in (None, "") else {"time": plain(raw)}
        x |= call_fields(self.library, row)
        asked = decoded(self.source, row.pop("prompt_json", None))
        prompt_x = {} if asked is None else {"prompt_json": asked}
        system, prompt, answer, thought = (row.pop(key, None) for key in ("system", "prompt", "response", "reasoning"))
        parts = self._fragments(draft, linked["system_fragments"]) + _text(system)
        if parts:
            yield session.message(f"{name}.system", "system", parts, session.last, time=time)
        if linked["tool_results"]:
            parts = [part for link in linked["tool_results"] for part in self._result(draft, link)]
            yield session.message(f"{name}.results", "tool", parts, session.last, time=time)
        parts = self._fragments(draft, linked["prompt_fragments"]) + _text(prompt)
        parts += [self.library.attachment(draft, link.get("attachment_id")) for link in linked["prompt_attachments"]]
        if parts or (isinstance(prompt, str) and not linked["tool_results"]):
            parts = parts or [{"type": "text", "content": ""}]
            if draft.title is None:
                draft.title = (
                    next((title_line(part["content"]) for part in parts if part["type"] == "text"), None) or None
                )
            yield session.message(f"{name}.prompt", "user", parts, session.last, time=time, x=prompt_x)
        else:
            x |= prompt_x
        parts = [{"type": "reasoning", "content": thought}] if isinstance(thought, str) and thought else []
        parts += _text(answer) + [self._call(link) for link in linked["tool_calls"]]
        if offered := self._tools(session, linked["tool_responses"]):
            x["tools"] = offered
        model = row.pop("model") if isinstance(row.get("model"), str) else None
        figures = usage(row, x)
        x |= stated(row)
        for key, value in (("system", system), ("prompt", prompt), ("response", answer), ("reasoning", thought)):
            if value is not None and not isinstance(value, str):
                x[key] = plain(value)
        yield session.message(name, "assistant", parts, session.last, time=time, model=model, usage=figures, x=x)

    def _linked(self, table: str, name: Any) -> list[dict[str, Any]]:
        rows = self.links[table].pop(name, []) if isinstance(name, str) else []
        self.source.mapped(len(rows))
        return rows

    def _fragments(self, draft: Draft, links: list[dict[str, Any]]) -> list[Part]:
        found = []
        for link in links:
            text, known = self.library.fragment(draft, link.get("fragment_id"))
            found.append({"type": "text", "content": text, "fragment": known})
        return found

    def _tools(self, session: Session, links: list[dict[str, Any]]) -> list[Any]:
        """The names of the tools that were offered; the session tells what they are."""
        names = []
        for link in links:
            tool = self.library.tool(link.get("tool_id"))
            if tool is not None:
                session.tool(link.get("tool_id"), tool)
            names.append(tool.get("name") if tool else link.get("tool_id"))
        return names

    def _full(self, table: str, link: dict[str, Any]) -> dict[str, Any]:
        """The row a link stands for, without what is known already."""
        number = link.get("id")
        rows = self.database.rows(table, where={"id": number})
        row = next((row for row in rows if row["id"] == number), link)
        return {name: value for name, value in row.items() if name not in ("id", "response_id", "tool_id")}

    def _call(self, link: dict[str, Any]) -> Part:
        row = self._full("tool_calls", link)
        name, call_id = row.pop("name", None), row.pop("tool_call_id", None)
        arguments = decoded(self.source, row.pop("arguments", None))
        if not isinstance(name, str):
            return {"type": "record", "record": stated(row | {"name": name, "arguments": arguments, "id": call_id})}
        call_id = call_id if isinstance(call_id, str) else ""
        return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments} | stated(row)

    def _result(self, draft: Draft, link: dict[str, Any]) -> Iterator[Part]:
        row = self._full("tool_results", link)
        call_id, instance = row.pop("tool_call_id", None), row.pop("instance_id", None)
        part: Part = {
            "type": "tool_call_response",
            "id": call_id if isinstance(call_id, str) else "",
            "response": plain(row.pop("output", None)),
        }
        if row.get("exception"):
            part["is_error"] = True
        part |= stated(row)
        if instance is not None:
            part["instance"] = self.library.instance(instance)
        yield part
        attached = self.result_attachments.pop(link.get("id"), [])
        self.source.mapped(len(attached))
        for other in attached:
            yield self.library.attachment(draft, other.get("attachment_id"))

    def orphans(self) -> Iterator[tuple[Draft, Message]]:
        """What belongs to responses that are gone, a session for each."""
        known = {draft.native_id for draft in self.source.drafts}
        for owner, group in groupby(leftover(self.links), key=lambda entry: entry[0]):
            if not isinstance(owner, str) or not owner or owner in known:
                for _, table, _ in group:
                    self.source.reject(f"a row of {table} that belongs to no response")
                continue
            known.add(owner)
            session = Session(self.source.draft(owner))
            session.draft.issue("response-missing", "the response itself is gone; what belonged to it was left behind")
            for _, table, link in group:
                self.source.preserved()
                yield session.draft, session.record(table, link | self._full(table, link) if "id" in link else link)
        for rows in self.result_attachments.values():
            for _ in rows:
                self.source.reject("an attachment of a tool result that is gone")


def _text(value: Any) -> list[Part]:
    return [{"type": "text", "content": value}] if isinstance(value, str) and value else []
