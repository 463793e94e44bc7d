"""Where a trace is told: lines for people, lines of JSON, files that are rotated; all as handlers of `logging`."""

from __future__ import annotations

import json as _json
import logging
import logging.handlers
import os
import threading
from datetime import UTC, datetime
from typing import IO, Any

from sessionstore import errors, tracing

LONGEST = 200
"""So many characters of a value are told on a line for people."""
REASON = "reason"
"""The fact with a provider's own words, which may quote what was said: told from level DEBUG down only."""


class Stream(logging.StreamHandler[Any]):
    """Lines on a stream that is not ours to close."""

    def handleError(self, record: logging.LogRecord) -> None:
        """A trace that cannot be told is no reason to fail."""


class File(logging.handlers.RotatingFileHandler):
    """A file that only its owner may read, also after it was rotated."""

    def _open(self) -> Any:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=private)

    def handleError(self, record: logging.LogRecord) -> None:
        """A trace that cannot be told is no reason to fail."""


def console(stream: IO[str], *, json: bool) -> logging.Handler:
    """Lines on a stream."""
    handler = Stream(stream)
    handler.setFormatter(JsonLines() if json else Lines())
    return handler


def file(path: str, *, json: bool, rotate_bytes: int, keep: int) -> logging.Handler:
    """Lines in a file. Raises `WriteFailed`."""
    try:
        handler = File(path, maxBytes=rotate_bytes, backupCount=keep, encoding="utf-8", errors="replace")
    except OSError as error:
        raise errors.WriteFailed(path=path, reason=error.strerror or "cannot be opened") from None
    handler.setFormatter(JsonLines() if json else Lines())
    return handler


def record(what: tracing.Event, name: str, *, details: bool) -> logging.LogRecord:
    """An event as a record of `logging`: `document` is all that may be told, as JSON can hold it."""
    document = described(what, details=details)
    made = logging.LogRecord(name, what.level, "sessionstore", 0, sentence(document), (), None)
    made.levelname = next((word for word, number in tracing.LEVELS.items() if number == what.level), made.levelname)
    made.__dict__.update(event=what, document=document, session=what.session, content={})
    return made


def described(what: tracing.Event, *, details: bool) -> dict[str, Any]:
    """An event as a document."""
    level = next((word for word, number in tracing.LEVELS.items() if number == what.level), str(what.level))
    time = datetime.fromtimestamp(what.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found: dict[str, Any] = {"time": time, "level": level, "category": what.category, "event": what.name}
    if what.within:
        found["of"] = what.within
    if what.session:
        found["session"] = what.session
    operation = what.operation
    if operation is not None:
        if what.begun or what.ended:
            found |= {"phase": "end" if what.ended else "begin", "operation": operation.number}
            outer = operation.outer
        else:
            outer = operation
        if outer is not None:
            found["within"] = outer.number
    if operation is not None and what.ended:
        found |= measured(operation)
    found |= {name: _plain(value) for name, value in what.facts.items() if value is not None and not callable(value)}
    if not details:
        found.pop(REASON, None)
    return {**found, "process": os.getpid(), "thread": threading.current_thread().name}


def measured(operation: tracing.Operation) -> dict[str, Any]:
    """What an operation has taken: times in milliseconds, memory in KiB, and why it has failed."""
    found: dict[str, Any] = {"ms": round(1e3 * operation.seconds, 3)}
    if operation.cpu_seconds is not None:
        found["cpu_ms"] = round(1e3 * operation.cpu_seconds, 3)
    if operation.bytes_written:
        found["bytes_written"] = operation.bytes_written
    if operation.fsyncs:
        found |= {"fsyncs": operation.fsyncs, "fsync_ms": round(1e3 * operation.fsync_seconds, 3)}
    if (memory := tracing.peak_memory()) is not None:
        found["max_rss_kib"] = memory
    if operation.error is not None:
        found |= failure(operation.error)
    return found


def failure(error: BaseException) -> dict[str, Any]:
    """An error by its kind and what the provider's answer says of it. Its words are the fact `reason`."""
    found: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, errors.SessionstoreError):
        for name in ("provider", "model", "status", "request_id", "again", "retry_after"):
            if error.fields.get(name) is not None:
                found[name] = _plain(error.fields[name])
    return {**found, REASON: str(error)[:1000]}


def content(what: tracing.Event) -> dict[str, Any]:
    """What was said, of an event that has some: facts that are functions give it."""
    return {name: _plain(value(), 1 << 20) for name, value in what.facts.items() if callable(value)}


def sentence(document: dict[str, Any]) -> str:
    """A document as the rest of a line for people."""
    left_out = {"time", "level", "category", "event", "session", "process", "thread", "operation", "within", "phase"}
    phase = {"begin": " …", "end": ""}.get(str(document.get("phase")), "")
    facts = " ".join(f"{name}={_shown(value)}" for name, value in document.items() if name not in left_out)
    return (
        f"{document['category']} [{_shown(document.get('session', '-'))}] {document['event']}{phase} {facts}".rstrip()
    )


class Lines(logging.Formatter):
    """time LEVEL category [session] event fact=value …"""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        document = record.__dict__["document"]
        more = "".join(f" {name}={_shown(value)}" for name, value in record.__dict__["content"].items())
        return f"{document['time']} {record.levelname:7} {record.getMessage()}{more}"


class JsonLines(logging.Formatter):
    """The document as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return _json.dumps(
            {**record.__dict__["document"], **record.__dict__["content"]}, ensure_ascii=False, default=str
        )


def _plain(value: Any, longest: int = 1000) -> Any:
    """A value as JSON can hold it, without lone surrogates."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(one, longest) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, longest) for one in value]
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _shown(value: Any) -> str:
    """A value on a line for people: nothing in it can break the line or steer a terminal."""
    text = value if isinstance(value, str) else _json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f'"{shown}"' if isinstance(value, str) and (" " in shown or not shown) else shown
