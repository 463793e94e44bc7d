"""mcp-cli's context for tests, whose tools come from a stream manager."""

from __future__ import annotations

from typing import Any

from sessionstore.compat._mcp_cli_context import ChatContext
from sessionstore.compat._mcp_cli_program import generate_system_prompt, model_manager, of_mcp_cli


class TestChatContext(ChatContext):
    """A context whose tools are those of a stream manager."""

    __test__ = False

    def __init__(self, stream_manager: Any, model_manager: Any) -> None:
        super().__init__(None, model_manager)
        self.stream_manager = stream_manager

    @classmethod
    def create_for_testing(
        cls, stream_manager: Any, provider: str | None = None, model: str | None = None
    ) -> TestChatContext:
        """A context with a model manager of its own."""
        return cls(stream_manager, model_manager(provider, model))

    async def _initialize_tools(self) -> None:
        manager = self.stream_manager
        found = manager.get_internal_tools() if hasattr(manager, "get_internal_tools") else manager.get_all_tools()
        self.tools = list(found)
        self.server_info = list(manager.get_server_info())
        self.tool_to_server_map = {tool.name: manager.get_server_for_tool(tool.name) for tool in self.tools}
        await self._adapt_tools_for_provider()
        self.internal_tools = list(self.tools)

    async def _adapt_tools_for_provider(self) -> None:
        self.tool_name_mapping = {}
        self.openai_tools = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description or "",
                    "parameters": tool.parameters or {},
                },
            }
            for tool in self.tools
        ]

    def _prompt(self) -> str:
        made = of_mcp_cli("chat.system_prompt", "generate_system_prompt", generate_system_prompt)
        return str(made(self.openai_tools))

    async def execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        """Use a tool. Raises `ValueError` when the stream manager cannot."""
        if not hasattr(self.stream_manager, "call_tool"):
            raise ValueError("the stream manager cannot use tools: it has no call_tool")
        return await self.stream_manager.call_tool(tool_name, arguments)

    async def get_server_for_tool(self, tool_name: str) -> str:
        """The server that has a tool, "Unknown" when none is known."""
        return self.stream_manager.get_server_for_tool(tool_name) or "Unknown"
