"""What a build started from, as provenance lists it: each source pinned to what it was.

Source: BuildKit `docs/attestations/slsa-provenance.md` (materials).
"""

from __future__ import annotations

from dataclasses import dataclass

from croze.image.platform import Platform


@dataclass(frozen=True)
class ImageMaterial:
    """`ref` is normalised; `local` is an image in a client's OCI layout."""

    ref: str
    platform: Platform | None
    digest: str
    local: bool = False


@dataclass(frozen=True)
class BlobMaterial:
    """`ref` is `name@digest`."""

    ref: str
    digest: str
    local: bool = False


@dataclass(frozen=True)
class GitMaterial:
    """`url` is the remote with `#ref`. `bundle`: the blob that stood in for the remote."""

    url: str
    commit: str
    bundle: str = ""


@dataclass(frozen=True)
class HttpMaterial:
    url: str
    digest: str


@dataclass(frozen=True)
class LocalMaterial:
    """A directory of the client, of which no more than the name is known."""

    name: str


Material = ImageMaterial | BlobMaterial | GitMaterial | HttpMaterial | LocalMaterial


@dataclass(frozen=True)
class Used:
    """A material, and the ids of secrets and ssh sockets that may have been asked for to get it."""

    material: Material
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
