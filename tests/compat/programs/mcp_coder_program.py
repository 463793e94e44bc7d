"""A program as mcp_coder's documentation shows them; only its import is another one."""

import sys
from pathlib import Path

from sessionstore.compat.mcp_coder import (
    LLM_RESPONSE_VERSION,
    LLMResponseDict,
    ResponseAssembler,
    ask_llm,
    deserialize_llm_response,
    extract_session_id,
    find_latest_session,
    from_json_string,
    prompt_llm,
    prompt_llm_stream,
    serialize_llm_response,
    store_session,
    to_json_string,
)


def resume() -> str | None:
    """The session to go on with, as the command line's --continue-session finds it."""
    latest = find_latest_session()
    if latest is None:
        print("No previous response files found, starting new conversation.")
        return None
    session_id = extract_session_id(latest)
    print(f"Resuming session: {str(session_id)[:16]}...")
    return session_id


def main() -> None:
    assert ask_llm("What is Python?")

    result: LLMResponseDict = prompt_llm("My favorite color is blue", session_id=resume(), timeout=60)
    again = prompt_llm("What's my favorite color?", session_id=result["session_id"])
    print("text:", again["text"])
    assert again["version"] == LLM_RESPONSE_VERSION and from_json_string(to_json_string(again)) == again

    Path("logs").mkdir(exist_ok=True)
    serialize_llm_response(again, f"logs/{again['session_id']}.json")
    assert deserialize_llm_response(f"logs/{again['session_id']}.json") == again

    for prompt, response in (("My favorite color is blue", result), ("What's my favorite color?", again)):
        print("stored:", store_session(response, prompt, branch_name="123-colors"))

    assembler = ResponseAssembler(provider="claude")
    for event in prompt_llm_stream("And in French?", session_id=again["session_id"]):
        assembler.add(event)
        if event["type"] == "text_delta":
            sys.stdout.write(str(event["text"]))
    print()
    assert not assembler.has_error
    print("stored:", store_session(assembler.result(), "And in French?", step_name="french"))


main()
