"""llm's first generation: the table `log` (up to 0.3), renamed `logs` (0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.database_rows import Ids, decoded, plain, stated, utc
from sessionstore.importers.llm_rows import Session, usage
from sessionstore.importers.material import Database

TABLES = ("log", "logs")
TIMES = ("datetime_utc", "timestamp_utc", "timestamp")
"""What the column of the time was called, the latest first."""


def is_log(table: str, columns: frozenset[str]) -> bool:
    """Whether a table is the log of the first generation."""
    if table not in TABLES or not columns >= {"system", "prompt", "response", "model"}:
        return False
    return not columns.isdisjoint(TIMES) and not columns.isdisjoint({"provider", "chat_id"})


def read(source: Source, database: Database) -> Iterator[tuple[Draft, Message]]:
    """The messages of the first generation's chats."""
    names = Ids()
    for table in TABLES:
        columns = database.tables.get(table, frozenset())
        if not is_log(table, columns):
            continue
        if "id" not in columns:
            for row in database.rows(table):
                yield from _chat(source, [row], names)
            continue
        chats: dict[Any, list[Any]] = {}
        for row in database.rows(table, ("id", "chat_id"), order="id"):
            chats.setdefault(_number(row.get("chat_id")) or _number(row["id"]), []).append(row["id"])
        for numbers in chats.values():
            found = (database.rows(table, where={"id": number}) for number in dict.fromkeys(numbers))
            yield from _chat(source, (row for rows in found for row in rows), names)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and len(value) < 19 and value.isdecimal() else value


def _chat(source: Source, rows: Iterable[dict[str, Any]], names: Ids) -> Iterator[tuple[Draft, Message]]:
    session: Session | None = None
    answers: dict[Any, str] = {}
    for row in rows:
        source.account.records += 1
        source.mapped()
        session = session or Session(source.draft(names.take(_name(row))))
        for message in _messages(source, session, row, answers):
            yield session.draft, message


def _name(row: dict[str, Any]) -> str:
    """What a chat is called: by its first row's time, because numbers repeat in every file and came later than rows."""
    time = next((row[key] for key in TIMES if isinstance(row.get(key), str)), None)
    return f"log@{utc(time) or time}" if time else "log"


def _messages(source: Source, session: Session, row: dict[str, Any], answers: dict[Any, str]) -> Iterator[Message]:
    number = plain(row.pop("id", None))
    number = str(number) if isinstance(number, dict) else number
    name = f"r{len(answers) + 1}"
    row.pop("chat_id", None)
    raw = next((row.pop(key) for key in TIMES if row.get(key) is not None), None)
    time = utc(raw)
    before = session.last
    reply_to = row.pop("reply_to_id", None)
    if reply_to is not None:
        if reply_to in answers:
            before = answers[reply_to]
        else:
            session.draft.issue("parent-missing", "a row answers one that is not in the chat")
    system, prompt, response = (row.pop(key, None) for key in ("system", "prompt", "response"))
    if isinstance(system, str) and system:
        text = {"type": "text", "content": system}
        yield session.message(f"{name}.system", "system", [text], before, time=time)
        before = session.last
    if isinstance(prompt, str):
        if session.draft.title is None:
            session.draft.title = title_line(prompt) or None
        asked = decoded(source, row.pop("prompt_json", None))
        x = {} if asked is None else {"prompt_json": asked}
        text = {"type": "text", "content": prompt}
        yield session.message(f"{name}.prompt", "user", [text], before, time=time, x=x)
        before = session.last
    x = {} if time or raw is None else {"time": plain(raw)}
    for key in ("prompt_json", "options_json", "response_json", "debug"):
        value = decoded(source, row.pop(key, None))
        if value not in (None, {}):
            x[key.removesuffix("_json") if key == "options_json" else key] = value
    model, provider = (row.pop(key) if isinstance(row.get(key), str) else None for key in ("model", "provider"))
    figures = usage(row, x)
    x |= stated(row)
    parts = [{"type": "text", "content": response}] if isinstance(response, str) else []
    if response is not None and not parts:
        x["response"] = stated({"response": response})["response"]
    for key, value in (("system", system), ("prompt", prompt)):
        if value is not None and not isinstance(value, str):
            x[key] = stated({key: value})[key]
    fields = {"time": time, "model": model, "provider": provider, "usage": figures, "x": x}
    yield session.message(name, "assistant", parts, before, **fields)
    answers[name if number is None else number] = session.last or name
