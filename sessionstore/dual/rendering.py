"""How a session reads as an older program's document: what that program would have written at the same turns.

The exporters make the document; here their input is put into the program's words (local times, its sentence for a
switch of models, a pre-filled beginning as a record of its own) and their output into its shape (K1's window of 50
messages, the order of names). What an earlier state of the file, the `template`, says already is taken over from there
word for word, so that names this store does not know and their order survive.

A record's signatures are what it is compared by: what an importer makes of it, without times.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from sessionstore import canonical, errors, layout, objects
from sessionstore.exporters import chat, kimi, llm_sessions
from sessionstore.exporters.content import texts
from sessionstore.exporters.native import raw_time
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import chosen
from sessionstore.importers.base import Source
from sessionstore.manager import making
from sessionstore.store import Revision, Store

Record = dict[str, Any]
WINDOW = kimi.WINDOW
OWN = "legacy"
"""In `x` of a message: the format whose record the other fields of `x` are from."""
_MARKS = frozenset({OWN, "edited_at", "merged_from", "agent", "visible_to", "switch", "manager"})
_ORDER: tuple[str, ...] = (
    "role",
    "content",
    "timestamp",
    "tokens",
    "cost",
    "cost_currency",
    "finish_reason",
    "request_id",
)
_ORDER += ("system_fingerprint", "model", "tool_calls", "tool_call_id", "name")
_KINDS = frozenset({None, "switch", "prefill", "meta"})


class Told(NamedTuple):
    """What a session's path is told in: its `records`, what each may be known by (`signatures`) and is known by in a
    file (`marks`), the ids of their messages; `facts` is of each message what the document's other fields follow
    from. A row that grows."""

    records: list[Record]
    signatures: list[frozenset[bytes]]
    marks: list[bytes]
    ids: list[str]
    facts: list[Record]

    def joined(self, more: Told) -> Told:
        """This and what follows it."""
        return Told(
            [*self.records, *more.records],
            [*self.signatures, *more.signatures],
            [*self.marks, *more.marks],
            [*self.ids, *more.ids],
            [*self.facts, *more.facts],
        )


class Rendered(NamedTuple):
    """A session as a document. `told` is its whole path, `marks` what each of the document's own records is known
    by."""

    document: Record
    told: Told
    marks: list[bytes]

    @property
    def records(self) -> list[Record]:
        """All records of the path."""
        return self.told.records

    @property
    def signatures(self) -> list[frozenset[bytes]]:
        """What each of them may be known by."""
        return self.told.signatures

    @property
    def ids(self) -> list[str]:
        """The id of the message that each is of."""
        return self.told.ids


class Before(NamedTuple):
    """An earlier state of a file, and what each of its records is known by."""

    document: Record
    marks: Sequence[bytes]


def rendered(
    store: Store,
    revision: Revision,
    format: str,
    ident: str,
    before: Before | None = None,
    tags: Sequence[str] = (),
) -> Rendered:
    """A session's active path as the document of a format, under that id."""
    path = chosen(revision, lambda: store.messages(revision), Report(), kinds=("prefill", "meta"))
    told = told_of(store, revision, format, path)
    told = told._replace(records=_as_before(told.records, told.signatures, before))
    return assembled(revision, format, ident, told, before.document if before else None, tags)


def told_of(store: Store, revision: Revision, format: str, path: Iterable[Record]) -> Told:
    """What messages of a session are told in."""
    tell = chat.records if format == "kimi" else llm_sessions.told
    records: list[Record] = []
    stated: list[bytes | None] = []
    ids: list[str] = []
    facts = []
    for message in path:
        if not _is_told(message, revision, format):
            continue
        whole = _with_data(store, message)
        made = [one for each in _prepared(whole, revision, format) for one in tell(each, True, Report())]
        records += [_ordered(one) if format == "llm-sessions" else one for one in made]
        stated += [signature(message) if len(made) == 1 else None] * len(made)
        ids += [message["id"]] * len(made)
        fact: Record = {name: message[name] for name in ("id", "role", "kind", "model", "time") if name in message}
        fact["switch"] = (message.get("x") or {}).get("switch")
        if message["role"] == "system":
            fact["parts"] = message["parts"]
        facts.append(fact)
    name = "session_id" if format == "kimi" else "id"
    marks = signatures(format, {name: "x", "messages": records})
    known = [frozenset(filter(None, pair)) for pair in zip(marks, stated, strict=True)]
    return Told(records, known, marks, ids, facts)


