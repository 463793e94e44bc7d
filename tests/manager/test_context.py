"""Tokens, warnings, segments, summaries, cost."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore.manager import Session, SessionManager, capabilities, prices, summaries, tokens
from sessionstore.manager.figures import stats


def hundred(message: tokens.Message) -> int:
    """A counter: every message has 100 tokens."""
    return 100


@pytest.fixture
def session(manager: SessionManager) -> Session:
    made = manager.create("main", model="gpt-4o", system="Be brief.")
    for n in range(20):
        made.append([{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"answer {n}"}])
    return made


def said(messages: list[dict[str, Any]]) -> list[str]:
    """The first text of each message."""
    return [message["parts"][0].get("content", "") for message in messages]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 0, 0), ("a" * 400, 90, 110), ("鲸鱼有多重" * 10, 45, 60), ("고래는얼마나" * 10, 50, 70), ("é" * 100, 40, 60)],
)
def test_the_estimate_is_about_right(text: str, least: int, most: int) -> None:
    assert least <= tokens.of_text(text) <= most


def test_every_kind_of_part_is_counted() -> None:
    parts = [
        {"type": "text", "content": "x" * 40},
        {"type": "reasoning", "content": "x" * 40, "signature": "y" * 80},
        {"type": "tool_call", "id": "1", "name": "ls", "arguments": {"path": "x" * 40}},
        {"type": "tool_call_response", "id": "1", "response": [1, 2, {"a": "b"}]},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "object": "0" * 64},
        {"type": "weird", "stuff": "x" * 40},
    ]
    costs = [tokens.estimate({"role": "user", "parts": [part]}) for part in parts]
    assert all(cost > tokens.FRAME for cost in costs)
    assert costs[4] > 1000
    assert tokens.estimate({"role": "user", "parts": parts}) == sum(costs) - 5 * tokens.FRAME


def test_billed_figures_count_and_only_what_follows_is_estimated() -> None:
    ask = {"role": "user", "parts": []}
    answer = {"role": "assistant", "parts": [], "usage": {"input_tokens": 900, "output_tokens": 100}}
    assert tokens.of_context([ask, answer], hundred) == (1000, False)
    assert tokens.of_context([ask, answer, ask], hundred) == (1100, True)
    guessed = {**answer, "usage": {**answer["usage"], "estimated": True}}  # type: ignore[dict-item]
    assert tokens.of_context([ask, guessed], hundred) == (200, True)


def test_the_warning_comes_at_eighty_percent(manager: SessionManager) -> None:
    session = manager.create(model="gpt-4o")
    session.add_user("Hello")
    session.add_assistant("Hi", usage={"input_tokens": 119_000, "output_tokens": 999})
    assert session.context().warning() is None
    session.add_user("more")
    session.add_assistant("Hi", usage={"input_tokens": 119_900, "output_tokens": 100})
    assert session.context().warning() == "Token usage: 120000/150000 (80% threshold)"
    assert session.context().exceeded is False
    assert session.context(threshold=120_000).exceeded
    assert session.context(threshold=1000, warn_at=0.5).warning() == "Token usage: 120000/1000 (50% threshold)"


def test_a_conversation_goes_on_for_ever_in_segments(session: Session) -> None:
    context = session.context(threshold=1000, counter=hundred)
    assert [(one.end - one.start, one.tokens) for one in context.segments] == [(10, 1000)] * 4
    assert context.used() == (1100, True)
    assert session.count == 41
    assert len(session.history()) == 41


def test_new_messages_never_change_an_older_segment(session: Session) -> None:
    before = session.context(threshold=700, counter=hundred).segments
    for n in range(9):
        session.add_user(f"more {n}")
        after = session.context(threshold=700, counter=hundred).segments
        assert after[: len(before) - 1] == before[:-1]


def test_a_segment_never_tears_a_call_from_its_result(manager: SessionManager) -> None:
    session = manager.create(model="gpt-4o")
    session.add_user("go")
    for _ in range(30):
        session.add_tool_result(session.add_tool_call("ls"), "x")
    for threshold in range(100, 1500, 100):
        context = session.context(threshold=threshold, counter=hundred)
        assert all(context.path[one.start]["role"] != "tool" for one in context.segments)
        assert [one.start for one in context.segments[1:]] == [one.end for one in context.segments[:-1]]
        view = context.messages()
        calls = [p["id"] for m in view for p in m["parts"] if p["type"] == "tool_call"]
        assert calls == [p["id"] for m in view for p in m["parts"] if p["type"] == "tool_call_response"]


def test_the_view_has_the_instructions_a_summary_and_the_current_segment(session: Session) -> None:
    view = session.context(threshold=1000, counter=hundred).messages()
    assert view[0]["role"] == "system"
    assert view[1]["kind"] == "compaction"
    assert view[1]["parts"][0]["content"].startswith("Summary of the conversation so far:\n")
    assert "question 3" in view[1]["parts"][0]["content"]
    assert said(view[2:]) == [text for n in range(15, 20) for text in (f"question {n}", f"answer {n}")]


def test_without_a_summariser_only_the_current_segment_is_shown(session: Session) -> None:
    view = session.context(threshold=1000, counter=hundred, summariser=summaries.Nothing()).messages()
    assert [message["role"] for message in view[:2]] == ["system", "user"]
    assert len(view) == 11


def test_without_segments_what_does_not_fit_is_left_out_of_the_view(session: Session) -> None:
    view = session.context(infinite=False, budget=700, counter=hundred).messages()
    assert said(view) == [
        "Be brief.",
        "question 17",
        "answer 17",
        "question 18",
        "answer 18",
        "question 19",
        "answer 19",
    ]
    assert len(session.context(infinite=False, budget=1, counter=hundred).messages()) == 2
    assert session.count == 41


def test_a_models_summary_is_asked_for_once_and_kept(manager: SessionManager, session: Session) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return f"summary {len(asked)}"

    def context(of: Session) -> str:
        by_model = summaries.ByModel(ask)
        return of.context(threshold=1000, counter=hundred, summariser=by_model).messages()[1]["parts"][0]["content"]

    assert context(session).endswith("summary 3")
    assert "summary 2" in asked[2]
    assert context(SessionManager(manager.store).get("main")).endswith("summary 3")
    assert len(asked) == 3
    assert session.count == 41
    for n in range(5):
        session.append([{"role": "user", "content": f"more {n}"}, {"role": "assistant", "content": "yes"}])
    assert context(session).endswith("summary 4")
    assert len(asked) == 4


def test_a_model_that_summarises_is_told_what_tools_did(manager: SessionManager) -> None:
    session = manager.create(model="gpt-4o")
    session.add_user("Where is the whale?")
    session.add_tool_result(session.add_tool_call("grep", {"pattern": "whale"}), {"line": 7})
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return " done "

    assert summaries.ByModel(ask)(session.messages(), "Before.") == "done"
    for told in ("[summary of what came before] Before.", "[user] Where", "uses grep {", '"pattern"', "result: {"):
        assert told in asked[0]


def test_the_offline_summary_is_short_repeatable_and_names_the_tools(session: Session) -> None:
    session.add_tool_call("grep", {"pattern": "whale"})
    path = session.history()
    short = summaries.Extractive(60)
    assert short(path, "") == short(path, "")
    assert tokens.of_text(short(path, "")) <= 70
    assert "Tools used: grep (1×)" in short(path, "before all this.")


# -- models and prices -------------------------------------------------------------------------------------------------


def test_the_longest_beginning_of_a_name_decides() -> None:
    assert capabilities.capabilities_of("openai/gpt-4o-mini").provider == "openai"
    assert capabilities.capabilities_of("claude-sonnet-4-5").reasoning
    assert not capabilities.capabilities_of("o1-mini").system
    assert not capabilities.capabilities_of("nobody-knows").known
    assert not capabilities.capabilities_of(None).known
    capabilities.register("house-", capabilities.Capabilities("house", context=5000))
    capabilities.register("house-large-", capabilities.Capabilities("house", context=9000))
    assert capabilities.capabilities_of("house-small").context == 5000
    assert capabilities.capabilities_of("house-large-1").context == 9000


def test_costs_are_those_billed_else_the_list_price_else_unknown(manager: SessionManager) -> None:
    session = manager.create()
    session.add_assistant("a", model="gpt-4o", usage={"input_tokens": 1000, "output_tokens": 100, "cost_microusd": 7})
    session.add_assistant("b", model="gpt-4o", usage={"input_tokens": 1000, "output_tokens": 100})
    session.add_assistant("c", model="nobody-knows", usage={"input_tokens": 1})

    def price(model: str, usage: prices.Usage, provider: str | None) -> int | None:
        return 3 if model == "gpt-4o" else None

    found = stats(session, price)
    assert (found["cost_microusd"], found["cost_estimated"], found["cost_unknown"]) == (10, True, 1)
    assert found["by_model"]["gpt-4o"]["answers"] == 2
    assert found["total_tokens"] == 2201


def test_the_price_library_knows_usual_models_offline() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 500}
    assert prices.price("gpt-4o", usage) == 2875
    assert prices.price("gpt-4o", usage, "no such provider") == 2875
    assert prices.price("nobody-knows", usage) is None
    assert prices.context_window("gpt-4o") == 128_000


def test_without_the_library_costs_are_unknown_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_library", lambda: None)
    prices.context_window.cache_clear()
    assert prices.price("gpt-4o", {"input_tokens": 1}) is None
    assert prices.context_window("gpt-4o") is None
    prices.context_window.cache_clear()


def test_the_figures_of_a_session(manager: SessionManager, session: Session) -> None:
    call = session.add_tool_call("ls")
    session.add_tool_result(call, "no", is_error=True)
    session.add_tool_call("ls")
    session.switch_model("gemini-2.5-pro", consent=True)
    found = manager.get_stats("main")
    assert found["tools"] == {"ls": {"calls": 2, "results": 1, "errors": 1}}
    assert (found["messages"], found["user_messages"], found["ai_messages"], found["tool_calls"]) == (45, 20, 22, 2)
    assert (found["segments"], found["switches"], found["context"]["estimated"]) == (1, 1, True)


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_a_long_session_is_counted_once_and_read_where_it_is_needed(manager: SessionManager) -> None:
    session = manager.create("long", model="m")
    session.append([{"role": "user", "content": f"{n} {'x' * 500}"} for n in range(1000)])
    seen: list[int] = []

    def counter(message: tokens.Message) -> int:
        seen.append(1)
        return 10

    for n in range(5):
        context = session.context(threshold=1000, counter=counter, summariser=summaries.Nothing())
        assert sum(segment.tokens for segment in context.segments) == 10 * (1000 + n)
        assert 1 <= len(context.messages()) <= 100
        session.add_user("more")
    assert len(seen) < 1000 + 5 * 70


def test_the_same_comes_out_whether_a_session_is_straight_or_not(manager: SessionManager, session: Session) -> None:
    plain = session.context(threshold=700, counter=hundred)
    session.append({"role": "system", "kind": "meta", "parts": []})
    other = SessionManager(manager.store).get("main").context(threshold=700, counter=hundred)
    assert not session.messages().straight
    assert other.segments == plain.segments
    assert other.messages() == plain.messages()
    assert other.used() == plain.used()


def test_after_an_edit_a_summary_is_made_anew(session: Session) -> None:
    told = session.context(threshold=1000, counter=hundred).summary()
    assert "question 3" in told
    session.edit(7, "something else entirely")
    again = session.context(threshold=1000, counter=hundred).summary()
    assert "question 3" not in again
    assert "something else entirely" in again


def test_an_empty_session_has_a_context(manager: SessionManager) -> None:
    context = manager.create().context()
    assert (context.messages(), context.used(), context.warning()) == ([], (0, False), None)
    assert manager.create(system="S").context().messages()[0]["role"] == "system"
