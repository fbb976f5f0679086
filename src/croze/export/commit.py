"""From a build's result to an image in the blob store: layers, config, manifest, index."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croze.aio.parallel import all_of
from croze.errors import InvalidRequest, NotFound
from croze.export import attestations, layers
from croze.export.contract import (
    Attestation,
    ExportContext,
    ExportServices,
    ExportSource,
    NamedSubject,
    PlatformResult,
)
from croze.export.layer_files import LayerFiles
from croze.export.options import CommitOptions, settle, source_epoch
from croze.export.patch import LayerFacts, checked, complete_history, patch_config
from croze.export.rewrite import rewrite_layer
from croze.export.sbom_layers import supplemented
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.annotations import AnnotationKey, Annotations, parse_key, select
from croze.image.config import ImageConfig
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index, Manifest
from croze.image.purl import digest_set, package_url
from croze.status import step
from croze.store.contract import ImmutableRef, LayerBlob, Lease
from croze.store.layer_blobs import compression_of
from croze.store.watch_contract import LayerWatch

BASE_CONFIG_KEY = "containerimage.base.config"


class CommittedImage(Struct, frozen=True):
    """An image in the blob store, for one platform. `layers` have all their annotations."""

    result: PlatformResult
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Committed(Struct, frozen=True):
    """An image in the blob store, for all its platforms. `root` is the index, or the only
    manifest."""

    root: Descriptor
    images: tuple[CommittedImage, ...]
    indexed: bool


class Writer(Struct, frozen=True):
    """Makes one image. All blobs that it writes are held by `lease`."""

    services: ExportServices
    options: CommitOptions
    ctx: ExportContext
    lease: Lease
    watch: LayerWatch | None = None
    """Told of the layers that are made for it."""

    async def commit(self, source: ExportSource) -> Committed:
        """Write config, manifest and index of what was built. Raises `InvalidRequest` for what
        can't be exported so."""
        attested = any(each.attestations for each in source.results)
        options = settle(self.options, self.ctx.compatibility, attested=attested)
        writer = replace(self, options=options)._with_metadata(source.metadata)
        return await writer._commit(source)

    def _with_metadata(self, metadata: Mapping[str, bytes]) -> Writer:
        """Annotations may also come from the frontend."""
        annotations: dict[AnnotationKey, str] = dict(self.options.annotations)
        for name, value in metadata.items():
            if (key := parse_key(name)) is not None:
                annotations[key] = value.decode("utf-8", "replace")
        changed = replace(self.options, annotations=annotations)
        return replace(self, options=changed)

    async def _commit(self, source: ExportSource) -> Committed:
        inline = self.options.inline_attestations
        # What is only for exporters that keep it inline asks for no index; where there is one, it
        # is in there.
        indexed = source.multi_platform or any(
            attestations.wanted(each, inline=inline) for each in source.results
        )
        self._check(source, indexed)
        async with step(self.ctx.progress, "exporting layers"):
            chains = await all_of(self._layers(each.ref) for each in source.results)
        cache = await self.ctx.inline_cache() if self.ctx.inline_cache is not None else {}
        images = [
            await self._image(source, each, chain, cache.get(each.key), indexed)
            for each, chain in zip(source.results, chains, strict=True)
        ]
        if not indexed:
            root = images[0].manifest
            return Committed(root, tuple(images), indexed=False)
        extra = [
            await self._attest(image, image.result.attestations)
            for image in images
            if image.result.attestations
        ]
        return Committed(await self._index(images, extra), tuple(images), indexed=True)

    def _check(self, source: ExportSource, indexed: bool) -> None:
        platform_names = {platforms.format_all(each.platform) for each in source.results}
        platform_names |= {each.key for each in source.results}
        for key in self.options.annotations:
            where = platforms.format_all(key.platform) if key.platform else ""
            if where and len(source.results) > 1 and where not in platform_names:
                raise InvalidRequest(f"invalid annotation: no platform {where} found in source")
            if not self.options.oci_types and key.type != "manifest":
                raise InvalidRequest('cannot export annotations with "oci-mediatypes=false"')
            if not indexed and key.type.startswith("index"):
                raise InvalidRequest("index annotations not supported for single platform export")
        if indexed and not self.options.oci_types and any(r.attestations for r in source.results):
            raise InvalidRequest('cannot export attestations with "oci-mediatypes=false"')
        if not indexed and len(source.results) != 1:
            raise InvalidRequest("cannot export multiple platforms without multi-platform enabled")

    # -- layers ------------------------------------------------------------------------------

    async def _layers(self, ref: ImmutableRef | None) -> Sequence[LayerBlob]:
        if ref is None:
            return ()
        layers = await ref.layers(
            self.options.compression, sessions=self.ctx.sessions, watch=self.watch
        )
        for layer in layers:
            self.lease.hold(layer.descriptor.digest)
        return layers

    async def _rewritten(
        self,
        ref: ImmutableRef | None,
        chain: Sequence[LayerBlob],
        epoch: datetime,
        base: ImageConfig | None,
    ) -> Sequence[LayerBlob]:
        """The layers above the base image, with their times lowered."""
        base_ids = base.diff_ids if base is not None else ()
        same = 0
        while same < min(len(base_ids), len(chain)) and base_ids[same] == chain[same].diff_id:
            same += 1
        # Made eStargz, a layer of the base has another diff ID: its table is in it.
        bases = [*base_ids[same:], *("" for _ in chain)]
        text = f"{int(epoch.timestamp())} ({epoch.strftime('%Y-%m-%d %H:%M:%S +0000 UTC')})"
        async with step(self.ctx.progress, f"rewriting layers with source-date-epoch {text}"):
            changed = await all_of(
                self._rewrite(ref, layer, epoch, unless)
                for layer, unless in zip(chain[same:], bases, strict=False)
            )
        return [*chain[:same], *changed]

    async def _rewrite(
        self, ref: ImmutableRef | None, layer: LayerBlob, epoch: datetime, unless: str
    ) -> LayerBlob:
        """The layer with its times lowered; as it is if its tar has the diff ID `unless`."""
        blobs, epoch_s = self.services.blobs, int(epoch.timestamp())
        if ref is not None and not blobs.has(layer.descriptor.digest):
            await ref.fetch_blob(layer.descriptor.digest, self.ctx.sessions)
        async with blobs.writer() as writer:
            rewritten = await self.services.pool.run(
                rewrite_layer,
                str(blobs.path(layer.descriptor.digest)),
                str(writer.path),
                compression_of(layer.descriptor),
                self.options.compression.level,
                epoch_s,
                unless if compression_of(layer.descriptor) == "estargz" else "",
            )
            if rewritten is None:
                return layer
            if rewritten.diff_id != layer.diff_id:
                self.lease.hold(rewritten.digest)
                await writer.commit(digest=rewritten.digest, size=rewritten.size)
        digest, size = (rewritten.digest, rewritten.size)
        if rewritten.diff_id == layer.diff_id:
            digest, size = layer.descriptor.digest, layer.descriptor.size
        notes = layer.descriptor.annotations | dict(rewritten.annotations)
        notes |= {
            media.UNCOMPRESSED_ANNOTATION: rewritten.diff_id,
            media.REWRITTEN_ANNOTATION: str(epoch_s),
        }
        described = msgspec.structs.replace(
            layer.descriptor, digest=digest, size=size, annotations=notes
        )
        return LayerBlob(described, rewritten.diff_id)

    # -- config and manifest -----------------------------------------------------------------

    async def _image(
        self,
        source: ExportSource,
        result: PlatformResult,
        chain: Sequence[LayerBlob],
        inline_cache: bytes | None,
        indexed: bool,
    ) -> CommittedImage:
        config = result.config or configs.marshal(
            configs.empty(platforms.normalize(platforms.default_platform()))
        )
        base = _base_config(source.metadata, result.key)
        epoch = self._epoch(source, result)
        if self.options.rewrite_timestamp and epoch is not None:
            chain = await self._rewritten(result.ref, chain, epoch, base)
        history = checked(config).history
        facts = await self._facts(result.ref, chain, sum(not h.empty_layer for h in history))
        patched = patch_config(
            config,
            [layer.diff_id for layer in chain],
            complete_history(history, facts),
            epoch=epoch,
            base=base,
            inline_cache=inline_cache,
        )
        notes = select(self.options.annotations, result.platform if indexed else None)
        full = tuple(layer.descriptor for layer in chain)
        manifest, described = await self._write_manifest(full, patched, notes)
        return CommittedImage(
            result,
            msgspec.structs.replace(
                manifest,
                annotations=dict(notes.manifest_descriptor),
                platform=platforms.normalize(result.platform),
            ),
            described,
            full,
        )

    def _epoch(self, source: ExportSource, result: PlatformResult) -> datetime | None:
        if self.options.epoch is not None:
            return self.options.epoch.value
        return source_epoch(source.metadata, result.key)

    async def _facts(
        self, ref: ImmutableRef | None, chain: Sequence[LayerBlob], described: int
    ) -> list[LayerFacts]:
        """What history rows are filled with; descriptions only where rows are missing."""
        texts = await self._descriptions(ref, len(chain)) if described < len(chain) else []
        texts = [""] * (len(chain) - len(texts)) + texts
        return [
            LayerFacts(
                layer.descriptor.annotations.get(media.CREATED_ANNOTATION),
                text or "created by buildkit",
            )
            for layer, text in zip(chain, texts, strict=True)
        ]

    async def _descriptions(self, ref: ImmutableRef | None, count: int) -> list[str]:
        """What made the topmost layers, as far down as the states are one upon the other."""
        texts: list[str] = []
        parents: Sequence[str] = ()
        if ref is not None:
            texts, parents = [ref.description], ref.parent_ids
        while len(parents) == 1 and len(texts) < count:
            try:
                below = await self.services.refs.get(parents[0])
            except NotFound:
                break
            texts.insert(0, below.description)
            parents = below.parent_ids
            await below.release()
        return texts[-count:] if count else []

    async def _write_manifest(
        self, chain: Sequence[Descriptor], config: bytes, notes: Annotations
    ) -> tuple[Descriptor, Descriptor]:
        oci = bool(self.options.oci_types)
        described = manifests.describe(config, media.OCI_CONFIG if oci else media.DOCKER_CONFIG)
        kind = media.OCI_MANIFEST if oci else media.DOCKER_MANIFEST
        listed = layers.exported(chain, oci=oci, prefer_nondist=self.options.prefer_nondist)
        data = manifests.marshal(
            Manifest(
                media_type=kind,
                config=described,
                layers=listed or None,
                annotations=dict(notes.manifest) or msgspec.UNSET,
            )
        )
        descriptor = manifests.describe(data, kind)
        await self._put(f"exporting manifest {descriptor.digest}", descriptor, data)
        await self._put(f"exporting config {described.digest}", described, config)
        return descriptor, described

    async def _put(self, what: str, descriptor: Descriptor, data: bytes) -> None:
        async with step(self.ctx.progress, what):
            self.lease.hold(descriptor.digest)
            await self.services.blobs.put(data)

    # -- index -------------------------------------------------------------------------------

    async def _attest(self, image: CommittedImage, noted: Sequence[Attestation]) -> Descriptor:
        platform = image.result.platform
        names = [name for name in self.options.name.split(",") if name]
        subjects = [
            NamedSubject(
                package_url(name, platform),
                digest_set(image.manifest.digest),
            )
            for name in names
        ]
        sessions, pool = self.ctx.sessions, self.services.pool
        if image.result.ref is not None:
            chain = [layer.digest for layer in image.layers]
            layers = LayerFiles(self.services, image.result.ref, chain, sessions)
            noted = [await supplemented(each, layers, sessions, pool) for each in noted]
        statements = [
            (each.predicate_type, await attestations.statement(each, subjects, sessions, pool))
            for each in noted
        ]
        entry, blobs = await attestations.write_manifest(
            self.services.blobs,
            image.manifest,
            statements,
            artifact=bool(self.options.oci_artifact),
            oci=bool(self.options.oci_types),
        )
        for descriptor in (entry, *blobs):
            self.lease.hold(descriptor.digest)
        async with step(self.ctx.progress, f"exporting attestation manifest {entry.digest}"):
            return entry

    async def _index(
        self, images: Sequence[CommittedImage], extra: Sequence[Descriptor]
    ) -> Descriptor:
        notes = select(self.options.annotations, None)
        kind = media.OCI_INDEX if self.options.oci_types else media.DOCKER_INDEX
        data = manifests.marshal(
            Index(
                media_type=kind,
                manifests=(*(image.manifest for image in images), *extra),
                annotations=dict(notes.index) or msgspec.UNSET,
            )
        )
        descriptor = manifests.describe(data, kind)
        await self._put(f"exporting manifest list {descriptor.digest}", descriptor, data)
        return msgspec.structs.replace(descriptor, annotations=dict(notes.index_descriptor))


def _base_config(metadata: Mapping[str, bytes], key: str) -> ImageConfig | None:
    data = metadata.get(f"{BASE_CONFIG_KEY}/{key}") or metadata.get(BASE_CONFIG_KEY)
    return configs.parse(data) if data else None


def response(committed: Committed, names: str) -> dict[str, str]:
    """The entries of the exporter response that all image exporters answer with."""
    answer = {"containerimage.digest": committed.root.digest}
    if names:
        answer["image.name"] = names
    if not committed.indexed:
        answer["containerimage.config.digest"] = committed.images[0].config.digest
    text = base64.b64encode(gojson.marshal(committed.root)).decode()
    answer["containerimage.descriptor"] = text
    return answer
