"""Writing a build's cache somewhere: gather, send, name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.aio.parallel import first_error
from croze.errors import CrozeError, NotFound
from croze.gotypes import gojson
from croze.image.descriptor import Descriptor
from croze.registry import failures
from croze.registry.client import Registry, Repository
from croze.registry.session_auth import SessionCredentials
from croze.remotecache import config as configs
from croze.remotecache import inline, manifests
from croze.remotecache.annotated import annotated
from croze.remotecache.beside import Beside
from croze.remotecache.config import CacheConfig
from croze.remotecache.gather import GatheredCache, GatheredLayer, Gatherer, RefOf
from croze.remotecache.objects.opened import ObjectCaches
from croze.remotecache.options import ExportOptions
from croze.remotecache.targets import (
    BlobTarget,
    LentTarget,
    ManifestTarget,
    ObjectTarget,
    RegistryTarget,
)
from croze.session.content import LentStore
from croze.session.contract import SessionManager
from croze.solver.chain import Chain
from croze.solver.contract import ResultStore
from croze.status import Progress, step
from croze.store.contract import BlobStore, Compression, ImmutableRef, Lease, RefStore

if TYPE_CHECKING:
    from croze.registry.early import EarlyPush

RESPONSE_KEY = "cache.manifest"


class CacheServices(Struct, frozen=True):
    """What exporters work with. `ref_of`: the filesystem of a result."""

    results: ResultStore
    ref_of: RefOf
    refs: RefStore
    blobs: BlobStore
    sessions: SessionManager
    registry: Registry
    objects: ObjectCaches


class CacheExporter(Struct, frozen=True):
    """One exporter for one build. `session` is the client's."""

    services: CacheServices
    options: ExportOptions
    session: str
    sessions: Sequence[str]
    beside: Beside | None = None

    async def export(self, chains: Sequence[Chain], progress: Progress) -> Mapping[str, str]:
        """Write the cache of `chains`; what goes into the exporter response."""
        services = self.services
        async with services.refs.lease() as lease, AsyncExitStack() as stack:
            early = None
            if (repo := self._repository()) is not None:
                from croze.registry.early import early_push  # most builds export no cache

                early = await stack.enter_async_context(early_push(repo))
            async with step(progress, "preparing build cache for export"):
                gatherer = Gatherer(
                    services.results,
                    services.ref_of,
                    self.options.compression,
                    self.sessions,
                    stack,
                    early,
                )
                for chain in chains:
                    await gatherer.add(chain, self.options.mode)
                gathered = gatherer.gathered()
            async with step(progress, "sending cache export"):
                options = self.options
                manifests.check_types(image_manifest=options.image_manifest, oci=options.oci)
                target = await self._target(progress, early)
                return await self._send(target, gathered, lease, progress)

    async def _send(
        self,
        target: ManifestTarget | ObjectTarget,
        gathered: GatheredCache,
        lease: Lease,
        progress: Progress,
    ) -> Mapping[str, str]:
        config = gathered.config
        named = isinstance(target, ObjectTarget)
        beside = await self.beside.send(target, progress) if self.beside is not None else ()
        if not (config.layers or beside or named):
            return await self._skip(progress)
        used = {layer.blob: gathered.layers[layer.blob] for layer in config.layers}
        gone = set[str]()
        async with first_error(), asyncio.TaskGroup() as group:
            for layer in used.values():
                lease.hold(layer.descriptor.digest)
                group.create_task(self._send_layer(target, layer, gone, progress))
            if not isinstance(target, ObjectTarget):
                sent = group.create_task(self._try_config(target, config, lease, progress))
        if gone:
            config = configs.without(config, gone)
        if isinstance(target, ObjectTarget):
            noted = annotated(config, used, beside)
            await target.cache.write_configs(configs.marshal(noted), progress)
            return {}
        if not (config.layers or beside):
            return await self._skip(progress)
        described = sent.result()
        if gone:
            described = await self._send_config(target, config, lease, progress)
        if isinstance(described, CrozeError):
            raise described
        listed = manifests.listed_layers(config, {b: e.descriptor for b, e in used.items()})
        return await self._send_manifest(target, described, [*listed, *beside], progress)

    async def _try_config(
        self, target: BlobTarget, config: CacheConfig, lease: Lease, progress: Progress
    ) -> Descriptor | CrozeError:
        """Beside the layers; what is wrong with those says more."""
        try:
            return await self._send_config(target, config, lease, progress)
        except CrozeError as err:
            return err

    async def _send_config(
        self, target: BlobTarget, config: CacheConfig, lease: Lease, progress: Progress
    ) -> Descriptor:
        data = configs.marshal(config)
        described = manifests.describe_config(data)
        lease.hold(described.digest)
        async with step(progress, f"writing config {described.digest}"):
            await self._send_data(target, described, data)
        return described

    async def _skip(self, progress: Progress) -> Mapping[str, str]:
        async with step(progress, "skipping cache export for empty result"):
            return {}

    async def _send_layer(
        self, target: BlobTarget, layer: GatheredLayer, gone: set[str], progress: Progress
    ) -> None:
        """Results whose layers are `gone` (from the cache that they were imported from) are not
        exported; that is no error."""
        digest = layer.descriptor.digest

        async def bring() -> Path:
            try:
                await layer.ref.fetch_blob(digest, self.sessions)
            except NotFound:
                gone.add(digest)
                raise
            return self.services.blobs.path(digest)

        try:
            if isinstance(target, ObjectTarget):
                await target.write_blob(layer.descriptor, bring)
                return
            async with step(progress, f"writing layer {digest}"):
                try:
                    await target.write_blob(layer.descriptor, bring)
                except CrozeError as err:
                    raise failures.detailed(err).wrap("error writing layer blob") from err
        except CrozeError:
            if digest not in gone:
                raise

    async def _send_data(self, target: BlobTarget, described: Descriptor, data: bytes) -> None:
        async def bring() -> Path:
            await self.services.blobs.put(data)
            return self.services.blobs.path(described.digest)

        try:
            await target.write_blob(described, bring)
        except CrozeError as err:
            raise failures.detailed(err).wrap("error writing config blob") from err

    async def _send_manifest(
        self,
        target: ManifestTarget,
        config: Descriptor,
        layers: Sequence[Descriptor],
        progress: Progress,
    ) -> Mapping[str, str]:
        options = self.options
        descriptor, data = manifests.build(
            config, layers, image_manifest=options.image_manifest, oci=options.oci
        )
        what = "image manifest" if options.image_manifest else "manifest"
        async with step(progress, f"writing cache {what} {descriptor.digest}"):
            try:
                await target.write_manifest(descriptor, data)
            except CrozeError as err:
                raise failures.detailed(err).wrap("error writing manifest blob") from err
        return {RESPONSE_KEY: gojson.marshal(descriptor).decode()}

    async def _target(
        self, progress: Progress, early: EarlyPush | None
    ) -> ManifestTarget | ObjectTarget:
        options, services = self.options, self.services
        if options.place is not None:
            return ObjectTarget(await services.objects.open(options.place), progress)
        if (repo := self._repository()) is not None:
            return RegistryTarget(repo, early)
        session = await services.sessions.get(self.session)
        return LentTarget(LentStore(session, f"local:{options.dest}"))

    def _repository(self) -> Repository | None:
        """Where the cache goes, if that is a registry."""
        options, services = self.options, self.services
        if options.place is not None or options.ref is None:
            return None
        credentials = SessionCredentials(services.sessions, self.sessions)
        return services.registry.repository(options.ref, credentials, insecure=options.insecure)


async def inline_cache(
    services: CacheServices,
    chain: Chain,
    image: ImmutableRef | None,
    sessions: Sequence[str],
) -> bytes | None:
    """What goes into the config of `image`, whose layers exist; None if there is nothing."""
    layers = image.known_layers() if image is not None else None
    if layers is None:
        return None
    async with AsyncExitStack() as stack:
        gatherer = Gatherer(services.results, services.ref_of, Compression(), sessions, stack)
        await gatherer.add(chain, "known")
        gathered = gatherer.gathered()
    places = {layer.diff_id: place for place, layer in reversed(list(enumerate(layers)))}
    return inline.for_image(
        gathered.config,
        {
            blob: places[layer.diff_id]
            for blob, layer in gathered.layers.items()
            if layer.diff_id in places
        },
    )
