"""The cache config: which results there are, by cache keys, and of which layers they consist.

Media type `application/vnd.buildkit.cacheconfig.v0`; the same records, without layers, go into the
image config as `moby.buildkit.cache.v0` (BuildKit `cache/remotecache/v1`). Indexes point into the
lists of the same config. Bytes are as BuildKit writes them: equal caches have equal digests.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image.manifest import LAYERS_MOST

MEDIA_TYPE: Final = "application/vnd.buildkit.cacheconfig.v0"
NO_TIME: Final = "0001-01-01T00:00:00Z"
NO_PARENT: Final = -1

_T = TypeVar("_T")
_MOST_PARTS: Final = 2_000_000
"""A config of 100,000 records has fewer. Each may take half a kilobyte of memory."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LayerNotes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a manifest would say of a layer, where there is none. `size` in bytes."""

    media_type: str = msgspec.field(default="", name="mediaType")
    diff_id: str = msgspec.field(default="", name="diffID")
    size: int = 0
    created_at: str | None = msgspec.field(default=None, name="createdAt")


class CacheLayer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A blob on top of the layer with the index `parent`, -1 for none. As BuildKit has it, a parent
    of 0 is not written, and one that is absent is 0."""

    blob: str
    parent: int = 0
    annotations: LayerNotes | None = None


class LayerResult(msgspec.Struct, frozen=True, rename="camel"):
    """The layer at an index with all its parents."""

    layer: int = 0
    created_at: str = NO_TIME


class ChainResult(msgspec.Struct, frozen=True, rename="camel"):
    """Layers one by one, base first, whatever their parents."""

    layers: tuple[int, ...] | None = None
    created_at: str = NO_TIME


class CacheInput(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The record at index `link` leads here, asking `selector`."""

    selector: str = ""
    link: int


class ConfigRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A record of the config: results under a key. `inputs`: for each input all that it may be. See
    `cachekeys.names.record_digest`."""

    layers: tuple[LayerResult, ...] = ()
    chains: tuple[ChainResult, ...] = ()
    digest: str
    inputs: tuple[tuple[CacheInput, ...], ...] = ()


class CacheConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole config: records refer to layers, and to each other, by their index."""

    layers: tuple[CacheLayer, ...] = ()
    records: tuple[ConfigRecord, ...] = ()

    def chain(self, layer: int) -> tuple[int, ...]:
        """The layer with all its parents, base first."""
        layers: list[int] = []
        while layer != NO_PARENT:
            layers.append(layer)
            layer = self.layers[layer].parent
        return tuple(reversed(layers))


def parse(data: bytes) -> CacheConfig:
    """Read and check a config. Raises `InvalidRequest` for one that is not a config, has indexes
    that point nowhere, empty inputs, or loops."""
    return _checked(_decoded(data, CacheConfig))


def parse_records(data: bytes, layers: Sequence[str]) -> CacheConfig:
    """The records of an image config; `layers` are the blobs of the image's layers."""
    records = _decoded(data, tuple[ConfigRecord, ...])
    stacked = tuple(CacheLayer(blob, number - 1) for number, blob in enumerate(layers))
    return _checked(CacheConfig(stacked, records))


def _decoded(data: bytes, type: type[_T]) -> _T:
    if not gojson.has_parts_within(data, _MOST_PARTS):
        raise InvalidRequest(f"failed to parse cache config: more than {_MOST_PARTS} parts")
    try:
        return gojson.unmarshal(data, type=type)
    except (msgspec.MsgspecError, RecursionError):
        pass  # it may have nulls, or be wrong
    try:
        plain = gojson.drop_nulls(gojson.unmarshal(data))
        return msgspec.convert(plain, type)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"failed to parse cache config: {err}") from err


def without(config: CacheConfig, blobs: Collection[str]) -> CacheConfig:
    """The config but for results that need one of `blobs`, in normal form."""
    there = PresentLayers(config, {e.blob for e in config.layers}.difference(blobs))
    records = []
    for record in config.records:
        layers = tuple(each for each in record.layers if there.has(each))
        chains = tuple(each for each in record.chains if there.has(each) or not each.layers)
        records.append(msgspec.structs.replace(record, layers=layers, chains=chains))
    used = _with_parents(config, (each.layer for r in records for each in r.layers))
    used |= {i for r in records for each in r.chains for i in each.layers or ()}
    places = {old: new for new, old in enumerate(sorted(used))} | {NO_PARENT: NO_PARENT}
    layers_in_order = (config.layers[old] for old in sorted(used))
    layers_left = tuple(
        CacheLayer(e.blob, places.get(e.parent, NO_PARENT)) for e in layers_in_order
    )
    return normalized(CacheConfig(layers_left, tuple(_relayered(r, places) for r in records)))


def _with_parents(config: CacheConfig, layers: Iterable[int]) -> set[int]:
    """The layers with all that they lie on, looking at each once."""
    places = {NO_PARENT}
    for layer in layers:
        while layer not in places:
            places.add(layer)
            layer = config.layers[layer].parent
    return places - {NO_PARENT}


class PresentLayers:
    """Which results have all their blobs among `blobs`, and no more than can be on top of each
    other."""

    def __init__(self, config: CacheConfig, blobs: Collection[str]) -> None:
        self._alone = {i for i, layer in enumerate(config.layers) if layer.blob in blobs}
        self._whole: set[int] = set()
        """Layers whose parents are there, too."""
        above: dict[int, list[int]] = {}
        for place in self._alone:
            above.setdefault(config.layers[place].parent, []).append(place)
        level = above.get(NO_PARENT, [])
        for _ in range(LAYERS_MOST):
            if not level:
                break
            self._whole.update(level)
            level = [higher for place in level for higher in above.get(place, ())]

    def has(self, result: LayerResult | ChainResult) -> bool:
        """Whether all layers of the result are there; false for one that has none."""
        if isinstance(result, LayerResult):
            return result.layer in self._whole
        layers = result.layers or ()
        return 0 < len(layers) <= LAYERS_MOST and self._alone.issuperset(layers)


