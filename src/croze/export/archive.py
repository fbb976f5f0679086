"""`type=oci` and `type=docker`: an image as a tar (or a directory) at the client.

Sources: OCI image-layout; Docker's `manifest.json` of `docker save`, for older daemons.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct, field

from croze.aio.threads import chunks
from croze.errors import AlreadyExists, CrozeError, InvalidRequest
from croze.export import tarstream
from croze.export.commit import Committed, Writer, response
from croze.export.contract import ExportContext, ExportServices, ExportSource
from croze.export.deliver import ImageDelivery
from croze.export.options import CommitOptions, parse_commit, source_epoch
from croze.export.result_metadata import described
from croze.export.sparse import ReaderAbilities, left_out, take_reader
from croze.export.tarstream import ArchiveMember, blob_members, blob_path
from croze.gotypes import gojson
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.manifest import Manifest
from croze.registry import push
from croze.session.content import LentStore
from croze.session.contract import Session
from croze.session.filesend import file_writer
from croze.status import step
from croze.store.attributes import parse_bool
from croze.store.contract import BlobStore
from croze.store.present import check_sizes

Variant = Literal["oci", "docker"]

_CREATED = "org.opencontainers.image.created"
_REF_NAME = "org.opencontainers.image.ref.name"
_IMAGE_NAME = "io.containerd.image.name"
_CHUNK_BYTES = 1 << 20


class ArchiveOptions(Struct, frozen=True):
    """What the attributes of `type=oci` or `type=docker` say."""

    commit: CommitOptions
    variant: Variant
    tar: bool = True
    reader: ReaderAbilities = field(default_factory=ReaderAbilities)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Metadata of the result, as a frontend would give it."""


class DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """An image's entry in Docker's `manifest.json`; field order as Docker writes it."""

    config: str
    repo_tags: tuple[str, ...] | None
    layers: tuple[str, ...] | None


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    """`index.json`, in one line."""

    schema_version: int
    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_options(variant: Variant, attrs: Mapping[str, str]) -> ArchiveOptions:
    """What the attributes of `type=oci` or `type=docker` say. Raises `InvalidRequest`."""
    commit, rest = parse_commit(variant, attrs, inline_attestations=False)
    tar = parse_bool("tar", rest.pop("tar"), empty=True) if "tar" in rest else True
    reader = take_reader(rest)
    return ArchiveOptions(commit, variant, tar, reader, rest)


