"""Records that go into an image's own config: their results are among the image's layers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from croze.remotecache.config import (
    CacheConfig,
    ChainResult,
    ConfigRecord,
    LayerResult,
    marshal_records,
    sorted_records,
)


def for_image(config: CacheConfig, places: Mapping[str, int]) -> bytes | None:
    """The records as JSON. `places`: the image's layers, by the blobs of `config` that they are;
    one layer may be several blobs. None if no result is within the image."""
    records = [_placed(config, record, places) for record in config.records]
    if not any(record.layers or record.chains for record in records):
        return None
    return marshal_records(sorted_records(records))


def _placed(config: CacheConfig, record: ConfigRecord, places: Mapping[str, int]) -> ConfigRecord:
    """With results as the image has them: by the topmost layer where all below it are the image's
    first ones, or else layer by layer."""
    layers: list[LayerResult] = []
    chains: list[ChainResult] = []
    for result in record.layers:
        chain = [places.get(config.layers[i].blob) for i in config.chain(result.layer)]
        stored = [place for place in chain if place is not None]
        if len(stored) < len(chain):
            continue
        if stored == list(range(len(stored))):
            layers.append(LayerResult(len(stored) - 1, result.created_at))
        else:
            chains.append(ChainResult(tuple(stored)))
    return msgspec.structs.replace(record, layers=tuple(layers), chains=tuple(chains))
