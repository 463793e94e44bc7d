"""The tools that talk with other models. They cost money and send what is said to a provider, so they exist only when
the server was started for that."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from sessionstore import errors, wrappers
from sessionstore.chat import thread
from sessionstore.manager.prices import price
from sessionstore.mcp_server.desk import Desk
from sessionstore.mcp_server.models import ChatAnswer, Spent, WantedCall
from sessionstore.mcp_server.talking import Heard, Talks

ANSWER, STATE = 60_000, 200_000
"""Characters of an answer, and of a whole conversation, that are given back at most."""
LONGEST = 1_000_000

SPENDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)

Prompt = Annotated[str, Field(max_length=LONGEST, description="What to say; without it, what waits is answered")]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST, description="What to say")]
SessionId = Annotated[
    str | None,
    Field(min_length=1, max_length=1000, description="Go on with this session, or make it; else a new one"),
]
Model = Annotated[str, Field(min_length=1, max_length=200, description="Who answers")]
Tokens = Annotated[int, Field(ge=1, le=200_000, description="The longest answer, in tokens")]
Temperature = Annotated[float, Field(ge=0, le=2, description="How freely to answer")]


class Said(BaseModel):
    """A message of a conversation that no session holds."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=LONGEST)]


def register(server: MCPServer, desk: Desk) -> None:
    """Add the tools that talk, with the providers that the desk can reach."""
    reach = desk.reach
    if reach is None:
        raise errors.UsageError(reason="to talk with models, say how to reach them")
    talks = Talks(desk, reach)
    for tool, title in (
        (_chat(talks), "Talk with a model"),
        (_kimi(talks), "Talk with Kimi"),
        (_gpt(talks), "Ask a quick question"),
        (_gemini(talks), "Let Gemini analyse a text"),
    ):
        server.add_tool(tool, title=title, description=inspect.getdoc(tool), annotations=SPENDS)


def _chat(talks: Talks) -> Callable[..., Any]:
    async def chat(
        ctx: Context,
        prompt: Prompt = "",
        model: Annotated[
            str | None,
            Field(max_length=200, description="gpt-5, claude-opus-4-6, gemini-2.5-pro, kimi-k2, PROVIDER/NAME"),
        ] = None,
        session: Annotated[
            str | None,
            Field(
                min_length=1,
                max_length=1000,
                description="Go on with this session (key, id, old id, @last), or make it; else a new one",
            ),
        ] = None,
        system: Annotated[str, Field(max_length=LONGEST, description="Instructions for the model")] = "",
        max_tokens: Annotated[
            int | None, Field(ge=1, le=200_000, description="The longest answer, in tokens; else the provider's own")
        ] = None,
        temperature: Annotated[float | None, Field(ge=0, le=2, description="How freely to answer")] = None,
        reasoning: Annotated[
            Literal["low", "medium", "high"] | None, Field(description="How much to think, where the model can")
        ] = None,
        consent: Annotated[
            bool, Field(description="Whether another model than the session's own may go on with it; ask the user")
        ] = False,
    ) -> ChatAnswer:
        """Say something to a model of any provider and get its answer; both are kept in a session of the archive.

        Go on with session=key from the answer, or of any archived session: the model is then sent the conversation so
        far. Name a model for a new session. What is said is kept before the model is asked: if the call fails or is
        cancelled, call again with that session and no prompt. It costs the user money, and sends the conversation to
        the model's provider. The answer is another model's word: check it before you rely on it.
        """
        if not prompt and session is None:
            raise ToolError("there is nothing to ask; give a prompt, or a session whose last turn has no answer")
        options = {"max_tokens": max_tokens, "temperature": temperature, "reasoning": reasoning, "system": system}
        given: dict[str, Any] = {name: value for name, value in options.items() if value not in (None, "")}

        def deed(heard: Heard) -> str:
            _check_name(heard, session, prompt)
            said = prompt or ()
            return heard.ask(said, model, session, consent=consent, tool_choice="none", **given).text

        text, heard = await talks.turn(deed, ctx)
        return _answer(text, heard)

    return chat


def _check_name(heard: Heard, name: str | None, prompt: str) -> None:
    """Raises `UsageError` for what the other tools take for the beginning of a session's name, and for the key of a
    session that is not there: it would be easy to begin a new conversation where an old one is meant."""
    if name is None or thread.find(heard.sessions, name) is not None:
        return
    with suppress(errors.NotFound):
        key = heard.sessions.get(name).key
        raise errors.UsageError(reason=f"do you mean {key}? give its whole key, or a new name that none begins with")
    if ":" in name.removeprefix("native:"):
        raise errors.NotFound(name=name)
    if not prompt:
        raise errors.UsageError(reason=f"there is nothing to ask: no session is called {name!r}; give a prompt")