class ArchiveExporter:
    """See `Exporter`."""

    def __init__(self, options: ArchiveOptions, services: ExportServices) -> None:
        self._options = options
        self._services = services
        self.name = f"exporting to {options.variant} image format"

    async def export(self, source: ExportSource, ctx: ExportContext) -> Mapping[str, str]:
        """See `Exporter.export`."""
        options = self._options
        source = described(source, options.metadata)
        if options.variant == "docker" and source.multi_platform:
            raise InvalidRequest(
                "docker exporter does not currently support exporting manifest lists"
            )
        session = await self._services.sessions.get(ctx.session)
        async with self._services.refs.lease() as lease:
            writer = Writer(self._services, options.commit, ctx, lease)
            committed = await writer.commit(source)
            if options.variant == "docker" and committed.indexed:
                raise InvalidRequest(
                    "docker exporter does not currently support exporting manifest lists"
                )
            committed = self._dated(committed, source)
            delivery = ImageDelivery(self._services, ctx, committed)
            names = _names(options.commit.name, source)
            answer = response(committed, ",".join(names))
            if options.tar:
                await self._send_needed(session, delivery, names, answer)
            else:
                await delivery.bring_all()
                await self._copy(session, committed)
            return answer

    def _dated(self, committed: Committed, source: ExportSource) -> Committed:
        """The root's entry says when it was made."""
        notes = dict(committed.root.annotations)
        if _CREATED not in notes:
            epoch = self._options.commit.epoch
            when = epoch.value if epoch is not None else None
            if epoch is None:
                when = source_epoch(source.metadata)
            text = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
            notes[_CREATED] = text
        root = msgspec.structs.replace(committed.root, annotations=notes)
        return Committed(root, committed.images, committed.indexed)

    async def _send_needed(
        self,
        session: Session,
        delivery: ImageDelivery,
        names: Sequence[str],
        answer: Mapping[str, str],
    ) -> None:
        """What the reader lacks; all, if it turns out to lack more than it said."""
        progress, committed = delivery.ctx.progress, delivery.committed
        spared = left_out(committed, self._services.blobs, self._options.reader)
        await delivery.bring_all(but=spared)
        async with step(progress, "sending tarball"):
            try:
                return await self._send(session, delivery, names, answer, spared)
            except CrozeError:
                if not spared:
                    raise
        await delivery.bring_all()
        async with step(progress, "sending whole tarball"):
            await self._send(session, delivery, names, answer, ())

    async def _send(
        self,
        session: Session,
        delivery: ImageDelivery,
        names: Sequence[str],
        answer: Mapping[str, str],
        spared: Collection[str],
    ) -> None:
        committed, options = delivery.committed, self._options
        entries = self._all(committed, spared)
        docker = (
            [self._docker_image(committed.root, names)] if options.variant == "docker" else None
        )
        listed = names[:1] if options.reader.one_entry else names
        members = layout_members(self._services.blobs, entries, [(committed.root, listed)], docker)
        try:
            exporter, is_small = int(delivery.ctx.id or 0), tarstream.is_small(members)
            async with file_writer(session, exporter, answer, is_small=is_small) as file:
                await tarstream.send(members, file, self._services.pool)
        except AlreadyExists:
            pass  # the client has this very image

    def _all(self, committed: Committed, spared: Collection[str]) -> list[Descriptor]:
        parents, blobs = push.closure(committed.root, self._services.blobs)
        digests = [*parents, *(blob for blob in blobs if blob.digest not in spared)]
        missing = [each for each in digests if not self._services.blobs.has(each.digest)]
        if missing:
            raise CrozeError(f"content {missing[0].digest}: not found")
        return digests

    def _docker_image(self, root: Descriptor, names: Sequence[str]) -> DockerImage:
        parsed = manifests.parse_manifest(self._services.blobs.read(root.digest))
        return docker_image(parsed, names)

    async def _copy(self, session: Session, committed: Committed) -> None:
        """Into the client's directory, blob by blob; children before what names them."""
        store = LentStore(session, "export")
        parents, blobs = push.closure(committed.root, self._services.blobs)
        for each in [*blobs, *parents]:
            path = self._services.blobs.path(each.digest)
            await store.write(each.digest, each.size, chunks(path, _CHUNK_BYTES))


def layout_members(
    blobs: BlobStore,
    entries: Sequence[Descriptor],
    images: Sequence[tuple[Descriptor, Sequence[str]]],
    docker: Sequence[DockerImage] | None = None,
) -> list[ArchiveMember]:
    """An OCI layout of blobs that are all here: roots with their names, and Docker's list of
    images beside, if there is one. Raises `Corrupted` for a blob of another size than is said of
    it: behind what its header says, its bytes would be members of their own."""
    check_sizes(entries, blobs)
    members = blob_members({each.digest: (blobs.path(each.digest), each.size) for each in entries})
    roots = tuple(entry for root, names in images for entry in _entries(root, names))
    members.append(
        ArchiveMember("index.json", 0o644, gojson.marshal(_Index(2, media.OCI_INDEX, roots)))
    )
    members.append(ArchiveMember("oci-layout", 0o444, b'{"imageLayoutVersion":"1.0.0"}'))
    if docker is not None:
        members.append(ArchiveMember("manifest.json", 0o644, gojson.marshal(list(docker))))
    return members


def docker_image(manifest: Manifest, names: Sequence[str]) -> DockerImage:
    """An image's entry in Docker's list."""
    tags = tuple(reference.familiar(name) for name in names)
    layers = tuple(blob_path(layer.digest) for layer in manifest.layers or ())
    return DockerImage(blob_path(manifest.config.digest), tags or None, layers or None)


def _names(text: str, source: ExportSource) -> list[str]:
    if text == "*":
        text = source.metadata.get("image.name", b"*").decode()
    names = []
    for name in text.split(",") if text else ():
        try:
            names.append(reference.normalize(name))
        except InvalidRequest as err:
            raise err.wrap(f"failed to parse {name}") from err
    return names


def _entries(root: Descriptor, names: Sequence[str]) -> tuple[Descriptor, ...]:
    """One for each name, so that each can be found."""
    if not names:
        return (root,)
    return tuple(
        msgspec.structs.replace(
            root,
            annotations=root.annotations
            | {_IMAGE_NAME: name, _REF_NAME: reference.parse(name).tag or name},
        )
        for name in names
    )
