"""Migrations with workers, and rollbacks, killed whole at random moments: nothing is ever half there, and running them
again ends where an undisturbed run does."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from sessionstore.gc import gc, sweep_temp
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.faults import chaos
from tests.migrate import support

FEW, MANY = 12, 100


@pytest.fixture(scope="module")
def seed() -> int:
    """Where chance begins; shown when a test fails, and taken from CHAOS_SEED to see it again."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CHAOS_SEED={seed}")
    return seed


@pytest.fixture
def chance(seed: int) -> random.Random:
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How many times."""
    return MANY if pytestconfig.getoption("--all") else FEW


class Undisturbed:
    """Sources, the store that an undisturbed migration makes of them, and how long that took."""

    def __init__(self, root: Path, seed: int) -> None:
        self.sources, place = root / "sources", root / "store"
        chaos.make_corpus(self.sources, random.Random(seed))
        support.rest()
        self.store = Store.init(place)
        self.seconds = chaos.run_through(chaos.MIGRATE, str(place), str(self.sources))
        self.needed = support.needed(self.store)
        self.seen = {key: [head["_name"] for head in heads] for key, heads in support.heads(self.store).items()}
        self.bytes = sum(path.stat().st_size for path in self.sources.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("chaos"), seed)


def assert_sound(store: Store, undisturbed: Undisturbed) -> int:
    """Every visible revision is whole, and every session is one that the undisturbed run came by; returns how many
    there are."""
    wait_until_alone(store)
    support.assert_closed(store)
    found = support.keys(store)
    assert set(found) <= undisturbed.seen.keys()
    return len(found)


def wait_until_alone(store: Store) -> None:
    """A killed group is gone when nobody holds the store any more."""
    with store.exclusively("looking", timeout=20):
        pass


def settled_batches(store: Store) -> list[str]:
    """The batches that may be rolled back, newest first."""
    return [batch.id for batch in reversed(Journals(store.root).all()) if not batch.undone]


def assert_nothing_is_left(store: Store) -> None:
    """Roll everything back: no session and no object that anything needs is there any more."""
    for batch in settled_batches(store):
        rollback(store, batch)
    assert support.parts(store, "sessions") == {"sessions": {}}
    gc(store)
    assert list(store.objects.all()) == []


@pytest.mark.timeout(900)
def test_migrations_killed_at_random_moments_end_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: Undisturbed, chance: random.Random, kills: int
) -> None:
    assert undisturbed.bytes > 4 << 20
    done = partly = 0
    while done < kills:
        store = Store.init(tmp_path / f"store{done}")
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            done += chaos.run_and_kill(chance, undisturbed.seconds, chaos.MIGRATE, store.root, str(undisturbed.sources))
            partly += 0 < assert_sound(store, undisturbed) < len(undisturbed.seen)
        assert support.run(store, undisturbed.sources).failed == []
        assert support.needed(store) == undisturbed.needed
        sweep_temp(store)
        assert [name for name in support.leftovers(store) if not chaos.is_zombie(name)] == []
        if chance.random() < 0.3:
            assert_nothing_is_left(store)
        shutil.rmtree(store.root)
    print(f"{done} kills, {partly} of them with some sessions there")
    assert partly > 0


@pytest.mark.timeout(900)
def test_rollbacks_killed_at_random_moments_end_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: Undisturbed, chance: random.Random, kills: int
) -> None:
    sources = {path: path.read_bytes() for path in undisturbed.sources.rglob("*") if path.is_file()}
    copy = shutil.copytree(undisturbed.store.root, tmp_path / "timed")
    begun = time.monotonic()
    for batch in settled_batches(Store(copy)):
        rollback(Store(copy), batch)
    longest = time.monotonic() - begun
    done = partly = 0
    while done < kills:
        store = Store(shutil.copytree(undisturbed.store.root, tmp_path / f"store{done}"))
        for _ in range(chance.choice((1, 1, 2, 3))):
            done += chaos.run_and_kill(chance, longest, chaos.ROLLBACK, store.root)
            partly += 0 < assert_sound(store, undisturbed) < len(undisturbed.seen)
        if chance.random() < 0.3:
            assert support.run(store, undisturbed.sources).failed == []
        assert_nothing_is_left(store)
        shutil.rmtree(store.root)
    print(f"{done} kills, {partly} of them with some sessions there")
    assert {path: path.read_bytes() for path in sources} == sources