def assembled(
    revision: Revision, format: str, ident: str, told: Told, template: Record | None, tags: Sequence[str] = ()
) -> Rendered:
    """The document of a session that is told so."""
    kind = kimi if format == "kimi" else llm_sessions
    envelope = kind.document(_fields(revision, format, ident, told.facts, tags), (), Report())
    kept = windowed(told.records) if format == "kimi" else range(len(told.records))
    document = {**envelope, "messages": [told.records[number] for number in kept]}
    if format == "kimi":
        document["message_count"] = len(kept)
    return Rendered(_shaped(document, template, format), told, [told.marks[number] for number in kept])


def windowed(records: Sequence[Record]) -> list[int]:
    """The ordinals of the records that `.kimi_sessions` keeps: the system's, then the latest 50 others."""
    system = [number for number, one in enumerate(records) if one.get("role") == "system"]
    return [*system, *[number for number, one in enumerate(records) if one.get("role") != "system"][-WINDOW:]]


def text(format: str, document: Record) -> str:
    """A document as its program writes it. What the file said before in lone surrogates stays, where ASCII holds it."""
    return kimi.text(document) if format == "kimi" else llm_sessions.text(document)


# --- comparing -----------------------------------------------------------------------------------------------


def messages_of(format: str, document: Any) -> list[Record]:
    """The messages that an importer makes of a document, one for each record. Raises `Unparsable`."""
    from sessionstore.importers.kimi import Kimi
    from sessionstore.importers.llm_sessions import LlmSessions

    importer = Kimi() if format == "kimi" else LlmSessions()
    source = Source.of(json.dumps(document).encode("ascii"), "document.json")
    return [message for _, message in importer.read(source)]


def signatures(format: str, document: Any) -> list[bytes]:
    """What each record of a document is known by. Raises `Unparsable`."""
    return [signature(message) for message in messages_of(format, document)]


def signature(message: Record) -> bytes:
    """What a message is known by: all it says, without its id and times."""
    x = {k: v for k, v in (message.get("x") or {}).items() if k not in _MARKS and k not in ("time", "timestamp")}
    kept = {k: v for k, v in message.items() if k not in ("id", "parent", "time", "x")}
    return canonical.dumps({**kept, "x": x})


# --- putting a session into the program's words --------------------------------------------------------------


def is_own(message: Record, revision: Revision, format: str) -> bool:
    """Whether `x` of a message holds fields of the format's own records."""
    mark = (message.get("x") or {}).get(OWN)
    if mark is not None:
        return bool(mark == format)
    return revision.get("source") == format and not layout.is_ulid(str(message["id"]))


def _is_told(message: Record, revision: Revision, format: str) -> bool:
    kind = message.get("kind")
    if kind == "meta":
        return is_own(message, revision, format) and bool(message["parts"])
    return kind in _KINDS and not (message.get("x") or {}).get("cleared")


def _with_data(store: Store, message: Record) -> Record:
    """A message with the bytes of its images and files, as far as the store has them."""
    if not any(part.get("type") == "blob" and "object" in part for part in message["parts"]):
        return message
    parts = []
    for part in message["parts"]:
        if part.get("type") == "blob" and "object" in part:
            try:
                data = base64.b64encode(store.objects.get(part["object"], objects.VALUE, check=True)).decode()
                part = {**{k: v for k, v in part.items() if k not in ("object", "bytes")}, "data": data}
            except errors.DamageError:
                pass
        parts.append(part)
    return {**message, "parts": parts}


