"""An imported cache as keys and results: what is whole, and what it costs."""

from __future__ import annotations

import tracemalloc

from croze.image.manifest import LAYERS_MOST
from croze.remotecache import config as configs
from croze.remotecache.config import (
    CacheConfig,
    CacheLayer,
    ChainResult,
    ConfigRecord,
    LayerResult,
)
from croze.remotecache.keys import ImportedKeys


def keys_of(config: CacheConfig, *blobs: str) -> ImportedKeys:
    return ImportedKeys(config, frozenset(blobs), "cache")


def test_results_whose_blobs_are_not_listed_are_not_there() -> None:
    layers = (CacheLayer("base", -1), CacheLayer("gone", 0), CacheLayer("top", 1))
    record = ConfigRecord(
        digest="r",
        layers=(LayerResult(0), LayerResult(1), LayerResult(2)),
        chains=(ChainResult((0, 2)), ChainResult((0, 1, 2)), ChainResult(()), ChainResult()),
    )
    keys = keys_of(CacheConfig(layers, (record,)), "base", "top")
    assert [each.layers for each in keys.found.values()] == [(0,), (0, 2)]
    assert {each.id for each in keys.results("r")} == set(keys.found)


def test_many_results_of_many_layers_cost_what_they_weigh() -> None:
    """Together they have 40 million layers, said in a few hundred kilobytes."""
    depth, count = LAYERS_MOST, 20_000
    layers = tuple(CacheLayer("x", place - 1) for place in range(depth))
    results = tuple(LayerResult(depth - 1) for _ in range(count))
    config = CacheConfig(layers, (ConfigRecord(digest="r", layers=results),))
    config = configs.parse(configs.marshal(config))
    tracemalloc.start()
    try:
        keys = keys_of(config, "x")
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(keys.found) == count
    assert most_bytes < 20 << 20
    assert len(next(iter(keys.found.values())).layers) == depth


def test_results_of_more_layers_than_anybody_has_are_not_there() -> None:
    """A config of some kilobytes may say that there are any number."""
    layers = tuple(CacheLayer("x", place - 1) for place in range(LAYERS_MOST + 1))
    chains = tuple(ChainResult((0,) * count) for count in (LAYERS_MOST, LAYERS_MOST + 1))
    ends = (LayerResult(LAYERS_MOST - 1), LayerResult(LAYERS_MOST))
    record = ConfigRecord(digest="r", layers=ends, chains=chains)
    keys = keys_of(CacheConfig(layers, (record,)), "x")
    assert [len(each.layers) for each in keys.found.values()] == [LAYERS_MOST, LAYERS_MOST]
