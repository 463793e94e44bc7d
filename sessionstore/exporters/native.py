"""What the forms of other programs ask for and a session may not have: ids of their shape, a time for everything, names
that every file system takes."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sessionstore.exporters.report import Report

_NAMESPACE = uuid.UUID("6d0e4b5e-0f0c-5b56-9d6a-3f0c1f6a7c11")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_EPOCH = "1970-01-01T00:00:00.000Z"
_LONGEST = 120


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in lower case."""
    return _UUID.fullmatch(text) is not None


def uuid_of(*names: str) -> str:
    """A UUID that is always the same for the same names."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(names)))


def session_uuid(revision: dict[str, Any]) -> str:
    """The session's own id when it is a UUID, else one made from its key."""
    native = str(revision.get("native_id") or "")
    return native if is_uuid(native) else uuid_of(str(revision["key"]))


def digest(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def safe_name(name: str) -> str:
    """A name as a single step of a path that every file system takes and that leads nowhere else."""
    safe = _UNSAFE.sub("_", name).rstrip(". ")
    while len(safe.encode("utf-8", "replace")) > _LONGEST:
        safe = safe[:-1]
    if not safe.strip(".") or _DEVICE.fullmatch(safe):
        return f"_{safe}".rstrip(". ")
    return safe


def safe_path(path: str) -> str:
    """A relative path whose every step is a safe name."""
    return "/".join(safe_name(step) for step in path.replace("\\", "/").split("/") if step not in ("", ".", ".."))


class Clock:
    """Gives every message a time, because the program asks for one: its own, else that of the message before."""

    def __init__(self, revision: dict[str, Any], report: Report) -> None:
        self._report = report
        self.begin = began(revision)
        self.now = self.begin

    def of(self, message: dict[str, Any]) -> str:
        """The time of the next message."""
        time = message.get("time") or raw_time(message, "time")
        if time:
            self.now = str(time)
        else:
            self._report.count("unknown times given as the last known one")
        return self.now


def began(revision: dict[str, Any]) -> str:
    """When a session began, as far as its source says: else the beginning of time."""
    return str(revision.get("created_at") or raw_time(revision, "created_at") or _EPOCH)


def raw_time(owner: dict[str, Any], name: str) -> str | None:
    """A time without a zone as the source wrote it, which stands in `x`."""
    naive = (owner.get("x") or {}).get(name)
    raw = naive.get("raw") if isinstance(naive, dict) else None
    return raw if isinstance(raw, str) else None


def file_time(time: str) -> str:
    """A time as file names have it: in UTC, with dashes."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        moment = datetime.fromtimestamp(0, UTC)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime("%Y-%m-%dT%H-%M-%S")
