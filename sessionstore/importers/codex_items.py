"""The Responses items of a Codex rollout, as messages.

Everything here is a pure function of one payload. A payload whose shape is not the known one gives None, and is
then preserved as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessionstore.importers.base import Message
from sessionstore.importers.codex_parts import Json, content_parts, fingerprint, is_injected, texts_of
from sessionstore.importers.common import OWN_PARTS
from sessionstore.importers.parsing import Unparsable, parse

_ROLES: dict[str, tuple[str, str | None]] = {
    "user": ("user", None),
    "assistant": ("assistant", None),
    "developer": ("system", "context"),
    "system": ("system", "context"),
}


def item_message(payload: Json) -> Message | None:
    """The message that a Responses item is, without id and time; None when it is not one we understand.

    What the item says besides goes to `x`, its `id` excepted, which the caller takes as the message's.
    """
    kind = payload.get("type")
    if kind is None:
        # Some writers leave the type out of messages.
        return _message(payload)
    if not isinstance(kind, str):
        return None
    make = _ITEMS.get(kind)
    if make is not None:
        return make(payload)
    if kind.endswith("_output"):
        return _output(payload)
    return _call(payload) if kind.endswith("_call") and kind not in OWN_PARTS else None


_MESSAGE = frozenset(("type", "id", "role", "content"))


def _message(payload: Json) -> Message | None:
    role = payload.get("role")
    mapped = _ROLES.get(role) if isinstance(role, str) else None
    parts = content_parts(payload.get("content"))
    if mapped is None or parts is None:
        return None
    message: Message = {"role": mapped[0], "parts": parts}
    kind = mapped[1] or ("context" if role == "user" and is_injected(texts_of(parts)) else None)
    if kind:
        message["kind"] = kind
    _with_rest(message, payload, _MESSAGE)
    if role == "developer":
        message.setdefault("x", {})["role"] = role
    return message


_AGENT_MESSAGE = frozenset(("type", "id", "content"))


def _agent_message(payload: Json) -> Message | None:
    # What another agent of the same run has sent to this one: input that no person typed.
    parts = content_parts(payload.get("content"))
    if parts is None:
        return None
    return _with_rest({"role": "user", "kind": "context", "parts": parts}, payload, _AGENT_MESSAGE)


_REASONING = frozenset(("type", "id", "summary", "content", "encrypted_content"))


def _reasoning(payload: Json) -> Message | None:
    summary = reasoning_texts(payload.get("summary"))
    content = reasoning_texts(payload.get("content"))
    signature = payload.get("encrypted_content")
    if summary is None or content is None or not (signature is None or isinstance(signature, str)):
        return None
    part: Json = {"type": "reasoning", "content": "\n\n".join(summary)}
    if signature:
        part["signature"] = signature
    parts = [part]
    if content:
        parts.append({"type": "reasoning", "content": "\n\n".join(content)})
        if not summary and not signature:
            del parts[0]
    return _with_rest({"role": "assistant", "parts": parts}, payload, _REASONING)


def reasoning_texts(items: Any) -> list[str] | None:
    """The texts of a reasoning item's `summary` or `content` (absent is none), None for another shape."""
    if items is None:
        return []
    if not isinstance(items, list):
        return None
    found = []
    for item in items:
        text = item if isinstance(item, str) else item.get("text") if isinstance(item, dict) else None
        if not isinstance(text, str) or (isinstance(item, dict) and len(item) > 2):
            return None
        found.append(text)
    return found


_ARGUMENTS = ("arguments", "input", "action")


def _call(payload: Json) -> Message | None:
    name = payload.get("name")
    if name is None:
        name = payload["type"][:-5]
    call_id = payload.get("call_id")
    if call_id is None:
        call_id = payload.get("id")
    if not isinstance(name, str) or not (call_id is None or isinstance(call_id, str)):
        return None
    field = next((field for field in _ARGUMENTS if field in payload), "")
    part = {"type": "tool_call", "id": call_id, "name": name, "arguments": payload.get(field)}
    known = frozenset(("type", "id", "call_id", "name", field))
    return _with_rest({"role": "assistant", "parts": [part]}, payload, known)


