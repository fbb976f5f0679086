"""Names of images: in a registry, or in an OCI layout (`oci-layout://path[:tag][@digest]`)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from croze.client.layouts import ociindex
from croze.image import reference
from croze.image.reference import Reference, check_digest

OCI_LAYOUT = "oci-layout://"


class RegistryLocation(Struct, frozen=True):
    """An image in a registry, with a tag or a digest or both."""

    ref: Reference

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def name(self) -> str:
        """The name of the repository."""
        return self.ref.name

    @property
    def digest(self) -> str:
        return self.ref.digest

    def with_digest(self, digest: str) -> RegistryLocation:
        return RegistryLocation(self.ref.with_digest(digest))


class LayoutLocation(Struct, frozen=True):
    """An image in an OCI layout directory. A digest counts before a tag."""

    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{OCI_LAYOUT}{self.path}{tag}{digest}"

    @property
    def name(self) -> str:
        """The path of the directory."""
        return self.path

    def with_digest(self, digest: str) -> LayoutLocation:
        return replace(self, tag="", digest=digest)


Location = RegistryLocation | LayoutLocation


def parse(text: str) -> Location:
    """Read a name; without tag or digest the tag is `latest`. Raises `InvalidRequest`."""
    if text.startswith(OCI_LAYOUT):
        path, tag, digest = ociindex.parse(text)
        if digest:
            check_digest(digest)
        return LayoutLocation(path, tag, digest)
    return RegistryLocation(reference.parse(text).tagged())


def of_repository(location: Location, digest: str) -> Location:
    """The location of another image in the same repository or directory, by its digest alone."""
    if isinstance(location, LayoutLocation):
        return location.with_digest(digest)
    return RegistryLocation(replace(location.ref, tag="", digest=digest))
