"""LangSwarm's session management on this store: what `langswarm.core.session` is today, that is version 2.

Version 1 has names in common with it that mean something else; it is `langswarm_v1`. See docs/compat/langswarm.md.
"""

from __future__ import annotations

from typing import Any

from sessionstore.compat.langswarm_v2 import *  # noqa: F403
from sessionstore.compat.langswarm_v2 import __all__ as __all__


def __getattr__(name: str) -> Any:
    from sessionstore.compat import langswarm_v1

    if name in langswarm_v1.__all__:
        raise AttributeError(f"{name} is of LangSwarm's version 1: import it from sessionstore.compat.langswarm_v1")
    raise AttributeError(f"module 'sessionstore.compat.langswarm' has no attribute {name!r}")
