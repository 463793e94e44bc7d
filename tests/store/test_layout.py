"""Names and places: keys, slugs, ULIDs, STORE.json, where a store is found."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical, errors, layout
from sessionstore.store import Store

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "C:\\Windows",
    "\\\\server\\share",
    "CON",
    "aux.",
    "con.x",
    "a\0b",
    "a\nb",
    "x" * 300,
    "é" * 300,
    "\U0001f600",
    "\u202egnp.exe",
    "-rf",
    "~root",
    "$(reboot)",
    "%2e%2e%2f",
    "trailing.",
    "trailing ",
    ".hidden",
]


# -- slugs and document names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTILE)
def test_no_key_becomes_a_path(key: str, tmp_path: Path) -> None:
    name = layout.document_name(key, b"{}")
    assert layout.is_document_name(name)
    assert name.isascii()
    assert name == name.lower()
    assert len(name.split("/")) == 2
    assert (tmp_path / name).resolve().is_relative_to(tmp_path)
    assert max(map(len, name.split("/"))) <= 89 + 1 + 64 + 5


@pytest.mark.parametrize("key", HOSTILE)
def test_a_file_name_is_allowed_on_every_file_system(key: str) -> None:
    devices = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
    file = layout.document_name(key, b"{}").split("/")[1]
    assert file.split(".")[0] not in devices, "Windows takes it for a device, whatever follows the first dot"
    assert not file.endswith((".", " "))


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_key_can_be_stored_and_found(store: Store, key: str) -> None:
    message = {"id": "m1", "role": "user", "parts": []}
    store.put(key, [message])
    [head] = store.heads(key)
    assert head["key"] == key
    assert list(store.messages(head)) == [message]


def test_a_key_with_half_a_surrogate_pair_is_no_crash(store: Store) -> None:
    """File names that are not UTF-8 come as such strings."""
    store.put("native:\udcff", [{"id": "m1", "role": "user", "parts": []}])
    assert len(store.heads("native:\udcff")) == 1


def test_keys_that_differ_in_case_only_have_different_files() -> None:
    names = {layout.slug(key) for key in ("native:Session", "native:session", "native:SESSION")}
    assert len(names) == 3


def test_document_names_are_told_from_other_files() -> None:
    name = layout.document_name("native:a", b"{}")
    assert layout.is_document_name(name)
    sha = canonical.digest(b"{}")
    for other in (
        name.upper(),
        name + ".tmp",
        name.removesuffix(".json"),
        f"../{name}",
        f"x{name}",
        name.split("/")[1],
        f"ab/{sha}.json",
        f"ab/a-12345678.{sha[:-1]}.json",
        f"ab/a b-12345678.{sha}.json",
        f"{name}\n",
        ".DS_Store",
        "ab/.nfs0001",
        "",
    ):
        assert not layout.is_document_name(other), other


def test_a_document_name_splits_into_slug_and_hash() -> None:
    name = layout.document_name("native:a.b.c", b"{}")
    assert layout.split_name(name) == (
        f"{layout.fanout('native:a.b.c')}/{layout.slug('native:a.b.c')}",
        canonical.digest(b"{}"),
    )


def test_a_root_scopes_a_key() -> None:
    one, two = (layout.session_key("kimi", "7", root) for root in ("/home/ann/one", "/home/ann/two"))
    assert one != two
    assert one.startswith("kimi:")
    assert one.endswith(":7")
    assert layout.session_key("kimi", "7") == "kimi:7"
    assert layout.session_key("kimi", "7", "/home/\udcff") != layout.session_key("kimi", "7", "/home/x")


# -- ULIDs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """ULIDs start anew at any time, and go on as before afterwards."""
    monkeypatch.setattr(layout, "_last_ulid", (0, 0))


def test_ulids_sort_by_the_order_in_which_they_were_made() -> None:
    made = [layout.ulid() for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(layout.is_ulid(name) for name in made)


@pytest.mark.usefixtures("clock")
def test_ulids_go_on_upwards_when_the_clock_jumps_back() -> None:
    made = [layout.ulid(moment) for moment in (1_700_000_000_000, 1_700_000_000_000, 1_600_000_000_000, 5)]
    assert made == sorted(set(made))
    assert all(name.startswith(made[0][:10]) for name in made)


@pytest.mark.usefixtures("clock")
def test_a_ulid_states_its_time() -> None:
    name = layout.ulid(1_700_000_000_123)
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    moment = 0
    for digit in name[:10]:
        moment = moment * 32 + digits.index(digit)
    assert moment == 1_700_000_000_123
    assert layout.ulid(1_700_000_000_124) > name


def test_threads_never_make_the_same_ulid() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(layout.ulid() for _ in range(300))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2400


def test_ulids_are_of_now() -> None:
    before = time.time_ns() // 1_000_000
    assert layout.ulid()[:10] >= layout.ulid(before)[:10]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01KDZ5Q000000000000000000",
        "01KDZ5Q000000000000000000I",
        "../../../../../../../../xx",
        "01kdz5q0000000000000000000",
    ],
)
def test_what_is_no_ulid_is_told(text: str) -> None:
    assert not layout.is_ulid(text)


# -- STORE.json --------------------------------------------------------------------------------------------------------


def marked(root: Path, **changes: Any) -> str:
    """A directory whose STORE.json differs from a new one's."""
    marker = {**layout.new_marker(), **changes}
    (root / layout.MARKER).write_text(json.dumps({name: value for name, value in marker.items() if value != "gone"}))
    return str(root)


