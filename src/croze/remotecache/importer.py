"""Reading caches: a manifest becomes something that the solver looks keys up in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.aio.threads import in_thread, in_thread_if_many
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.gotypes import gojson
from croze.image import config as images
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.bounds import ContentsBound
from croze.image.descriptor import Descriptor
from croze.registry.failures import is_not_opened
from croze.remotecache import annotated
from croze.remotecache import config as configs
from croze.remotecache.beside import travels_beside
from croze.remotecache.config import CacheConfig, ns_of
from croze.remotecache.imported import FoundCache, OpenedCache
from croze.remotecache.keys import ImportedKeys, ImportedResult
from croze.remotecache.objects.opened import AZBLOB, KINDS, ObjectCaches, ObjectFetcher, Presence
from croze.remotecache.objects.opened import parse as parse_options
from croze.remotecache.options import LOCAL, REGISTRY, cache_reference
from croze.solver.caches import CacheSource
from croze.solver.contract import Result
from croze.sources.content import Access, ImageContents, LentProvider, RegistryProvider
from croze.status import Progress, step
from croze.store.contract import BlobFetcher, ImmutableRef, LayerBlob, LazyLayer, RefStore

T = TypeVar("T")

LARGE_BYTES: Final = 128 << 10
"""A config that would hold up the event loop."""
_MAX_CONFIG_BYTES = 1 << 20
_DESCRIPTION = "buildkit/description"

MakeResult = Callable[[ImmutableRef | None], Result]
Check = Callable[[str], Coroutine[None, None, None]]
"""Raises `NotFound` for a blob, by digest, that is not there any more: object storage removes what
is old, whatever refers to it."""


class _InlineConfig(msgspec.Struct):
    """What of an image config counts; base64 of the list of records."""

    cache: bytes | None = msgspec.field(default=None, name="moby.buildkit.cache.v0")


class Importer(Struct, frozen=True):
    """Opens caches for builds. `make_result`: a filesystem as the solver's results are."""

    access: Access
    objects: ObjectCaches
    refs: RefStore
    make_result: MakeResult

    async def open(
        self,
        kind: str,
        attrs: Mapping[str, str],
        *,
        session: str,
        sessions: Sequence[str],
        progress: Progress,
    ) -> list[OpenedCache]:
        """One cache, or one for each platform of an image. Raises `NotFound` if there is none, and
        `InvalidRequest` for a kind or a content that is unknown."""
        if kind not in (REGISTRY, LOCAL, *KINDS):
            raise InvalidRequest(f"unknown cache importer: {kind}")
        if kind in KINDS:
            return await self._objects(kind, attrs, progress)
        try:
            provider = self._provider(kind, attrs, session)
            root, data = await provider.root(sessions)
        except CrozeError as err:
            if is_not_opened(err):  # the name has been resolved
                raise
            raise err.wrap(f"failed to configure {kind} cache importer") from None
        async with step(progress, f"inferred cache manifest type: {root.media_type}"):
            cache = await _Reader(provider, sessions).read(data)
        fetcher = provider.fetcher(None)
        return [await self._opened(each, fetcher) for each in cache]

    async def _objects(
        self, kind: str, attrs: Mapping[str, str], progress: Progress
    ) -> list[OpenedCache]:
        """Where there is no cache yet, there is none to look into, and that is no error."""
        try:
            cache = await self.objects.open(parse_options(kind, attrs))
        except CrozeError as err:
            raise err.wrap(f"failed to configure {kind} cache importer") from None
        fetcher = ObjectFetcher(self.objects, cache.origin, cache)
        datas = await cache.read_configs(progress)
        configs = [await _if_large(data, annotated.parse) for data in datas]
        for each in configs if kind == AZBLOB else ():
            async with step(progress, f"found {len(each.layers)} layers in cache"):
                pass

        presence = Presence(cache)
        return [await self._opened(each, fetcher, presence.check) for each in configs]

    def _provider(self, kind: str, attrs: Mapping[str, str], session: str) -> ImageContents:
        if kind == REGISTRY:
            insecure = attrs.get("registry.insecure", "").lower() in ("1", "t", "true")
            return RegistryProvider(self.access, cache_reference(attrs), insecure)
        if not attrs.get("digest"):
            raise InvalidRequest("local cache importer requires explicit digest")
        if not attrs.get("src"):
            raise InvalidRequest("local cache importer requires src")
        ref = reference.parse(f"cache@{attrs['digest']}")
        return LentProvider(self.access, ref, attrs["src"], session, LOCAL)

    async def _opened(
        self, cache: FoundCache, fetcher: BlobFetcher, check: Check | None = None
    ) -> OpenedCache:
        config, blobs = cache.config, frozenset(cache.layers)
        keys = await in_thread_if_many(len(config.records), ImportedKeys, config, blobs, cache.name)
        results = ImportedResults(self.refs, self.make_result, cache, keys.found, fetcher, check)
        return OpenedCache(CacheSource(keys, results), cache.beside, fetcher)


class ImportedResults(Struct, frozen=True):
    """`solver.caches.ResultLoader`: refs on layers that are fetched when someone looks at them."""

    refs: RefStore
    make_result: MakeResult
    cache: FoundCache
    results: Mapping[str, ImportedResult]
    fetcher: BlobFetcher
    check: Check | None = None

    def exists(self, id: str) -> bool:
        """See `ResultLoader`."""
        return id in self.results

    async def load(self, id: str) -> Result:
        """See `ResultLoader`."""
        result = self.results.get(id)
        if result is None:
            raise NotFound(f"no result {id} in the imported cache")
        blobs = [self.cache.config.layers[place].blob for place in result.layers]
        layers = [_lazy(self.cache.layers[blob], self.fetcher) for blob in blobs]
        if self.check is not None:
            async with first_error(), asyncio.TaskGroup() as group:
                for blob in blobs:
                    group.create_task(self.check(blob))
        return self.make_result(await self.refs.from_layers(layers))


