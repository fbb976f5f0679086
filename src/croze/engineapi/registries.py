"""What registries are asked for a client: `/auth`, `/distribution/{name}/json`, and no search."""

from __future__ import annotations

import msgspec
from aiohttp import web

from croze.engineapi.answers import error, json
from croze.engineapi.images.pull import repository_of
from croze.engineapi.logins import OneHost, RegistryLogin, login
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest, NotFound, PermissionDenied, Unsupported
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.platform import Platform
from croze.registry import pull
from croze.registry.client import Repository
from croze.registry.transport import RegistryRequest
from croze.session.dockerconfig import HUB_HOST, hostname

BODY_BYTES = 64 << 10
HUB_KEYS = frozenset({"", "index.docker.io", "docker.io", HUB_HOST})


async def auth(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /auth`: whether a registry takes a login."""
    data = await request.content.read(BODY_BYTES)
    try:
        registry_login = gojson.unmarshal(data, type=RegistryLogin)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise InvalidRequest(f"invalid login: {wrong}") from wrong
    host = hostname(registry_login.serveraddress)
    domain = reference.DEFAULT_DOMAIN if host in HUB_KEYS else host
    repo = services.access.registry.repository(
        reference.Reference(domain, "any"), OneHost(domain, login(registry_login))
    )
    endpoint = repo.endpoints(push=True)[0]
    ping = RegistryRequest("GET", endpoint.url(""), {}, [], repo.credentials)
    try:
        async with services.access.registry.transport.send(endpoint, ping) as answer:
            if answer.status == 200:
                return json({"IdentityToken": "", "Status": "Login Succeeded"})
            status = f"{answer.status} {answer.reason}"
    except PermissionDenied as refused:
        status = str(refused)
    except CrozeError as wrong:
        if "401" not in str(wrong):
            raise
        status = str(wrong)
    message = f"login attempt to {endpoint.url('')} failed with status: {status}"
    return error(message, 401)


async def distribution(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /distribution/{name}/json`: what a registry has by a name."""
    ref = reference.parse(request.match_info["name"]).tagged()
    repo = repository_of(request, ref, services)
    try:
        root = await pull.resolve(repo)
    except NotFound:
        raise NotFound("manifest unknown: manifest unknown") from None
    platforms = await _platforms(repo, root)
    described = {"mediaType": root.media_type, "digest": root.digest, "size": root.size}
    return json({"Descriptor": described, "Platforms": [_shown(each) for each in platforms]})


async def _platforms(repo: Repository, root: Descriptor) -> list[Platform]:
    data = await pull.fetch_manifest(repo, root)
    if root.media_type in INDEX_TYPES:
        return [each.platform for each in manifests.parse_index(data).manifests if each.platform]
    config = manifests.parse_manifest(data).config
    return [configs.parse(await pull.fetch_manifest(repo, config)).platform]


def _shown(platform: Platform) -> dict[str, str]:
    about = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "variant": platform.variant,
    }
    return {name: value for name, value in about.items() if value}


async def search(request: web.Request, services: Services) -> web.StreamResponse:
    raise Unsupported(
        "GET /images/search is not served here: registries have no search in common, and Docker "
        "Hub's is on its pages"
    )


async def commit(request: web.Request, services: Services) -> web.StreamResponse:
    raise Unsupported(
        "POST /commit is not served here: an image that nobody can build again is of little use; "
        "write a Dockerfile"
    )
