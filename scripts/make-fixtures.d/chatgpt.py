"""Fixtures of ChatGPT data exports: an unpacked folder, the same as a zip file, a split export and one conversation."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

START = 1_750_000_000.25
IMAGE = "file-AbCdEf0123456789GhIjKl"
DAT = "file_00000000aaaabbbbccccddddeeeeffff"
SOUND = "file_00000000111122223333444455556666"
UPLOAD = "file-Upload0123456789Upload"


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
    )


def wav() -> bytes:
    """A sound of one sample."""
    return (
        b"RIFF"
        + struct.pack("<I", 38)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
        + (b"data" + struct.pack("<I", 2) + b"\x80\x80")
    )


def message(node: str, role: str, content: dict[str, Any], second: float | None, **fields: Any) -> dict[str, Any]:
    """A message as the service writes it."""
    return {
        "id": node,
        "author": {"role": role, "name": fields.pop("name", None), "metadata": {}},
        "create_time": START + second if second is not None else None,
        "update_time": None,
        "content": content,
        "status": "finished_successfully",
        "end_turn": None,
        "weight": 1.0,
        "metadata": {},
        "recipient": "all",
        "channel": None,
    } | fields


def text(*parts: str) -> dict[str, Any]:
    """The content of a plain message."""
    return {"content_type": "text", "parts": list(parts)}


def tree(*nodes: tuple[str, str | None, dict[str, Any] | None]) -> dict[str, Any]:
    """A mapping of (id, parent, message)."""
    made = {name: {"id": name, "message": body, "parent": parent, "children": []} for name, parent, body in nodes}
    for name, parent, _ in nodes:
        if parent is not None:
            made[parent]["children"].append(name)
    return made


def conversation(native_id: str, title: str | None, mapping: Any, leaf: str | None, **fields: Any) -> dict[str, Any]:
    """A conversation as the service writes it."""
    return {
        "title": title,
        "create_time": START,
        "update_time": START + 600,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": leaf,
        "plugin_ids": None,
        "conversation_id": native_id,
        "conversation_template_id": None,
        "gizmo_id": None,
        "is_archived": False,
        "safe_urls": [],
        "default_model_slug": "gpt-4o",
        "id": native_id,
    } | fields


def branches() -> dict[str, Any]:
    """A conversation with a call, its result, thoughts, and an answer that was generated again. Its mapping is in no
    order at all."""
    model = {"model_slug": "gpt-4o", "finish_details": {"type": "stop", "stop_tokens": [200002]}}
    hidden = {"is_visually_hidden_from_conversation": True}
    mapping = tree(
        ("root", None, None),
        ("sys", "root", message("sys", "system", text(""), None, weight=0.0, metadata=hidden)),
        (
            "custom",
            "sys",
            message(
                "custom",
                "user",
                {"content_type": "user_editable_context", "user_profile": "I bake.", "user_instructions": "Be brief."},
                None,
                metadata=hidden | {"is_user_system_message": True},
            ),
        ),
        ("ask", "custom", message("ask", "user", text("How many loaves from 3 kg of flour?"), 1)),
        (
            "thoughts",
            "ask",
            message(
                "thoughts",
                "assistant",
                {
                    "content_type": "thoughts",
                    "thoughts": [{"summary": "Weighing", "content": "600 g a loaf.", "chunks": [], "finished": True}],
                    "source_analysis_msg_id": "x",
                },
                2,
                metadata={"model_slug": "o3"},
            ),
        ),
        (
            "call",
            "thoughts",
            message(
                "call",
                "assistant",
                {"content_type": "code", "language": "python", "text": "3000 / 600"},
                3,
                recipient="python",
                metadata=model,
            ),
        ),
        (
            "result",
            "call",
            message("result", "tool", {"content_type": "execution_output", "text": "5.0"}, 4, name="python"),
        ),
        (
            "recap",
            "result",
            message("recap", "assistant", {"content_type": "reasoning_recap", "content": "Thought for 2s"}, 5),
        ),
        ("first", "recap", message("first", "assistant", text("Five loaves."), 6, end_turn=True, metadata=model)),
        ("again", "recap", message("again", "assistant", text("About five."), 60, end_turn=True, metadata=model)),
        ("thanks", "first", message("thanks", "user", text("Thanks"), 90)),
    )
    shuffled = {name: mapping[name] for name in sorted(mapping, key=lambda name: zlib.crc32(name.encode()))}
    return conversation("c0ffee00-0000-4000-8000-000000000001", "Bread", shuffled, "thanks", is_starred=True)


def pictures() -> dict[str, Any]:
    """A conversation with a picture, a sound, an upload, and a picture that is lost."""

    def image(link: str) -> dict[str, Any]:
        return {"content_type": "image_asset_pointer", "asset_pointer": link, "size_bytes": 67, "width": 1, "height": 1}

    sound = {"content_type": "audio_asset_pointer", "asset_pointer": f"sediment://{SOUND}", "format": "wav"}
    said = {"content_type": "audio_transcription", "text": "What is this?", "direction": "in"}
    attachments = [{"id": UPLOAD, "name": "list.txt", "mime_type": "text/plain", "size": 6}]
    mapping = tree(
        ("root", None, None),
        (
            "show",
            "root",
            message(
                "show",
                "user",
                {"content_type": "multimodal_text", "parts": [image(f"file-service://{IMAGE}"), said, sound]},
                1,
                metadata={"attachments": attachments},
            ),
        ),
        (
            "draw",
            "show",
            message("draw", "assistant", text('{"prompt":"a loaf"}'), 2, recipient="dalle.text2im"),
        ),
        (
            "drawn",
            "draw",
            message(
                "drawn",
                "tool",
                {
                    "content_type": "multimodal_text",
                    "parts": [image(f"sediment://{DAT}"), image("file-service://file-Lost0123456789Lost0000")],
                },
                3,
                name="dalle.text2im",
            ),
        ),
        (
            "quote",
            "drawn",
            message("quote", "assistant", {"content_type": "tether_quote", "url": "https://e.org", "text": "grey"}, 4),
        ),
        (
            "failed",
            "quote",
            message("failed", "tool", {"content_type": "system_error", "name": "E", "text": "no"}, 5, name="browser"),
        ),
        (
            "new",
            "failed",
            message("new", "assistant", {"content_type": "holo_deck", "scene": {"n": 1}}, 6, weight=0.0),
        ),
    )
    for node in mapping.values():
        del node["children"]
    return conversation("c0ffee00-0000-4000-8000-000000000002", None, mapping, "gone", gizmo_id="g-p-1")


def odd() -> list[dict[str, Any]]:
    """Conversations with something missing."""
    loose = tree(
        ("a", None, message("a", "user", text("One"), 1)), ("b", "a", message("b", "assistant", text("Two"), 2))
    )
    loose["b"]["parent"] = "nowhere"
    ring = tree(("x", None, message("x", "user", text("X"), 1)), ("y", "x", message("y", "assistant", text("Y"), 2)))
    ring["x"]["parent"] = "y"
    return [
        {"id": "c0ffee00-0000-4000-8000-000000000003", "title": "No messages", "create_time": START},
        conversation("c0ffee00-0000-4000-8000-000000000004", "Loose", loose, None),
        conversation("c0ffee00-0000-4000-8000-000000000005", "Ring", ring, "y"),
    ]


def dump(value: Any) -> bytes:
    """JSON as the service writes it: on one line, not escaped."""
    return json.dumps(value, ensure_ascii=False).encode()


def files() -> dict[str, bytes]:
    """The files of an export by name."""
    feedback = [{"id": "first", "conversation_id": "c0ffee00-0000-4000-8000-000000000001", "rating": "thumbs_up"}]
    shared = [{"id": "share-1", "conversation_id": "deleted", "title": "Gone", "is_anonymous": True}]
    return {
        "conversations.json": dump([branches(), pictures(), *odd()]),
        "user.json": dump({"id": "user-1", "email": "baker@example.org", "chatgpt_plus_user": False}),
        "message_feedback.json": dump(feedback),
        "shared_conversations.json": dump(shared),
        "chat.html": b"<html><body>the same once more</body></html>",
        "conversation_asset_file_names.json": dump({f"{DAT}.dat": "loaf.png"}),
        f"{IMAGE}-bread.png": png(),
        f"{DAT}.dat": png(),
        f"c0ffee00-0000-4000-8000-000000000002/audio/{SOUND}-x.wav": wav(),
        f"{UPLOAD}-list.txt": b"flour\n",
        "dalle-generations/file-Unseen0123456789Unseen-x.webp": b"RIFF\x04\0\0\0WEBP",
    }


def packed(path: Path, content: dict[str, bytes]) -> None:
    """Write a zip file, the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)


def unpacked(folder: Path, content: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def make(target: Path) -> None:
    """Write the fixtures below `target`."""
    packed(target / "export.zip", files())
    unpacked(target / "export", files())
    manifest = {"logical_files": {"conversations.json": {"files": [f"conversations-00{n}.json" for n in range(3)]}}}
    split = {
        "conversations-000.json": dump([branches()]),
        "conversations-001.json": dump([branches(), odd()[1]]),
        "export_manifest.json": dump(manifest),
    }
    unpacked(target / "split", split)
    unpacked(target, {"conversation.json": json.dumps(branches(), indent=2).encode()})