def marshal(config: CacheConfig) -> bytes:
    """The bytes as BuildKit writes them."""
    return gojson.marshal(config)


def marshal_records(records: Sequence[ConfigRecord]) -> bytes:
    """The list of records alone, for an image config."""
    return gojson.marshal(tuple(records))


def time_of(text: str) -> datetime:
    """A time as Go writes it, to the microsecond, in UTC. `NO_TIME` for what is no time, or in no
    year of four digits there."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def ns_of(text: str) -> int:
    """A time as Go writes it in nanoseconds since 1970, to the last digit; 0 for what is before,
    and the most that 64 bits hold for what is long after."""
    fraction = re.search(r"\.(\d{1,9})", text)
    digits = fraction[1].ljust(9, "0") if fraction else "0"
    whole = time_of(text).replace(microsecond=0) - _EPOCH
    return min(max(0, int(whole.total_seconds()) * 10**9 + int(digits)), (1 << 63) - 1)


# Normal form


def normalized(config: CacheConfig) -> CacheConfig:
    """The config in normal form: layers by blob, then parent; records by digest, then by what leads
    to them; links of an input by index."""
    layers, layer_places = _sorted_layers(config.layers)
    return CacheConfig(layers, _sorted_records(config, layer_places))


def sorted_records(records: Sequence[ConfigRecord]) -> tuple[ConfigRecord, ...]:
    """Records in normal form whose layers are an image's and stay where they are."""
    return _sorted_records(CacheConfig(records=tuple(records)), None)


def _sorted_records(
    config: CacheConfig, layer_places: Mapping[int, int] | None
) -> tuple[ConfigRecord, ...]:
    order = sorted(range(len(config.records)), key=lambda i: _rank(config, config.records[i]))
    places = {old: new for new, old in enumerate(order)}
    moved = (_relinked(config.records[old], places) for old in order)
    if layer_places is None:
        return tuple(moved)
    return tuple(_relayered(record, layer_places) for record in moved)


def _sorted_layers(
    layers: Sequence[CacheLayer],
) -> tuple[tuple[CacheLayer, ...], dict[int, int]]:
    order = sorted(range(len(layers)), key=lambda i: (layers[i].blob, layers[i].parent))
    places = {old: new for new, old in enumerate(order)} | {NO_PARENT: NO_PARENT}
    moved = (CacheLayer(layers[old].blob, places[layers[old].parent]) for old in order)
    return tuple(moved), places


_Rank = tuple[str, int, list[tuple[int, list[tuple[str, str]]]]]


def _rank(config: CacheConfig, record: ConfigRecord) -> _Rank:
    def links(choices: Sequence[CacheInput]) -> list[tuple[str, str]]:
        return [(each.selector, config.records[each.link].digest) for each in choices]

    inputs = [(len(alternatives), links(alternatives)) for alternatives in record.inputs]
    return record.digest, len(record.inputs), inputs


def _relinked(record: ConfigRecord, places: Mapping[int, int]) -> ConfigRecord:
    inputs = []
    for alternatives in record.inputs:
        links = [
            CacheInput(selector=each.selector, link=places[each.link]) for each in alternatives
        ]
        inputs.append(tuple(sorted(links, key=lambda each: each.link)))
    return msgspec.structs.replace(record, inputs=tuple(inputs))


def _relayered(record: ConfigRecord, places: Mapping[int, int]) -> ConfigRecord:
    return msgspec.structs.replace(
        record,
        layers=tuple(LayerResult(places[r.layer], r.created_at) for r in record.layers),
        chains=tuple(
            ChainResult(tuple(places[i] for i in r.layers or ()), r.created_at)
            for r in record.chains
        ),
    )


# Checks


def _checked(config: CacheConfig) -> CacheConfig:
    for number, layer in enumerate(config.layers):
        if not NO_PARENT <= layer.parent < len(config.layers):
            raise InvalidRequest(f"invalid parent index {layer.parent} of layer {number}")
    for record in config.records:
        _check_record(config, record)
    _refuse_loops([(layer.parent,) if layer.parent >= 0 else () for layer in config.layers])
    _refuse_loops([[e.link for i in r.inputs for e in i] for r in config.records])
    return config


def _check_record(config: CacheConfig, record: ConfigRecord) -> None:
    used = [r.layer for r in record.layers] + [i for r in record.chains for i in r.layers or ()]
    if any(not 0 <= layer < len(config.layers) for layer in used):
        raise InvalidRequest(f"invalid layer index in record {record.digest}")
    for number, links in enumerate(record.inputs):
        if not links:
            raise InvalidRequest(f"invalid empty input {number} of record {record.digest}")
        for each in links:
            if not 0 <= each.link < len(config.records):
                raise InvalidRequest(f"invalid record ID: {each.link}")


def _refuse_loops(below: Sequence[Sequence[int]]) -> None:
    """See that following `below` from anywhere never comes back. Raises `InvalidRequest`."""
    checked: set[int] = set()
    for start in range(len(below)):
        path: set[int] = set()
        stack: list[tuple[int, Iterator[int]]] = [(start, iter(below[start]))]
        if start in checked:
            continue
        path.add(start)
        while stack:
            place, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.discard(place)
                checked.add(place)
            elif following in path:
                raise InvalidRequest("invalid looping record")
            elif following not in checked:
                path.add(following)
                stack.append((following, iter(below[following])))
