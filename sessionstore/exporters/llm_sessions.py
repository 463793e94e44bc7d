"""Unified sessions of llm-mcp-server: one document of version "1.0", UTF-8, no line feed at the end. Lies in
`.llm_sessions/sessions/<id>.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.chat import records
from sessionstore.exporters.native import began, raw_time, safe_name
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import added

_SOURCE = "llm-sessions"
_UNHELD = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def place(revision: dict[str, Any]) -> str:
    """`sessions/<id>.json`."""
    return f"sessions/{_id(revision)}.json"


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """The document as text."""
    yield text(document(revision, messages, report))


def text(document: dict[str, Any]) -> str:
    """A document as the program writes it."""
    return content.dumps(document, indent=2)


def document(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> dict[str, Any]:
    """The document."""
    own = revision.get("source") == _SOURCE
    listed: list[dict[str, Any]] = []
    total: dict[str, Any] = {}
    models: list[str] = []
    for message in messages:
        total = added(total, message.get("usage") or {})
        if message.get("model") and message["model"] not in models:
            models.append(message["model"])
        listed += told(message, own, report)
    rest = dict(revision.get("x") or {}) if own else {}
    prompt = content.texts([part for part in revision.get("system") or () if isinstance(part, dict)])
    begin = began(revision)
    metadata = {
        "system_prompt": "\n\n".join(prompt) or None,
        "tags": rest.pop("tags", []),
        "total_tokens": total.get("input_tokens", 0) + total.get("output_tokens", 0),
        "total_cost": total.get("cost_microusd", 0) / 1_000_000,
        "model_switches": rest.pop("model_switches", []),
    }
    kept = rest.pop("metadata", None)
    for name in ("created_at", "updated_at", "migrated_at", "model_contradiction", "messages"):
        rest.pop(name, None)
    made = {
        "id": _id(revision),
        "version": "1.0",
        "created_at": raw_time(revision, "created_at") or begin,
        "updated_at": raw_time(revision, "updated_at") or revision.get("updated_at") or begin,
        "model": models[-1] if models else "",
        "models_used": models,
        "messages": listed,
        "metadata": {**metadata, **(kept if isinstance(kept, dict) else {})},
    }
    return {**made, **rest}


def told(message: dict[str, Any], own: bool, report: Report) -> Iterator[dict[str, Any]]:
    """The records of a message."""
    for n, record in enumerate(records(message, own, report)):
        yield _with_facts(record, message, first=n == 0, report=report)


def _id(revision: dict[str, Any]) -> str:
    return safe_name(str(revision.get("native_id") or revision["key"]))


def _with_facts(record: dict[str, Any], message: dict[str, Any], *, first: bool, report: Report) -> dict[str, Any]:
    """A record with the time, model and cost of its message, flattened into it as the program does."""
    if "timestamp" not in record and (time := message.get("time") or raw_time(message, "time")):
        record["timestamp"] = time
    if message.get("kind") == "switch":
        record["model_switch"] = True
    if not first:
        return record
    for name in ("model", "finish_reason"):
        if message.get(name):
            record[name] = message[name]
    usage = message.get("usage") or {}
    report.count("counts of cached and reasoning tokens left out", int(any(usage.get(name) for name in _UNHELD)))
    counted, written = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    if "tokens" not in record and (counted or written):
        whole = written if message["role"] == "assistant" else counted
        estimated = usage.get("estimated") and whole == counted + written
        record["tokens"] = whole if estimated else {"input": counted, "output": written, "total": counted + written}
        report.count(
            "estimated token counts look billed in this format", int(bool(usage.get("estimated") and not estimated))
        )
    if "cost" not in record and usage.get("cost_microusd"):
        record["cost"], record["cost_currency"] = usage["cost_microusd"] / 1_000_000, "USD"
    return record
