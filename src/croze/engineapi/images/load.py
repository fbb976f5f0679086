"""`POST /images/load`: the images of an archive, an OCI layout or one of Docker's own form.

Every file of the archive becomes a blob as it arrives, whatever it is: what no image names goes
with the next garbage collection. Names come last: what is aborted before leaves none. Others have
their turns between any two images, of which there may be many.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from croze.aio.threads import in_thread
from croze.engineapi.images import platforms
from croze.engineapi.images.tarmembers import ArrivedMember, members
from croze.engineapi.lines import Lines
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.manifest import Manifest
from croze.image.platform import Platform
from croze.store.contract import Lease
from croze.store.present import check_sizes, present_blobs, present_manifests

_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
MEMBERS_MOST = 100_000
"""The most members of an archive; an image has some for each of its layers."""
NAMES_MOST = 10_000
"""The most names that an archive gives, and images without one that it has."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class _Listed(msgspec.Struct, rename="pascal"):
    """An entry of Docker's `manifest.json`."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


async def load(request: web.Request, services: Services) -> web.StreamResponse:
    """Once all is there, there is something to tell. As in Docker, mistakes are told in the answer,
    too."""
    only = platforms.asked(request)
    lines = Lines(request)
    try:
        named = await _loaded(request, services, only)
    except CrozeError as error:
        await lines.begin()
        return await lines.fail(error)
    for name, target in named:
        dangling = reference.parse(name).digest
        loaded = f"ID: {target.digest}" if dangling else f": {reference.familiar(name)}"
        await lines.write({"stream": f"Loaded image{' ' if dangling else ''}{loaded}\n"})
    return await lines.end()


async def _loaded(
    request: web.Request, services: Services, only: Platform | None
) -> Sequence[tuple[str, Descriptor]]:
    async with services.refs.lease() as lease:
        try:
            files, links = await _received(request, services, lease)
        except asyncio.IncompleteReadError as error:
            raise InvalidRequest("the archive ends too early") from error
        archive = _Archive(services, lease, files, links, only)
        named = await archive.images()
        if not named:
            raise InvalidRequest("the archive has neither index.json nor manifest.json")
        stored = {record.target.digest for record in services.images.list()}
        for name, target in named:
            await asyncio.sleep(0)
            # Who has a name need not be called nameless.
            if not (reference.parse(name).digest and target.digest in stored):
                with services.events.named_by("load"):
                    services.images.set(name, target)
        return named


async def _received(
    request: web.Request, services: Services, lease: Lease
) -> tuple[Mapping[str, Descriptor], Mapping[str, str]]:
    """Blobs by the names of their files, and links to names."""
    files: dict[str, Descriptor] = {}
    links: dict[str, str] = {}
    async for member in members(request.content):
        name = posixpath.normpath(member.name)
        if member.link:
            links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.link))
        else:
            files[name] = await _stored(member, services, lease)
        if len(files) + len(links) > MEMBERS_MOST:
            raise InvalidRequest(f"the archive has more than {MEMBERS_MOST} members")
    return files, links


async def _stored(member: ArrivedMember, services: Services, lease: Lease) -> Descriptor:
    start = b""
    async with services.blobs.writer() as writer:
        async for data in member.pieces():
            start = start or data[:4]
            await in_thread(writer.write, data)
        digest = await writer.commit(size=member.size)
    lease.hold(digest)
    return Descriptor(media_type=_layer_type(start), digest=digest, size=member.size)


def _check_count(count: int) -> None:
    if count > NAMES_MOST:
        raise InvalidRequest(f"the archive names more than {NAMES_MOST} images")


def _layer_type(start: bytes) -> str:
    if start.startswith(_GZIP):
        return media.OCI_LAYER_GZIP
    return media.OCI_LAYER_ZSTD if start.startswith(_ZSTD) else media.OCI_LAYER


class _Archive:
    """What has arrived, read as images."""

    def __init__(
        self,
        services: Services,
        lease: Lease,
        files: Mapping[str, Descriptor],
        links: Mapping[str, str],
        only: Platform | None,
    ) -> None:
        self._services = services
        self._lease = lease
        self._files = files
        self._links = links
        self._only = only
        """The one platform that is loaded of each image."""

    async def images(self) -> Sequence[tuple[str, Descriptor]]:
        """Full names and what they are for. Raises `InvalidRequest` if something is not there."""
        if "index.json" in self._files:
            index = manifests.parse_index(self._read("index.json"))
            _check_count(len(index.manifests))
            return [await self._named(root) for root in index.manifests]
        if "manifest.json" not in self._files:
            return []
        try:
            listed = gojson.unmarshal(self._read("manifest.json"), type=list[_Listed])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidRequest(f"invalid manifest.json: {error}") from error
        _check_count(sum(max(1, len(entry.repo_tags or ())) for entry in listed))
        images: list[tuple[str, Descriptor]] = []
        for entry in listed:
            target = self._part(await self._made(entry))
            names = entry.repo_tags or [f"{reference.DANGLING}@{target.digest}"]
            images += [(str(reference.parse(name).tagged()), target) for name in names]
        return images

    def _read(self, name: str) -> bytes:
        return self._services.blobs.read(self._file(name).digest)

    def _file(self, name: str) -> Descriptor:
        name = posixpath.normpath(name)
        member = self._files.get(self._links.get(name, name))
        if member is None:
            raise InvalidRequest(f"the archive lacks {name}")
        return member

    def _name(self, root: Descriptor) -> str:
        """The first of its names that is more than a tag, or none."""
        for key in _NAMES:
            name = root.annotations.get(key, "")
            if ":" in name or "/" in name:
                return str(reference.parse(name).tagged())
        return reference.normalize(f"{reference.DANGLING}@{root.digest}")

    async def _named(self, root: Descriptor) -> tuple[str, Descriptor]:
        await asyncio.sleep(0)
        part = self._whole(self._part(root))
        return self._name(msgspec.structs.replace(root, digest=part.digest)), part

    def _part(self, root: Descriptor) -> Descriptor:
        """What is wanted of it; the rest goes with the next garbage collection. Raises
        `NotFound`."""
        if self._only is None:
            return root
        part = platforms.part_of(root, self._only, self._services.blobs)
        if part is None:
            raise platforms.lacks(self._name(root), self._only)
        return Descriptor(part.media_type, part.digest, part.size)

    def _whole(self, root: Descriptor) -> Descriptor:
        """At least one image below it is all here."""
        blobs, is_whole = self._services.blobs, False
        check_sizes([root], blobs)
        for _, manifest in present_manifests(root, blobs):  # one at a time: they may be large
            described = present_blobs(manifest)
            check_sizes(described, blobs)
            is_whole = is_whole or all(blobs.has(blob.digest) for blob in described)
        if not is_whole:
            raise InvalidRequest(f"the archive lacks the content of {root.digest}")
        return msgspec.structs.replace(root, annotations={})

    async def _made(self, entry: _Listed) -> Descriptor:
        """A manifest for what Docker's form describes. Raises `InvalidRequest`, in Docker's words
        if the configuration tells of other layers."""
        config = self._file(entry.config)
        diff_ids = configs.parse(self._services.blobs.read(config.digest)).diff_ids
        if len(entry.layers) != len(diff_ids):
            counts = f"expected {len(entry.layers)}, got {len(diff_ids)}"
            raise InvalidRequest(f"invalid manifest, layers length mismatch: {counts}")
        manifest = Manifest(
            media_type=media.OCI_MANIFEST,
            config=Descriptor(media.OCI_CONFIG, config.digest, config.size),
            layers=tuple(self._file(layer) for layer in entry.layers),
        )
        data = manifests.marshal(manifest)
        self._lease.hold(await self._services.blobs.put(data))
        return manifests.describe(data, media.OCI_MANIFEST)
