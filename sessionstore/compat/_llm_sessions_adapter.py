"""The base class that llm-mcp-server's adapters were written on. New adapters are better made as
`sessionstore.adapters.base.Adapter`."""

# ruff: noqa: UP006, UP035, UP045 - the annotations are the older program's own
from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, Dict, List, Optional, Tuple

from sessionstore import errors

_COUNTS = (("input", ("prompt_tokens", "input_tokens")), ("output", ("completion_tokens", "output_tokens")))


class BaseAdapter(ABC):
    """One provider's way of being asked. A subclass names its models and makes the calls."""

    def __init__(self, api_key: Optional[str] = None):
        self.api_key = api_key
        self.client: Any = None

    @property
    @abstractmethod
    def supported_models(self) -> List[str]:
        """The models it knows."""

    @abstractmethod
    def initialize_client(self):  # type: ignore[no-untyped-def]
        """Make what the provider is asked with."""

    @abstractmethod
    def format_messages(self, messages: List[Dict]) -> Any:  # type: ignore[type-arg]
        """The messages as the provider takes them."""

    @abstractmethod
    def create_completion(self, messages: List[Dict], model: str, **kwargs) -> Tuple[str, Dict]:  # type: ignore[type-arg,no-untyped-def]
        """Ask; the answer's text and what is known of it."""

    def extract_metadata(self, response: Any) -> Dict:  # type: ignore[type-arg]
        """What a response says of itself: timestamp (seconds since 1970), and as far as it says so tokens,
        finish_reason, request_id, system_fingerprint, model."""
        found: dict[str, Any] = {"timestamp": time.time()}
        usage = _of(response, "usage")
        counted = {name: _first(usage, names) for name, names in _COUNTS}
        if any(counted.values()):
            found["tokens"] = {**counted, "total": sum(counted.values())}
        choices = _of(response, "choices")
        reason = _of(choices[0], "finish_reason") if choices else _of(response, "stop_reason")
        named = {"finish_reason": reason, "request_id": _of(response, "id")}
        named |= {name: _of(response, name) for name in ("system_fingerprint", "model")}
        return found | {name: value for name, value in named.items() if value}

    def calculate_cost(self, model: str, input_tokens: int, output_tokens: int) -> float:
        """What a call has cost in US dollars, rounded to a millionth; 0.0 when no price is known (the extra
        `[prices]`)."""
        from sessionstore.manager.prices import price

        known = price(model, {"input_tokens": input_tokens, "output_tokens": output_tokens})
        return round((known or 0) / 1_000_000, 6)

    def handle_error(self, error: Exception) -> Dict:  # type: ignore[type-arg]
        """What a program can tell of a failure: error, error_type, retryable, timestamp."""
        again = isinstance(error, TimeoutError | ConnectionError)
        if isinstance(error, errors.ProviderError):
            again = error.again
        return {
            "error": str(error),
            "error_type": type(error).__name__,
            "retryable": again,
            "timestamp": time.time(),
        }

    def supports_model(self, model: str) -> bool:
        """Whether it knows a model."""
        return model in self.supported_models

    def validate_messages(self, messages: List[Dict]) -> bool:  # type: ignore[type-arg]
        """Whether messages are a list of dictionaries with a known role and a content or tool calls."""
        roles = ("system", "user", "assistant", "tool", "function")
        return bool(messages) and all(
            isinstance(one, dict) and one.get("role") in roles and ("content" in one or "tool_calls" in one)
            for one in messages
        )

    def get_token_limits(self, model: str) -> Dict[str, int]:
        """{"context_window", "max_output"} of a model in tokens, 0 when that is not known."""
        from sessionstore.manager.capabilities import capabilities_of

        able = capabilities_of(model)
        return {"context_window": able.context, "max_output": able.output}


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _first(usage: Any, names: tuple[str, ...]) -> int:
    return next((int(found) for name in names if (found := _of(usage, name))), 0)
