"""What of mcp-cli itself a conversation needs: its model manager and its instructions where it is installed, else
ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


class ModelManager:
    """Which model answers, for programs that have no manager of mcp-cli's: it holds names and calls nobody."""

    def __init__(self) -> None:
        self._provider = self._model = ""
        self.settings: dict[str, dict[str, str | None]] = {}

    def configure_provider(self, provider: str, *, api_key: str | None = None, api_base: str | None = None) -> None:
        """Note how a provider is reached."""
        self.settings[provider] = {"api_key": api_key, "api_base": api_base}

    def switch_model(self, provider: str, model: str) -> None:
        """Choose both."""
        self._provider, self._model = provider, model

    def switch_provider(self, provider: str) -> None:
        """Choose a provider; which model is open."""
        self.switch_model(provider, "")

    def switch_to_model(self, model: str) -> None:
        """Choose another model of the provider."""
        self._model = model

    def get_active_provider(self) -> str:
        """The provider's name, "" when none was chosen."""
        return self._provider

    def get_active_model(self) -> str:
        """The model's name, "" when none was chosen."""
        return self._model

    def get_client(self) -> Any:
        """Raises `RuntimeError`: there is none."""
        raise RuntimeError("there is no client here; give ChatContext mcp-cli's ModelManager, or use sessionstore.chat")


def generate_system_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """Instructions for a model with these tools (in OpenAI's shape)."""
    said = "You are a helpful assistant."
    names = [str(tool.get("function", {}).get("name", "")) for tool in tools]
    if not names:
        return said
    return f"{said} Use the tools you have where they help: {', '.join(names)}. Say what you did, and what failed."


def model_manager(provider: str | None, model: str | None, reached: Mapping[str, str | None] | None = None) -> Any:
    """A model manager in which these are chosen: mcp-cli's where that is installed, else `ModelManager`. `reached` says
    how the provider is reached."""
    models = of_mcp_cli("model_manager", "ModelManager", ModelManager)()
    if provider and reached:
        models.configure_provider(provider, **reached)
    if provider and model:
        models.switch_model(provider, model)
    elif provider:
        models.switch_provider(provider)
    elif model:
        models.switch_to_model(model)
    return models


def of_mcp_cli(module: str, name: str, otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """A function or class of mcp-cli where that is installed."""
    try:
        return getattr(import_module(f"mcp_cli.{module}"), name, otherwise)
    except ImportError:
        return otherwise


def tell(sentence: str) -> None:
    """Say something to the person at the terminal, in yellow as mcp-cli does."""
    print(f"\x1b[33m{sentence}\x1b[0m" if sys.stdout.isatty() else sentence, flush=True)
