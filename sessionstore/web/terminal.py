"""What a tool printed, for reading: terminal colours become classes, everything else that steers a terminal goes."""

from __future__ import annotations

import re
from html import escape

_SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"  # colours
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links and the like
    r"|\x1b[ -/]*[0-~]?"
)
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)(?=[^\n])")
_CONTROLS = {number: "\ufffd" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\n\t"}
_COLOURS = {**{30 + n: f"a{n}" for n in range(8)}, **{90 + n: f"a{n}" for n in range(8)}}
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}


def html(text: str) -> str:
    """Text with terminal sequences as safe HTML without them; progress lines show their last state."""
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        text = _OVERWRITTEN.sub("", text).replace("\r", "")
    if "\x1b" not in text:
        return escape(text.translate(_CONTROLS), quote=False)
    pieces: list[str] = []
    state: dict[str, str] = {}
    position = 0
    for match in _SEQUENCE.finditer(text):
        pieces.append(_span(text[position : match.start()], state))
        position = match.end()
        if match[1] is not None:
            _apply(match[1], state)
    pieces.append(_span(text[position:], state))
    return "".join(pieces)


def one_line(text: str, length: int) -> str:
    """The beginning of a text on one line of at most `length` characters, without what steers a terminal."""
    plain = _SEQUENCE.sub("", text[: 4 * length + 100])
    words = " ".join(plain.split()).translate(_CONTROLS)
    return words if len(words) <= length else words[: length - 1] + "…"


def visible(text: str) -> str:
    """Text of the same length with control characters replaced."""
    return text.translate(_CONTROLS)


def _span(text: str, state: dict[str, str]) -> str:
    if not text:
        return ""
    shown = escape(text.translate(_CONTROLS), quote=False)
    return f'<span class="{" ".join(sorted(set(state.values())))}">{shown}</span>' if state else shown


def _apply(codes: str, state: dict[str, str]) -> None:
    numbers = [int(code) if code.isdecimal() and len(code) < 4 else 0 for code in codes.replace(":", ";").split(";")]
    position = 0
    while position < len(numbers):
        number = numbers[position]
        if number in (38, 48):  # a colour by number or by red, green and blue: not one of the sixteen names
            position += 3 if numbers[position + 1 : position + 2] == [5] else 5
            continue
        if number == 0:
            state.clear()
        elif number in _COLOURS:
            state["colour"] = _COLOURS[number]
        elif number == 39:
            state.pop("colour", None)
        elif number in _STYLES:
            state[_STYLES[number]] = _STYLES[number]
        elif number == 22:
            state.pop("bold", None)
            state.pop("dim", None)
        elif number in (23, 24):
            state.pop(_STYLES[number - 20], None)
        position += 1
