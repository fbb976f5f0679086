"""The frontends that come with the daemon."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from croze.gateway import dockerfile_frontend
from croze.gateway.contract import Frontend
from croze.gateway.dockerfile_frontend import DockerfileFrontend
from croze.gateway.external import ExternalFrontend
from croze.gateway.reading import Readers
from croze.gateway.requests import EXTERNAL_FRONTEND


def builtin_frontends(
    readers: Readers | None = None,
    *,
    disabled: Collection[str] = (),
    allowed_repositories: Sequence[str] = (),
) -> Mapping[str, Frontend]:
    """Frontends by the name that requests use. `allowed_repositories`: what external frontends may
    come from; empty for anything."""
    dockerfile = DockerfileFrontend(readers)
    frontends: dict[str, Frontend] = {
        dockerfile_frontend.NAME: dockerfile,
        EXTERNAL_FRONTEND: ExternalFrontend(dockerfile, allowed_repositories, readers),
    }
    return {name: frontend for name, frontend in frontends.items() if name not in disabled}
