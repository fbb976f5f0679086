"""`POST /images/create`: pull images (`fromImage`); for a tree (`fromSrc`) see `importing`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from croze.aio.parallel import all_of
from croze.engineapi.images import importing
from croze.engineapi.images.denied import pull_denied
from croze.engineapi.images.transfers import LayerProgress, ProgressLines, progress_lines, stage
from croze.engineapi.lines import Lines
from croze.engineapi.logins import OneHost, login_of
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.gotypes import gojson
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.registry import pull as registry_pull
from croze.registry.client import Repository
from croze.registry.credentials import Credentials
from croze.sources.content import Access, RegistryProvider
from croze.sources.manifests import PulledImage, pull_manifests
from croze.store.contract import Lease

TAGS_LIMIT = 1000


async def create(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /images/create`: pull an image (without a tag all tags), or import a tree."""
    query = UrlQuery(request.query.items())
    if query.first("fromSrc"):
        return await importing.import_tree(request, query, services)
    if not query.first("fromImage"):
        raise InvalidRequest("neither fromImage nor fromSrc: nothing to create an image from")
    ref = wanted(query.first("fromImage"), query.first("tag"))
    platform = platform_of(query.first("platform"), services)
    lines = Lines(request)
    try:
        access = access_of(request, ref, services)
        every = not (ref.tag or ref.digest)
        for each in await _tags(access, ref) if every else (ref,):
            await _pull(each, platform, access, services, lines)
    except CrozeError as error:
        return await lines.fail(pull_denied(error, str(ref), login_of(request)))
    return await lines.end()


def wanted(image: str, tag: str) -> Reference:
    """The reference to pull; without tag or digest it stands for all tags. Raises
    `InvalidRequest`."""
    ref = reference.parse(image)
    if not tag:
        return ref
    joint = "@" if ":" in tag else ":"
    return reference.parse(f"{ref.name}{joint}{tag}")


def platform_of(text: str, services: Services) -> Platform:
    if not text:
        return services.machine.platforms[0]
    try:
        return platforms.normalize(platforms.parse(text))
    except CrozeError as error:
        raise InvalidRequest(f"invalid platform: {error}") from None


class _WithLogin(Access, frozen=True, kw_only=True):
    """Access in somebody's name, whichever sessions there are."""

    who: Credentials

    def credentials(self, sessions: Sequence[str]) -> Credentials:
        return self.who


def access_of(request: web.Request, ref: Reference, services: Services) -> Access:
    """Access to the registry of a reference, with the request's login."""
    access = services.access
    who = OneHost(ref.domain, login_of(request))
    return _WithLogin(access.registry, access.sessions, access.locks, who=who)


def repository_of(request: web.Request, ref: Reference, services: Services) -> Repository:
    return access_of(request, ref, services).repository(ref, ())


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


async def _tags(access: Access, ref: Reference) -> list[Reference]:
    repo = access.repository(ref, ())
    data = await registry_pull.get_small(repo, repo.endpoints()[0], "tags/list")
    try:
        tags = gojson.unmarshal(data, type=_Tags).tags or []
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"the registry's list of tags can't be read: {error}") from error
    if len(tags) > TAGS_LIMIT:
        raise InvalidRequest(f"{ref.name} has {len(tags)} tags: name one")
    if not tags:
        raise NotFound(f"{ref.familiar_name} has no tags")
    return [ref.with_tag(tag) for tag in sorted(tags)]


async def _pull(
    ref: Reference, platform: Platform, access: Access, services: Services, lines: Lines
) -> None:
    async with services.refs.lease() as lease:
        provider = RegistryProvider(access, ref)
        root = await _resolved(provider, ref)
        lease.hold(root.digest)
        image = await pull_manifests(provider, services.blobs, platform, (), root)
        manifest = manifests.parse_manifest(services.blobs.read(image.manifest.digest))
        for digest in (image.manifest.digest, manifest.config.digest):
            lease.hold(digest)
        await lines.write({"status": f"Pulling from {ref.path}", "id": ref.digest or ref.tag})
        is_known = _is_known(ref, root, services)
        async with progress_lines(lines) as progress:
            await _fetch_layers(provider, image, services, lease, progress, is_known=is_known)
        with services.events.named_by("pull"):
            services.images.set(str(ref), replace_root(root))
    newer = "Image is up to date" if is_known else "Downloaded newer image"
    status = f"Status: {newer} for {ref.familiar()}"
    await lines.write({"status": f"Digest: {root.digest}"}, {"status": status})


def replace_root(root: Descriptor) -> Descriptor:
    """The descriptor as it is named: no platform, no annotations of whoever pointed at it."""
    return Descriptor(root.media_type, root.digest, root.size)


async def _resolved(provider: RegistryProvider, ref: Reference) -> Descriptor:
    try:
        return await provider.resolve(())
    except NotFound:
        raise NotFound(
            f"manifest for {ref.familiar()} not found: manifest unknown: manifest unknown"
        ) from None


def _is_known(ref: Reference, root: Descriptor, services: Services) -> bool:
    try:
        return services.images.get(str(ref)).target.digest == root.digest
    except NotFound:
        return False


async def _fetch_layers(
    provider: RegistryProvider,
    image: PulledImage,
    services: Services,
    lease: Lease,
    progress: ProgressLines,
    *,
    is_known: bool,
) -> None:
    fetcher = provider.fetcher(LayerProgress(progress))
    layers = {layer.descriptor.digest: layer.descriptor for layer in image.layers}

    async def fetch(descriptor: Descriptor) -> None:
        await fetcher.fetch(replace_root(descriptor), services.blobs, ())
        progress.say(stage("Download complete", descriptor.digest))
        progress.say(stage("Pull complete", descriptor.digest))

    for digest in layers:
        lease.hold(digest)
    missing = []
    for digest, descriptor in layers.items():
        if is_known and all(map(services.blobs.has, layers)):
            break  # Docker tells of none of them
        here = services.blobs.has(digest)
        progress.say(stage("Already exists" if here else "Pulling fs layer", digest))
        if not here:
            missing.append(descriptor)
    await all_of(fetch(descriptor) for descriptor in missing)
