"""The tools that a model of the provider "langchain" may use: those of MCP servers, or objects in LangChain's form."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Toolbox:
    """The tools while they are used: a context manager that starts the servers of an `mcp_config` file and ends them.
    `tools` are taken in place of servers. `timeout` is how many seconds a server or tool may take."""

    def __init__(
        self,
        mcp_config: str | None,
        tools: list[Any] | None,
        env_vars: Mapping[str, str] | None,
        execution_dir: str | None,
        timeout: float,
    ) -> None:
        self._config, self._tools, self._directory, self._timeout = mcp_config, tools, execution_dir, timeout
        self._environment = {**os.environ, **(env_vars or {})}
        self._servers: _Servers | None = None
        self.definitions: list[Json] = []
        """{"name", "description", "parameters"} of each tool."""

    def __enter__(self) -> Toolbox:
        if self._tools:
            self.definitions = [_definition(tool) for tool in self._tools]
        elif self._config:
            self._servers = _Servers(_servers(self._config, self._environment), self._directory, self._timeout)
            self.definitions = self._servers.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._servers is not None:
            self._servers.stop()

    def run(self, name: str, arguments: Any) -> tuple[str, bool]:
        """(what the tool gives, whether it has failed). What it raises is told to the model."""
        try:
            given = json.loads(arguments or "{}") if isinstance(arguments, str) else dict(arguments or {})
            if self._servers is not None:
                return self._servers.call(name, given)
            tool = next(tool for tool in self._tools or () if tool.name == name)
            return _text(_invoked(tool, given)), False
        except StopIteration:
            return f"there is no tool {name}", True
        except Exception as error:
            return f"{type(error).__name__}: {error}", True


def _definition(tool: Any) -> Json:
    schema = getattr(tool, "args_schema", None)
    if schema is not None and hasattr(schema, "model_json_schema"):
        schema = schema.model_json_schema()
    if not isinstance(schema, dict):
        schema = {"type": "object", "properties": dict(getattr(tool, "args", None) or {})}
    return {"name": tool.name, "description": getattr(tool, "description", "") or "", "parameters": schema}


def _invoked(tool: Any, arguments: Json) -> Any:
    try:
        return tool.invoke(arguments)
    except NotImplementedError:  # tools of MCP servers can only be awaited
        return asyncio.run(tool.ainvoke(arguments))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _servers(path: str, environment: Mapping[str, str]) -> Json:
    """The servers of a configuration file, variables filled in."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    servers = document.get("mcpServers") if isinstance(document, dict) else None
    if not isinstance(servers, dict):
        raise ValueError(f"{path} names no mcpServers")
    filled: Json = _filled({name: one for name, one in servers.items() if isinstance(one, dict)}, environment)
    for one in filled.values():
        one["env"] = {**environment, **(one.get("env") or {})}
    return filled


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: environment.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(one, environment) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, environment) for name, one in value.items()}
    return value


class _Servers:
    """MCP servers, talked to in an event loop of their own."""

    def __init__(self, servers: Json, directory: str | None, timeout: float) -> None:
        self._configured, self._directory, self._timeout = servers, directory, timeout
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._clients: dict[str, Any] = {}
        self._found: list[Json] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mcp-coder-tools", daemon=True)

    def start(self) -> list[Json]:
        """Start them; the definitions of their tools. Raises `ConnectionError`, `ImportError`."""
        self._thread.start()
        in_time = self._ready.wait(self._timeout)
        if self._failure is not None or not in_time:
            self.stop()
            if isinstance(self._failure, ImportError):
                raise ImportError("MCP tools need the library mcp; pip install 'sessionstore[mcp]'") from self._failure
            names = ", ".join(self._configured)
            raise ConnectionError(f"MCP servers not available ({names}): {self._failure or 'no answer in time'}")
        return self._found

    def stop(self) -> None:
        """End them."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(self._timeout)

    def call(self, name: str, arguments: Json) -> tuple[str, bool]:
        """Use a tool."""
        client = self._clients.get(name)
        if client is None:
            return f"there is no tool {name}", True
        asked = asyncio.run_coroutine_threadsafe(client.call_tool(name, arguments), self._loop)
        try:
            result = asked.result(self._timeout)
        except TimeoutError:
            asked.cancel()
            return f"the tool has given nothing for {self._timeout:g} seconds", True
        parts = [one.text if hasattr(one, "text") else _text(one.model_dump(mode="json")) for one in result.content]
        return "\n".join(parts), bool(result.is_error)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # told to whoever waits for the start
            self._failure = self._failure or _first(error)
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        from mcp import Client, StdioServerParameters

        async with AsyncExitStack() as stack:
            for one in self._configured.values():
                where: Any = one.get("url") or StdioServerParameters(
                    command=one["command"], args=one.get("args") or [], env=one["env"], cwd=self._directory
                )
                client = await stack.enter_async_context(Client(where))
                for tool in (await client.list_tools()).tools:
                    self._clients[tool.name] = client
                    about = {"name": tool.name, "description": tool.description or ""}
                    self._found.append({**about, "parameters": tool.input_schema})
            self._ready.set()
            await self._stop.wait()


def _first(error: BaseException) -> BaseException:
    """What has gone wrong, without the groups around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
