"""Images as one archive: an OCI layout, with Docker's `manifest.json` for older readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing

from aiohttp import web

from croze.engineapi.answers import HEADERS
from croze.engineapi.images import platforms
from croze.engineapi.images.names import NamedImage, find, record_of
from croze.engineapi.images.views import view
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.errors import InvalidRequest, NotFound
from croze.export.archive import DockerImage, docker_image, layout_members
from croze.export.tarstream import ArchiveMember, stream
from croze.image import manifest as manifests
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.platform import Platform
from croze.store.contract import Lease
from croze.store.present import present_blobs, present_entries


async def save_one(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /images/{name}/get`."""
    return await _save(request, services, [request.match_info["name"]])


async def save_many(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /images/get?names=`."""
    names = UrlQuery(request.query.items()).all("names")
    if not names:
        raise InvalidRequest("no images to save: use names=NAME")
    return await _save(request, services, names)


async def _save(
    request: web.Request, services: Services, texts: Sequence[str]
) -> web.StreamResponse:
    only = platforms.asked(request)
    async with services.refs.lease() as lease:
        # Its names may go while it is sent: the bytes stay.
        members = _members(services, texts, only, lease)
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/x-tar"})
        await answer.prepare(request)
        async with aclosing(stream(members)) as pieces:
            async for data in pieces:
                await answer.write(data)
        await answer.write_eof()
        for text in texts:
            services.events.emit("image", "save", text, {"name": text})
        return answer


def _members(
    services: Services, texts: Sequence[str], only: Platform | None, lease: Lease
) -> list[ArchiveMember]:
    """A name that is asked for is kept; an id has none, as in Docker. Raises `NotFound`."""
    images: dict[str, tuple[NamedImage, dict[str, None]]] = {}
    for text in texts:
        image = find(services.images, services.blobs, text)
        record = record_of(services.images, text)
        records = [record] if record is not None else []
        _, names = images.setdefault(image.id, (image, {}))
        names.update(dict.fromkeys(each.name for each in records if "@" not in each.name))
    entries: dict[str, Descriptor] = {}
    roots: list[tuple[Descriptor, list[str]]] = []
    docker: list[DockerImage] = []
    for image, names in images.values():
        manifest = view(image, services, only).manifest
        root = image.target
        if only is not None:
            root = platforms.part_of(root, only, services.blobs) or root
        needed = present_blobs(manifest) if manifest is not None else ()
        if manifest is None or not all(services.blobs.has(blob.digest) for blob in needed):
            raise NotFound(f"the content of {next(iter(names), image.id)} is not all here")
        entries.update((each.digest, each) for each in _present(root, services))
        roots.append((root, list(names)))
        docker.append(docker_image(manifest, list(names)))
    for digest in entries:
        lease.hold(digest)
    return layout_members(services.blobs, list(entries.values()), roots, docker)


def _present(target: Descriptor, services: Services) -> Iterator[Descriptor]:
    """What is here of a target and all below it: other platforms of an index may not be."""
    for entry in present_entries(target, services.blobs):
        yield entry
        if entry.media_type in INDEX_TYPES:
            continue
        for blob in present_blobs(manifests.parse_manifest(services.blobs.read(entry.digest))):
            if services.blobs.has(blob.digest):
                yield blob
