"""`docker-image://` and `oci-layout://`: images as sources, without fetching their layers.

Keys as BuildKit makes them (`source/containerimage/pull.go`): first one of the digest that the name
resolved to, then the chain ID of the layers.
"""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

from croze.cachekeys.texts import noted_digest
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.numbers import parse_int
from croze.image import config as configs
from croze.image import platform as platforms
from croze.image import reference
from croze.image.config import chain_id
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.sources.content import ImageContents, LentProvider
from croze.sources.contract import Source, SourceContext, SourceKey
from croze.sources.images import Images, Mode, parse_mode
from croze.sources.manifests import PulledImage, pull_manifests
from croze.sources.materials import ImageMaterial, UsedMaterial
from croze.sources.request import SourceRequest, record_type
from croze.status import step
from croze.store.contract import ImmutableRef, LazyLayer, RecordType, RefStore

REGISTRY_SCHEME = "docker-image"
LAYOUT_SCHEME = "oci-layout"


class ImageSourceOptions(Struct, frozen=True):
    """What the attributes of an image source say."""

    ref: Reference
    platform: Platform
    mode: Mode = "default"
    record_type: RecordType = "regular"
    layer_limit: int | None = None
    checksum: str = ""
    session: str = ""
    store: str = ""
    local: bool = False
    """The image is in a client's OCI layout."""


class _ManifestKey(msgspec.Struct, rename="pascal", omit_defaults=True):
    """Field order is part of the key."""

    digest: str
    os: str = msgspec.field(name="OS")
    arch: str
    variant: str = ""
    os_version: str = msgspec.field(default="", name="OSVersion")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="OSFeatures")
    limit: int | None = None


def manifest_key(digest: str, platform: Platform, layer_limit: int | None) -> str:
    """A text for the cache key: of an image's manifest or index, for a platform."""
    fields = _ManifestKey(
        digest,
        platform.os,
        platform.architecture,
        platform.variant,
        platform.os_version,
        platform.os_features,
        layer_limit,
    )
    return noted_digest(gojson.marshal(fields), "json")


def content_key(config: bytes, layer_limit: int | None) -> str:
    """A text for the cache key: of the layers' contents; empty when there are no layers."""
    try:
        image = configs.parse(config)
    except InvalidRequest as err:
        if layer_limit is not None:
            raise err.wrap("failed to parse image config") from err
        return noted_digest(config, "json")
    diff_ids = image.diff_ids
    if layer_limit is not None and len(diff_ids) < layer_limit:
        raise InvalidRequest(f"image has {len(diff_ids)} layers, limit is {layer_limit}")
    if image.rootfs.type != "layers":
        return ""
    return chain_id(diff_ids[:layer_limit])


def parse_options(request: SourceRequest) -> ImageSourceOptions:
    """Read a source op of either scheme. Raises `InvalidRequest`."""
    scheme, _, text = request.identifier.partition("://")
    platform = platforms.normalize(request.platform or platforms.default_platform())
    ref = reference.parse(text)
    attrs = request.attrs
    if scheme == LAYOUT_SCHEME:
        return ImageSourceOptions(
            ref,
            platform,
            mode="pull",
            layer_limit=_layer_limit(attrs.get("oci.layerlimit")),
            session=attrs.get("oci.session", ""),
            store=attrs.get("oci.store", ""),
            local=True,
        )
    return ImageSourceOptions(
        ref.tagged(),
        platform,
        mode=parse_mode(attrs.get("image.resolvemode", "")),
        record_type=record_type(attrs),
        layer_limit=_layer_limit(attrs.get("image.layerlimit")),
        checksum=_checksum(attrs.get("image.checksum", "")),
    )


def _layer_limit(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        limit = parse_int(text, call="Atoi")
    except InvalidRequest as error:
        raise error.wrap(f"invalid layer limit {text}") from None
    if limit <= 0:
        raise InvalidRequest(f"invalid layer limit {text}")
    return int(text)


def _checksum(text: str) -> str:
    try:
        return reference.check_digest(text) if text else ""
    except InvalidRequest as err:
        raise err.wrap(f"invalid image checksum {text}") from err


class ImageSource:
    """One image for one vertex; resolved once."""

    def __init__(self, images: Images, refs: RefStore, options: ImageSourceOptions) -> None:
        self._images = images
        self._refs = refs
        self._options = options
        self._image: PulledImage | None = None
        self._is_certain = False
        """Its layers are what it says."""

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        image = await self._resolved(ctx)
        limit = self._options.layer_limit
        first = manifest_key(image.root.digest, self._options.platform, limit)
        if index == 0:
            return SourceKey(first, pin=image.root.digest, done=False)
        # What only claims to be the same must not be taken for it, not even while both are built.
        content = content_key(image.config, limit) if self._is_certain else ""
        return SourceKey(content or first, pin=image.root.digest)

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        layers = self._layers(await self._resolved(ctx), ctx)
        return await self._refs.from_layers(layers, record_type=self._options.record_type)

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        options = self._options
        return UsedMaterial(ImageMaterial(str(options.ref), options.platform, pin, options.local))

    def _layers(self, image: PulledImage, ctx: SourceContext) -> list[LazyLayer]:
        fetcher = self._provider().fetcher(ctx.progress)
        text = f"pulled from {self._options.ref}"
        layers = image.layers[: self._options.layer_limit]
        return [LazyLayer(blob, fetcher, time.time_ns(), text) for blob in layers]

    def _provider(self) -> ImageContents:
        options = self._options
        if options.local:
            return LentProvider(self._images.access, options.ref, options.store, options.session)
        return self._images.provider(options.ref)

    async def _resolved(self, ctx: SourceContext) -> PulledImage:
        if self._image is None:
            async with step(ctx.progress, f"resolve {self._options.ref}"):
                self._image = self._checked(await self._pull(ctx))
            # The cache may give us a ref of an earlier build, which is lazy still.
            self._is_certain = self._refs.refresh_layers(self._layers(self._image, ctx))
        return self._image

    async def _pull(self, ctx: SourceContext) -> PulledImage:
        options = self._options
        provider = self._provider()
        if isinstance(provider, LentProvider):
            return await pull_manifests(
                provider, self._images.blobs, options.platform, ctx.sessions
            )
        return await self._images.pull(options.ref, options.platform, options.mode, ctx.sessions)

    def _checked(self, image: PulledImage) -> PulledImage:
        options = self._options
        if options.checksum and image.root.digest != options.checksum:
            raise CrozeError(
                f"image digest {image.root.digest} for {options.ref} does not match expected "
                f"checksum {options.checksum}"
            )
        limit = options.layer_limit
        if limit is not None and limit > len(image.layers):
            raise InvalidRequest(
                f"layer limit {limit} is greater than the number of layers in the image "
                f"{len(image.layers)}"
            )
        return image


class ImageSources:
    """Opens both schemes."""

    schemes = (REGISTRY_SCHEME, LAYOUT_SCHEME)

    def __init__(self, images: Images, refs: RefStore) -> None:
        self._images = images
        self._refs = refs

    def open(self, request: SourceRequest) -> Source:
        return ImageSource(self._images, self._refs, parse_options(request))
