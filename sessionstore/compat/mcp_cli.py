"""mcp-cli's session modules by their names: `mcp_cli.chat.session_store`, `.exporters`, `.token_tracker`,
`.chat_context` of the integration document, and the conversation's shapes of `mcp_cli.tools.models`.

See docs/compat/mcp_cli.md for where the data lives and what is better than it was.
"""

from __future__ import annotations

from sessionstore.compat._mcp_cli_context import ChatContext
from sessionstore.compat._mcp_cli_exporters import JSONExporter, MarkdownExporter
from sessionstore.compat._mcp_cli_files import DEFAULT_SESSIONS_DIR, SessionStore
from sessionstore.compat._mcp_cli_program import ModelManager, generate_system_prompt
from sessionstore.compat._mcp_cli_shapes import (
    DEFAULT_AGENT_ID,
    ConversationHistory,
    Message,
    MessageRole,
    SessionData,
    SessionMetadata,
    TokenTracker,
    TokenUsageStats,
    ToolCall,
    TurnUsage,
)
from sessionstore.compat._mcp_cli_testing import TestChatContext
from sessionstore.compat._mcp_cli_tracking import SessionTracker

__all__ = [
    "DEFAULT_AGENT_ID",
    "DEFAULT_SESSIONS_DIR",
    "ChatContext",
    "ConversationHistory",
    "JSONExporter",
    "MarkdownExporter",
    "Message",
    "MessageRole",
    "ModelManager",
    "SessionData",
    "SessionMetadata",
    "SessionStore",
    "SessionTracker",
    "TestChatContext",
    "TokenTracker",
    "TokenUsageStats",
    "ToolCall",
    "TurnUsage",
    "generate_system_prompt",
]
