"""Live sessions for programs: `SessionManager` and what it gives. Everything is loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionstore.manager.aio import AsyncSession, AsyncSessionManager
    from sessionstore.manager.context import Context
    from sessionstore.manager.core import SessionManager
    from sessionstore.manager.lifecycle import CleanUp
    from sessionstore.manager.session import Session

__all__ = ["AsyncSession", "AsyncSessionManager", "CleanUp", "Context", "Session", "SessionManager"]

_HOMES = {
    "AsyncSession": "aio",
    "AsyncSessionManager": "aio",
    "CleanUp": "lifecycle",
    "Context": "context",
    "Session": "session",
    "SessionManager": "core",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sessionstore.manager.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'sessionstore.manager' has no attribute {name!r}")
