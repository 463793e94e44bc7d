"""LLMock as the tests use it: a real server in a process of its own, which others wrote."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any

from sessionstore import adapters
from sessionstore.adapters.base import Adapter, Settings

MODELS = {
    "openai": "gpt-5",
    "openai-responses": "openai-responses/gpt-5",
    "anthropic": "claude-opus-4-6",
    "gemini": "gemini-2.5-pro",
    "kimi": "kimi-k2",
}
"""A model of each adapter."""
_PATHS = {
    "openai": "/v1",
    "openai-responses": "/v1",
    "kimi": "/v1",
    "anthropic": "/anthropic",
    "gemini": "/gemini",
}
SECRET = "sk-test-0123456789abcdef"


class Mocked:
    """The running server. `break_` queues what shall go wrong, `asked` is what it was asked, `verdict` what it thinks
    of the client."""

    def __enter__(self) -> Mocked:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._made: list[Adapter] = []
        command = [sys.executable, "-c", "from llmock.cli import app; app()", "serve", "--port", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                self._call("GET", "/_llmock/requests")
                return self
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise RuntimeError("llmock does not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def reset(self) -> None:
        for adapter in self._made:
            adapter.close()
        self._made.clear()
        self._call("POST", "/_llmock/reset", {})

    def break_(self, *behaviors: dict[str, Any]) -> None:
        self._call("POST", "/_llmock/scenario", {"behaviors": list(behaviors)})

    def asked(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/_llmock/requests")["requests"]
        return found

    def verdict(self) -> set[str]:
        return {finding["code"] for finding in self._call("GET", "/_llmock/verdict")["findings"]}

    def settings(self, name: str, **more: Any) -> Settings:
        return Settings(**{"api_key": SECRET, "base_url": self.url + _PATHS[name], "timeout": 20, **more})

    def adapter(self, name: str, **more: Any) -> Adapter:
        made = adapters.named(name)(self.settings(name, **more))
        self._made.append(made)
        return made
