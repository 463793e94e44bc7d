"""The importers, found by entry point so that others can ship theirs.

An importer of another package is registered under the entry point group `sessionstore.importers`; the ones
shipped here are listed directly, so that start-up does not have to search the installed packages for them.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from sessionstore import plugins
from sessionstore.importers.base import Importer

GROUP = "sessionstore.importers"
_OWN = {
    "aider": "sessionstore.importers.aider:Aider",
    "antigravity": "sessionstore.importers.antigravity:Antigravity",
    "chatbot-ui": "sessionstore.importers.chatbot_ui:ChatbotUi",
    "chatgpt": "sessionstore.importers.chatgpt:ChatGpt",
    "chuk-sessions": "sessionstore.importers.chuk_sessions:ChukSessions",
    "claude-ai": "sessionstore.importers.claude_ai:ClaudeAi",
    "claude-code": "sessionstore.importers.claude_code:ClaudeCode",
    "claude-stream": "sessionstore.importers.claude_stream:ClaudeStream",
    "cline": "sessionstore.importers.cline:Cline",
    "cline-sdk": "sessionstore.importers.cline_sdk:ClineSdk",
    "codex": "sessionstore.importers.codex:Codex",
    "copilot-chat": "sessionstore.importers.copilot_chat:CopilotChat",
    "copilot-cli": "sessionstore.importers.copilot_cli:CopilotCli",
    "crush": "sessionstore.importers.crush:Crush",
    "cursor": "sessionstore.importers.cursor:Cursor",
    "cursor-agent": "sessionstore.importers.cursor_agent:CursorAgent",
    "cursor-chats": "sessionstore.importers.cursor_chats:CursorChats",
    "factory-droid": "sessionstore.importers.factory_droid:FactoryDroid",
    "gemini-cli": "sessionstore.importers.gemini_cli:GeminiCli",
    "gemini-takeout": "sessionstore.importers.gemini_takeout:GeminiTakeout",
    "goose": "sessionstore.importers.goose:Goose",
    "gptme": "sessionstore.importers.gptme:Gptme",
    "grok": "sessionstore.importers.grok:Grok",
    "hermes": "sessionstore.importers.hermes:Hermes",
    "icoder": "sessionstore.importers.icoder:Icoder",
    "iflow": "sessionstore.importers.iflow:IFlow",
    "kimi": "sessionstore.importers.kimi:Kimi",
    "kimi-cli": "sessionstore.importers.kimi_cli:KimiCli",
    "kimi-code": "sessionstore.importers.kimi_code:KimiCode",
    "kimi-pickle": "sessionstore.importers.kimi_pickle:KimiPickle",
    "kiro": "sessionstore.importers.kiro:Kiro",
    "langchain-sql": "sessionstore.importers.langchain_sql:LangChainSql",
    "langswarm": "sessionstore.importers.langswarm:LangSwarm",
    "librechat": "sessionstore.importers.librechat:LibreChat",
    "llm": "sessionstore.importers.llm:Llm",
    "llm-sessions": "sessionstore.importers.llm_sessions:LlmSessions",
    "mcp-cli": "sessionstore.importers.mcp_cli:McpCli",
    "mcp-coder": "sessionstore.importers.mcp_coder:McpCoder",
    "mcp-coder-langchain": "sessionstore.importers.mcp_coder_langchain:McpCoderLangchain",
    "mcp-coder-transcript": "sessionstore.importers.mcp_coder_transcript:McpCoderTranscript",
    "mistral-vibe": "sessionstore.importers.mistral_vibe:MistralVibe",
    "oasst": "sessionstore.importers.oasst:Oasst",
    "openai-agents": "sessionstore.importers.openai_agents:OpenAIAgents",
    "openai-messages": "sessionstore.importers.openai_messages:OpenaiMessages",
    "opencode": "sessionstore.importers.opencode:OpenCode",
    "pi": "sessionstore.importers.pi:Pi",
    "posit-assistant": "sessionstore.importers.posit_assistant:PositAssistant",
    "qwen-code": "sessionstore.importers.qwen_code:QwenCode",
    "sharegpt": "sessionstore.importers.sharegpt:Sharegpt",
    "swe-agent": "sessionstore.importers.swe_agent:SweAgent",
}


unusable: dict[str, str] = {}
"""Importers of other packages that could not be loaded, with the reason. They keep nobody from using the others."""


@lru_cache(maxsize=1)
def all_importers() -> dict[str, Importer]:
    """Every importer by its source name, own ones first. An own name cannot be taken over by another package."""
    found = {name: _load(target) for name, target in _OWN.items()}
    for entry in plugins.offered(GROUP):
        if entry.name in found:
            if entry.value != _OWN.get(entry.name):
                unusable[entry.name] = "the name is taken"
            continue
        try:
            importer = entry.load()()
            if not isinstance(importer, Importer) or importer.source != entry.name:
                raise TypeError(f"it is no importer of the name {entry.name}")
        except Exception as error:  # of another package: anything can go wrong there
            unusable[entry.name] = f"{type(error).__name__}: {error}"
            continue
        found[entry.name] = importer
    return found


def _load(target: str) -> Importer:
    module, _, name = target.partition(":")
    importer = getattr(import_module(module), name)()
    assert isinstance(importer, Importer)
    return importer
