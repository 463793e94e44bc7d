"""What the models have cost since the program was started."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sessionstore.manager.prices import price


def _nothing() -> dict[str, Any]:
    return {"requests": 0, "total_cost": 0.0, "tokens": {"input": 0, "output": 0}}


cost_tracker: defaultdict[str, dict[str, Any]] = defaultdict(_nothing)
"""By model: requests, US dollars, tokens."""
_lock = threading.Lock()


def cost_of(messages: Iterable[Mapping[str, Any]], model: str) -> float | None:
    """What the answers among some messages have cost, in US dollars; None when that is not known."""
    total = 0
    for message in messages:
        usage = message.get("usage") or {}
        if message["role"] != "assistant":
            continue
        if not usage:
            return None
        name = str(message.get("model") or model).rpartition("/")[2]
        cost = usage.get("cost_microusd")
        if cost is None:
            cost = price(name, usage, message.get("provider"))
        if cost is None:
            return None
        total += cost
    return total / 1_000_000


def track(messages: Iterable[Mapping[str, Any]], model: str) -> str:
    """Count the answers among some messages; gives the line that says what they have cost, none when that is not
    known."""
    answers = [message for message in messages if message["role"] == "assistant"]
    cost = cost_of(answers, model)
    with _lock:
        known = cost_tracker[model]
        known["requests"] += 1
        known["total_cost"] += cost or 0.0
        for message in answers:
            usage = message.get("usage") or {}
            known["tokens"]["input"] += usage.get("input_tokens", 0)
            known["tokens"]["output"] += usage.get("output_tokens", 0)
        total = known["total_cost"]
    return "" if cost is None else f"\n\n---\n💰 Cost: ${cost:.6f} | Total: ${total:.4f}"


def report() -> str:
    """What all models have cost, for people."""
    with _lock:
        used = {model: dict(known) for model, known in sorted(cost_tracker.items()) if known["requests"]}
    if not used:
        return "No LLM usage tracked yet."
    lines = ["## LLM Usage Cost Report\n"]
    for model, known in used.items():
        lines += [
            f"### {model}",
            f"- Requests: {known['requests']}",
            f"- Total Cost: ${known['total_cost']:.4f}",
            f"- Input Tokens: {known['tokens']['input']:,}",
            f"- Output Tokens: {known['tokens']['output']:,}",
            f"- Avg Cost/Request: ${known['total_cost'] / known['requests']:.6f}\n",
        ]
    requests = sum(known["requests"] for known in used.values())
    cost = sum(known["total_cost"] for known in used.values())
    return "\n".join([*lines, "### Total", f"- All Requests: {requests}", f"- **Total Cost: ${cost:.4f}**\n"])