def _prepared(message: Record, revision: Revision, format: str) -> Iterator[Record]:
    """A message as the exporter is given it: `x` holds what goes into the record, and nothing else."""
    own = is_own(message, revision, format)
    x = message.get("x") or {}
    extras = {name: value for name, value in x.items() if name not in _MARKS} if own else {}
    made = {name: value for name, value in message.items() if name != "parent"}
    if format == "kimi":
        if not own and isinstance(x.get("prefill"), str) and message["role"] == "assistant":
            beginning = [{"type": "text", "content": x["prefill"]}]
            yield {"id": message["id"], "role": "assistant", "kind": "prefill", "parts": beginning}
        yield {**made, "x": extras}
        return
    if not own and "time" in x:
        extras["time"] = x["time"]
    if "timestamp" not in extras and layout.is_ulid(str(message["id"])) and message.get("time"):
        extras["timestamp"] = _stamp(message, own)
    if not own and message["role"] == "assistant":
        named = {"request_id": x.get("response_id"), "system_fingerprint": x.get("system_fingerprint")}
        extras |= {name: value for name, value in named.items() if value}
    if not own and message.get("kind") == "switch":
        made["parts"] = [{"type": "text", "content": _switch_text(message)}]
    usage = message.get("usage") or {}
    if not own and usage.get("cost_microusd"):
        extras["cost"] = round(usage["cost_microusd"] / 1_000_000, 6)
    yield {**made, "x": extras}


def _stamp(message: Record, own: bool) -> str | float:
    """A record's time: seconds since 1970 of what an adapter has answered, local text of everything else."""
    answered = message["role"] == "assistant" and ("usage" in message or "finish_reason" in message)
    if answered and not own:
        return datetime.fromisoformat(message["time"]).timestamp()
    return local(message["time"])


def _switch_text(message: Record) -> str:
    facts = (message.get("x") or {}).get("switch")
    if not isinstance(facts, dict):
        return "\n".join(texts(message["parts"]))
    reason = facts.get("reason") or "User requested"
    return f"Model switched from {facts.get('from')} to {facts.get('to')}. Reason: {reason}"


def local(time: str) -> str:
    """A time as the programs write it: local, without a zone."""
    moment = datetime.fromisoformat(time)
    return (moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment).isoformat()


def _fields(revision: Revision, format: str, ident: str, path: list[Record], tags: Sequence[str]) -> Revision:
    """The session's fields as the exporter is given them: everything of the format's own in `x`."""
    own = revision.get("source") == format
    kept = dict(revision.get("x") or {})
    x = {name: value for name, value in kept.items() if name not in ("manager", "template")} if own else {}
    for name in ("created_at", "updated_at"):
        raw, stated = raw_time(revision, name), revision.get(name)
        here = local(str(stated)) if stated else None
        first = raw or here if name == "created_at" else max(raw or "", here or "")
        if first:
            x[name] = {"raw": first}
    if format == "llm-sessions":
        x |= _models(revision, x, path)
        x |= _told_of_it(revision, x, path, tags)
        _migrated_again(x)
    made: Revision = {
        name: revision[name] for name in ("key", "system", "created_at", "updated_at") if name in revision
    }
    return {**made, "source": format, "native_id": ident, "x": x}


def _migrated_again(x: Record) -> None:
    """Put the times of a session that the program itself had migrated back where it keeps them."""
    migrated = x.pop("migrated_at", None)
    if migrated is None:
        return
    x["metadata"].setdefault("original_created_at", x["created_at"]["raw"])
    x["created_at"] = migrated if isinstance(migrated, dict) else {"raw": str(migrated)}


