"""What every `KeyStore` must do, on the one in memory and the one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from croze.cachekeys.contract import KeyStore, StoredResult
from croze.cachekeys.names import content_key, record_digest, root_key
from croze.errors import ResourceExhausted
from croze.sqlite.database import MEMORY
from croze.store.keys import SqliteKeys
from tests.conformance.key_stores import LINK, T0, KeyStoreSuite
from tests.solver.arithmetic import Spec, World, build, vertex
from tests.support.memory_keys import MemoryKeys
from tests.support.work import counted_steps, told_statements


def on_disk(path: Path) -> SqliteKeys:
    return SqliteKeys(path)


class TestMemory(KeyStoreSuite):
    @pytest.fixture
    def keys(self) -> KeyStore:
        return MemoryKeys()


class TestSqlite(KeyStoreSuite):
    @pytest.fixture
    def keys(self, tmp_path: Path) -> Iterator[KeyStore]:
        store = on_disk(tmp_path / "keys.db")
        yield store
        store.close()


def test_random_keys_never_reach_the_disk(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "keys.db")
    for i in range(10_001):
        store.add_result(f"random:{i}", StoredResult("r", T0))
    assert not store.exists("random:0"), "the oldest are forgotten"
    assert store.exists("random:10000")
    store.close()
    again = on_disk(tmp_path / "keys.db")
    assert not again.exists("random:10000")
    assert again.result_ids() == ()
    again.close()


def test_disk_survives_a_restart_and_loses_only_what_was_not_flushed(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "keys.db")
    store.add_link("a", LINK, "b")
    store.add_result("b", StoredResult("r", T0))
    store.flush()
    store.add_result("b", StoredResult("lost", T0))
    again = on_disk(tmp_path / "keys.db")
    assert list(again.results("b")) == [StoredResult("r", T0)]
    assert again.targets("a", LINK) == ("b",)
    assert again.result_ids() == ("r",)
    again.close()
    store.close()


async def test_a_build_is_cached_after_a_restart(tmp_path: Path) -> None:
    top = vertex("b", vertex("a", spec=Spec(add=1)), spec=Spec(add=1))
    first = World(on_disk(tmp_path / "keys.db"))
    async with first.solver() as solver:
        await build(solver, top)
    second = World(on_disk(tmp_path / "keys.db"))
    second.results = first.results
    async with second.solver() as solver:
        assert await build(solver, top) == 2
    assert second.ran == []
    for world in (first, second):
        assert isinstance(world.keys, SqliteKeys)
        world.keys.close()


def test_record_digests_are_those_of_cache_exports() -> None:
    digest = "sha256:57d1808a0d0bb2327cb2afc00c638769fdcfb8e20fc7462bf1e4ae082eb8a6b4"
    recorded = "sha256:499d470bb4fed34e4c284300660800ebf01d743e7ed3122c7faf2748be862c50"
    assert root_key(digest, 0) == record_digest(digest, 0) == recorded
    assert content_key(digest) == record_digest(digest, -1)
    assert root_key("random:ab", 0) == "random:ab"
    assert root_key("random:ab", 1) == "random:ab@1"


def test_each_question_costs_the_same_however_many_keys_there_are() -> None:
    """In steps of the database."""

    def costs(count: int) -> dict[str, int]:
        with counted_steps() as steps:
            keys = SqliteKeys(MEMORY)
            for number in range(count):
                keys.add_link(f"key{number}", LINK, f"key{number + 1}")
                keys.add_result(f"key{number}", StoredResult(f"result{number}", T0))
            middle = count // 2
            found = {
                "exists": steps.of(lambda: keys.exists(f"key{middle}")),
                "targets": steps.of(lambda: keys.targets(f"key{middle}", LINK)),
                "results": steps.of(lambda: keys.results(f"key{middle}")),
                "links into": steps.of(lambda: keys.links_into(f"key{middle}")),
                "add a link": steps.of(lambda: keys.add_link(f"key{middle}", LINK, "other")),
                "release": steps.of(lambda: keys.release_result(f"result{middle}")),
            }
        keys.close()
        return found

    few, many = costs(50), costs(5000)
    assert {name for name in few if many[name] > few[name] * 1.2} == set()


def test_a_build_of_more_steps_than_are_remembered_finds_most_of_its_look_ups_in_memory() -> None:
    """As one of a thousand finds all."""
    count = 12_000
    with told_statements() as told:
        keys = SqliteKeys(MEMORY)
        for number in range(count):
            keys.add_link(f"key{number}", LINK, f"key{number + 1}")
            keys.add_result(f"key{number}", StoredResult("result", T0))
        for _ in range(3):
            told.clear()
            for number in range(count):
                assert keys.few_targets(f"key{number}", LINK) == (f"key{number + 1}",)
                assert keys.results(f"key{number}")
        assert len(told) < count // 2, "of two questions for each step"
        keys.close()


NAMES = st.sampled_from([f"k{i}" for i in range(6)])
RESULTS = st.sampled_from([f"r{i}" for i in range(4)])


class BothAgree(RuleBasedStateMachine):
    """Memory and disk give the same answers to any sequence of calls without loops."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryKeys()
        self.disk = SqliteKeys(MEMORY)

    @rule(a=NAMES, b=NAMES)
    def link(self, a: str, b: str) -> None:
        if a < b:
            self.memory.add_link(a, LINK, b)
            self.disk.add_link(a, LINK, b)

    @rule(key=NAMES, result=RESULTS)
    def save(self, key: str, result: str) -> None:
        self.memory.add_result(key, StoredResult(result, T0))
        self.disk.add_result(key, StoredResult(result, T0))

    @rule(result=RESULTS)
    def release(self, result: str) -> None:
        self.memory.release_result(result)
        self.disk.release_result(result)

    @invariant()
    def same(self) -> None:
        for key in (f"k{i}" for i in range(6)):
            assert self.memory.exists(key) == self.disk.exists(key)
            assert sorted(self.memory.targets(key, LINK)) == sorted(self.disk.targets(key, LINK))
            assert list(self.memory.results(key)) == list(self.disk.results(key))

    def teardown(self) -> None:
        self.disk.close()


TestBothAgree = BothAgree.TestCase
TestBothAgree.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True, database=None
)


def test_an_unreadable_file_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database at all, for longer than a header of one hundred bytes" * 9)
    store = on_disk(path)
    store.add_result("k", StoredResult("r", T0))
    store.close()
    again = on_disk(path)
    assert again.exists("k")
    again.close()


class FailingKeys(MemoryKeys):
    def add_result(self, key_id: str, result: StoredResult) -> None:
        raise ResourceExhausted("no space left on device")


async def test_a_store_that_fails_fails_the_build() -> None:
    world = World(FailingKeys())
    async with world.solver() as solver:
        with pytest.raises(ResourceExhausted, match="no space left"):
            await build(solver, vertex("b", vertex("a")))
