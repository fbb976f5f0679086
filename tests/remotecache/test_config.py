"""The cache config: what is refused, and how it is written. Equality is in tests/golden."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.remotecache import config as configs
from croze.remotecache.config import CacheConfig, CacheLayer, ConfigRecord, LayerResult


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
    assert configs.format_time(configs.time_of(text)) == again


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
