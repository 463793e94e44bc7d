"""The Markdown in which mcp_coder's workflow writes down one exchange with the model.

# <what it was about>

[## Mypy Errors: ...]

## Prompt Sent to LLM:
<prompt>

## LLM Response:            (or: ## LLM Fix Response:)
<answer>

---
Generated on: <local time>  (or: Mypy fix generated on:)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PROMPT = "\n## Prompt Sent to LLM:\n"
_ANSWER = re.compile(r"\n\n## LLM (?:Fix )?Response:\n")
_END = re.compile(r"\n\n---\n(?P<what>[^\n]{0,80}?)on: (?P<time>\d{4}-\d\d-\d\d[T ][\d:.]+)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a transcript says. `ambiguous`: the heading of the answer occurs more than once, the first one counts."""

    heading: str
    prompt: str
    answer: str | None
    time: str | None
    ambiguous: bool


def exchange(text: str) -> Exchange | None:
    """The exchange that a transcript holds; None when it has no prompt."""
    start = text.find(PROMPT)
    if start < 0:
        return None
    body, end = text[start + len(PROMPT) :], None
    tail = max(0, len(body) - 400)
    if (end := _END.search(body[tail:])) is not None:
        body = body[: tail + end.start()]
    answers = list(_ANSWER.finditer(body))
    prompt = body[: answers[0].start()] if answers else body
    answer = body[answers[0].end() :] if answers else None
    return Exchange(text[:start].strip("\n"), prompt, answer, end["time"] if end else None, len(answers) > 1)
