"""The shapes of mcp-cli: what a session file holds, what a turn has used, what a chat message is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

DEFAULT_AGENT_ID = "default"
CHARACTERS = 4
"""Of text, taken for one token by `TokenTracker.estimate_tokens`."""
WARN_AT = 0.8


def present() -> str:
    """The present time in UTC, with microseconds and the offset `+00:00`."""
    return datetime.now(UTC).isoformat()


class SessionMetadata(BaseModel):
    """What a session file says about its session. Times are texts with an offset."""

    session_id: str
    agent_id: str = DEFAULT_AGENT_ID
    created_at: str = Field(default_factory=present)
    updated_at: str = Field(default_factory=present)
    provider: str = ""
    model: str = ""
    message_count: int = 0
    description: str = ""


class SessionData(BaseModel):
    """A session file. `messages` are in OpenAI's shape; `token_usage` is a total, None when no turn was recorded."""

    metadata: SessionMetadata
    messages: list[dict[str, Any]] = Field(default_factory=list)
    token_usage: dict[str, Any] | None = None


class TurnUsage(BaseModel):
    """The tokens of one turn."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    provider: str = ""
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens


class TokenTracker(BaseModel):
    """The tokens of several turns."""

    turns: list[TurnUsage] = Field(default_factory=list)

    @property
    def total_input(self) -> int:
        """Of all turns."""
        return sum(turn.input_tokens for turn in self.turns)

    @property
    def total_output(self) -> int:
        """Of all turns."""
        return sum(turn.output_tokens for turn in self.turns)

    @property
    def total_tokens(self) -> int:
        """Of all turns."""
        return self.total_input + self.total_output

    @property
    def turn_count(self) -> int:
        """How many turns were recorded."""
        return len(self.turns)

    def record_turn(self, usage: TurnUsage) -> None:
        """Add a turn."""
        self.turns.append(usage)

    @staticmethod
    def estimate_tokens(text: str) -> int:
        """A quarter of the characters, at least 1; 0 for no text."""
        return max(1, len(text) // CHARACTERS) if text else 0

    def format_summary(self) -> str:
        """The figures for a person, on several lines."""
        if not self.turns:
            return "No token usage recorded."
        lines = [f"Token Usage ({self.turn_count} turns):"]
        figures = (("Input: ", self.total_input), ("Output:", self.total_output), ("Total: ", self.total_tokens))
        lines += [f"  {label} {amount:,} tokens" for label, amount in figures]
        if estimated := sum(turn.estimated for turn in self.turns):
            lines.append(f"  ({estimated} turns estimated)")
        return "\n".join(lines)


class TokenUsageStats(BaseModel):
    """What a conversation came to: tokens, dollars, segments."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    estimated_cost: float = 0.0
    segments: int = 1

    def update(self, prompt: int, completion: int, cost: float = 0.0) -> None:
        """Add tokens and what they cost."""
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.total_tokens += prompt + completion
        self.estimated_cost += cost

    def approaching_limit(self, threshold: int) -> bool:
        """Whether 80 % of so many tokens are used."""
        return self.total_tokens >= WARN_AT * threshold

    def exceeded_limit(self, threshold: int) -> bool:
        """Whether so many tokens are used."""
        return self.total_tokens >= threshold


class MessageRole(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolCall(BaseModel):
    """A model's wish to use a tool, in OpenAI's shape: `function` has "name" and "arguments"."""

    id: str
    type: str = "function"
    function: dict[str, Any]

    @property
    def name(self) -> str:
        """The tool's name."""
        return str(self.function.get("name", ""))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as an object; an empty one when they are none."""
        given = self.function.get("arguments", "{}")
        try:
            parsed = json.loads(given) if isinstance(given, str) else given
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class Message(BaseModel):
    """A message of a conversation."""

    role: MessageRole
    content: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    timestamp: datetime = Field(default_factory=datetime.now)

    def to_dict(self) -> dict[str, Any]:
        """The message in OpenAI's shape."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"timestamp"})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Message:
        """A message of OpenAI's shape. Raises `pydantic.ValidationError` for what is none."""
        return cls.model_validate({"role": "user", **data})


class ConversationHistory(BaseModel):
    """A list of messages in memory. It keeps nothing; `ChatContext` does."""

    messages: list[Message] = Field(default_factory=list)
    system_prompt: str | None = None

    def add_message(self, message: Message) -> None:
        """Add a message."""
        self.messages.append(message)

    def add_user_message(self, content: str) -> None:
        """Add what a person says."""
        self.add_message(Message(role=MessageRole.USER, content=content))

    def add_assistant_message(self, content: str, tool_calls: list[ToolCall] | None = None) -> None:
        """Add what a model says."""
        self.add_message(Message(role=MessageRole.ASSISTANT, content=content, tool_calls=tool_calls))

    def add_tool_response(self, tool_call_id: str, content: str, name: str) -> None:
        """Add what a tool gave back."""
        self.add_message(Message(role=MessageRole.TOOL, content=content, tool_call_id=tool_call_id, name=name))

    def get_messages_for_llm(self) -> list[dict[str, Any]]:
        """The messages in OpenAI's shape."""
        return [message.to_dict() for message in self.messages]

    def clear(self, keep_system: bool = True) -> None:
        """Drop the messages; by default not the leading instructions."""
        self.messages = self.messages[: self._lead] if keep_system else []

    @property
    def _lead(self) -> int:
        return int(bool(self.messages) and self.messages[0].role == MessageRole.SYSTEM)

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def length(self) -> int:
        """How many messages there are beside the leading instructions."""
        return len(self.messages) - self._lead
