"""What a session came to: messages, tokens, cost, tools, segments, and the same of each model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sessionstore.compose import USAGE
from sessionstore.manager.prices import Price, price
from sessionstore.manager.switching import switches

if TYPE_CHECKING:
    from sessionstore.manager.session import Session

Message = dict[str, Any]


def stats(session: Session, price_of: Price = price) -> dict[str, Any]:
    """The figures of a session. Costs are in millionths of a US dollar: `cost_microusd` is what was billed, and where
    a call states no cost, its list price; `cost_estimated` says that such a price is in it, `cost_unknown` how many
    calls have neither. `context` is what the current segment has."""
    revision = session.revision
    totals: Counter[str] = Counter()
    models: dict[str, Counter[str]] = {}
    tools: dict[str, dict[str, int]] = {}
    calls: dict[str, str] = {}
    listed = unknown = 0
    model = ""
    for message in session.messages():
        model = message.get("model") or model
        _take_tools(message, tools, calls)
        usage = message.get("usage") or {}
        if not usage:
            continue
        figures = Counter({name: usage[name] for name in USAGE if usage.get(name)})
        if "cost_microusd" not in usage:
            cost = price_of(model, usage, message.get("provider")) if model else None
            listed += cost is not None
            unknown += cost is None
            figures["cost_microusd"] += cost or 0
        totals += figures
        mine = models.setdefault(model, Counter())
        mine += figures
        mine["answers"] += 1
    roles = revision["counts"].get("by_role") or {}
    context = session.context()
    used = context.used()
    return {
        "key": session.key,
        "messages": revision["counts"]["messages"],
        "user_messages": roles.get("user", 0),
        "ai_messages": roles.get("assistant", 0),
        "by_role": dict(roles),
        **{name: totals[name] for name in USAGE},
        "total_tokens": totals["input_tokens"] + totals["output_tokens"],
        "estimated": bool((revision.get("usage") or {}).get("estimated")),
        "cost_estimated": listed > 0,
        "cost_unknown": unknown,
        "tools": tools,
        "tool_calls": sum(tool["calls"] for tool in tools.values()),
        "by_model": {name: dict(figures) for name, figures in models.items()},
        "segments": len(context.segments),
        "context": {"tokens": used.tokens, "estimated": used.estimated, "warning": context.warning()},
        "switches": len(switches(session)),
        "created_at": revision.get("created_at"),
        "updated_at": revision.get("updated_at"),
    }


def _take_tools(message: Message, tools: dict[str, dict[str, int]], calls: dict[str, str]) -> None:
    for part in message["parts"]:
        if part.get("type") == "tool_call":
            calls[part["id"]] = part["name"]
            tools.setdefault(part["name"], {"calls": 0, "results": 0, "errors": 0})["calls"] += 1
        elif part.get("type") == "tool_call_response" and part["id"] in calls:
            tool = tools[calls[part["id"]]]
            tool["results"] += 1
            tool["errors"] += part.get("is_error") is True
