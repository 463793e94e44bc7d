"""The smaller pieces of a Codex rollout, each mapped on its own: times, texts, content, facts of the session."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import OWN_PARTS, is_instant, naive_time

Json = dict[str, Any]


INJECTED = (
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md instructions for ",
    "<turn_aborted>",
    "<skill>",
    "<subagent_notification>",
    "<permissions instructions>",
    "<collaboration_mode>",
    "<INSTRUCTIONS>",
)
"""How the texts begin that Codex puts into the user's mouth."""

_TITLE_LENGTH = 120
_SHELL = "<user_shell_command>"
_IDE_REQUEST = "## My request for Codex:"
_BLOB_FIELDS = frozenset(("type", "modality", "mime_type", "data", "object", "bytes", "uri"))
_TEXTS = frozenset(("input_text", "output_text", "text"))


def fingerprint(text: str) -> str:
    """A short name for a text without the white space around it; says whether two records hold the same text."""
    return blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def fingerprint_all(texts: list[Any]) -> str:
    """A short name for a list of texts, "" when not all of them are texts."""
    return fingerprint("\n".join(texts)) if all(isinstance(text, str) for text in texts) else ""


def put_time(message: Message, value: Any) -> None:
    """Give the message the record's time: as its `time` when it is a proper one, else in `x`."""
    if is_instant(value):
        message["time"] = value
        return
    x = message.setdefault("x", {})
    local = naive_time(value)
    if local:
        x["time"] = local
    else:
        x["timestamp"] = value


def meta(record: Json) -> Message:
    """A preserved record that is not conversation, as a message."""
    return {"role": "system", "kind": "meta", "parts": [{"type": "record", "record": record}]}


def is_injected(texts: list[str]) -> bool:
    """Whether all the texts of a user message were written by Codex and not by the person."""
    return bool(texts) and all(text.lstrip().startswith(INJECTED) for text in texts)


def title_of(texts: list[str]) -> str | None:
    """The first line of a prompt. The editors put a block of context before the request, which is skipped."""
    for text in texts:
        if text.startswith(_SHELL):
            continue
        begin = text.find(_IDE_REQUEST)
        for line in text[begin + len(_IDE_REQUEST) if begin >= 0 else 0 :].split("\n"):
            if line.strip():
                return line.strip()[:_TITLE_LENGTH]
    return None


def stated_cwd(texts: list[str]) -> str | None:
    """The working directory that an `<environment_context>` names; older rollouts state it nowhere else."""
    for text in texts:
        begin, end = text.find("<cwd>"), text.find("</cwd>")
        if 0 <= begin < end:
            return text[begin + 5 : end].strip() or None
    return None


def project_of(cwd: str) -> str | None:
    """The last component of a directory of any operating system."""
    return cwd.replace("\\", "/").rstrip("/").rpartition("/")[2] or None


# --- content -------------------------------------------------------------------------------------------------


def content_parts(content: Any) -> list[Any] | None:
    """The parts of a message's or a tool output's content (a string or a list of items), None for anything else."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_content_part(item) for item in content] if isinstance(content, list) else None


def texts_of(parts: list[Any]) -> list[str]:
    """The texts among the parts."""
    return [part["content"] for part in parts if isinstance(part, dict) and part.get("type") == "text"]


def image_urls(content: Any) -> list[str]:
    """The URLs of the images in a message's content."""
    items = content if isinstance(content, list) else ()
    urls = (item.get("image_url") for item in items if isinstance(item, dict))
    return [url for url in urls if isinstance(url, str)]


def _content_part(item: Any) -> Any:
    if not isinstance(item, dict):
        return {"type": "record", "record": {"value": item}}
    kind, text = item.get("type"), item.get("text")
    if isinstance(text, str) and isinstance(kind, str) and kind in _TEXTS:
        if len(item) == 2:
            return {"type": "text", "content": text}
        if "content" not in item:
            return {"type": "text", "content": text, **_rest(item, ("type", "text"))}
    url = item.get("image_url")
    if kind == "input_image" and isinstance(url, str):
        rest = _rest(item, ("type", "image_url"))
        if rest.keys().isdisjoint(_BLOB_FIELDS):
            return _image(url, rest)
    return verbatim(item)


