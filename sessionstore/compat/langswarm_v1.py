"""LangSwarm's session management, version 1, on this store.

Stands for `langswarm.core.session` of earlier LangSwarms, later `langswarm.v1.core.session`, and for its modules
`models`, `storage`, `strategies`, `adapters`, `manager`, `hybrid_manager` and `adapters_bridge`: all their names are
here. See docs/compat/langswarm.md.
"""

from __future__ import annotations

from sessionstore.compat._langswarm_adapters import (
    BaseSessionAdapter,
    ClaudeSessionAdapter,
    CohereSessionAdapter,
    GeminiSessionAdapter,
    MistralSessionAdapter,
    OpenAISessionAdapter,
    SessionAdapterFactory,
    TestSessionAdapter,
)
from sessionstore.compat._langswarm_hybrid import (
    HybridAdapterFactory,
    HybridSessionManager,
    HybridSessionManagerFactory,
    MockSessionAdapter,
    SessionDatabaseBridge,
)
from sessionstore.compat._langswarm_manager import LangSwarmSessionManager, get_session_manager, set_session_manager
from sessionstore.compat._langswarm_models import (
    ConversationHistory,
    ConversationMessage,
    LangSwarmSession,
    MessageRole,
    SessionControl,
    SessionMetadata,
    SessionStatus,
)
from sessionstore.compat._langswarm_storage import (
    InMemorySessionStorage,
    SessionStorage,
    SessionStorageFactory,
    SQLiteSessionStorage,
    get_session_storage,
    set_session_storage,
)
from sessionstore.compat._langswarm_strategies import (
    ClientSideSessionStrategy,
    HybridSessionStrategy,
    NativeSessionStrategy,
    SessionStrategy,
    SessionStrategyFactory,
)

__version__ = "1.0.0"
__all__ = [
    "BaseSessionAdapter",
    "ClaudeSessionAdapter",
    "ClientSideSessionStrategy",
    "CohereSessionAdapter",
    "ConversationHistory",
    "ConversationMessage",
    "GeminiSessionAdapter",
    "HybridAdapterFactory",
    "HybridSessionManager",
    "HybridSessionManagerFactory",
    "HybridSessionStrategy",
    "InMemorySessionStorage",
    "LangSwarmSession",
    "LangSwarmSessionManager",
    "MessageRole",
    "MistralSessionAdapter",
    "MockSessionAdapter",
    "NativeSessionStrategy",
    "OpenAISessionAdapter",
    "SQLiteSessionStorage",
    "SessionAdapterFactory",
    "SessionControl",
    "SessionDatabaseBridge",
    "SessionMetadata",
    "SessionStatus",
    "SessionStorage",
    "SessionStorageFactory",
    "SessionStrategy",
    "SessionStrategyFactory",
    "TestSessionAdapter",
    "get_session_manager",
    "get_session_storage",
    "set_session_manager",
    "set_session_storage",
]
