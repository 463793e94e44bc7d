"""Kimi by Moonshot: OpenAI's dialect, with the beginning of an answer given ("partial mode") and with reasoning that
goes back to the model that has thought it."""

from __future__ import annotations

from typing import ClassVar

from sessionstore.adapters.base import Ask, Json
from sessionstore.adapters.openai_chat import OpenAIChat
from sessionstore.exporters import openai
from sessionstore.exporters.report import Report


class Kimi(OpenAIChat):
    """Moonshot's Chat Completions."""

    name = "kimi"
    provider = "moonshot"
    title = "Moonshot"
    url = "https://api.moonshot.ai/v1"
    keys: ClassVar[tuple[str, ...]] = ("MOONSHOT_API_KEY", "KIMI_API_KEY")
    url_names: ClassVar[tuple[str, ...]] = ("MOONSHOT_BASE_URL", "KIMI_BASE_URL")
    limit = "max_tokens"

    def conversation(self, ask: Ask, report: Report) -> Json:
        """With ids as Kimi's models make them (`name:0`), and with their own reasoning."""
        return openai.request(
            dict(ask.session), ask.messages, report, forbidden="[^a-zA-Z0-9_.:-]", thinker=self.provider
        )

    def wish(self, ask: Ask, body: Json, report: Report) -> None:
        """The beginning of the answer is the last message, marked `partial`."""
        if ask.prefill:
            body["messages"].append({"role": "assistant", "content": ask.prefill, "partial": True})
        if ask.reasoning is not None:
            report.tell("how much to think is not taken by this interface")