def _kimi(talks: Talks) -> Callable[..., Any]:
    async def kimi_chat(
        ctx: Context,
        prompt: Annotated[str, Field(max_length=LONGEST, description="What to say")] = "",
        messages: Annotated[
            list[Said],
            Field(max_length=1000, description="A whole conversation; not looked at with session_id"),
        ] = [],  # noqa: B006
        system: Annotated[
            str, Field(max_length=LONGEST, description="Instructions; not looked at when the session is there")
        ] = "",
        partial_response: Annotated[str, Field(max_length=LONGEST, description="How the answer shall begin")] = "",
        model: Model = wrappers.KIMI,
        temperature: Temperature = 0.6,
        max_tokens: Tokens = 4096,
        available_tools: Annotated[
            list[dict[str, Any]], Field(max_length=128, description="Tools the model may ask for, in OpenAI's shape")
        ] = [],  # noqa: B006
        dynamic_tools: Annotated[
            list[dict[str, Any]], Field(max_length=128, description="Further tools, in the same shape")
        ] = [],  # noqa: B006
        session_id: Annotated[
            str | None,
            Field(
                min_length=1,
                max_length=1000,
                description="A session's id, a name for a new one, @last, @list, @clear:ID or @clear:@all",
            ),
        ] = None,
        return_conversation: Annotated[bool, Field(description="Whether to give the whole conversation too")] = False,
    ) -> Annotated[CallToolResult, ChatAnswer]:
        """Talk with Kimi (Moonshot AI), with conversations that go on.

        session_id=@last goes on with the session of Kimi's that was talked in last, @list lists them, @clear:ID lets
        the next word in ID begin anew (nothing is deleted). Tools are not run: what the model asks for is told. It
        costs the user money, and sends the conversation to the provider.
        """

        def deed(heard: Heard) -> str:
            return wrappers.kimi_chat(
                prompt or None,
                [one.model_dump() for one in messages],
                system or None,
                partial_response or None,
                chat=heard,
                model=model,
                temperature=temperature,
                max_tokens=max_tokens,
                available_tools=[*available_tools, *dynamic_tools] or None,
                session_id=session_id,
            )

        return _plain(*await talks.turn(deed, ctx), return_conversation)

    return kimi_chat


def _gpt(talks: Talks) -> Callable[..., Any]:
    async def quick_gpt(
        ctx: Context,
        prompt: Text,
        model: Model = wrappers.QUICK,
        temperature: Temperature = 0.3,
        max_tokens: Tokens = 500,
        session_id: SessionId = None,
    ) -> Annotated[CallToolResult, ChatAnswer]:
        """Ask a small, fast model a short question and get a short answer; both are kept in a session. It costs the
        user a little money."""

        def deed(heard: Heard) -> str:
            options: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens, "session_id": session_id}
            return wrappers.quick_gpt(prompt, chat=heard, model=model, **options)

        return _plain(*await talks.turn(deed, ctx))

    return quick_gpt


def _gemini(talks: Talks) -> Callable[..., Any]:
    async def analyze_with_gemini(
        ctx: Context,
        text: Text,
        instruction: Annotated[str, Field(max_length=LONGEST, description="What to do with it")] = "Analyze",
        model: Model = wrappers.GEMINI,
        max_tokens: Tokens = 8192,
        session_id: SessionId = None,
    ) -> Annotated[CallToolResult, ChatAnswer]:
        """Let Gemini analyse a long text, such as a file or a log; both are kept in a session. It costs the user
        money, and sends the text to Google."""

        def deed(heard: Heard) -> str:
            options: dict[str, Any] = {"max_tokens": max_tokens, "session_id": session_id}
            return wrappers.analyze_with_gemini(text, chat=heard, instruction=instruction, model=model, **options)

        return _plain(*await talks.turn(deed, ctx))

    return analyze_with_gemini


def _answer(text: str, heard: Heard) -> ChatAnswer:
    """An answer, typed. `text` is what is told, which may be a report without any answer."""
    facts: dict[str, Any] = {"text": text[:ANSWER], "characters": len(text), "cut": len(text) > ANSWER}
    if (answer := heard.answer) is None:
        return ChatAnswer(**facts)
    message = answer.message
    calls = [WantedCall(id=str(one["id"]), name=one["name"], arguments=one["arguments"]) for one in answer.tool_calls]
    return ChatAnswer(
        **facts,
        session=answer.session.key,
        message=message["id"],
        model=message.get("model"),
        provider=message.get("provider"),
        finish=answer.finish,
        usage=_spent(message),
        tool_calls=calls,
        notes=answer.notes,
    )


def _spent(message: dict[str, Any]) -> Spent | None:
    """What an answer has cost: as billed, else by list price where that is known."""
    usage = message.get("usage")
    if not usage:
        return None
    spent = {name: usage[name] for name in Spent.model_fields if name in usage}
    if "cost_microusd" not in spent and message.get("model"):
        cost = price(message["model"], usage, message.get("provider"))
        spent |= {} if cost is None else {"cost_microusd": cost, "estimated": True}
    return Spent(**spent)


def _plain(text: str, heard: Heard, with_conversation: bool = False) -> CallToolResult:
    """An answer as text, as the older server gave it, with the typed one beside it."""
    made = _answer(text, heard)
    content = [made.text + ("\n\n[cut here; the tool read_message gives the rest]" if made.cut else "")]
    if with_conversation and heard.answer is not None:
        content.append(wrappers.conversation(heard.answer.session, STATE))
    return CallToolResult(
        content=[TextContent(type="text", text=one) for one in content],
        structured_content=made.model_dump(mode="json"),
    )
