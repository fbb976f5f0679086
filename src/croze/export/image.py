"""`type=image`: into the local image store, or a registry, or both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.errors import CrozeError, InvalidRequest
from croze.export.commit import Committed, Writer, response
from croze.export.contract import ExportContext, ExportServices, ExportSource
from croze.export.deliver import Destination, ImageDelivery
from croze.export.options import CommitOptions, parse_commit
from croze.export.result_metadata import described
from croze.image import reference
from croze.registry.early import EarlyPush, early_push
from croze.status import step
from croze.store.attributes import parse_bool

FROM_FRONTEND: Final = "*"
"""The name that asks for the one in the result's metadata."""


MOBY: Final = {
    "dangling-name-prefix": reference.DANGLING,
    "danging-name-empty-only": "true",
    "store": "true",
}
"""What a Docker engine adds to an image that goes to its own store."""


class ImageExportOptions(Struct, frozen=True):
    """What the attributes of `type=image` say besides `CommitOptions`. `store` None: unless the
    image is pushed."""

    commit: CommitOptions
    push: bool = False
    push_by_digest: bool = False
    insecure: bool = False
    unpack: bool = False
    store: bool | None = None
    allow_incomplete: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Metadata of the result, as a frontend would give it."""
    name_canonical: bool = False
    dangling_prefix: str = ""
    dangling_empty_only: bool = False

    @property
    def stores(self) -> bool:
        """Whether the image goes to the local store."""
        return self.store if self.store is not None else not self.push

    @property
    def unpacks(self) -> bool:
        """Whether layers are unpacked: those of a stored image that has a name."""
        return self.unpack and self.stores and bool(self.commit.name or self.dangling_prefix)


def parse_options(attrs: Mapping[str, str]) -> ImageExportOptions:
    """What the attributes of `type=image` say; those that nobody knows are metadata of the result.
    Raises `InvalidRequest`."""
    commit, rest = parse_commit("image", attrs, inline_attestations=True)

    def flag(key: str) -> bool:
        return parse_bool(key, rest.pop(key), empty=True) if key in rest else False

    options = ImageExportOptions(
        commit,
        push=flag("push"),
        push_by_digest=flag("push-by-digest"),
        insecure=flag("registry.insecure"),
        unpack=flag("unpack"),
        store=flag("store") if "store" in rest else None,
        allow_incomplete=flag("unsafe-internal-store-allow-incomplete"),
        name_canonical=flag("name-canonical"),
        dangling_prefix=rest.pop("dangling-name-prefix", ""),
        dangling_empty_only=flag("danging-name-empty-only"),
        metadata=rest,
    )
    if options.unpacks and commit.rewrite_timestamp:
        raise InvalidRequest('exporter option "rewrite-timestamp" conflicts with "unpack"')
    return options


def parse_engine_options(attrs: Mapping[str, str]) -> ImageExportOptions:
    """What the attributes say to a Docker engine's builder: names in full, each once. Raises
    `InvalidRequest`."""
    names = [name for name in attrs.get("name", "").split(",") if name]
    if names and names != [FROM_FRONTEND]:
        attrs = {**attrs, "name": ",".join(dict.fromkeys(map(_tag, names)))}
    return parse_options({**MOBY, **attrs})


def _tag(name: str) -> str:
    parsed = reference.parse(_full_name(name))
    if parsed.digest:
        raise InvalidRequest("build tag cannot contain a digest")
    return str(parsed)


class ImageExporter:
    """See `Exporter`."""

    name = "exporting to image"

    def __init__(self, options: ImageExportOptions, services: ExportServices) -> None:
        self._options = options
        self._services = services

    async def export(self, source: ExportSource, ctx: ExportContext) -> Mapping[str, str]:
        """See `Exporter.export`."""
        options = self._options
        source = described(source, options.metadata)
        async with self._services.refs.lease() as lease, self._early(source, ctx) as early:
            writer = Writer(self._services, options.commit, ctx, lease, early)
            committed = await writer.commit(source)
            delivery = ImageDelivery(self._services, ctx, committed, early)
            names, canonical = self._all_names(source, committed)
            if options.stores:
                await self._store(delivery, names, canonical)
            if options.unpacks:
                await self._unpack(delivery)
            for name in names if options.push else ():
                await delivery.push(self._destination(name))
            return response(committed, ",".join(names))

    def _destination(self, name: str) -> Destination:
        return Destination(name, self._options.push_by_digest, self._options.insecure)

    def _early(
        self, source: ExportSource, ctx: ExportContext
    ) -> AbstractAsyncContextManager[EarlyPush | None]:
        """Layers are brought to the first name's repository while they are made; not such as are
        made once more before they are pushed."""
        names = self._names(source)
        if not self._options.push or not names or self._options.commit.rewrite_timestamp:
            return contextlib.nullcontext()
        try:
            return early_push(self._destination(names[0]).repository(self._services, ctx))
        except CrozeError:  # the push will tell
            return contextlib.nullcontext()

    def _names(self, source: ExportSource) -> list[str]:
        text = self._options.commit.name
        if text == FROM_FRONTEND:
            text = source.metadata.get("image.name", text.encode()).decode() or text
        return [name for name in text.split(",") if name]

    def _all_names(self, source: ExportSource, committed: Committed) -> tuple[list[str], bool]:
        """The names, and whether each also gets its `@digest` form."""
        options = self._options
        names = self._names(source)
        canonical = options.name_canonical
        if options.dangling_prefix and not (options.dangling_empty_only and names):
            canonical = canonical and bool(names)
            names.append(f"{options.dangling_prefix}@{committed.root.digest}")
        return names, canonical

    async def _store(self, delivery: ImageDelivery, names: Iterable[str], canonical: bool) -> None:
        """Blobs before names: a name always has all that it names."""
        # A name that was to come from the frontend, and did not.
        names = [name for name in names if name != FROM_FRONTEND]
        if names and not self._options.allow_incomplete:
            await delivery.bring_all()
        root = delivery.committed.root
        for name in names:
            async with step(delivery.ctx.progress, f"naming to {name}"):
                full = _full_name(name)
                self._services.images.set(full, root)
                if canonical and "@" not in name:
                    self._services.images.set(_full_name(f"{name}@{root.digest}"), root)

    async def _unpack(self, delivery: ImageDelivery) -> None:
        await all_of(
            image.result.ref.unlazy(delivery.sessions)
            for image in delivery.committed.images
            if image.result.ref is not None
        )


def _full_name(name: str) -> str:
    try:
        return reference.normalize(name)
    except CrozeError as error:
        raise error.wrap(f"invalid image name {name}") from None
