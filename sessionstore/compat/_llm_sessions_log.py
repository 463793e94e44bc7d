"""What LLM_LOG_LEVEL and LLM_LOG_FORMAT do: the package's log on stderr, when one of them is set."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from sessionstore.flags import Flags

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Lines(logging.Formatter):
    """A JSON object a line: timestamp, level, logger, message, and the session when a record has one."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if session := getattr(record, "session", None):
            told["session"] = session
        return json.dumps(told, ensure_ascii=False)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """This module's own handler, so that it is known again."""


def set_up(flags: Flags, environment: Mapping[str, str]) -> None:
    """Log to stderr as the switches say; nothing when neither is set. Calling it again changes level and form."""
    if not environment.get("LLM_LOG_LEVEL") and not environment.get("LLM_LOG_FORMAT"):
        return
    log = logging.getLogger("sessionstore")
    handler = next((one for one in log.handlers if isinstance(one, _Handler)), None)
    if handler is None:
        handler = _Handler()
        log.addHandler(handler)
    handler.setFormatter(_Lines() if flags.log_format == "json" else logging.Formatter(_TEXT))
    handler.setLevel(flags.log_level)
    log.setLevel(flags.log_level)
