"""The providers, by the names of their models. Everything is loaded when it is used.

Another package can bring an adapter: a subclass of `base.Adapter` under the entry point group
`sessionstore.adapters`, named like the adapter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sessionstore import errors, plugins

if TYPE_CHECKING:
    from sessionstore.adapters.base import Adapter

GROUP = "sessionstore.adapters"
OWN: dict[str, str] = {
    "openai": "openai_chat:OpenAIChat",
    "openai-responses": "openai_responses:OpenAIResponses",
    "anthropic": "anthropic:Anthropic",
    "gemini": "gemini:Gemini",
    "kimi": "kimi:Kimi",
    "claude-code": "claude_code:ClaudeCode",
    "simulated": "simulated:Simulated",
}
"""The adapters of this package: name -> module:class."""
FAMILIES: tuple[tuple[str, str], ...] = (
    ("gpt-5-codex", "openai-responses"),
    ("codex-", "openai-responses"),
    ("claude-code", "claude-code"),
    ("claude", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt", "openai"),
    ("ft:gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini", "gemini"),
    ("gemma", "gemini"),
    ("kimi", "kimi"),
    ("moonshot", "kimi"),
    ("simulated", "simulated"),
)
"""Which adapter answers for a model's name, by its beginning; the first that fits."""


def find(model: str) -> tuple[type[Adapter], str]:
    """The adapter for a model, and the name the provider knows the model by. `model` is a name ("gpt-5") or says the
    adapter too ("openai-responses/gpt-5"). Raises `UnknownModel`."""
    head, slash, tail = model.partition("/")
    if slash and tail and head in names():
        return named(head), tail
    if model in OWN:
        return named(model), ""
    lowered = model.lower()
    for beginning, name in FAMILIES:
        if lowered.startswith(beginning):
            return named(name), model
    for name in _foreign():
        adapter = named(name)
        if lowered.startswith(adapter.families or ("\0",)):
            return adapter, model
    raise errors.UnknownModel(model=model, providers=", ".join(names()))


def names() -> list[str]:
    """The names of all adapters."""
    return [*OWN, *_foreign()]


def named(name: str) -> type[Adapter]:
    """The adapter of that name. Raises `UnknownModel`."""
    place = OWN.get(name)
    if place is not None:
        module, _, kind = place.partition(":")
        found: type[Adapter] = getattr(import_module(f"sessionstore.adapters.{module}"), kind)
        return found
    for point in plugins.offered(GROUP):
        if point.name == name:
            loaded: type[Adapter] = point.load()
            return loaded
    raise errors.UnknownModel(model=name, providers=", ".join(names()))


def _foreign() -> list[str]:
    return sorted({point.name for point in plugins.offered(GROUP)} - OWN.keys())
