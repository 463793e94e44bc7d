"""A program as it was written for llm-mcp-server's module; only the import is another one."""

import asyncio
import json
import sys

from sessionstore.compat.kimi import (
    clear_session,
    handle_call_tool,
    init_clients,
    list_sessions,
    load_session,
    save_session,
    truncate_messages_for_context,
)


def call(name, **arguments):
    return [block.text for block in asyncio.run(handle_call_tool(name, arguments))]


def main():
    init_clients()
    told = {}
    old = load_session("refactor-model-agnostic-sessions_20250712_2126")
    told["old"] = [message["content"] for message in old["messages"]]
    told["consulted"] = call(
        "kimi_chat", prompt="And the locks?", session_id="refactor-model-agnostic-sessions_20250712_2126"
    )
    told["begun"] = call("kimi_chat", prompt="First", session_id="api-design", system="Be terse.")
    told["last"] = call("kimi_chat", prompt="Second", session_id="@last", return_conversation=True)
    told["list"] = call("kimi_chat", session_id="@list")

    session = load_session("@last")
    told["kept"] = session["messages"]
    messages = session["messages"].copy()
    messages.append({"role": "user", "content": "Third"})
    save_session(session["session_id"], truncate_messages_for_context(messages), session["metadata"])
    told["count"] = next(one["message_count"] for one in list_sessions() if one["session_id"] == session["session_id"])
    told["tools"] = call("kimi_chat", prompt="Add 2 and 40", session_id="sums_1", available_tools=["add_numbers"])
    told["quick"] = call("quick_gpt", prompt="Two and two?", session_id="q")
    told["cleared"] = [clear_session(session["session_id"]), load_session(session["session_id"])]
    told["costs"] = call("check_costs")
    json.dump(told, sys.stdout)


main()
