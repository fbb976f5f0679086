"""Docker Hardened Images: their provenance and signatures are told apart from other images'."""

from __future__ import annotations

from croze.image.manifest import Index

_BUILD = "com.docker.dhi.build.id"
_TITLE = "org.opencontainers.image.title"


def is_hardened(index: Index) -> bool:
    """Whether an index says that it is a Docker Hardened Image: then what attests it refers to its
    manifests, and must be signed by Docker's own key."""
    built = all(each.annotations.get(_BUILD) for each in index.manifests)
    title = (index.annotations or {}).get(_TITLE, "")
    return built and title.startswith("dhi/")
