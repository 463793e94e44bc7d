"""Sources of several files, databases that are in use, and archives."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sessionstore import verify
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.migrate import workers
from sessionstore.migrate.finding import Roots, candidates
from sessionstore.migrate.reimport import Reimporter
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.migrate import support


def said(number: int, text: str) -> Message:
    """A message."""
    return {"id": f"m{number}", "role": "user", "parts": [{"type": "text", "content": text}]}


class Diary(Importer):
    """Reader of a directory: `diary.txt`, one message a line, and what lies beside it."""

    source: ClassVar[str] = "diary"
    title: ClassVar[str] = "Diary"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("diary.txt", "spare-*.txt")
    companions: ClassVar[tuple[str, ...]] = ("times.txt", "spare-*.txt", "days/*/*.txt", "../owner.txt")

    def places(self, machine: Machine) -> Iterable[Place]:
        return ()

    def recognise(self, head: Head) -> bool:
        return head.data.startswith(b"diary\n")

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        draft = source.draft(os.path.basename(os.path.dirname(source.name)))
        lines = list(source.lines())
        for companion in source.companions.values():
            lines += [f"{companion.name}: ".encode() + companion.read()]
        for number, line in enumerate(lines):
            source.account.records += 1
            source.mapped()
            yield draft, said(number, line.decode())


class Table(Importer):
    """Reader of a database with a table `said`."""

    source: ClassVar[str] = "table"
    title: ClassVar[str] = "Table"
    suffixes: ClassVar[tuple[str, ...]] = (".db",)
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        return ()

    def recognise(self, head: Head) -> bool:
        return "said" in head.tables

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        draft = source.draft("one")
        with source.database() as database:
            for number, row in enumerate(database.rows("said")):
                source.account.records += 1
                source.mapped()
                yield draft, said(number, row["text"])


class Box(Importer):
    """Reader of a zip file that holds `said.json`."""

    source: ClassVar[str] = "box"
    title: ClassVar[str] = "Box"
    suffixes: ClassVar[tuple[str, ...]] = (".zip",)
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        return ()

    def recognise(self, head: Head) -> bool:
        return "said.json" in head.members

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        draft = source.draft("one")
        with source.archive() as archive:
            for number, text in enumerate(source.elements(archive.blocks("said.json"))):
                source.mapped()
                yield draft, said(number, text)


IMPORTERS: dict[str, Importer] = {"diary": Diary(), "table": Table(), "box": Box()}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, and the importers of this module instead of the real ones."""
    monkeypatch.setattr(workers, "all_importers", lambda: IMPORTERS)
    return Store.init(tmp_path / "store")


def diary(directory: Path) -> Path:
    """A diary with companions of all kinds, in `directory`/mine."""
    mine = directory / "mine"
    (mine / "days" / "monday").mkdir(parents=True)
    (directory / "owner.txt").write_text("ada")
    (mine / "diary.txt").write_text("diary\nhello")
    (mine / "times.txt").write_text("noon")
    (mine / "days" / "monday" / "note.txt").write_text("rain")
    (mine / "stranger.txt").write_text("not ours")
    return mine


def found(store: Store, *paths: Path) -> list[tuple[str, list[str]]]:
    """The names of candidates and of their members."""
    where = Roots([str(path) for path in paths], (".txt", ".db", ".zip"))
    return [
        (os.path.basename(one.path), [member.name for member in one.members])
        for one in candidates(where, IMPORTERS, {}, on_error=lambda path, reason: None)
    ]


MINE = ["../owner.txt", "days/monday/note.txt", "times.txt"]


