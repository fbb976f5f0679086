"""From a reference to one platform's manifest and config, kept in the blob store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.errors import CrozeError, InvalidRequest
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.bounds import ContentsBound, TooManyContents
from croze.image.descriptor import Descriptor
from croze.image.platform import Matcher, Platform
from croze.registry.failures import is_not_opened
from croze.sources.content import ImageContents
from croze.store.contract import BlobStore, LayerBlob

T = TypeVar("T")

INDEXES_MOST = 32
"""That are looked into for one image: real ones have one or two."""


class PulledImage(Struct, frozen=True):
    """An image's manifests and config, without its layers. `root` is what the name resolved to,
    maybe an index."""

    root: Descriptor
    manifest: Descriptor
    config: bytes
    layers: tuple[LayerBlob, ...]
    diff_ids: tuple[str, ...]


class _ManifestReader(Struct, frozen=True):
    """Reads small contents through the blob store. They are written, by `writes`, while it is asked
    for the next."""

    provider: ImageContents
    blobs: BlobStore
    sessions: Sequence[str]
    writes: asyncio.TaskGroup
    read_now: dict[str, bytes] = field(default_factory=dict)
    bound: ContentsBound = field(default_factory=ContentsBound)

    async def root(self) -> Descriptor:
        root, data = await _copied(self.provider.root(self.sessions))
        manifests.check_supported(root.media_type)
        self._keep(root, data)
        return root

    async def read(self, descriptor: Descriptor) -> bytes:
        digest = descriptor.digest
        if digest not in self.read_now and not self.blobs.has(digest):
            data = await _copied(self.provider.read(descriptor, self.sessions))
            self._keep(descriptor, data)
        data = self.read_now[digest] if digest in self.read_now else self.blobs.read(digest)
        return self.bound.add(data)

    def _keep(self, descriptor: Descriptor, data: bytes) -> None:
        self.read_now[descriptor.digest] = data
        self.writes.create_task(self.blobs.put(data))


async def _copied(reading: Awaitable[T]) -> T:
    """What was read; or why nothing could be, as who copies contents tells it."""
    try:
        return await reading
    except CrozeError as err:
        if not is_not_opened(err):
            raise
        raise err.wrap("failed to copy") from None


async def pull_manifests(
    provider: ImageContents,
    blobs: BlobStore,
    platform: Platform,
    sessions: Sequence[str],
    root: Descriptor | None = None,
) -> PulledImage:
    """Everything about an image that is not a layer; what is in the blob store is not asked for
    again. `root` saves resolving the name."""
    async with first_error(), asyncio.TaskGroup() as writes:
        reader = _ManifestReader(provider, blobs, sessions, writes)
        root = root or await reader.root()
        manifests.check_supported(root.media_type)
        manifest, config = await _select(reader, root, platforms.only(platform), set())
        parsed = manifests.parse_manifest(await reader.read(manifest))
    image = configs.parse(config)
    layers = parsed.layers or ()
    manifests.check_layer_count(len(layers))
    if len(image.diff_ids) != len(layers):
        raise InvalidRequest(
            "mismatched image rootfs and manifest layers "
            f"{list(image.diff_ids)} {[layer.digest for layer in layers]}"
        )
    described = _layer_blobs(layers, image.diff_ids, provider.notes)
    return PulledImage(root, manifest, config, described, image.diff_ids)


async def _select(
    reader: _ManifestReader, entry: Descriptor, matcher: Matcher, seen: set[str]
) -> tuple[Descriptor, bytes]:
    """The best manifest below an entry, with its config's bytes. `seen`: the indexes that were
    looked into, which had none, or are above this one."""
    if entry.media_type in media.MANIFEST_TYPES:
        parsed = manifests.parse_manifest(await reader.read(entry))
        return entry, await reader.read(parsed.config)
    if entry.media_type not in media.INDEX_TYPES:
        raise InvalidRequest(
            f"encountered unknown type {entry.media_type}; children may not be fetched"
        )
    if entry.digest in seen:
        raise manifests.no_match(entry.digest)
    if len(seen) >= INDEXES_MOST:
        raise InvalidRequest(f"more than {INDEXES_MOST} indexes in one image")
    seen.add(entry.digest)
    index = manifests.parse_index(await reader.read(entry))
    candidates = manifests.candidates(index, matcher)
    for candidate in candidates:
        try:
            manifest, config = await _select(reader, candidate, matcher, seen)
        except CrozeError as error:
            if candidate.platform is not None or isinstance(error, TooManyContents):
                raise
            continue
        if candidate.platform is not None or matcher.match(configs.parse(config).platform):
            return manifest, config
    raise manifests.no_match(entry.digest if candidates else "")


def _layer_blobs(
    layers: Sequence[Descriptor], diff_ids: Sequence[str], notes: Mapping[str, str]
) -> tuple[LayerBlob, ...]:
    """Each with the annotations that later stages know it by: its tar's digest, its source."""
    return tuple(
        LayerBlob(
            msgspec.structs.replace(
                layer,
                annotations=layer.annotations | {media.UNCOMPRESSED_ANNOTATION: diff_id, **notes},
            ),
            diff_id,
        )
        for layer, diff_id in zip(layers, diff_ids, strict=True)
    )
