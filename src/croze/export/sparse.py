"""Archives without the layers that their reader has.

A Docker engine with its own layer store asks, layer by layer, whether it has the chain up to there,
before it looks for the layer's tar in the archive (moby `image/tarexport/load.go`). containerd's
image store and podman's look for a layer's blob by its digest in what they have, too (containerd
`core/images/archive/importer.go`; containers/image `storage/storage_dest.go`). What the reader has
may be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from croze.errors import CrozeError
from croze.export.commit import Committed
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image.config import chain_ids
from croze.image.manifest import Manifest, detect_media_type, parse_index, parse_manifest
from croze.image.reference import check_digest
from croze.store.attributes import parse_bool
from croze.store.contract import BlobStore

KNOWN_CHAINS = "croze.known-chains"
"""The exporter's attribute: the chain IDs that the reader has, separated by commas."""
KNOWN_IMAGES = "croze.known-images"
"""For readers that know layers by their blobs: digests of the manifests or indexes of images that
they have, separated by commas."""
ONE_ENTRY = "croze.one-entry"
"""For readers that take an `index.json` with one entry alone: it has the image's first name."""


class ReaderAbilities(Struct, frozen=True):
    """What an archive's reader has, and can read."""

    chains: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    one_entry: bool = False


def take_reader(attrs: dict[str, str]) -> ReaderAbilities:
    """The reader that the exporter's attributes tell of, which are taken out. Raises
    `InvalidRequest`."""
    one_entry = parse_bool(ONE_ENTRY, attrs.pop(ONE_ENTRY, "false"))
    return ReaderAbilities(_taken(attrs, KNOWN_CHAINS), _taken(attrs, KNOWN_IMAGES), one_entry)


def _taken(attrs: dict[str, str], key: str) -> frozenset[str]:
    return frozenset(check_digest(each) for each in attrs.pop(key, "").split(",") if each)


def left_out(committed: Committed, blobs: BlobStore, reader: ReaderAbilities) -> frozenset[str]:
    """The digests of layers that need not be sent."""
    if reader.images:
        return _known_blobs(blobs, reader)
    return _below_known_chains(committed, blobs, reader.chains) if reader.chains else frozenset()


def _below_known_chains(
    committed: Committed, blobs: BlobStore, known_chains: Collection[str]
) -> frozenset[str]:
    """Everywhere they stand, the chain up to there is known."""
    needed: set[str] = set()
    spared: set[str] = set()
    for image in committed.images:
        manifest = parse_manifest(blobs.read(image.manifest.digest))
        for layer, chain in zip(manifest.layers or (), _chains(manifest, blobs), strict=True):
            (spared if chain in known_chains else needed).add(layer.digest)
    return frozenset(spared - needed)


def _known_blobs(blobs: BlobStore, reader: ReaderAbilities) -> frozenset[str]:
    """All layers of the known images whose manifests are here. Of an index the reader has what it
    knows the chain of: of other platforms nothing, as a rule."""
    return frozenset(
        layer.digest
        for image in reader.images
        for manifest in _manifests(image, blobs)
        if reader.chains.issuperset(_chains(manifest, blobs)[-1:])
        for layer in manifest.layers or ()
    )


def _manifests(image: str, blobs: BlobStore) -> Iterator[Manifest]:
    """The manifests that are here with their configs."""
    data = _read(image, blobs)
    if data is None:
        return
    manifests = [data]
    if detect_media_type(data) in media.INDEX_TYPES:
        entries = (_read(entry.digest, blobs) for entry in parse_index(data).manifests)
        manifests = [each for each in entries if each is not None]
    for each in manifests:
        if detect_media_type(each) in media.MANIFEST_TYPES:
            manifest = parse_manifest(each)
            if blobs.has(manifest.config.digest):
                yield manifest


def _read(digest: str, blobs: BlobStore) -> bytes | None:
    """A manifest or an index, if it is here."""
    if not blobs.has(digest):
        return None
    data = blobs.read(digest)
    try:
        detect_media_type(data)
    except CrozeError:
        return None
    return data


def _chains(manifest: Manifest, blobs: BlobStore) -> list[str]:
    return chain_ids(configs.parse(blobs.read(manifest.config.digest)).diff_ids)