def test_files_that_belong_together_are_one_source(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    assert found(store, mine) == [("diary.txt", MINE), ("stranger.txt", [])]
    report = support.run(store, mine)
    assert (report.sources, report.failed, len(report.unrecognised)) == (1, [], 1)
    assert support.texts(store, support.only_head(store)) == [
        "diary",
        "hello",
        "../owner.txt: ada",
        "days/monday/note.txt: rain",
        "times.txt: noon",
    ]


def test_a_companion_that_is_named_alone_leads_to_its_source(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    assert found(store, mine / "times.txt", mine / "days" / "monday" / "note.txt") == [("diary.txt", MINE)]


def test_without_the_best_lead_the_next_one_stands_for_the_source(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    for name in ("spare-1.txt", "spare-2.txt"):
        (mine / name).write_text("diary\nspare")
    (mine / "diary.txt").unlink()
    assert found(store, mine) == [("spare-1.txt", [*MINE[:2], "spare-2.txt", "times.txt"]), ("stranger.txt", [])]


def test_files_beside_a_lead_that_is_not_recognised_stand_for_themselves(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    (mine / "diary.txt").write_text("shopping list")
    names = ["note.txt", "diary.txt", "stranger.txt", "times.txt"]
    assert sorted(found(store, mine)) == sorted((name, []) for name in names)


def test_symlinks_are_no_companions(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    (mine / "times.txt").unlink()
    (mine / "times.txt").symlink_to(tmp_path / "home" / "owner.txt")
    shutil.rmtree(mine / "days")
    (mine / "days").symlink_to(tmp_path)
    assert found(store, mine)[0] == ("diary.txt", ["../owner.txt"])


@pytest.mark.parametrize("touched", ["diary.txt", "times.txt", "days/monday/note.txt", "../owner.txt"])
def test_a_source_is_read_again_when_any_of_its_files_has_changed(store: Store, tmp_path: Path, touched: str) -> None:
    mine = diary(tmp_path / "home")
    support.rest()
    support.run(store, mine)
    report = support.run(store, mine / "diary.txt")
    assert (report.sources, report.skipped, report.batch) == (0, 1, None)
    (mine / touched).write_text("diary\nchanged" if touched == "diary.txt" else "changed")
    assert support.run(store, mine / "diary.txt").sources == 1
    assert any("changed" in text for head in support.heads(store)["diary:mine"] for text in support.texts(store, head))


def test_a_new_companion_makes_a_source_be_read_again(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    support.rest()
    support.run(store, mine)
    (mine / "days" / "tuesday").mkdir()
    (mine / "days" / "tuesday" / "note.txt").write_text("sun")
    assert support.run(store, mine / "diary.txt").sources == 1


def test_the_journal_names_every_file_and_its_bytes_come_back(store: Store, tmp_path: Path) -> None:
    mine = diary(tmp_path / "home")
    support.run(store, mine)
    [line] = support.live_lines(store)
    named = {one["name"]: support.original(store, one["original"]) for one in line["companions"]}
    assert named == {"../owner.txt": b"ada", "days/monday/note.txt": b"rain", "times.txt": b"noon"}
    assert support.original(store, line["original"]) == b"diary\nhello"


def test_a_source_of_several_files_is_imported_again_the_same(store: Store, tmp_path: Path) -> None:
    support.run(store, diary(tmp_path / "home"))
    head = support.only_head(store)
    assert Reimporter(store, IMPORTERS)(store, head) == list(store.lines(head))


def database(path: Path) -> sqlite3.Connection:
    """An open database in WAL mode: the second row is in its log only."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE said (text TEXT)")
    connection.execute("INSERT INTO said VALUES ('first')")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("INSERT INTO said VALUES ('second')")
    return connection


def test_a_database_in_use_is_read_with_its_log_and_nothing_appears_beside_it(store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with closing(database(home / "chat.db")) as connection:
        before = support.tree(home)
        report = support.run(store, home)
        assert (report.sources, report.failed) == (1, [])
        after = support.tree(home)
        assert after.keys() == before.keys()
        assert {name: data for name, data in after.items() if not name.endswith("-shm")} == {
            name: data for name, data in before.items() if not name.endswith("-shm")
        }
        connection.execute("INSERT INTO said VALUES ('third')")
    head = support.only_head(store)
    assert support.texts(store, head) == ["first", "second"]
    assert Reimporter(store, IMPORTERS)(store, head) == list(store.lines(head))
    [line] = support.live_lines(store)
    assert [one["name"] for one in line["companions"]] == ["chat.db-wal"]
    assert support.leftovers(store) == []
    support.run(store, home)
    assert support.texts(store, support.only_head(store)) == ["first", "second", "third"]


def test_a_database_without_a_log_leaves_nothing_beside_it(store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database(home / "chat.db").close()
    support.run(store, home)
    assert sorted(os.listdir(home)) == ["chat.db"]
    assert support.texts(store, support.only_head(store)) == ["first", "second"]


@pytest.mark.parametrize("kept", [20, 100, 3000, 5000])
def test_a_damaged_database_is_left_out_with_its_reason(store: Store, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "chat.db"
    database(path).close()
    data = path.read_bytes()
    path.write_bytes(data[:kept] + bytes(0xA5 for _ in range(len(data) - kept)))
    report = support.run(store, path)
    assert len(report.failed) == 1
    assert support.keys(store) == []


def zipped(path: Path, texts: list[str]) -> Path:
    """A zip file as `Box` reads it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("said.json", "[" + ", ".join(f'"{text}"' for text in texts) + "]")
    return path


def test_an_archive_is_read_and_kept_as_it_is(store: Store, tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", ["first", "second"])
    assert support.run(store, path).sources == 1
    head = support.only_head(store)
    assert support.texts(store, head) == ["first", "second"]
    assert support.original(store, head["originals"][0]) == path.read_bytes()
    assert Reimporter(store, IMPORTERS)(store, head) == list(store.lines(head))


def test_an_archive_that_unpacks_to_far_too_much_is_left_out(store: Store, tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", ["x" * (160 << 20)])
    report = support.run(store, path)
    assert "unpacks to far more" in report.failed[0]["reason"]
    assert support.leftovers(store) == []


def test_what_was_imported_from_several_files_verifies(store: Store, tmp_path: Path) -> None:
    support.run(store, diary(tmp_path / "home"))
    report = verify.verify(store, reimport=Reimporter(store, IMPORTERS))
    assert report.damage == []


def test_a_source_of_lines_has_no_use_for_another_programs_log(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x")
    (tmp_path / "notes.txt-wal").write_text("log")
    where: Any = Roots([str(path)], (".txt",))
    [one] = candidates(where, IMPORTERS, {}, on_error=lambda path, reason: None)
    assert one.members == ()


def test_retiring_leaves_what_its_neighbours_and_its_program_need(store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    mine = diary(home)
    database(home / "chat.db").close()
    report = support.run(store, home, retire=True)
    left = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    assert left == ["chat.db", "mine/stranger.txt", "owner.txt"]
    assert [entry["path"] for entry in report.unrecognised] == [str(mine / "stranger.txt")]
    [kept] = report.failed
    assert kept["path"] == str(home / "chat.db")
    assert "remove it yourself" in kept["reason"]
    rollback(store, str(report.batch))
    assert (mine / "times.txt").read_text() == "noon"
