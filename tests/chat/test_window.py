"""Conversations that are longer than a model's context go on: what no longer fits is told as a summary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.chat import AsyncChat, Chat, Window, chat
from sessionstore.manager import SessionManager, summaries
from tests.adapters.mocked import MODELS, Mocked

each = pytest.mark.parametrize("model", MODELS.values())
Reopened = Callable[[str], list[dict[str, Any]]]
TURNS = 20


def hundred(_: Any) -> int:
    return 100


@contextmanager
def talking(sessions: SessionManager, mocked: Mocked, **options: Any) -> Iterator[Chat]:
    settings = {name: mocked.settings(name) for name in MODELS}
    with Chat(sessions, settings, window=Window(**{"counter": hundred, **options})) as made:
        yield made


@pytest.fixture
def long(sessions: SessionManager) -> str:
    """A session of 40 messages after its instructions, each of 100 tokens as `hundred` counts."""
    session = sessions.create("long", model="gpt-5", system="Be brief.")
    for n in range(TURNS):
        session.append(
            [
                {"role": "user", "content": f"What is number {n:02}?"},
                {"role": "assistant", "content": f"It is {n:02}.", "model": "gpt-5", "provider": "openai"},
            ]
        )
    return session.key


@each
def test_a_long_conversation_goes_on_with_a_summary_of_what_was(
    model: str, sessions: SessionManager, mocked: Mocked, long: str, reopened: Reopened
) -> None:
    with talking(sessions, mocked, threshold=1_000) as talk:
        answer = talk.ask("And the next?", model, long, consent=True)
    told = str(mocked.asked()[-1]["body"])
    assert "Be brief." in told and "Summary of the conversation so far:" in told and "And the next?" in told
    assert "user: What is number 1" in told and "assistant: It is 1" in told
    assert any(note.startswith("older messages told as a summary (") for note in answer.notes)
    kept = reopened(long)
    assert [one["role"] for one in kept[:3]] == ["system", "user", "assistant"]
    assert sum(one["role"] == "user" for one in kept) == TURNS + 1


def test_only_the_current_segment_is_told_word_by_word(sessions: SessionManager, mocked: Mocked, long: str) -> None:
    with talking(sessions, mocked, threshold=1_000, summariser=summaries.Nothing()) as talk:
        answer = talk.ask("And the next?", session_id=long)
    messages = mocked.asked()[-1]["body"]["messages"]
    assert [one["content"] for one in messages][-1] == "And the next?"
    assert len(messages) == 2  # forty messages fill four segments; the fifth begins with this question
    assert answer.notes[0] == "older messages left out (40)"
    with talking(sessions, mocked, threshold=1_000, infinite=False) as talk:
        talk.ask("Once more?", session_id=long)
    assert len(mocked.asked()[-1]["body"]["messages"]) == 2 * TURNS + 4


def test_the_function_and_the_asynchronous_core_tell_it_the_same_way(
    sessions: SessionManager, mocked: Mocked, long: str
) -> None:
    settings = {"openai": mocked.settings("openai")}
    window = Window(threshold=1_000, counter=hundred)
    chat("And the next?", session_id=long, sessions=sessions, settings=settings, window=window)

    async def ask() -> None:
        async with AsyncChat(sessions, settings, window=window) as talk:
            await talk.ask("And then?", session_id=long)

    asyncio.run(ask())
    bodies = [str(one["body"]) for one in mocked.asked()]
    assert len(bodies) == 2 and all("Summary of the conversation so far:" in body for body in bodies)


def test_from_eighty_percent_on_there_is_a_warning(sessions: SessionManager, mocked: Mocked) -> None:
    session = sessions.create("s", model="gpt-5")
    session.add_user("Hello")
    session.add_assistant("Hi", model="gpt-5", usage={"input_tokens": 119_000, "output_tokens": 900})
    with talking(sessions, mocked) as talk:
        assert talk.ask("More?", session_id="s").notes == ["Token usage: 120000/150000 (80% threshold)"]
        assert talk.ask("Hello", "gpt-5").notes == []


def test_a_small_model_is_told_what_it_can_take(sessions: SessionManager, mocked: Mocked) -> None:
    session = sessions.create("s", model="gpt-4")
    for n in range(30):
        session.append([{"role": "user", "content": f"{n} " + "long " * 400}, {"role": "assistant", "content": "Yes."}])
    with Chat(sessions, {"openai": mocked.settings("openai")}) as talk:
        talk.ask("And now?", session_id="s")
        told = sum(len(str(one["content"])) for one in mocked.asked()[-1]["body"]["messages"])
        assert told < 6_000 * 4
    with Chat(sessions, {"openai": mocked.settings("openai")}, window=None) as whole:
        assert whole.ask("And now?", session_id="s").notes == []
        assert sum(len(str(one["content"])) for one in mocked.asked()[-1]["body"]["messages"]) > 30 * 400 * 5


def test_a_model_may_make_the_summaries_and_is_asked_once(
    sessions: SessionManager, mocked: Mocked, long: str, reopened: Reopened
) -> None:
    mocked.break_({"type": "reply", "text": "They counted."}, {"type": "reply", "text": "They counted on."})
    with talking(sessions, mocked, threshold=2_000, summariser="claude-opus-4-6") as talk:
        talk.ask("And the next?", session_id=long)
        asked = [one["path"] for one in mocked.asked()]
        assert [path.rpartition("/")[2] for path in asked] == ["messages", "messages", "completions"]
        assert "They counted on." in str(mocked.asked()[-1]["body"])
        assert "They counted." in str(mocked.asked()[1]["body"])
        talk.ask("And then?", session_id=long)
    assert len(mocked.asked()) == len(asked) + 1
    assert [one["role"] for one in reopened(long)].count("user") == TURNS + 2


def test_without_the_summarising_model_the_conversation_goes_on_all_the_same(
    sessions: SessionManager, mocked: Mocked, long: str
) -> None:
    mocked.break_({"type": "fail", "status": 400})
    with talking(sessions, mocked, threshold=2_000, summariser="claude-opus-4-6") as talk:
        answer = talk.ask("And the next?", session_id=long)
    assert answer.text
    assert answer.notes[0].startswith("the model that summarises could not be asked (Anthropic refused the request")
    assert "Summary of the conversation so far:" in str(mocked.asked()[-1]["body"])


def test_answers_that_were_cut_off_do_not_disturb_the_count(
    sessions: SessionManager, mocked: Mocked, long: str
) -> None:
    with talking(sessions, mocked, threshold=1_000) as talk:
        mocked.break_({"type": "stream_fault", "kind": "disconnect", "after_chunks": 5})
        with pytest.raises((errors.AnswerCut, errors.AnswerInvalid)):
            list(talk.stream("What is number 20?", session_id=long))
        talk.resume(long)
        for n in range(21, 25):
            talk.ask(f"What is number {n}?", session_id=long)
    contents = [str(one["content"]) for one in mocked.asked()[-1]["body"]["messages"]]
    assert contents[0] == "Be brief." and contents[1].startswith("Summary of the conversation so far:")
    assert [one for one in contents[2:] if one.startswith("What")] == [f"What is number {n}?" for n in range(20, 25)]
    assert len(contents) == 2 + 9
