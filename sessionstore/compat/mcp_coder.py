"""The names of mcp_coder's language model interface: `mcp_coder.llm`, `.types`, `.serialization`, `.interface` and
`.storage`.

Everything said is kept in the store, and the files that mcp_coder's functions promise are written as well. What differs
from the older modules: docs/compat/mcp_coder.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from sessionstore.compat._mcp_coder_claude import Conversation, LLMTimeoutError
from sessionstore.compat._mcp_coder_files import (
    deserialize_llm_response,
    extract_langchain_session_id,
    extract_session_id,
    find_latest_session,
    serialize_llm_response,
    store_session,
)
from sessionstore.compat._mcp_coder_history import load_langchain_history, store_langchain_history
from sessionstore.compat._mcp_coder_json import from_json_string, to_json_string
from sessionstore.compat._mcp_coder_types import (
    LLM_RESPONSE_VERSION,
    SUPPORTED_PROVIDERS,
    LLMResponseDict,
    ResponseAssembler,
    StreamEvent,
    UsageInfo,
)

__all__ = [
    "LLM_DEFAULT_TIMEOUT_SECONDS",
    "LLM_RESPONSE_VERSION",
    "SUPPORTED_PROVIDERS",
    "LLMResponseDict",
    "LLMTimeoutError",
    "ResponseAssembler",
    "StreamEvent",
    "UsageInfo",
    "ask_llm",
    "deserialize_llm_response",
    "extract_langchain_session_id",
    "extract_session_id",
    "find_latest_session",
    "from_json_string",
    "load_langchain_history",
    "prompt_llm",
    "prompt_llm_stream",
    "serialize_llm_response",
    "store_langchain_history",
    "store_session",
    "to_json_string",
]

LLM_DEFAULT_TIMEOUT_SECONDS = 30
logger = logging.getLogger("sessionstore.compat.mcp_coder")


def prompt_llm(
    question: str,
    provider: str = "claude",
    session_id: str | None = None,
    timeout: int = LLM_DEFAULT_TIMEOUT_SECONDS,
    env_vars: dict[str, str] | None = None,
    execution_dir: str | None = None,
    mcp_config: str | None = None,
    settings_file: str | None = None,
    branch_name: str | None = None,
    project_dir: str | None = None,
) -> LLMResponseDict:
    """Ask a model and wait for the whole response. With `session_id` the conversation goes on. `timeout` is how many
    seconds the model may say nothing. Raises `ValueError` for what cannot be asked, `LLMTimeoutError`,
    `FileNotFoundError` when Claude Code is not installed, `subprocess.CalledProcessError` when it fails,
    `ProviderError` when another provider does."""
    provider = _checked(question, timeout, provider)
    if provider == "langchain":
        from sessionstore.compat import _mcp_coder_langchain as langchain

        return langchain.ask(question, session_id, timeout, mcp_config, env_vars, execution_dir)
    conversation = Conversation(
        question, session_id, timeout, env_vars, execution_dir, mcp_config, settings_file, branch_name, project_dir
    )
    for _ in conversation:
        pass
    if (error := conversation.raised()) is not None:
        logger.error("%s (prompt of %d characters)", error, len(question))
        raise error from conversation.failure
    return conversation.response


def prompt_llm_stream(
    question: str,
    provider: str = "claude",
    session_id: str | None = None,
    timeout: int = LLM_DEFAULT_TIMEOUT_SECONDS,
    env_vars: dict[str, str] | None = None,
    execution_dir: str | None = None,
    mcp_config: str | None = None,
    settings_file: str | None = None,
    branch_name: str | None = None,
    tools: list[Any] | None = None,
    project_dir: str | None = None,
) -> Iterator[StreamEvent]:
    """Ask a model; its response comes as events. The question is kept when the first one is asked for, the turn before
    the last one is given; of a stream that is left, what has come. A failure of Claude Code is an event of type
    "error"; otherwise as `prompt_llm`."""
    provider = _checked(question, timeout, provider)
    if provider == "langchain":
        from sessionstore.compat import _mcp_coder_langchain as langchain

        yield from langchain.stream(question, session_id, timeout, mcp_config, env_vars, execution_dir, tools)
        return
    yield from Conversation(
        question, session_id, timeout, env_vars, execution_dir, mcp_config, settings_file, branch_name, project_dir
    )


def ask_llm(
    question: str,
    provider: str = "claude",
    method: str = "cli",
    session_id: str | None = None,
    timeout: int = LLM_DEFAULT_TIMEOUT_SECONDS,
    env_vars: dict[str, str] | None = None,
    project_dir: str | None = None,
    execution_dir: str | None = None,
    mcp_config: str | None = None,
    branch_name: str | None = None,
) -> str:
    """The text of `prompt_llm`'s response. `method` is "cli" or "api"; both ask in the same way."""
    if method not in ("cli", "api"):
        raise ValueError(f"Unsupported method: {method}. Supported methods: 'cli', 'api'")
    return prompt_llm(
        question,
        provider,
        session_id,
        timeout,
        env_vars,
        execution_dir,
        mcp_config,
        branch_name=branch_name,
        project_dir=project_dir,
    )["text"]


def _checked(question: str, timeout: float, provider: str) -> str:
    """The provider to ask: the one that MCP_CODER_LLM_PROVIDER names counts. Raises `ValueError`."""
    if not question or not question.strip():
        raise ValueError("Question cannot be empty or whitespace only")
    if timeout <= 0:
        raise ValueError("Timeout must be a positive number")
    provider = os.environ.get("MCP_CODER_LLM_PROVIDER") or provider
    if provider == "copilot":
        raise ValueError(
            "Provider 'copilot' cannot be asked: there is no adapter for GitHub Copilot's command line. "
            "Use 'claude' or 'langchain'. Responses of Copilot can be stored and read."
        )
    if provider not in SUPPORTED_PROVIDERS:
        raise ValueError(f"Unsupported provider: {provider}. Supported: 'claude', 'copilot', 'langchain'")
    return provider
