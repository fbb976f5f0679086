"""Records that go into an image's own config: their results are among the image's layers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from croze.remotecache.config import (
    NO_PARENT,
    CacheConfig,
    ChainResult,
    ConfigRecord,
    LayerResult,
    PresentLayers,
    marshal_records,
    sorted_records,
)


def for_image(config: CacheConfig, places: Mapping[str, int]) -> bytes | None:
    """The records as JSON. `places`: the image's layers, by the blobs of `config` that they are;
    one layer may be several blobs. None if no result is within the image."""
    within = PresentLayers(config, places)
    heights = _heights(config, places)
    records = [_placed(config, record, places, within, heights) for record in config.records]
    if not any(record.layers or record.chains for record in records):
        return None
    return marshal_records(sorted_records(records))


def _heights(config: CacheConfig, places: Mapping[str, int]) -> dict[int, int]:
    """How many of the image's first layers each layer with its parents is; 0 for one that is
    something else. Each layer is looked at once."""
    heights = {NO_PARENT: 0}
    for top in range(len(config.layers)):
        above: list[int] = []
        while top not in heights:
            above.append(top)
            top = config.layers[top].parent
        for layer in reversed(above):
            parent = config.layers[layer].parent
            height, is_bottom = heights[parent], parent == NO_PARENT
            is_next = places.get(config.layers[layer].blob) == height
            heights[layer] = height + 1 if is_next and (height or is_bottom) else 0
    return heights


def _placed(
    config: CacheConfig,
    record: ConfigRecord,
    places: Mapping[str, int],
    within: PresentLayers,
    heights: Mapping[int, int],
) -> ConfigRecord:
    """A record with results as the image has them: by the topmost layer where all below it are the
    image's first ones, or else layer by layer."""
    layers: list[LayerResult] = []
    chains: list[ChainResult] = []
    for result in record.layers:
        if not within.has(result):
            continue
        if height := heights[result.layer]:
            layers.append(LayerResult(height - 1, result.created_at))
        else:
            chain = config.chain(result.layer)
            chains.append(ChainResult(tuple(places[config.layers[i].blob] for i in chain)))
    return msgspec.structs.replace(record, layers=tuple(layers), chains=tuple(chains))
