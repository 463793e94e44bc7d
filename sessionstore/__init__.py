"""sessionstore: git for conversations.

The public interface for programs is `Store`, `SessionManager` and the error classes; everything is imported when first
used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sessionstore.errors import SessionstoreError
    from sessionstore.manager.core import SessionManager
    from sessionstore.store import Store

__all__ = ["SessionManager", "SessionstoreError", "Store", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from sessionstore.store import Store

        return Store
    if name == "SessionManager":
        from sessionstore.manager.core import SessionManager

        return SessionManager
    if name == "SessionstoreError":
        from sessionstore.errors import SessionstoreError

        return SessionstoreError
    raise AttributeError(f"module 'sessionstore' has no attribute {name!r}")
