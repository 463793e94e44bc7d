"""How to reach a provider, from the variables that its own tools read. Who reads the environment hands it in."""

from __future__ import annotations

from collections.abc import Mapping

from sessionstore.adapters.base import Adapter, Settings


def settings_from(
    environment: Mapping[str, str], kind: type[Adapter], base_url: str | None = None, timeout: float = 600
) -> Settings:
    """The settings for an adapter; without a key in the environment there is none in them. `timeout` is in seconds."""

    def first(names: tuple[str, ...]) -> str | None:
        return next((environment[name] for name in names if environment.get(name)), None)

    return Settings(
        api_key=first(kind.keys),
        base_url=base_url or first(kind.url_names),
        timeout=timeout,
        command=environment.get("SESSIONSTORE_CLAUDE") or "claude",
    )
