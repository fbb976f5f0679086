"""The frontends that come with the daemon."""

from __future__ import annotations

from collections.abc import Mapping

from croze.errors import InvalidRequest, Unsupported
from croze.gateway import dockerfile_frontend
from croze.gateway.bridge import EXTERNAL_FRONTEND, Bridge, Frontend, FrontendRequest
from croze.gateway.dockerfile_frontend import DockerfileFrontend, own_frontend
from croze.gateway.results import BridgeResult


class ExternalFrontend:
    """`gateway.v0`: the frontend is an image, named by the option `source`. The Dockerfile's own
    needs no image."""

    def __init__(self, dockerfile: Frontend) -> None:
        self._dockerfile = dockerfile

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        source = request.opts.get("source", "")
        if not source:
            raise InvalidRequest("no source specified for gateway")
        if own_frontend(source)[0]:
            return await self._dockerfile.build(request, bridge)
        raise Unsupported(f"external frontend {source} can not be run by this daemon")


def builtin_frontends() -> Mapping[str, Frontend]:
    """Frontends by the name that requests use."""
    dockerfile = DockerfileFrontend()
    return {
        dockerfile_frontend.NAME: dockerfile,
        EXTERNAL_FRONTEND: ExternalFrontend(dockerfile),
    }
