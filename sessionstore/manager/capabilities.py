"""What models can take: a small table, by the beginning of a model's name, that programs may add to with `register`.

The figures are those the providers publish; where the package `genai-prices` is installed (the extra `[prices]`), its
data, which is kept up to date, says the size of the context. Of a model nobody knows, little is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from sessionstore import errors


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can take. `context` and `output` are in tokens, 0 when that is not known."""

    provider: str = ""
    context: int = 0
    output: int = 0
    images: bool = True
    tools: bool = True
    reasoning: bool = False
    system: bool = True
    """Whether it knows instructions at all."""
    later_system: bool = False
    """Whether an instruction may stand in the middle of a conversation."""
    parameters: frozenset[str] = frozenset({"temperature", "top_p", "max_tokens", "stop"})
    id_forbidden: str = r"[^A-Za-z0-9_-]"
    """A pattern of what may not be in the id of a tool call."""
    id_length: int = 64
    known: bool = True


_SAMPLING = frozenset({"temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty"})
_OPENAI = Capabilities(
    "openai", 128_000, 16_384, later_system=True, parameters=_SAMPLING, id_forbidden="", id_length=40
)
_THINKING = replace(
    _OPENAI, context=200_000, output=100_000, reasoning=True, parameters=frozenset({"max_tokens", "reasoning_effort"})
)
_CLAUDE = Capabilities(
    "anthropic", 200_000, 8_192, parameters=frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop"})
)
_CLAUDE_THINKING = replace(_CLAUDE, output=64_000, reasoning=True)
_GEMINI = Capabilities(
    "google",
    1_048_576,
    65_536,
    reasoning=True,
    parameters=frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "safety_settings"}),
)
_PLAIN = replace(_OPENAI, provider="", images=False)

_TABLE: list[tuple[str, Capabilities]] = [
    ("gpt-3.5", replace(_OPENAI, context=16_385, output=4_096, images=False)),
    ("gpt-4.1", replace(_OPENAI, context=1_047_576, output=32_768)),
    ("gpt-4o", _OPENAI),
    ("gpt-4-turbo", replace(_OPENAI, output=4_096)),
    ("gpt-4", replace(_OPENAI, context=8_192, output=8_192, images=False)),
    ("gpt-5", replace(_THINKING, context=400_000, output=128_000)),
    ("o1-mini", replace(_THINKING, context=128_000, output=65_536, system=False, tools=False, images=False)),
    ("o1-preview", replace(_THINKING, context=128_000, output=32_768, system=False, tools=False, images=False)),
    ("o1", _THINKING),
    ("o3", _THINKING),
    ("o4", _THINKING),
    ("gpt", _OPENAI),
    ("claude-2", replace(_CLAUDE, context=100_000, output=4_096, images=False, tools=False)),
    ("claude-3-7", _CLAUDE_THINKING),
    ("claude-3", _CLAUDE),
    ("claude", _CLAUDE_THINKING),
    ("gemini-1", replace(_GEMINI, output=8_192, reasoning=False)),
    ("gemini-2.0", replace(_GEMINI, output=8_192, reasoning=False)),
    ("gemini", _GEMINI),
    ("gemma", replace(_PLAIN, provider="google", context=8_192, output=8_192, system=False, tools=False)),
    ("kimi-k2", replace(_PLAIN, provider="moonshotai", context=131_072, output=32_768)),
    ("kimi", replace(_PLAIN, provider="moonshotai", context=131_072, images=True)),
    ("moonshot-v1-8k", replace(_PLAIN, provider="moonshotai", context=8_192)),
    ("moonshot-v1-32k", replace(_PLAIN, provider="moonshotai", context=32_768)),
    ("moonshot", replace(_PLAIN, provider="moonshotai", context=131_072)),
    ("mistral", replace(_PLAIN, provider="mistral", context=131_072, id_forbidden=r"[^A-Za-z0-9]", id_length=9)),
    ("codestral", replace(_PLAIN, provider="mistral", context=256_000, id_forbidden=r"[^A-Za-z0-9]", id_length=9)),
    ("deepseek-r", replace(_PLAIN, provider="deepseek", context=65_536, reasoning=True, tools=False)),
    ("deepseek", replace(_PLAIN, provider="deepseek", context=65_536)),
    ("llama", replace(_PLAIN, provider="meta", context=131_072)),
    ("qwen", replace(_PLAIN, provider="qwen", context=131_072)),
]
UNKNOWN = Capabilities(images=False, known=False)
_own: dict[str, Capabilities] = {}


def register(beginning: str, capabilities: Capabilities) -> None:
    """Say what the models can take whose names begin so. What was said last, and the longest beginning, counts."""
    if not beginning:
        raise errors.UsageError(reason="the beginning of a model's name must not be empty")
    _own[beginning.lower()] = capabilities
    capabilities_of.cache_clear()


@lru_cache(maxsize=1024)
def capabilities_of(model: str | None) -> Capabilities:
    """What a model can take; `known` is False for one that is in no table. A provider before a slash is passed over."""
    name = re.sub(r"^.*/", "", (model or "").lower())
    own = max((start for start in _own if name.startswith(start)), key=len, default=None)
    if own is not None:
        return _own[own]
    found = next((given for start, given in _TABLE if name.startswith(start)), UNKNOWN)
    from sessionstore.manager.prices import context_window

    window = context_window(name)
    return replace(found, context=window) if window else found