_IMAGES = (("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("UklGR", "image/webp"))


def _image_call(payload: Json) -> Message | None:
    # The picture is in the call itself, base64 without a word about its format.
    message = _call(payload)
    data = payload.get("result")
    if message is not None and isinstance(data, str):
        mime = next((mime for begin, mime in _IMAGES if data.startswith(begin)), None)
        if mime:
            message["parts"].append({"type": "blob", "modality": "image", "mime_type": mime, "data": data})
            del message["x"]["result"]
            if not message["x"]:
                del message["x"]
    return message


def _output(payload: Json) -> Message | None:
    field = "output" if "output" in payload else "tools"
    call_id = payload.get("call_id")
    if call_id is None:
        call_id = payload.get("id")
    if field not in payload or not (call_id is None or isinstance(call_id, str)):
        return None
    output = payload[field]
    part: Json = {"type": "tool_call_response", "id": call_id, "response": output}
    message: Message = {"role": "tool", "parts": [part]}
    _with_rest(message, payload, frozenset(("type", "id", "call_id", field)))
    if isinstance(output, str):
        _unwrap(part, message, output)
    elif field == "output" and isinstance(output, list):
        part["response"] = content_parts(output)
    elif isinstance(output, dict) and output.get("success") is False:
        part["is_error"] = True
    return message


def _unwrap(part: Json, message: Message, output: str) -> None:
    """Releases up to 0.6x wrap the text: `{"output": text, "metadata": {"exit_code": …}}`. Later ones state the
    exit code in the first lines of the text."""
    if not output.startswith('{"output"'):
        if _states_failure(output):
            part["is_error"] = True
        return
    if "metadata" in message.get("x", ()):
        return
    try:
        value, flags = parse(output.encode("utf-8", "surrogatepass"))
    except Unparsable:
        return
    # The wrapping may go only when nothing is lost with it.
    if flags or not isinstance(value, dict) or value.keys() != {"output", "metadata"}:
        return
    text, facts = value["output"], value["metadata"]
    if isinstance(text, str) and isinstance(facts, dict):
        part["response"] = text
        message.setdefault("x", {})["metadata"] = facts
        if facts.get("exit_code", 0) != 0:
            part["is_error"] = True


def _states_failure(output: str) -> bool:
    if output.startswith("Exit code: "):
        return not output.startswith("Exit code: 0\n")
    if output.startswith(("Chunk ID: ", "Wall time: ")):
        _, found, after = output[:300].partition("Process exited with code ")
        return bool(found) and not after.startswith("0\n")
    return False


_ITEMS: dict[str, Callable[[Json], Message | None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "agent_message": _agent_message,
    "function_call": _call,
    "custom_tool_call": _call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "image_generation_call": _image_call,
}


def spoken(message: Message, payload: Json) -> tuple[str, list[str]]:
    """Which stream of talk (`user`, `assistant`, `reasoning`, else "") an item's message belongs to, and the
    fingerprints of what events may repeat of it: its texts joined, and each of several."""
    role = message["role"]
    if role == "user":
        texts = texts_of(message["parts"])
        joined = "".join(texts)
    elif role != "assistant":
        return "", []
    elif payload.get("type") == "reasoning":
        role = "reasoning"
        texts = [*(reasoning_texts(payload.get("summary")) or ()), *(reasoning_texts(payload.get("content")) or ())]
        joined = message["parts"][0]["content"]
    else:
        texts = texts_of(message["parts"])
        joined = "".join(texts)
    if len(texts) <= 1:
        return role, [fingerprint(joined)] if texts or role == "user" else []
    names = dict.fromkeys(fingerprint(text) for text in (joined, *texts))
    return role, list(names)


def completed_content(item: Json) -> tuple[str, Json] | None:
    """The text of an `item_completed`'s item, and what the item says besides; None for an unknown shape."""
    extras = {
        name: value
        for name, value in item.items()
        if name not in ("type", "id", "content", "summary_text", "raw_content") and value not in (None, [], {}, "")
    }
    if item["type"] == "Reasoning":
        summary, raw = reasoning_texts(item.get("summary_text")), reasoning_texts(item.get("raw_content"))
        if summary is None or raw is None:
            return None
        if summary and raw:
            extras["raw_content"] = raw
        return "\n\n".join(summary or raw), extras
    content = item.get("content")
    if not isinstance(content, list):
        return None
    texts, images, others = [], [], []
    for entry in content:
        if not isinstance(entry, dict):
            return None
        if isinstance(entry.get("text"), str):
            texts.append(entry["text"])
            extras.update({name: entry[name] for name in entry if name not in ("type", "text") and entry[name]})
        elif isinstance(entry.get("image_url"), str):
            images.append(entry["image_url"])
        else:
            others.append(entry)
    if images:
        extras["images"] = images
    if others:
        extras["content"] = others
    return "".join(texts), extras


def _with_rest(message: Message, payload: Json, known: frozenset[str]) -> Message:
    x = {name: value for name, value in payload.items() if name not in known}
    if x:
        message["x"] = x
    return message