def _models(revision: Revision, x: Record, path: list[Record]) -> Record:
    """Which model is to answer, and all that did, in the order of first use."""
    used = [str(one) for one in x.get("models_used") or () if isinstance(one, str)]
    settings = making.settings(revision)
    named: list[Any] = []
    last = x.get("model")
    for message in path:
        facts = message["switch"]
        if isinstance(facts, dict):
            named += [facts.get("from"), facts.get("to")]
        elif message["role"] == "assistant" and message.get("model") and layout.is_ulid(str(message["id"])):
            named.append(message["model"])
            last = message["model"]
    last = settings.get("model") or last or (revision.get("models") or [""])[-1]
    for name in [*named, last]:
        if name and name not in used:
            used.append(name)
    return {"model": last, "models_used": used}


def _told_of_it(revision: Revision, x: Record, path: list[Record], tags: Sequence[str]) -> Record:
    """`metadata` of a unified session, with what the program keeps among it: prompt, tags, switches."""
    own = x.get("metadata") if isinstance(x.get("metadata"), dict) else {}
    said = making.settings(revision).get("metadata") or {}
    first = path[0] if path and path[0]["role"] == "system" and "kind" not in path[0] else None
    prompt = "\n\n".join(texts(first["parts"])) if first else None
    system = texts([part for part in revision.get("system") or () if isinstance(part, dict)])
    made: Record = {"total_tokens": 0, "total_cost": 0.0}
    if not system:
        made["system_prompt"] = prompt or None
    switches = list(x.get("model_switches") or ())
    for number, message in enumerate(path):
        facts = message["switch"]
        if isinstance(facts, dict):
            switches.append(
                {
                    "timestamp": local(message["time"]) if message.get("time") else None,
                    "from_model": facts.get("from"),
                    "to_model": facts.get("to"),
                    "reason": facts.get("reason"),
                    "message_count": number,
                }
            )
    kept = list(tags) or list(x.get("tags") or ())
    if revision.get("source") == "kimi":
        began = raw_time(revision, "created_at") or revision.get("created_at")
        topics = (revision.get("x") or {}).get("topics") or []
        made |= {"original_created_at": began, "migrated_from": "kimi", "kimi_topics": topics}
    return {"metadata": {**made, **(own or {}), **said}, "model_switches": switches, "tags": kept}


# --- the program's shape -------------------------------------------------------------------------------------


def _ordered(record: Record) -> Record:
    """A record with its names in the program's order, those of a caller behind."""
    if record.get("cost_currency") == "USD":
        record = {name: value for name, value in record.items() if name != "cost_currency"}
    first = {name: record[name] for name in _ORDER if name in record}
    return {**first, **record}


def _as_before(records: list[Record], known: Sequence[frozenset[bytes]], before: Before | None) -> list[Record]:
    """The records, those that an earlier state has as they stand there."""
    if before is None:
        return records
    held: defaultdict[bytes, list[Record]] = defaultdict(list)
    for mark, record in zip(before.marks, before.document.get("messages") or (), strict=False):
        held[mark].append(record)
    found = []
    for record, names in zip(records, known, strict=True):
        place = next((held[name] for name in names if held.get(name)), None)
        found.append(place.pop(0) if place else record)
    return found


def _shaped(document: Record, template: Record | None, format: str) -> Record:
    """A document with its names in the template's order, and the time of its beginning as it stands there."""
    if not template:
        return document
    began = "created" if format == "kimi" else "created_at"
    if isinstance(template.get(began), str):
        document = {**document, began: template[began]}
    if format == "kimi":
        document |= {name: template[name] for name in ("metadata", "topics") if name in template}
    shaped: Record = _like(document, template)
    return shaped


def _like(value: Any, template: Any) -> Any:
    """A value with its names in the template's order, but for messages, which have theirs already."""
    if isinstance(value, list) and isinstance(template, list):
        return [_like(*pair) for pair in zip_longest(value, template[: len(value)])]
    if not isinstance(value, dict) or not isinstance(template, Mapping):
        return value
    first = {name: _like(value[name], template[name]) for name in template if name in value and name != "messages"}
    rest = {name: inner for name, inner in value.items() if name not in first}
    names = [name for name in template if name in value] + [name for name in value if name not in template]
    together = {**first, **rest}
    return {name: together[name] for name in names}
