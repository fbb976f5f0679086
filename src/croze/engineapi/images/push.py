"""`POST /images/{name}/push`."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from croze.aio.parallel import all_of
from croze.engineapi.images.denied import push_denied
from croze.engineapi.images.platforms import asked
from croze.engineapi.images.pull import repository_of, wanted
from croze.engineapi.images.transfers import ProgressLines, moving, progress_lines, stage
from croze.engineapi.lines import Lines
from croze.engineapi.logins import login_of
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.registry import push as registry_push
from croze.registry.client import Repository
from croze.store.present import present_blobs, present_entries


async def push(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /images/{name}/push`. Without a tag all tags of the repository go."""
    query = UrlQuery(request.query.items())
    ref = wanted(request.match_info["name"], query.first("tag"))
    if ref.digest:
        raise InvalidRequest("cannot push a digest reference")
    only = asked(request)
    lines = Lines(request)
    await lines.write({"status": f"The push refers to repository [{ref.name}]"})
    try:
        for each in _tagged(ref, services):
            await _Push(repository_of(request, each, services), services, lines).run(only)
            services.events.emit("image", "push", each.familiar(), {"name": each.familiar_name})
    except CrozeError as error:
        return await lines.fail(push_denied(error, login_of(request)))
    return await lines.end()


def _tagged(ref: Reference, services: Services) -> Sequence[Reference]:
    names = [record.name for record in services.images.list()]
    if ref.tag:
        if str(ref) in names:
            return [ref]
        raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name}")
    tagged = [
        ref.with_tag(name.removeprefix(f"{ref.name}:"))
        for name in names
        if name.startswith(f"{ref.name}:") and "@" not in name
    ]
    if not tagged:
        raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name}")
    return tagged


class _Push:
    """One tag."""

    def __init__(self, repo: Repository, services: Services, lines: Lines) -> None:
        self._repo = repo
        self._services = services
        self._lines = lines

    async def run(self, only: Platform | None) -> None:
        blobs = self._services.blobs
        target = self._services.images.get(str(self._repo.ref)).target
        root = self._sent(target, only)
        order, parts = registry_push.closure(root, blobs)
        async with self._services.refs.lease() as lease:
            for each in (*order, *parts):
                lease.hold(each.digest)
            async with progress_lines(self._lines) as progress:
                configs = {
                    manifests.parse_manifest(blobs.read(each.digest)).config.digest
                    for each in order
                    if each.media_type not in INDEX_TYPES
                }
                for part in parts:
                    if part.digest not in configs:
                        progress.say(stage("Preparing", part.digest))
                await all_of(self._blob(part, progress, part.digest in configs) for part in parts)
            for each in order:
                tag = self._repo.ref.tag if each is order[-1] else ""
                data = blobs.read(each.digest)
                await registry_push.push_manifest(self._repo, data, each.media_type, tag=tag)
        summary = f"{self._repo.ref.tag}: digest: {root.digest} size: {root.size}"
        aux = {"Tag": self._repo.ref.tag, "Digest": root.digest, "Size": root.size}
        await self._lines.write({"status": summary}, {"progressDetail": {}, "aux": aux})
        if root.digest != target.digest:
            descriptors = {"originalIndex": target, "selectedManifest": root}
            await self._lines.write({"aux": {"manifestPushedInsteadOfIndex": True, **descriptors}})

    async def _blob(self, part: Descriptor, progress: ProgressLines, quiet: bool) -> None:
        counts: list[int] = []

        def count(sent_bytes: int) -> None:
            counts.append(sent_bytes)
            if not quiet and len(counts) > 1:
                progress.move(moving("Pushing", part.digest, sent_bytes, part.size))

        path = self._services.blobs.path(part.digest)
        await registry_push.push_blob(self._repo, part, path, counter=count)
        if not quiet:
            # Of what the registry has, or can link, nothing is counted but the end.
            was_sent = len(counts) > 1
            progress.say(stage("Pushed" if was_sent else "Layer already exists", part.digest))

    def _sent(self, target: Descriptor, only: Platform | None) -> Descriptor:
        """What is sent: all of the image if it is all here, or else the one platform that is, or
        that is asked for. Raises `NotFound`."""
        if only is None and self._whole(target):
            return target
        if target.media_type in INDEX_TYPES:
            children = manifests.parse_index(self._services.blobs.read(target.digest)).manifests
            fits = platforms.only(only).match if only else _any
            fitting = [c for c in children if c.platform and fits(c.platform) and self._whole(c)]
            fitting = [c for c in fitting if c.platform and c.platform.os != "unknown"]
            if len(fitting) == 1 or (only and fitting):
                return fitting[0]
        elif only is None or self._whole(target):
            return target
        raise NotFound(f"the content of {self._repo.ref.familiar()} is not all here")

    def _whole(self, target: Descriptor) -> bool:
        blobs = self._services.blobs
        if not blobs.has(target.digest):
            return False
        for entry in present_entries(target, blobs):
            data = blobs.read(entry.digest)
            parts = (
                manifests.parse_index(data).manifests
                if entry.media_type in INDEX_TYPES
                else present_blobs(manifests.parse_manifest(data))
            )
            if not all(blobs.has(p.digest) or registry_push.is_foreign(p) for p in parts):
                return False
        return True


def _any(platform: Platform) -> bool:
    return True
