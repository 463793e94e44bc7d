"""The log of operations that VS Code keeps of a chat, replayed to the state it stands for.

A line is `{"kind": 0, "v": state}`, `{"kind": 1, "k": path, "v": value}` (set), `{"kind": 2, "k": path, "v": [items],
"i": from where on}` (cut off, then append) or `{"kind": 3, "k": path}` (delete). What an operation takes away and does
not only let grow is remembered, because the state no longer shows it.
"""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
_PASSING = "inputState"
"""What stands in the editor's input field changes all the time and is not part of the chat."""


class Log:
    """The state after all operations so far, and what they took away."""

    def __init__(self) -> None:
        self.state: Record = {}
        self.order: list[Any] = []
        """Every request that was ever part of the state, in the order of their appearance."""
        self.superseded: list[Record] = []
        """Values that are no longer part of the state: where they were, and what."""
        self.gone: dict[int, Any] = {}
        """Of the requests that were taken away (by their place in `order`) the request that came before."""
        self.known: dict[int, int] = {}
        """Where in `order` a request is, by the identity of the object."""

    def apply(self, record: Record) -> bool:
        """Apply a line of the log. False when it is no operation that fits the state, which then stays as it was."""
        kind, path = record.get("kind"), record.get("k")
        if kind == 0 and type(kind) is int and isinstance(record.get("v"), dict):
            self._lose(["requests"], self.requests(), self._listed(record["v"]))
            old = {name: value for name, value in self.state.items() if name not in ("requests", _PASSING)}
            if not _grown(old, record["v"]):
                self.superseded.append({"k": [], "v": old})
            self.state = record["v"]
            self._see(0)
            return True
        if type(kind) is not int or not isinstance(path, list) or not path:
            return False
        done = {1: self._set, 2: self._push, 3: self._delete}.get(kind)
        target = self._target(path)
        start = 0
        if path[0] == "requests" and len(path) == 1 and kind == 2:
            start = min(len(self.requests()), record["i"]) if type(record.get("i")) is int else len(self.requests())
        if done is None or target is None or not done(target, path, record):
            return False
        if path[0] == "requests" and len(path) == 1:
            self._see(start)
        elif path[0] == "requests" and len(path) == 2 and kind == 1:
            self._see(path[1], path[1] + 1)
        return True

    def requests(self) -> list[Any]:
        """The requests of the state."""
        return self._listed(self.state)

    @staticmethod
    def _listed(state: Record) -> list[Any]:
        found = state.get("requests")
        return found if isinstance(found, list) else []

    def _see(self, start: int, end: int | None = None) -> None:
        """Note the requests from `start` on that were not there before."""
        for request in self.requests()[start:end]:
            if id(request) not in self.known:
                self.known[id(request)] = len(self.order)
                self.order.append(request)

    def _target(self, path: list[Any]) -> Any:
        """The object or list that holds the path's last step; None when there is none."""
        current: Any = self.state
        for step in path[:-1]:
            current = _at(current, step)
            if not isinstance(current, dict | list):
                return None
        return current

    def _set(self, target: Any, path: list[Any], record: Record) -> bool:
        last, value = path[-1], record.get("v")
        if isinstance(target, list):
            if type(last) is not int or not 0 <= last <= len(target):
                return False
            if last == len(target):
                target.append(value)
                return True
        elif not isinstance(last, str):
            return False
        before = _at(target, last)
        if path == ["requests"] and isinstance(before, list):
            self._lose(path, before, value if isinstance(value, list) else [])
        elif before is not None and path[0] != _PASSING:
            self._lose(path, [before], [value])
        target[last] = value
        return True

    def _push(self, target: Any, path: list[Any], record: Record) -> bool:
        last, items, start = path[-1], record.get("v"), record.get("i")
        found = _at(target, last)
        if found is None and isinstance(target, dict) and isinstance(last, str):
            found = target[last] = []
        if not isinstance(found, list) or not (items is None or isinstance(items, list)):
            return False
        if start is not None and (type(start) is not int or start < 0):
            return False
        items = items or []
        if start is not None and start < len(found):
            if path[0] != _PASSING:
                self._lose([*path, start], found[start:], items)
            del found[start:]
        found += items
        return True

    def _delete(self, target: Any, path: list[Any], record: Record) -> bool:
        last = path[-1]
        if isinstance(target, dict):
            if not isinstance(last, str) or last not in target:
                return False
        elif type(last) is not int or not 0 <= last < len(target):
            return False
        if path[0] != _PASSING:
            self._lose(path, [target[last]], [])
        del target[last]
        return True

    def _lose(self, path: list[Any], before: list[Any], after: list[Any]) -> None:
        """Remember what of `before` is neither in `after` nor continued by it."""
        if path[0] == "requests" and len(path) <= 2:
            # A request that is told again under its id is its newer version.
            names = {name: one for one in after if (name := _name(one))}
            found = self.requests()
            start = path[1] if len(path) == 2 and type(path[1]) is int else 0
            for place, request in enumerate(before, start):
                number = self.known.get(id(request))
                if number is None:
                    continue
                newer = names.get(_name(request)) if _name(request) else None
                if newer is not None:
                    self.order[number] = newer
                    del self.known[id(request)]
                    self.known[id(newer)] = number
                    if not _grown(request, newer):
                        self.superseded.append({"k": ["requests", place], "v": request})
                elif number not in self.gone:
                    self.gone[number] = found[place - 1] if 0 < place <= len(found) else None
            return
        lost = [
            one
            for place, one in enumerate(before)
            if one is not None and not (place < len(after) and _grown(one, after[place]))
        ]
        if lost:
            self.superseded.append({"k": path, "v": lost if len(before) > 1 or len(lost) > 1 else lost[0]})


def _name(request: Any) -> str:
    name = request.get("requestId") if isinstance(request, dict) else None
    return name if isinstance(name, str) else ""


def _at(current: Any, step: Any) -> Any:
    if isinstance(current, dict):
        return current.get(step) if isinstance(step, str) else None
    if isinstance(current, list) and type(step) is int and 0 <= step < len(current):
        return current[step]
    return None


def _grown(before: Any, after: Any) -> bool:
    """Whether `after` says all that `before` said: the same, a longer text or list, an object whose fields do."""
    stack = [(before, after)]
    while stack:
        old, new = stack.pop()
        if isinstance(old, dict) and isinstance(new, dict):
            if not old.keys() <= new.keys():
                return False
            stack += [(value, new[name]) for name, value in old.items()]
        elif isinstance(old, list) and isinstance(new, list):
            if len(old) > len(new):
                return False
            stack += zip(old, new, strict=False)
        elif isinstance(old, str) and isinstance(new, str):
            if not new.startswith(old):
                return False
        elif old is not None and (type(old) is not type(new) or old != new):
            return False
    return True
