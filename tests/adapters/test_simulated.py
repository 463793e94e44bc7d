"""The simulation: always the same, and failing when told to, through the same paths as real providers."""

from __future__ import annotations

import pytest

from sessionstore import adapters, errors
from sessionstore.adapters.base import Adapter, Ask, Settings

TOOLS = [
    {
        "name": "look",
        "parameters": {
            "properties": {"n": {"type": "integer"}, "how": {"enum": ["up", "down"]}, "what": {"type": "string"}}
        },
    }
]


def asked(model: str, text: str = "Hello there", **more: object) -> tuple[Adapter, Ask]:
    kind, name = adapters.find(model)
    said = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": text}]}]
    return kind(Settings(sleep=lambda _: None)), Ask(name, said, **more)  # type: ignore[arg-type]


def test_the_same_words_get_the_same_answer_and_the_figures_are_marked() -> None:
    answers = []
    for _ in range(2):
        adapter, ask = asked("simulated")
        answers.append(adapter.answer(ask))
    assert answers[0] == answers[1] and "Hello there" in answers[0]["parts"][0]["content"]
    assert answers[0]["provider"] == "simulated" and answers[0]["usage"]["estimated"] is True


def test_a_stream_is_what_the_whole_answer_is() -> None:
    adapter, ask = asked("simulated/long:30")
    stream = adapter.stream(ask)
    text = "".join(piece.text for piece in stream)
    assert len(text.split()) == 30 and stream.message()["parts"] == [{"type": "text", "content": text}]
    whole = asked("simulated/long:30")
    assert whole[0].answer(whole[1])["parts"] == stream.message()["parts"]


def test_a_tool_is_called_with_what_its_schema_allows() -> None:
    adapter, ask = asked("simulated/tool", session={"tools": TOOLS})
    [call] = adapter.answer(ask)["parts"]
    arguments = call["arguments"]
    assert call["name"] == "look" and arguments in ({"n": 1, "how": "up", "what": "simulated"}, str(arguments))


def test_failures_are_those_of_real_providers_and_tried_again_like_them() -> None:
    adapter, ask = asked("simulated/429,503,echo")
    assert adapter.answer(ask)["parts"][0]["content"] == "Hello there"
    for model, kind in (
        ("simulated/401", errors.ProviderDenied),
        ("simulated/400", errors.ProviderRefused),
        ("simulated/500,500,500", errors.ProviderDown),
        ("simulated/malformed", errors.AnswerInvalid),
        ("simulated/429,429,429", errors.RateLimited),
        ("simulated/cut,cut,cut", errors.ProviderUnreachable),
    ):
        adapter, ask = asked(model)
        with pytest.raises(kind):
            adapter.answer(ask)


def test_a_stream_that_is_cut_leaves_its_first_half() -> None:
    adapter, ask = asked("simulated/cut", "a b")
    stream = adapter.stream(ask)
    with pytest.raises(errors.AnswerCut):
        list(stream)
    partial = stream.partial()
    assert partial is not None and partial["finish_reason"] == "unfinished" and partial["parts"][0]["content"]


@pytest.mark.parametrize("model", ["simulated/nonsense", "simulated/200", "simulated/slow:fast", "simulated/echo:3"])
def test_steps_that_there_are_not_are_refused(model: str) -> None:
    adapter, ask = asked(model)
    with pytest.raises(errors.UsageError, match="the simulation knows no"):
        adapter.answer(ask)
