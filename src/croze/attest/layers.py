"""Which layers steps have, where that is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from croze.attest.provenance import Layers
from croze.cachekeys.contract import StoredResult
from croze.errors import CrozeError
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.ops.results import ref_of
from croze.solver.contract import Edge, ResultStore

_INTERNAL = (media.UNCOMPRESSED_ANNOTATION, media.CREATED_ANNOTATION)
_ORIGIN_PREFIX = "containerd.io/distribution.source."
_TURN: Final = 100
"""Results looked at before others get their turn on the event loop."""


async def known_layers(results: ResultStore, stored: Sequence[tuple[Edge, StoredResult]]) -> Layers:
    """The layers of those results whose blobs are all there or can be fetched; makes none."""
    layers: dict[tuple[str, int], Sequence[Sequence[Descriptor]]] = {}
    for number, (edge, each) in enumerate(stored, 1):
        chain = await _chain(results, each)
        if number % _TURN == 0:
            await asyncio.sleep(0)
        if chain:
            vertex = edge.vertex
            layers[vertex.llb_digest or vertex.digest, edge.index] = [chain]
    return layers


async def _chain(results: ResultStore, stored: StoredResult) -> list[Descriptor]:
    try:
        result = await results.load(stored.id, uses=False)
    except CrozeError:
        return []  # gone since the build looked
    try:
        ref = ref_of(result)
        layers = ref.known_layers() if ref is not None else None
        return [_shown(layer.descriptor) for layer in layers or ()]
    finally:
        await result.release()


def _shown(layer: Descriptor) -> Descriptor:
    notes = {
        key: value
        for key, value in layer.annotations.items()
        if key not in _INTERNAL and not key.startswith(_ORIGIN_PREFIX)
    }
    return msgspec.structs.replace(layer, annotations=notes)