def test_a_new_store_says_what_it_is(store: Store) -> None:
    marker = json.loads(Path(store.root, "STORE.json").read_bytes())
    assert marker == {
        "format": "sessionstore",
        "v": 1,
        "id": store.id,
        "hash": "sha256",
        "canonical": "SS-1",
        "page_rule": "P1",
        "chunk_rules": ["L1", "B1"],
        "features": {"read": [], "write": []},
    }
    assert layout.is_ulid(store.id)


def test_making_a_store_twice_opens_the_first(tmp_path: Path) -> None:
    first = Store.init(tmp_path / "store")
    before = (tmp_path / "store" / "STORE.json").read_bytes()
    assert Store.init(tmp_path / "store").id == first.id
    assert (tmp_path / "store" / "STORE.json").read_bytes() == before


def test_a_directory_without_a_marker_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(errors.NoStore) as caught:
        Store(tmp_path)
    assert caught.value.exit_code == 2
    with pytest.raises(errors.NoStore):
        Store(tmp_path / "missing")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format":"other","v":1}', "\0\0\0\0", '{"format":"sessionstore","v":"1"}'],
)
def test_a_damaged_marker_is_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "STORE.json").write_text(text)
    with pytest.raises(errors.StoreMarkerCorrupt) as caught:
        Store(tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": 99, "features": "gone"},
        {"v": 2, "features": {"needs": ["packs"]}},
        {"features": {"read": ["packs"], "write": []}},
    ],
)
def test_a_newer_store_is_refused_as_too_new(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(errors.FormatTooNew) as caught:
        Store(marked(tmp_path, **changes))
    assert caught.value.exit_code == 7


def test_unknown_fields_of_the_marker_do_no_harm(tmp_path: Path) -> None:
    assert Store(marked(tmp_path, later={"field": 1})).marker["later"] == {"field": 1}


def test_a_store_with_an_unknown_write_feature_can_be_read_and_not_written(tmp_path: Path) -> None:
    store = Store(marked(tmp_path, features={"read": [], "write": ["packs"]}))
    assert store.heads("native:a") == []
    message = {"id": "m1", "role": "user", "parts": []}
    with pytest.raises(errors.FormatTooNew):
        store.put("native:a", [message])
    with pytest.raises(errors.FormatTooNew), store.exclusively("gc"):
        pass
    assert not (tmp_path / "sessions").exists()


# -- finding the store -------------------------------------------------------------------------------------------------


def test_a_store_is_found_by_name_then_environment_then_upwards_then_user_data(tmp_path: Path) -> None:
    below = tmp_path / "project" / "src" / "deep"
    below.mkdir(parents=True)
    near = tmp_path / "project" / ".llm_sessions"
    data = tmp_path / "data"
    env = {"SESSIONSTORE_DIR": str(tmp_path / "env")}
    assert layout.find_store(None, {}, below, data) == data
    (near).mkdir()
    assert layout.find_store(None, {}, below, data) == data, "a directory of that name that is no store"
    Store.init(near)
    assert layout.find_store(None, {}, below, data) == near
    assert layout.find_store(None, env, below, data) == tmp_path / "env"
    assert layout.find_store(str(tmp_path / "given"), env, below, data) == tmp_path / "given"


def test_the_nearest_store_upwards_is_taken(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    Store.init(tmp_path / ".llm_sessions")
    assert layout.find_store(None, {}, inner, tmp_path) == tmp_path / ".llm_sessions"
    Store.init(tmp_path / "a" / ".llm_sessions")
    assert layout.find_store(None, {}, inner, tmp_path) == tmp_path / "a" / ".llm_sessions"


def test_a_tilde_in_a_store_name_is_the_home_directory(tmp_path: Path) -> None:
    assert layout.find_store("~/store", {}, tmp_path) == Path("~/store").expanduser()
    assert layout.find_store(None, {"SESSIONSTORE_DIR": "~/store"}, tmp_path) == Path("~/store").expanduser()


def test_without_any_hint_the_user_data_directory_is_taken(tmp_path: Path) -> None:
    assert layout.find_store(None, {}, tmp_path).name == "sessionstore"
