"""Compares a face with a table of what the older module declares.

The table has a line for each thing, as `- class Name(Base)`, `  - field name: type = default`, `  - NAME = 'value'`,
`  - method(self, …) -> type` or `- function(…) -> type`.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def _plain(annotation: Any) -> str:
    """An annotation as text, whatever way it is spelled."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    text = re.sub(r"\s|'|\"|typing\.", "", text)
    for old, new in (("List", "list"), ("Dict", "dict")):
        text = re.sub(rf"\b{old}\b", new, text)
    while (found := re.search(r"Optional\[", text)) is not None:
        depth, end = 1, found.end()
        while depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        text = f"{text[: found.start()]}{text[found.end() : end - 1]}|None{text[end:]}"
    return text


def _declared(text: str) -> inspect.Signature:
    """The signature that `(…) -> type` declares; annotations and defaults stay text."""
    import ast

    made = ast.parse(f"def f{text}: pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    kinds = inspect.Parameter
    parameters, defaults = [], [None] * (len(made.args.args) - len(made.args.defaults)) + list(made.args.defaults)
    for one, default in zip(made.args.args, defaults, strict=True):
        given = kinds.empty if default is None else ast.unparse(default)
        annotation = ast.unparse(one.annotation) if one.annotation else kinds.empty
        parameters.append(kinds(one.arg, kinds.POSITIONAL_OR_KEYWORD, default=given, annotation=annotation))
    if made.args.kwarg:
        parameters.append(kinds(made.args.kwarg.arg, kinds.VAR_KEYWORD))
    returns = ast.unparse(made.returns) if made.returns else inspect.Signature.empty
    return inspect.Signature(parameters, return_annotation=returns)


def _differences(name: str, declared: inspect.Signature, actual: inspect.Signature) -> Iterator[str]:
    wanted, found = list(declared.parameters.values()), list(actual.parameters.values())
    if [(one.name, one.kind) for one in wanted] != [(one.name, one.kind) for one in found]:
        yield f"{name}: parameters {actual}, not {declared}"
        return
    for want, have in zip(wanted, found, strict=True):
        default = (
            want.default
            if want.default is want.empty
            else eval(
                want.default,
                {
                    "SessionControl": _Named("SessionControl"),
                    "SessionBackend": _Named("SessionBackend"),
                    "MessageRole": _Named("MessageRole"),
                },
            )
        )
        real = (
            f"{type(have.default).__name__}.{have.default.name}"
            if isinstance(have.default, enum.Enum)
            else have.default
        )
        if default != real:
            yield f"{name}: {want.name} is {real!r} by default, not {default!r}"
        if want.annotation is not want.empty and not _fits(_plain(want.annotation), _plain(have.annotation)):
            yield f"{name}: {want.name} is a {_plain(have.annotation)}, not a {_plain(want.annotation)}"
    told = declared.return_annotation
    if told is not declared.empty and not _fits(_plain(told), _plain(actual.return_annotation)):
        yield f"{name}: returns {_plain(actual.return_annotation)}, not {_plain(told)}"


def _fits(want: str, have: str) -> bool:
    """Whether an annotation says the same, or more precisely what a dictionary or list holds."""
    return want == have or re.sub(r"\[.*\]", "", have) == want or re.sub(r"dict\[str,Any\]", "dict", have) == want


class _Named:
    """An enum of the table: its members are their names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> str:
        return f"{self._name}.{name}"


def differences(table: str, module: ModuleType) -> list[str]:
    """What of the table the module does not have, or has otherwise."""
    found: list[str] = []
    kind: Any = None
    for line in table.splitlines():
        text = line.strip(" -")
        if line.startswith("- class "):
            name = text.removeprefix("class ").partition("(")[0]
            kind = getattr(module, name, None)
            bases = text.partition("(")[2].rstrip(")")
            if kind is None:
                found.append(f"{name} is missing")
            elif bases and bases not in ("ABC", "Enum") and bases not in {one.__name__ for one in kind.__mro__}:
                found.append(f"{name} is no {bases}")
        elif line.startswith("- "):
            name, _, rest = text.partition("(")
            found += _differences(name, _declared(f"({rest}"), inspect.signature(getattr(module, name)))
        elif kind is not None:
            found += list(_member(kind, text))
    return found


def _member(kind: Any, text: str) -> Iterator[str]:
    if text.startswith("field "):
        yield from _field(kind, text.removeprefix("field "))
    elif re.fullmatch(r"[A-Z_]+ = '.*'", text):
        name, _, value = text.partition(" = ")
        if kind[name].value != value.strip("'"):
            yield f"{kind.__name__}.{name} is {kind[name].value!r}"
    else:
        yield from _method(kind, text)


def _field(kind: Any, text: str) -> Iterator[str]:
    name, _, rest = text.partition(": ")
    told, _, default = rest.partition(" = ")
    one = next((one for one in dataclasses.fields(kind) if one.name == name), None)
    if one is None:
        yield f"{kind.__name__}.{name} is missing"
        return
    if not _fits(_plain(told), _plain(one.type)):
        yield f"{kind.__name__}.{name} is a {_plain(one.type)}, not a {_plain(told)}"
    if default.startswith("field("):
        made = one.default_factory() if one.default_factory is not dataclasses.MISSING else None  # type: ignore[misc]
        if default.removeprefix("field(default_factory=").rstrip(")").partition(".")[0] != type(made).__name__:
            yield f"{kind.__name__}.{name} has no {default}"
    elif default:
        real = f"{type(one.default).__name__}.{one.default.name}" if isinstance(one.default, enum.Enum) else one.default
        if str(real) != default.strip("'"):
            yield f"{kind.__name__}.{name} is {real!r} by default, not {default}"
    elif one.default is not dataclasses.MISSING:
        yield f"{kind.__name__}.{name} has a default"


def _method(kind: Any, text: str) -> Iterator[str]:
    marks = re.findall(r"@(\w+) ", text)
    text = re.sub(r"@\w+ ", "", text)
    is_async, text = text.startswith("async "), text.removeprefix("async ")
    name, _, rest = text.partition("(")
    raw = inspect.getattr_static(kind, name, None)
    if raw is None:
        yield f"{kind.__name__}.{name} is missing"
        return
    function = raw.fget if isinstance(raw, property) else getattr(raw, "__func__", raw)
    if isinstance(raw, property) != ("property" in marks):
        yield f"{kind.__name__}.{name}: property or not"
    if isinstance(raw, classmethod) != ("classmethod" in marks) or isinstance(raw, staticmethod) != (
        "staticmethod" in marks
    ):
        yield f"{kind.__name__}.{name}: classmethod or staticmethod or not"
    if getattr(function, "__isabstractmethod__", False) != ("abstractmethod" in marks):
        yield f"{kind.__name__}.{name}: abstract or not"
    if inspect.iscoroutinefunction(function) != is_async:
        yield f"{kind.__name__}.{name}: async or not"
    yield from _differences(f"{kind.__name__}.{name}", _declared(f"({rest}"), inspect.signature(function))
