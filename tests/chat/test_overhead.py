"""Keeping a conversation costs little beside the provider's library alone: at most 10 ms a turn, with generous room for
a busy machine (`scripts/bench-sessions` measures it exactly)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from sessionstore.chat import Chat, Settings
from sessionstore.manager import SessionManager
from tests.adapters.server import Server, document

LIMIT, ROOM, TURNS = 0.010, 4, 12
pytestmark = pytest.mark.clock
TEXT = "The quick brown fox jumps over the lazy dog. " * 9
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}


def best(work: Callable[[], Any]) -> float:
    """The shortest of some calls in seconds: others use the machine too."""
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.mark.parametrize("count", [2, 1_000])
def test_a_turn_costs_little_beside_the_library_alone(sessions: SessionManager, server: Server, count: int) -> None:
    from openai import OpenAI

    said: Any = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"{n} {TEXT}"} for n in range(count)]
    sessions.create("talk", model="gpt-5").append(said)
    server.replies = [document(ANSWER) for _ in range(2 * TURNS)]
    client = OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0)
    alone = best(lambda: client.chat.completions.create(model="gpt-5", messages=said))
    with Chat(sessions, {"openai": Settings("k", f"{server.url}/v1")}) as talk:
        kept = best(lambda: talk.ask("Really?", session_id="talk"))
    client.close()
    assert sessions.get("talk").count == count + 2 * TURNS
    assert kept - alone < LIMIT * ROOM
