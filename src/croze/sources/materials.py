"""What a build started from, as provenance lists it: each source pinned to what it was.

Source: BuildKit `docs/attestations/slsa-provenance.md` (materials).
"""

from __future__ import annotations

from msgspec import Struct

from croze.image.platform import Platform


class ImageMaterial(Struct, frozen=True):
    """An image. `ref` is normalised; `local` is an image in a client's OCI layout."""

    ref: str
    platform: Platform | None
    digest: str
    local: bool = False


class BlobMaterial(Struct, frozen=True):
    """A blob of a repository. `ref` is `name@digest`."""

    ref: str
    digest: str
    local: bool = False


class GitMaterial(Struct, frozen=True):
    """A commit. `url` is the remote with `#ref`. `bundle`: the blob that stood in for the
    remote."""

    url: str
    commit: str
    bundle: str = ""


class HttpMaterial(Struct, frozen=True):
    """A file from the web."""

    url: str
    digest: str


class LocalMaterial(Struct, frozen=True):
    """A directory of the client, of which no more than the name is known."""

    name: str


Material = ImageMaterial | BlobMaterial | GitMaterial | HttpMaterial | LocalMaterial


class UsedMaterial(Struct, frozen=True):
    """A material, and the ids of secrets and ssh sockets that may have been asked for to get it."""

    material: Material
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
