"""The importers, found by entry point so that others can ship theirs.

An importer of another package is registered under the entry point group `sessionstore.importers`; the ones
shipped here are listed directly, so that start-up does not have to search the installed packages for them.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from sessionstore.importers.base import Importer

GROUP = "sessionstore.importers"
_OWN = {
    "claude-code": "sessionstore.importers.claude_code:ClaudeCode",
    "codex": "sessionstore.importers.codex:Codex",
    "kimi": "sessionstore.importers.kimi:Kimi",
    "langchain-sql": "sessionstore.importers.langchain_sql:LangChainSql",
    "langswarm": "sessionstore.importers.langswarm:LangSwarm",
    "llm": "sessionstore.importers.llm:Llm",
    "llm-sessions": "sessionstore.importers.llm_sessions:LlmSessions",
    "openai-agents": "sessionstore.importers.openai_agents:OpenAIAgents",
}


@lru_cache(maxsize=1)
def all_importers() -> dict[str, Importer]:
    """Every importer by its source name, own ones first. An own name cannot be taken over by another package."""
    found = {name: _load(target) for name, target in _OWN.items()}
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        if entry.name not in found:
            found[entry.name] = entry.load()()
    return found


def _load(target: str) -> Importer:
    module, _, name = target.partition(":")
    importer = getattr(import_module(module), name)()
    assert isinstance(importer, Importer)
    return importer
