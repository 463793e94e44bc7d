"""The tools that write; they exist only when the server was started for that."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from sessionstore.archive import writing
from sessionstore.mcp_server.desk import Desk
from sessionstore.mcp_server.models import Appended, Notes
from sessionstore.mcp_server.reading import Session

Tag = Annotated[str, Field(min_length=1, max_length=100)]
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
SETS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


class NewMessage(BaseModel):
    """A message to append."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system"]
    text: Annotated[str, Field(min_length=1, max_length=1_000_000)]
    model: Annotated[str | None, Field(max_length=200, description="Who said it, for an assistant's message")] = None


def register(server: MCPServer, desk: Desk) -> None:
    """Add the tools that write."""
    append, annotate = _tools(desk)
    server.add_tool(append, title="Append messages", description=inspect.getdoc(append), annotations=ADDS)
    server.add_tool(annotate, title="Annotate a session", description=inspect.getdoc(annotate), annotations=SETS)


def _tools(desk: Desk) -> Any:
    archive = desk.archive

    async def append_messages(
        messages: Annotated[list[NewMessage], Field(min_length=1, max_length=200, description="In their order")],
        ctx: Context,
        session: Annotated[
            str | None,
            Field(max_length=1000, description="The session to append to; without one, a new one"),
        ] = None,
        title: Annotated[str | None, Field(max_length=500, description="The title of a new session")] = None,
    ) -> Appended:
        """Append messages to an archived session, or keep them as a new one. They are durable when this returns.

        Nothing that is there is changed. The messages are marked as written through this server.
        """
        said = [message.model_dump() for message in messages]
        by = f"mcp:{_client(ctx)}"
        return Appended.model_validate(
            await desk.write(lambda: writing.append(archive, session, said, written_by=by, title=title))
        )

    async def annotate_session(
        session: Session,
        title: Annotated[str | None, Field(max_length=500, description='A title; "" takes it back')] = None,
        add_tags: Annotated[list[Tag], Field(max_length=50, description="Tags to add")] = [],  # noqa: B006
        remove_tags: Annotated[list[Tag], Field(max_length=50, description="Tags to take away")] = [],  # noqa: B006
        star: Annotated[bool | None, Field(description="Whether it has a star")] = None,
        archived: Annotated[bool | None, Field(description="Archived sessions are left out of lists")] = None,
    ) -> Notes:
        """Set a session's title, tags, star or archived mark. What is not given stays as it is; the session itself is
        not changed."""
        return Notes.model_validate(
            await desk.write(
                lambda: writing.annotate(
                    archive,
                    session,
                    title=title,
                    add_tags=add_tags,
                    remove_tags=remove_tags,
                    star=star,
                    archived=archived,
                )
            )
        )

    return append_messages, annotate_session


def _client(ctx: Context) -> str:
    """The client's name and version as it states them."""
    params = ctx.request_context.session.client_params
    info = params.client_info if params else None
    return f"{info.name} {info.version}"[:200] if info else "unknown"
