"""An archived session as the messages that a model of llm takes.

Tools are told in words unless asked otherwise: many models refuse tool calls in a history when they are not given the
very tools. Reasoning stays behind, because it is signed for the model that has thought it. Images go along when the
model takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import llm
from llm.parts import AttachmentPart, Part, TextPart, ToolCallPart, ToolResultPart

from sessionstore.exporters.content import arguments_object, arguments_string, plain_text
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import blob_text, response_text
from sessionstore.exporters.turns import BEGINNING, Call, Ids, Turn, split_system, turns

Blob = Callable[[str], bytes]
"""Gives the bytes of an object of the store."""


class History:
    """Makes the messages. `types` are the MIME types that the model takes; with `tool_parts` calls stay calls."""

    def __init__(self, blob: Blob, types: Iterable[str], *, tool_parts: bool = False) -> None:
        self._blob = blob
        self._types = frozenset(types)
        self._tool_parts = tool_parts

    def make(
        self, revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report
    ) -> tuple[str, list[llm.Message]]:
        """(the system prompt, the messages). What could not be taken along is named in the report."""
        found = turns(messages, report, Ids("", 200), merged=True)
        system, spoken = split_system(revision, found, report)
        made: list[llm.Message] = []
        for turn in spoken:
            for message in self._turn(turn, report):
                if made and made[-1].role == message.role != "tool":
                    made[-1].parts += message.parts
                else:
                    made.append(message)
        if made and made[0].role != "user":
            made.insert(0, llm.user(BEGINNING))
        return "\n\n".join(system), made

    def _turn(self, turn: Turn, report: Report) -> Iterable[llm.Message]:
        parts: list[Part] = []
        calls: list[Call] = []
        for part in turn.parts:
            if isinstance(part, Call):
                calls.append(part)
                parts.append(self._call(part))
            elif (told := self._part(part, report)) is not None:
                parts.append(told)
        if parts:
            yield llm.Message(role=turn.role, parts=parts)
        if calls:
            results = [self._result(call) for call in calls]
            yield llm.Message(role="tool" if self._tool_parts else "user", parts=results)

    def _part(self, part: dict[str, Any], report: Report) -> Part | None:
        kind = part.get("type")
        if kind == "text":
            text = plain_text(part)
            return TextPart(text=text) if text.strip() else None
        if kind == "reasoning":
            report.count("reasoning left out")
            return None
        mime, name = part.get("mime_type"), part.get("object")
        if kind == "blob" and mime in self._types and isinstance(name, str):
            return AttachmentPart(attachment=llm.Attachment(type=mime, content=self._blob(name)))
        report.count("images and files told by name only")
        return TextPart(text=blob_text(part))

    def _call(self, call: Call) -> Part:
        if self._tool_parts:
            arguments, _ = arguments_object(call.arguments)
            return ToolCallPart(name=call.name, arguments=arguments, tool_call_id=call.id)
        return TextPart(text=f"(I used the tool {call.name} with {arguments_string(call.arguments)})")

    def _result(self, call: Call) -> Part:
        output = response_text(call.response)
        if self._tool_parts:
            failed = output if call.is_error else None
            return ToolResultPart(name=call.name, output=output, tool_call_id=call.id, exception=failed)
        failed = " failed" if call.is_error else ""
        return TextPart(text=f"(The tool {call.name}{failed} gave: {output})")