async def _if_large(data: bytes, parse: Callable[[bytes], T]) -> T:
    """What is parsed soon is parsed here; the rest in a thread, so that nobody has to wait."""
    return parse(data) if len(data) <= LARGE_BYTES else await in_thread(parse, data)


def _lazy(layer: Descriptor, fetcher: BlobFetcher) -> LazyLayer:
    notes = layer.annotations
    diff_id = notes.get(media.UNCOMPRESSED_ANNOTATION, "")
    if not diff_id:
        raise InvalidRequest(f"missing uncompressed annotation for {layer.digest}")
    created = notes.get(media.CREATED_ANNOTATION)
    annotations = {
        key: value
        for key, value in notes.items()
        if key not in (media.UNCOMPRESSED_ANNOTATION, media.CREATED_ANNOTATION, _DESCRIPTION)
    }
    return LazyLayer(
        LayerBlob(msgspec.structs.replace(layer, annotations=annotations), diff_id),
        fetcher,
        ns_of(created) if created else 0,
        notes.get(_DESCRIPTION, ""),
    )


class _Reader(Struct, frozen=True):
    provider: ImageContents
    sessions: Sequence[str]
    bound: ContentsBound = field(default_factory=ContentsBound)

    async def read(self, data: bytes) -> list[FoundCache]:
        """All caches of a manifest."""
        kind = manifests.detect_media_type(data)
        if kind in media.INDEX_TYPES:
            entries = manifests.parse_index(data).manifests
            config = next((e for e in entries if e.media_type == configs.MEDIA_TYPE), None)
            if config is None:
                return await self._inline(data)
            layers: Sequence[Descriptor] = [e for e in entries if e is not config]
        else:
            manifest = manifests.parse_manifest(data)
            config, layers = manifest.config, manifest.layers or ()
            if config.media_type != configs.MEDIA_TYPE:
                return await self._inline(data)
        return [await self._cache(config, layers)]

    async def _cache(self, config: Descriptor, layers: Sequence[Descriptor]) -> FoundCache:
        if config.size > _MAX_CONFIG_BYTES:
            raise InvalidRequest(
                f"blob {config.digest} is too large ({config.size} > {_MAX_CONFIG_BYTES})"
            )
        data = await self.provider.read(config, self.sessions)
        parsed = await _if_large(data, configs.parse)
        beside = tuple(layer for layer in layers if travels_beside(layer))
        noted = {e.digest: self._noted(e, {}) for e in layers if not travels_beside(e)}
        return FoundCache(config.digest, parsed, noted, beside)

    def _noted(self, layer: Descriptor, notes: Mapping[str, str]) -> Descriptor:
        """The descriptor with the annotations of its source."""
        full = layer.annotations | dict(notes) | dict(self.provider.notes)
        return msgspec.structs.replace(layer, annotations=full)

    # -- images that carry their cache -------------------------------------------------------

    async def _inline(self, data: bytes) -> list[FoundCache]:
        """The inline caches of every image at or below this manifest, each once."""
        caches: list[FoundCache] = []
        seen: set[str] = set()
        rest: list[Descriptor] = []
        while True:
            if manifests.detect_media_type(data) in media.INDEX_TYPES:
                rest += reversed(_new_images(manifests.parse_index(data).manifests, seen))
            else:
                caches += await self._inline_of_image(data)
            if not rest:
                return caches
            data = await self._read(rest.pop())

    async def _read(self, descriptor: Descriptor) -> bytes:
        return self.bound.add(await self.provider.read(descriptor, self.sessions))

    async def _inline_of_image(self, data: bytes) -> list[FoundCache]:
        manifest = manifests.parse_manifest(data)
        layers = manifest.layers or ()
        if not layers:
            return []
        config = await self._read(manifest.config)
        cache = await _if_large(config, lambda data: inline_of(data, layers))
        if cache is None:
            return []
        parsed, notes = cache
        noted = {e.digest: self._noted(e, note) for e, note in zip(layers, notes, strict=True)}
        return [FoundCache(manifest.config.digest, parsed, noted)]


def _new_images(entries: Sequence[Descriptor], seen: set[str]) -> list[Descriptor]:
    """The images of an index that were not `seen` yet; now they are."""
    images: dict[str, Descriptor] = {}
    for entry in entries:
        if entry.media_type in media.INDEX_TYPES | media.MANIFEST_TYPES:
            images.setdefault(entry.digest, entry)
    new = [entry for digest, entry in images.items() if digest not in seen]
    seen.update(images)
    return new


def inline_of(
    config: bytes, layers: Sequence[Descriptor]
) -> tuple[CacheConfig, list[dict[str, str]]] | None:
    """The cache in an image config, and what the config says about each layer, as annotations.
    None if there is none, or the layers are not those of the config."""
    try:
        plain = gojson.unmarshal_bounded(config)
        records = msgspec.convert(plain, _InlineConfig).cache
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid image config: {err}") from err
    if records is None:
        return None
    image = images.parse(config)
    if len(image.diff_ids) != len(layers):
        return None
    parsed = configs.parse_records(records, [layer.digest for layer in layers])
    rows = [row for row in image.history if not row.empty_layer]
    notes = []
    for place, diff_id in enumerate(image.diff_ids):
        note = {media.UNCOMPRESSED_ANNOTATION: diff_id}
        if place < len(rows) and rows[place].created:
            note[media.CREATED_ANNOTATION] = rows[place].created or ""
        if place < len(rows) and rows[place].created_by:
            note[_DESCRIPTION] = rows[place].created_by
        notes.append(note)
    return parsed, notes
