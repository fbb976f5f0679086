"""The cache config: what is refused, and how it is written. Equality is in tests/golden."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from croze.errors import InvalidRequest
from croze.gotypes.moments import rfc3339_of
from croze.remotecache import config as configs
from croze.remotecache import inline
from croze.remotecache.chains import Chains, PendingRecord, ResultLayers
from croze.remotecache.config import CacheConfig, CacheLayer, ConfigRecord, LayerResult
from tests.support.work import calls_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "failed to parse cache config"),
        ('{"records":[{"digest":"a","inputs":[[{"link":1}]]}]}', "invalid record ID: 1"),
        ('{"records":[{"digest":"a","inputs":[[]]}]}', "invalid empty input 0 of record a"),
        ('{"records":[{"digest":"a","inputs":[[{"link":0}]]}]}', "invalid looping record"),
        (
            '{"records":[{"digest":"a","inputs":[[{"link":1}]]},'
            '{"digest":"b","inputs":[[{"link":0}]]}]}',
            "invalid looping record",
        ),
        ('{"layers":[{"blob":"x","parent":3}]}', "invalid parent index 3 of layer 0"),
        ('{"layers":[{"blob":"x"}]}', "invalid looping record"),
        ('{"records":[{"digest":"a","layers":[{"layer":0}]}]}', "invalid layer index in record a"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        configs.parse(text.encode())


def test_nulls_are_absent() -> None:
    assert configs.parse(b'{"layers":null,"records":null}') == CacheConfig()
    assert configs.marshal(CacheConfig()) == b"{}"


def test_deep_chains_are_no_recursion() -> None:
    records = [ConfigRecord(digest="0")] + [
        ConfigRecord(digest=str(n), inputs=((configs.CacheInput(link=n - 1),),))
        for n in range(1, 5000)
    ]
    data = configs.marshal(CacheConfig(records=tuple(records)))
    assert len(configs.parse(data).records) == 5000


def test_layers_are_sorted_with_their_parents() -> None:
    layers = (CacheLayer("b", -1), CacheLayer("a", 0), CacheLayer("a", -1))
    record = ConfigRecord(digest="r", layers=(LayerResult(1),))
    found = configs.normalized(CacheConfig(layers, (record,)))
    assert found.layers == (CacheLayer("a", -1), CacheLayer("a", 2), CacheLayer("b", -1))
    assert found.chain(found.records[0].layers[0].layer) == (2, 1)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("2026-11-23T20:31:10.739124667Z", "2026-11-23T20:31:10.739124Z"),
        ("2026-11-23T20:31:10.5Z", "2026-11-23T20:31:10.5Z"),
        ("2026-11-23T22:31:10+02:00", "2026-11-23T20:31:10Z"),
    ],
)
def test_times(text: str, again: str) -> None:
    assert rfc3339_of(configs.time_of(text)) == again


def test_results_without_some_blobs() -> None:
    layers = (CacheLayer("base", -1), CacheLayer("gone", 0), CacheLayer("other", 0))
    records = [ConfigRecord(digest=d, layers=(LayerResult(n),)) for n, d in enumerate("abc")]
    found = configs.without(CacheConfig(layers, tuple(records)), {"gone"})
    assert found.layers == (CacheLayer("base", -1), CacheLayer("other", 0))
    assert [[r.layer for r in record.layers] for record in found.records] == [[0], [], [1]]


def test_nanoseconds_are_kept() -> None:
    assert configs.ns_of("1970-01-01T00:00:01.000000002Z") == 1_000_000_002
    assert configs.ns_of("2026-11-23T20:31:10.5Z") % 10**9 == 500_000_000
    assert configs.ns_of(configs.NO_TIME) == 0
    assert configs.ns_of("9999-12-31T23:59:59Z") == (1 << 63) - 1


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_times_that_no_calendar_has_in_utc(text: str) -> None:
    """They can be kept, and read again."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch + (configs.time_of(text) - epoch) == configs.time_of(configs.NO_TIME)


def deep(depth: int) -> CacheConfig:
    """Each record stands on the one before, as its layer does."""
    layers = tuple(CacheLayer(f"b{n}", n - 1) for n in range(depth))
    inputs = [(), *(((configs.CacheInput(link=n),),) for n in range(depth - 1))]
    records = (
        ConfigRecord(digest=f"r{n}", layers=(LayerResult(n),), inputs=inputs[n])
        for n in range(depth)
    )
    return CacheConfig(layers, tuple(records))


def added_twice(depth: int) -> CacheConfig:
    """As by two results that rest on the same steps."""
    chains = Chains()
    for _ in range(2):
        below: list[PendingRecord] = []
        for number in range(depth):
            result = ResultLayers((f"b{number}",), datetime(2026, 1, 1, tzinfo=UTC))
            inputs = [[(below[-1], "")]] if below else []
            below.append(chains.add(f"r{number}", inputs, result))
    return chains.config()


def with_one_input_in_common(count: int) -> CacheConfig:
    """As stages that copy another file each onto the same base."""
    chains = Chains()
    base = chains.add("base", [], None)
    for number in range(count):
        chains.add("copy", [[(base, "")], [(chains.add(f"c{number}", [], None), "")]], None)
    return chains.config()


@pytest.mark.parametrize(
    "work",
    [
        lambda size: configs.parse(configs.marshal(deep(size))),
        lambda size: configs.without(deep(size), {f"b{size // 2}"}),
        lambda size: inline.for_image(deep(size), {f"b{n}": n for n in range(size)}),
        added_twice,
        with_one_input_in_common,
    ],
    ids=["parse", "without", "inline", "twice", "in common"],
)
def test_twice_as_many_records_are_twice_the_work(work: Callable[[int], object]) -> None:
    """In calls of functions, and in items of sets and lists that are looked at one by one."""
    work(10)
    few, many = calls_of(lambda: work(300)), calls_of(lambda: work(1200))
    assert many < few * 4 * 1.1


def test_results_in_an_image_are_told_by_their_top_or_layer_by_layer() -> None:
    layers = (
        CacheLayer("base", -1),
        CacheLayer("top", 0),
        CacheLayer("top", -1),
        CacheLayer("elsewhere", 1),
    )
    records = tuple(ConfigRecord(digest=d, layers=(LayerResult(n),)) for n, d in enumerate("abcd"))
    data = inline.for_image(CacheConfig(layers, records), {"base": 0, "top": 1})
    found = configs.parse_records(data or b"", ["base", "top"]).records
    assert [[each.layer for each in record.layers] for record in found] == [[0], [1], [], []]
    assert [[each.layers for each in record.chains] for record in found] == [[], [], [(1,)], []]
