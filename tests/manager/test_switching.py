"""Going on with another model, and what each model is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sessionstore import canonical, errors
from sessionstore.manager import Session, SessionManager
from sessionstore.manager.capabilities import Capabilities, capabilities_of
from sessionstore.manager.switching import switches
from sessionstore.manager.view import fitted

MODELS = ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "kimi-k2-0711-preview", "mistral-large", "o1-mini")


@pytest.fixture
def session(manager: SessionManager) -> Session:
    """A session with everything that models differ about."""
    made = manager.create("main", model="claude-sonnet-4-5", system="Be brief.", metadata={"parameters": {"top_k": 5}})
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "aGVsbG8="}
    made.add_user(["What is this?", image])
    thought = {"type": "reasoning", "content": "Let me see.", "signature": "signed"}
    call = {"type": "tool_call", "id": "toolu_1", "name": "look", "arguments": {}}
    made.append({"role": "assistant", "parts": [thought, call], "model": "claude-sonnet-4-5"})
    made.add_tool_result("toolu_1", "a whale")
    made.add_assistant("A whale.")
    return made


def ids(messages: list[dict[str, Any]], kind: str) -> list[str]:
    """The ids of calls or of results, in order."""
    return [part["id"] for message in messages for part in message["parts"] if part["type"] == kind]


def test_without_consent_nothing_happens(session: Session) -> None:
    before = session.revision["_name"]
    for consent in (False, lambda warnings: False, None, 1):
        with pytest.raises(
            errors.NoConsent,
            match=r"native:main goes on with kimi-k2 only with consent \(--yes; .*\); kimi-k2 cannot see",
        ):
            session.switch_model("kimi-k2", consent=consent)  # type: ignore[arg-type]
    assert session.revision["_name"] == before


def test_whoever_is_asked_is_told_what_is_lost(session: Session) -> None:
    told: list[str] = []

    def ask(warnings: list[str]) -> bool:
        told.extend(warnings)
        return True

    done = session.switch_model("o1-mini", "it is cheap", consent=ask)
    assert done.warnings == told
    text = "\n".join(told)
    for what in (
        "cannot see images: 1",
        "cannot use tools: 1",
        "no system role",
        "parameters top_k",
        "1 signed pieces",
    ):
        assert what in text
    assert session.model == "o1-mini"


def test_the_switch_is_recorded_and_the_model_is_told(session: Session) -> None:
    done = session.switch_model("gpt-4o", "vision", consent=True)
    message = session.messages()[-1]
    assert (message["id"], message["kind"], message["role"]) == (done.message, "switch", "system")
    assert message["parts"][0]["content"] == "The model was switched from claude-sonnet-4-5 to gpt-4o. Reason: vision"
    facts = message["x"]["switch"]
    assert (facts["from"], facts["to"], facts["reason"], facts["consent"]) == (
        "claude-sonnet-4-5",
        "gpt-4o",
        "vision",
        "given",
    )
    assert session.provider == "openai"
    assert session.history("gpt-4o")[-1]["kind"] == "switch"
    assert session.history("claude-sonnet-4-5")[-1]["role"] == "user"


def test_switching_to_the_model_it_has_does_nothing(session: Session) -> None:
    assert session.switch_model("claude-sonnet-4-5").message is None
    session.switch_model("gpt-4o", consent=True)
    count = session.count
    assert session.switch_model("gpt-4o", consent=True).message is None
    assert session.count == count


def test_going_back_and_forth_loses_nothing(manager: SessionManager, session: Session) -> None:
    before = list(session.messages())
    views = {model: fitted(before, model) for model in MODELS}
    for n in range(30):
        session.switch_model(MODELS[n % len(MODELS)], consent=True)
    assert [m for m in session.messages() if m.get("kind") != "switch"] == before
    assert [one["to"] for one in switches(session)][-2:] == ["mistral-large", "o1-mini"]
    assert len(switches(session)) == 30
    for model, view in views.items():
        assert fitted([m for m in session.history() if m.get("kind") != "switch"], model) == view


def test_a_call_without_a_result_is_closed_in_the_view_only(session: Session) -> None:
    session.add_tool_call("slow", call_id="c9")
    session.add_user("Never mind.")
    done = session.switch_model("gpt-4o", consent=True)
    view = session.history("gpt-4o")
    assert ids(view, "tool_call") == ids(view, "tool_call_response") == ["toolu_1", "c9"]
    closing = next(m for m in view if m["role"] == "tool" and m["parts"][0]["id"] == "c9")
    assert closing["parts"][0]["is_error"]
    assert "c9" not in ids(list(session.messages()), "tool_call_response")
    assert done.warnings is not None


@pytest.mark.parametrize("model", MODELS)
def test_every_call_has_one_id_that_the_provider_accepts_and_its_result_at_once(model: str) -> None:
    def call(*names: str) -> dict[str, Any]:
        parts = [{"type": "tool_call", "id": name, "name": "f", "arguments": {}} for name in names]
        return {"id": "a", "role": "assistant", "parts": parts}

    def result(name: str, text: str) -> dict[str, Any]:
        return {"id": "t", "role": "tool", "parts": [{"type": "tool_call_response", "id": name, "response": text}]}

    long, odd = "x" * 200, "functions.f:0 !"
    user = {"id": "u", "role": "user", "parts": [{"type": "text", "content": "Hello"}]}
    messages = [user, call(long, odd), user, result(odd, "late"), result(long, "r"), call("same"), result("same", "1")]
    messages += [call("same"), result("same", "2"), result("nobody", "orphan"), call("")]
    view = fitted(messages, model)
    able = capabilities_of(model)
    if not able.tools:
        assert ids(view, "tool_call") == []
        return
    calls = ids(view, "tool_call")
    assert len(set(calls)) == len(calls) == 5
    assert all(len(one) <= able.id_length for one in calls)
    assert not able.id_forbidden or all(not re.search(able.id_forbidden, one) for one in calls)
    for number, message in enumerate(view):
        wanted = ids([message], "tool_call")
        assert ids(view[number + 1 : number + 1 + len(wanted)], "tool_call_response") == wanted
    answers = [p["response"] for m in view for p in m["parts"] if p["type"] == "tool_call_response"]
    assert answers[:4] == ["r", "late", "1", "2"]
    assert any("orphan" in str(m["parts"]) for m in view if m["role"] == "user")
    assert fitted(messages, model) == view


def test_a_model_is_not_shown_what_it_cannot_read(session: Session) -> None:
    kinds = {
        model: {part["type"] for message in session.history(model) for part in message["parts"]} for model in MODELS
    }
    assert "reasoning" in kinds["claude-sonnet-4-5"]
    assert "reasoning" not in kinds["gpt-4o"] | kinds["gemini-2.5-pro"]
    assert "blob" in kinds["gpt-4o"]
    assert "blob" not in kinds["kimi-k2-0711-preview"]
    assert kinds["o1-mini"] == {"text"}
    assert "system" not in {message["role"] for message in session.history("o1-mini")}


def test_fitting_does_not_change_what_it_is_given(session: Session) -> None:
    messages = session.history()
    before = canonical.dumps(messages)
    for model in MODELS:
        fitted(messages, model)
    assert canonical.dumps(messages) == before


def test_a_model_that_takes_less_is_warned_of(manager: SessionManager) -> None:
    session = manager.create(model="gemini-2.5-pro")
    session.add_user("Hello")
    session.add_assistant("Hi", usage={"input_tokens": 500_000, "output_tokens": 10})
    with pytest.raises(errors.NoConsent, match="about 500010 tokens and gpt-4o takes 128000"):
        session.switch_model("gpt-4o")
    with pytest.raises(errors.NoConsent, match="nothing is known about my-model"):
        session.switch_model("my-model")


def test_fitting_goes_by_the_capabilities_that_are_given() -> None:
    message = {"id": "m", "role": "system", "parts": [{"type": "text", "content": "x"}]}
    assert fitted([message], "m", Capabilities(system=False))[0]["role"] == "user"
    assert fitted([message], "m", Capabilities())[0]["role"] == "system"
