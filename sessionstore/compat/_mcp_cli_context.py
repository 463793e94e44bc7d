"""mcp-cli's `ChatContext` as its integration document has it: messages go in one by one, in an event loop, and come out
as a model can take them. Tools and models are those of the managers it is given."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sessionstore.compat._home import home
from sessionstore.compat._mcp_cli_messages import Listed
from sessionstore.compat._mcp_cli_program import generate_system_prompt, model_manager, of_mcp_cli, tell
from sessionstore.compat._mcp_cli_shapes import TokenUsageStats
from sessionstore.compat._mcp_cli_tracking import SessionTracker
from sessionstore.manager.session import Session
from sessionstore.manager.summaries import Summariser

THRESHOLD = 150_000
logger = logging.getLogger(__name__)
_GONE = (
    "ChatContext has no conversation_history: read with get_messages_for_llm(), write with await"
    " add_user_message(), add_assistant_message() or add_tool_response()"
)
_SHARED = ("tools", "internal_tools", "server_info", "tool_to_server_map", "openai_tools", "tool_name_mapping")


class ChatContext:
    """One conversation: its messages, its tools, its figures. `initialize` comes first.

    The conversation is a session of the store that the command line finds, from its first message on. `summariser` may
    be set before `initialize`; it says how segments that are closed are told (see `sessionstore.manager.summaries`).
    """

    summariser: Summariser | None = None

    def __init__(
        self,
        tool_manager: Any,
        model_manager: Any,
        token_threshold: int = THRESHOLD,
        enable_infinite_context: bool = True,
    ) -> None:
        self.tool_manager, self.model_manager = tool_manager, model_manager
        self.token_threshold, self.enable_infinite_context = token_threshold, enable_infinite_context
        self.exit_requested = False
        self.token_stats = TokenUsageStats()
        self.session_manager: SessionTracker | None = None
        self.system_prompt = ""
        self.tool_history: list[dict[str, Any]] = []
        self.tools: list[Any] = []
        self.internal_tools: list[Any] = []
        self.server_info: list[Any] = []
        self.tool_to_server_map: dict[str, str] = {}
        self.openai_tools: list[dict[str, Any]] = []
        self.tool_name_mapping: dict[str, str] = {}

    @classmethod
    def create(
        cls,
        tool_manager: Any,
        provider: str | None = None,
        model: str | None = None,
        api_base: str | None = None,
        api_key: str | None = None,
    ) -> ChatContext:
        """A context with a model manager of its own: mcp-cli's where that is installed, else `ModelManager`."""
        reached = {"api_key": api_key, "api_base": api_base} if api_base or api_key else None
        return cls(tool_manager, model_manager(provider, model, reached))

    # -- what is gone ----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name == "conversation_history":
            raise AttributeError(_GONE)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "conversation_history":
            raise AttributeError(_GONE)
        super().__setattr__(name, value)

    # -- the model -------------------------------------------------------------------------------------------------

    @property
    def client(self) -> Any:
        """The client of the model, as its manager gives it."""
        return self.model_manager.get_client()

    @property
    def provider(self) -> str:
        """The provider's name."""
        return str(self.model_manager.get_active_provider() or "")

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.model_manager.get_active_model() or "")

    async def refresh_after_model_change(self) -> None:
        """Fit the tools to the model that was chosen, and record the switch in the conversation."""
        await self._adapt_tools_for_provider()
        tracker = self.session_manager
        if tracker is not None and self.model:
            await tracker.switch_model(self.model, self.provider)

    # -- initialising ----------------------------------------------------------------------------------------------

    async def initialize(self) -> bool:
        """Ask for the tools and begin a conversation; False, with the reason logged, when that was not possible."""
        try:
            await self._initialize()
        except Exception as error:
            logger.exception("the chat context cannot be initialised")
            tell(f"Error initializing chat context: {error}")
            return False
        if not self.tools:
            tell("No tools available. Chat functionality may be limited.")
        return True

    async def _initialize(self) -> None:
        await self._initialize_tools()
        self.system_prompt = self._prompt()
        self._place = home()
        self._begin()

    def _begin(self, system_prompt: str | None = None, session: Session | None = None) -> None:
        self.session_manager = SessionTracker(
            self._place,
            self.system_prompt if system_prompt is None else system_prompt,
            self.enable_infinite_context,
            self.token_threshold,
            tools=self.openai_tools,
            summariser=self.summariser,
            session=session,
        )
        self.token_stats = TokenUsageStats()

    async def _initialize_tools(self) -> None:
        self.tools = list(await self.tool_manager.get_unique_tools())
        self.server_info = list(await self.tool_manager.get_server_info())
        self.tool_to_server_map = {tool.name: tool.namespace for tool in self.tools}
        await self._adapt_tools_for_provider()
        self.internal_tools = list(self.tools)

    async def _adapt_tools_for_provider(self) -> None:
        manager = self.tool_manager
        if hasattr(manager, "get_adapted_tools_for_llm"):
            try:
                self.openai_tools, self.tool_name_mapping = await manager.get_adapted_tools_for_llm(self.provider)
                return
            except Exception as error:
                logger.warning("the tools cannot be fitted to %s: %s", self.provider, error)
        self.openai_tools, self.tool_name_mapping = list(await manager.get_tools_for_llm()), {}

    def _prompt(self) -> str:
        """The instructions: mcp-cli's where that is installed, else short ones of our own."""
        made = of_mcp_cli("chat.system_prompt", "generate_system_prompt", generate_system_prompt)
        return str(made([tool.to_openai_format() for tool in self.internal_tools]))

    def _tracker(self) -> SessionTracker:
        if self.session_manager is None:
            raise RuntimeError("ChatContext is not initialized: await context.initialize() first")
        return self.session_manager

    # -- tools -----------------------------------------------------------------------------------------------------

    def find_tool_by_name(self, name: str) -> Any | None:
        """The tool of that name, with or without its namespace; None when there is none."""
        exact = (tool for tool in self.tools if name in (tool.name, tool.fully_qualified_name))
        bare = (tool for tool in self.tools if tool.name == name.rpartition(".")[2])
        return next(exact, None) or next(bare, None)

    def find_server_by_name(self, name: str) -> Any | None:
        """The server of that name or namespace; None when there is none."""
        return next((server for server in self.server_info if name in (server.name, server.namespace)), None)

    async def execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        """Use a tool; its result is not recorded by this."""
        return await self.tool_manager.execute_tool(tool_name, arguments)

    async def stream_execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> AsyncIterator[Any]:
        """Use a tool that answers piece by piece."""
        async for piece in self.tool_manager.stream_execute_tool(tool_name, arguments):
            yield piece

    async def get_server_for_tool(self, tool_name: str) -> str:
        """The server that has a tool, "Unknown" when none is known."""
        return await self.tool_manager.get_server_for_tool(tool_name) or "Unknown"

    @staticmethod
    def get_display_name_for_tool(namespaced_tool_name: str) -> str:
        """How a tool is called to a person."""
        return namespaced_tool_name

    def get_tool_count(self) -> int:
        """How many tools there are."""
        return len(self.tools)

    def get_server_count(self) -> int:
        """How many servers there are."""
        return len(self.server_info)

    # -- the conversation ------------------------------------------------------------------------------------------

    async def add_user_message(self, content: str) -> None:
        """Add what a person says; durable when this returns. Raises `RuntimeError`."""
        await self._tracker().user_says(content)

    async def add_assistant_message(self, content: str, tool_calls: Sequence[Any] | None = None) -> None:
        """Add what the model says and which tools it wants; durable when this returns. From 80 % of the threshold on, a
        line on stdout says so. Raises `RuntimeError`, `UsageError` for a tool call that is none."""
        tracker = self._tracker()
        await tracker.ai_responds(content, self.model, self.provider, tool_calls=tool_calls)
        self.token_stats = await tracker.get_usage()
        context = tracker.context()
        warning = context.warning() if context else None
        if warning:
            logger.info("%s", warning)
            tell(warning)

    async def add_tool_response(self, tool_call_id: str, content: str, name: str) -> None:
        """Add what a tool gave back; durable when this returns. Raises `RuntimeError`."""
        await self._tracker().tool_used(name, {}, content, call_id=tool_call_id)

    def get_messages_for_llm(self) -> Listed:
        """The messages to send, in OpenAI's shape: as many as the model and the threshold have room for, what came
        before them as a summary. May be awaited. Raises `RuntimeError`."""
        return self._tracker().get_messages_for_llm(self.model)

    def get_conversation_length(self) -> int:
        """How many messages there are beside the instructions. Raises `RuntimeError`."""
        return self._tracker().get_conversation_length()

    async def clear_conversation_history(self, keep_system_prompt: bool = True) -> None:
        """Begin another conversation; the one so far stays in the store, as completed. Raises `RuntimeError`."""
        tracker = self._tracker()
        await tracker.complete()
        self._begin(tracker.system_prompt if keep_system_prompt else "")

    def regenerate_system_prompt(self) -> None:
        """Make the instructions anew, of the tools as they are now."""
        self.system_prompt = self._prompt()
        if self.session_manager is not None:
            self.session_manager.update_system_prompt(self.system_prompt)

    async def get_token_stats(self) -> TokenUsageStats:
        """Tokens, dollars and segments of the conversation. Raises `RuntimeError`."""
        self.token_stats = await self._tracker().get_usage()
        return self.token_stats

    # -- what mcp-cli only planned, or asked for and did not have --------------------------------------------------

    def get_conversation_history(self) -> Listed:
        """All messages in OpenAI's shape, also those that are sent as a summary: what an exporter wants. Raises
        `RuntimeError`."""
        return self._tracker().get_conversation()

    @property
    def session_id(self) -> str:
        """What the store calls the conversation. Raises `RuntimeError`."""
        return self._tracker().session_id

    async def resume(self, session_id: str) -> None:
        """Go on with a conversation of the store; `session_id` is any name of it, or `@last`. Raises `RuntimeError`,
        `NotFound`, `Ambiguous`."""
        session = self._tracker().manager.get(session_id)
        first = next(iter(session.messages()), None)
        told = first["parts"][0].get("content", "") if first is not None and first["role"] == "system" else ""
        self._begin(str(told), session)
        self.token_stats = await self._tracker().get_usage()

    # -- for others ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What commands are given."""
        alone = ("token_stats", "client", "provider", "model", "model_manager", "exit_requested", "tool_manager")
        return {name: getattr(self, name) for name in (*alone, *_SHARED, "session_manager")}

    def update_from_dict(self, context_dict: dict[str, Any]) -> None:
        """Take over what a command has changed."""
        for name in ("exit_requested", "model_manager", "session_manager", *_SHARED):
            if name in context_dict:
                setattr(self, name, context_dict[name])

    def _length(self) -> int:
        return self.session_manager.get_conversation_length() if self.session_manager else 0

    def get_status_summary(self) -> dict[str, Any]:
        """The state on one page."""
        stats = self.token_stats
        return {
            "provider": self.provider,
            "model": self.model,
            "tool_count": len(self.tools),
            "server_count": len(self.server_info),
            "conversation_length": self._length(),
            "tools_adapted": bool(self.openai_tools),
            "exit_requested": self.exit_requested,
            "token_usage": {
                "total": stats.total_tokens,
                "prompt": stats.prompt_tokens,
                "completion": stats.completion_tokens,
                "cost": stats.estimated_cost,
                "segments": stats.segments,
            },
            "session_manager_active": self.session_manager is not None,
        }

    async def __aenter__(self) -> ChatContext:
        if not await self.initialize():
            raise RuntimeError("Failed to initialize ChatContext")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.session_manager is not None:
            await self.session_manager.close()

    def __repr__(self) -> str:
        counts = f"tools={len(self.tools)}, messages={self._length()}"
        return f"{type(self).__name__}(provider={self.provider!r}, model={self.model!r}, {counts})"

    def __str__(self) -> str:
        counts = f"{len(self.tools)} tools, {self._length()} messages"
        return f"Chat session with {self.provider}/{self.model} ({counts})"
