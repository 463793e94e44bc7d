"""What the tools give back. Fields that are unknown are left out, so that a model has less to read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from sessionstore.archive import UNTRUSTED


class Result(BaseModel):
    """Base of everything that is given back."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Quoting(Result):
    """Base of what quotes transcripts."""

    notice: str = Field(default=UNTRUSTED, description="How to take the quoted text")


class Outline(Result):
    """A session in a list."""

    key: str = Field(description="Names the session in every other tool")
    title: str | None = None
    source: str = Field(description="The program it came from, such as claude-code, codex, chatgpt, or native")
    project: str | None = None
    models: list[str] = []
    time: str | None = Field(default=None, description="When it last changed, RFC 3339; may lack an offset")
    messages: int
    tags: list[str] = []
    starred: bool = False
    forked_from: str | None = None


class Hit(Result):
    """A message that was found."""

    message: str = Field(description="The message's id, for `around` of read_session")
    role: str
    time: str | None = None
    part: str = Field(description="Where it was found: text, reasoning, tool_input or tool_output")
    snippet: str


class FoundSession(Result):
    """A session with the best messages that were found in it; no hits when only the title fits."""

    key: str
    title: str | None = None
    source: str
    project: str | None = None
    time: str | None = None
    matches: int | None = Field(default=None, description="How many of its messages fit, where that was counted")
    hits: list[Hit]


class SearchResult(Quoting):
    """What a search found, best sessions first."""

    query: str | None = None
    sessions: list[FoundSession]
    shown: int = Field(description="How many hits this answer has")
    next_offset: int | None = Field(default=None, description="The `offset` for more; absent when this was all")


class SessionList(Quoting):
    """Sessions in the order asked for."""

    sessions: list[Outline]
    next_offset: int | None = Field(default=None, description="The `offset` for more; absent when this was all")


class SimilarSession(Outline):
    """A session about the same."""

    score: float = Field(description="0 to 1: the share of the telling words that it has too")
    shared: list[str] = Field(description="The words in common that tell most")


class SimilarSessions(Quoting):
    """Sessions about the same, the most similar first."""

    about: str | None = Field(default=None, description="The session they were compared with")
    terms: list[str] = Field(description="The words that were compared, the most telling first")
    sessions: list[SimilarSession]


class About(Result):
    """A session, before its messages."""

    key: str
    title: str | None = None
    source: str
    project: str | None = None
    cwd: str | None = None
    models: list[str] = []
    created_at: str | None = None
    updated_at: str | None = None
    forked_from: str | None = None
    issues: list[str] = Field(default=[], description="What its source had lost before it was archived")


class TranscriptMessage(Result):
    """A message as text. Tool calls, results and reasoning stand in the text under a heading in brackets."""

    n: int = Field(description="Its number in this reading, from 0")
    id: str
    role: str
    kind: str | None = Field(default=None, description="Absent for ordinary turns; else context, compaction, error, …")
    model: str | None = None
    time: str | None = None
    text: str
    characters: int = Field(description="How long the whole text is")
    cut: bool = Field(default=False, description="Whether the text is cut here; read_message gives the rest")


class Transcript(Quoting):
    """A page of a session."""

    session: About
    total: int = Field(description="How many messages can be read so")
    messages: list[TranscriptMessage]
    next_start: int | None = Field(default=None, description="The `start` of the next page; absent at the end")
    left_out: list[str] = Field(default=[], description="What this reading does not show, with counts")


class MessageText(Quoting):
    """A piece of one message."""

    id: str
    role: str
    kind: str | None = None
    model: str | None = None
    time: str | None = None
    text: str
    characters: int = Field(description="How long the whole text is")
    offset: int = Field(description="Where this piece begins")
    next_offset: int | None = Field(default=None, description="The `offset` of the next piece; absent at the end")


class Sums(Result):
    """Figures of one group. Cost is in millionths of a US dollar."""

    sessions: int
    messages: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_microusd: int


class BySource(Sums):
    """Figures of one source."""

    source: str | None = None


class ByModel(Sums):
    """Figures of one model."""

    model: str | None = None


class ByMonth(Sums):
    """Figures of one month, ``2026-01``."""

    month: str | None = None


class ByProject(Sums):
    """Figures of one project."""

    project: str | None = None


class ByTool(Result):
    """Calls of one tool."""

    tool: str
    calls: int
    errors: int


class Stats(Quoting, Sums):
    """Totals over the chosen sessions, and their largest groups."""

    by_role: dict[str, int]
    estimated: bool = Field(description="Whether some of the cost is an estimate")
    first: str | None = None
    last: str | None = None
    by_source: list[BySource]
    by_model: list[ByModel]
    by_month: list[ByMonth]
    by_project: list[ByProject]
    by_tool: list[ByTool]


class Appended(Result):
    """What was appended, durable."""

    key: str
    revision: str = Field(description="The SHA-256 of the session's new revision")
    messages: int = Field(description="How many messages the session has now")
    ids: list[str] = Field(description="The ids of the new messages")


class Notes(Result):
    """The notes that hold now."""

    key: str
    title: str | None = None
    tags: list[str] = []
    starred: bool
    archived: bool


class Spent(Result):
    """What an answer has cost. Tokens are counted once: input with what came from a cache, output with reasoning."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_microusd: int | None = Field(default=None, description="In millionths of a US dollar; absent when not known")
    estimated: bool = Field(default=False, description="Whether the cost is by list price, not as billed")


class WantedCall(Result):
    """A tool that the model wants to use; nothing has been run."""

    id: str
    name: str
    arguments: Any = Field(description="An object, or the JSON text that the model gave")


class ChatAnswer(Result):
    """What a model has answered, durable in its session."""

    text: str
    characters: int = Field(description="How long the whole text is")
    cut: bool = Field(default=False, description="Whether the text is cut here; read_message gives the rest")
    session: str | None = Field(default=None, description="The session's key; absent when no model was asked")
    message: str | None = Field(default=None, description="The answer's id in the session")
    model: str | None = None
    provider: str | None = None
    finish: str | None = Field(default=None, description="Why it ends: stop, length, tool_calls, filter or other")
    usage: Spent | None = None
    tool_calls: list[WantedCall] = []
    notes: list[str] = Field(default=[], description="What of the session could not be sent to this model")