def verbatim(item: Json) -> Json:
    """An item that is not understood, as a part: itself, wrapped when its type would be taken for one of ours."""
    kind = item.get("type")
    if isinstance(kind, str) and kind not in OWN_PARTS:
        return item
    return {"type": "record", "record": item}


def _image(url: str, rest: Json) -> Json:
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        mime = head[5:-7]
        if comma and mime and head.endswith(";base64"):
            return {**rest, "type": "blob", "modality": _modality(mime), "mime_type": mime, "data": data}
    return {**rest, "type": "uri", "modality": "image", "uri": url}


def _modality(mime: str) -> str:
    return mime.partition("/")[0] if mime.startswith(("audio/", "video/")) else "image"


def _rest(item: Json, known: tuple[str, ...]) -> Json:
    return {name: value for name, value in item.items() if name not in known}


# --- the session ---------------------------------------------------------------------------------------------


def is_header(record: Json) -> bool:
    """The first line of a mid-2025 rollout, which has no type."""
    if "type" in record or "role" in record or "record_type" in record:
        return False
    if not isinstance(record.get("id"), str) or not isinstance(record.get("timestamp"), str):
        return False
    return "instructions" in record or "originator" in record or isinstance(record.get("git"), dict)


def describe(draft: Draft, facts: Json, aside: Json) -> list[str]:
    """Take the session's facts over from its first `session_meta` (or the header of an older file).

    Returns the instructions, which become the first message. What the model has no name for goes to `draft.x`,
    as does `aside`, the fields around the payload. The native id is the caller's business.
    """
    rest = dict(facts)
    if rest.get("session_id") == rest.get("id"):
        rest.pop("session_id", None)
    if isinstance(rest.get("id", ""), str):
        rest.pop("id", None)
    _take_time(draft, rest)
    _take_place(draft, rest)
    texts = []
    for name in ("base_instructions", "instructions"):
        text = _take_text(rest, name)
        if text and text not in texts:
            texts.append(text)
    tools = rest.get("dynamic_tools")
    if isinstance(tools, list):
        draft.tools = rest.pop("dynamic_tools")
    draft.forked_from = _forked_from(facts)
    for name, value in aside.items():
        rest[name if name not in facts else f"envelope.{name}"] = value
    draft.x.update(rest)
    return texts


def _take_time(draft: Draft, rest: Json) -> None:
    began = rest.get("timestamp")
    local = naive_time(began)
    if is_instant(began):
        draft.created_at = rest.pop("timestamp")
    elif local:
        del rest["timestamp"]
        rest["created_at"] = local


def _take_place(draft: Draft, rest: Json) -> None:
    cwd = rest.get("cwd")
    if isinstance(cwd, str) and cwd:
        draft.cwd, draft.project = rest.pop("cwd"), project_of(cwd)
    git = rest.get("git")
    if isinstance(git, dict):
        left = dict(git)
        for theirs, ours in (("branch", "branch"), ("commit_hash", "commit"), ("repository_url", "remote")):
            if isinstance(left.get(theirs), str):
                draft.git[ours] = left.pop(theirs)
            elif left.get(theirs, 0) is None:
                del left[theirs]
        rest["git"] = left
    if not rest.get("git", True):
        del rest["git"]


def _take_text(rest: Json, name: str) -> str | None:
    value = rest.get(name)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        left = _rest(value, ("text",))
        if left:
            rest[name] = left
        else:
            del rest[name]
        return str(value["text"])
    if isinstance(value, str) or value is None:
        rest.pop(name, None)
    return value if isinstance(value, str) else None


def _forked_from(facts: Json) -> dict[str, str] | None:
    # A subagent may also be forked from its parent's history; that it is a subagent says more.
    source = facts.get("source")
    subagent = source.get("subagent") if isinstance(source, dict) else None
    spawn = subagent.get("thread_spawn") if isinstance(subagent, dict) else None
    parent = spawn.get("parent_thread_id") if isinstance(spawn, dict) else None
    forked = facts.get("forked_from_id")
    for origin, relation in ((parent, "subagent"), (forked, "fork"), (facts.get("parent_thread_id"), "subagent")):
        if isinstance(origin, str) and origin and origin != facts.get("id"):
            return {"key": f"codex:{origin}", "relation": relation}
    return None
