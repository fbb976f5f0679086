"""`docker-image+blob://` and `oci-layout+blob://`: one blob of a repository, as a file."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from croze.aio.threads import in_thread
from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image import reference
from croze.image.reference import Reference
from croze.sources.content import ImageContents, LentProvider
from croze.sources.contract import Source, SourceContext, SourceKey
from croze.sources.http_options import number
from croze.sources.images import Images
from croze.sources.materials import BlobMaterial, UsedMaterial
from croze.sources.request import SourceRequest, record_type
from croze.store.contract import ImmutableRef, RecordType, RefStore

REGISTRY_SCHEME = "docker-image+blob"
LAYOUT_SCHEME = "oci-layout+blob"


class BlobOptions(Struct, frozen=True):
    """What the attributes of a blob source say: which blob, and the file that it becomes."""

    ref: Reference
    filename: str = ""
    perm: int = 0
    uid: int = 0
    gid: int = 0
    record_type: RecordType = "regular"
    store: str = ""
    session: str = ""
    local: bool = False
    """The blob is in a client's OCI layout."""


class _BlobKey(msgspec.Struct, rename="pascal"):
    """Field order is part of the key."""

    digest: str
    filename: str
    perm: int
    uid: int = msgspec.field(name="UID")
    gid: int = msgspec.field(name="GID")


def blob_key(options: BlobOptions) -> str:
    """A text for the cache key: of the blob, and of all that decides how the file lies there."""
    fields = _BlobKey(options.ref.digest, options.filename, options.perm, options.uid, options.gid)
    return digest_of(gojson.marshal(fields))


def parse_options(request: SourceRequest) -> BlobOptions:
    """Read a source op. Raises `InvalidRequest`."""
    scheme, _, text = request.identifier.partition("://")
    attrs = request.attrs
    ref = reference.parse(text)
    if not ref.digest:
        raise InvalidRequest("invalid reference digest: invalid checksum digest format")
    store = attrs.get("oci.store", "")
    if scheme == LAYOUT_SCHEME and not store:
        raise InvalidRequest("oci-layout blob source requires store id")
    return BlobOptions(
        ref,
        attrs.get("http.filename", ""),
        number(attrs, "http.perm"),
        number(attrs, "http.uid"),
        number(attrs, "http.gid"),
        record_type(attrs),
        store,
        attrs.get("oci.session", ""),
        local=scheme == LAYOUT_SCHEME,
    )


class BlobSource:
    """One blob for one vertex."""

    def __init__(self, options: BlobOptions, images: Images, refs: RefStore) -> None:
        self._options = options
        self._images = images
        self._refs = refs

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`. Nobody is asked: the digest says it all."""
        return SourceKey(blob_key(self._options), pin=self._options.ref.digest)

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        options, digest = self._options, self._options.ref.digest
        path = await bring_blob(self._images, options.ref, options.store, options.session, ctx)
        ref = await self._refs.new(
            None, description=f"blob {digest}", record_type=options.record_type
        )
        try:
            async with ref.mounted(readonly=False) as root:
                await in_thread(_place, path, root, options)
            return await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        return UsedMaterial(BlobMaterial(str(self._options.ref), pin, self._options.local))


async def bring_blob(
    images: Images, ref: Reference, store: str, session: str, ctx: SourceContext
) -> Path:
    """The blob that the reference's digest names: from a client's content store if one is named,
    else from the registry. It is had from there, once for a build, though it may be here: the
    digest of a blob that another client has brought is no right to read it."""
    what = (str(ref), store, session)
    if what not in ctx.build.brought or not images.blobs.has(ref.digest):
        provider: ImageContents = (
            LentProvider(images.access, ref, store, session) if store else images.provider(ref)
        )
        await provider.bring(ref.digest, ctx.progress, images.blobs, ctx.sessions)
        ctx.build.brought.add(what)
    return images.blobs.path(ref.digest)


def _place(blob: Path, root: Path, options: BlobOptions) -> None:
    name = PurePosixPath("/", options.filename).name or options.ref.digest.partition(":")[2]
    target = root / name
    shutil.copyfile(blob, target)
    os.chown(target, options.uid, options.gid)
    os.chmod(target, options.perm or 0o600)
    os.utime(target, (0, 0))


class BlobSources:
    """Opens both schemes."""

    schemes = (REGISTRY_SCHEME, LAYOUT_SCHEME)

    def __init__(self, images: Images, refs: RefStore) -> None:
        self._images = images
        self._refs = refs

    def open(self, request: SourceRequest) -> Source:
        return BlobSource(parse_options(request), self._images, self._refs)
