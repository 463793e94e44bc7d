"""The tools as clients see them. A change is deliberate: run this file with --all to write the golden file anew, and
read what has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from sessionstore.adapters.base import Settings
from sessionstore.archive.asking import Archive
from sessionstore.mcp_server.server import INSTRUCTIONS, TOOLSETS, make_server
from sessionstore.store import Store
from tests.mcp.serving import run

GOLDEN = Path(__file__).parent / "golden" / "tools.json"


def described(place: Path) -> dict[str, Any]:
    """Tools, templates, prompts and instructions of a server with everything."""

    async def told() -> dict[str, Any]:
        server = make_server(Archive(Store.init(place), pytest.fail), TOOLSETS, reach=lambda kind: Settings())
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            templates = (await client.list_resource_templates()).resource_templates
            prompts = (await client.list_prompts()).prompts
            return {
                "prompts": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in prompts],
                "instructions": client.instructions,
                "templates": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in templates],
                "tools": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in tools],
            }

    return dict(run(told))


def test_the_tools_are_the_ones_that_were_published(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    found = described(tmp_path / "store")
    assert found["instructions"] == INSTRUCTIONS
    if pytestconfig.getoption("--all") and not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_tool_and_parameter_says_what_it_is(tmp_path: Path) -> None:
    for tool in described(tmp_path / "store")["tools"]:
        assert len(tool["description"]) > 60
        assert tool["title"]
        assert tool["outputSchema"]["type"] == "object"
        for name, schema in tool["inputSchema"]["properties"].items():
            assert schema["description"], name


def test_every_text_that_comes_in_has_a_greatest_length(tmp_path: Path) -> None:
    for tool in described(tmp_path / "store")["tools"]:
        for schema in _strings(tool["inputSchema"]):
            assert "maxLength" in schema or "enum" in schema, (tool["name"], schema)


def _strings(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for below in schema for found in _strings(below)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "string" else []
    return own + [found for below in schema.values() for found in _strings(below)]
