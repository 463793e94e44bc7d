"""One chat for all models: `chat(messages, model, session_id, sessions=…)`, or a `Chat` that is kept.

Whatever is said is in the store before the model is asked, and whatever the model answers is in the store before it is
returned; what an interrupted answer has said so far is kept too. Loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionstore.adapters.base import Delta, Settings
    from sessionstore.chat.aio import AsyncChat, AsyncStreaming
    from sessionstore.chat.core import Answer, Chat, Streaming, chat
    from sessionstore.chat.window import Window

__all__ = ["Answer", "AsyncChat", "AsyncStreaming", "Chat", "Delta", "Settings", "Streaming", "Window", "chat"]

_HOMES = {
    "AsyncChat": "chat.aio",
    "AsyncStreaming": "chat.aio",
    "Delta": "adapters.base",
    "Settings": "adapters.base",
    "Window": "chat.window",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"sessionstore.{_HOMES.get(name, 'chat.core')}"), name)
    raise AttributeError(f"module 'sessionstore.chat' has no attribute {name!r}")
