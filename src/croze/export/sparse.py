"""Archives without the layers that their reader has.

A Docker engine with its own layer store asks, layer by layer, whether it has the chain up to there,
before it looks for the layer's tar in the archive (moby `image/tarexport/load.go`). What it has may
be left out of `docker save`'s format.
"""

from __future__ import annotations

from collections.abc import Collection

from croze.export.commit import Committed
from croze.image import config as configs
from croze.image.config import chain_ids
from croze.image.manifest import parse_manifest
from croze.image.reference import check_digest
from croze.store.contract import BlobStore

KNOWN_CHAINS = "croze.known-chains"
"""The exporter's attribute: the chain IDs that the reader has, separated by commas."""


def take_known(attrs: dict[str, str]) -> frozenset[str]:
    """Take the attribute out. Raises `InvalidRequest`."""
    text = attrs.pop(KNOWN_CHAINS, "")
    return frozenset(check_digest(chain) for chain in text.split(",") if chain)


def left_out(committed: Committed, blobs: BlobStore, known: Collection[str]) -> frozenset[str]:
    """The digests of layers that need not be sent: everywhere they stand, the chain up to there is
    known."""
    if not known:
        return frozenset()
    needed: set[str] = set()
    spared: set[str] = set()
    for image in committed.images:
        manifest = parse_manifest(blobs.read(image.manifest.digest))
        diff_ids = configs.parse(blobs.read(image.config.digest)).diff_ids
        layers = manifest.layers or ()
        for layer, chain in zip(layers, chain_ids(diff_ids), strict=True):
            (spared if chain in known else needed).add(layer.digest)
    return frozenset(spared - needed)
