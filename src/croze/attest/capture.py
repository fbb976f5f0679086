"""What a result was made of, whether it was built now or found in a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from croze.errors import MissingMaterial
from croze.files.redact import redact
from croze.image import reference
from croze.image.platform import Platform
from croze.runtime.contract import ResourceUsage
from croze.sources.materials import (
    BlobMaterial,
    GitMaterial,
    HttpMaterial,
    ImageMaterial,
    LocalMaterial,
    Material,
)

M = TypeVar("M", bound=Material)

DEFAULT_SSH = "default"


class Capture(Struct):
    """All that a result was made of, each thing once; what was added first counts. `secrets` and
    `ssh` are by id, and whether the build could have done without."""

    materials: dict[object, Material] = field(default_factory=dict)
    secrets: dict[str, bool] = field(default_factory=dict)
    ssh: dict[str, bool] = field(default_factory=dict)
    network: bool = False
    """A step could reach the network."""
    incomplete: bool = False
    """Something was used that is no material."""
    usage: dict[str, ResourceUsage] = field(default_factory=dict)
    """What steps used of the machine, by the digest of the op."""
    proxied: bool = False
    """Steps had a proxy of the daemon's for their network."""
    uncaptured: list[MissingMaterial] = field(default_factory=list)
    """What they asked by way of it that has no digest."""

    def add(self, material: Material) -> None:
        """Note a material. URLs lose their credentials."""
        material = _redacted(material)
        self.materials.setdefault(_identity(material), material)

    def add_secret(self, id: str, *, optional: bool) -> None:
        """Note a secret. It was optional if everything that used it could do without."""
        self.secrets[id] = self.secrets.get(id, True) and optional

    def add_ssh(self, id: str, *, optional: bool) -> None:
        """Note an ssh agent. It was optional if everything that used it could do without."""
        id = id or DEFAULT_SSH
        self.ssh[id] = self.ssh.get(id, True) and optional

    def merge(self, other: Capture) -> None:
        """Note, too, what another result of the same build was made of."""
        for material in other.materials.values():
            self.add(material)
        for id, optional in other.secrets.items():
            self.add_secret(id, optional=optional)
        for id, optional in other.ssh.items():
            self.add_ssh(id, optional=optional)
        self.network |= other.network
        self.incomplete |= other.incomplete
        self.usage |= other.usage
        self.proxied |= other.proxied
        self.uncaptured += [each for each in other.uncaptured if each not in self.uncaptured]

    def described(self) -> SortedCapture:
        """The materials, in the order that predicates have. An image by digest is left out where
        the same name and tag is there by tag."""
        images = _pick(self, ImageMaterial, lambda m: m.ref)
        tagged = {_name_and_tag(m.ref) for m in images if not reference.parse(m.ref).digest}
        distinct = [
            m
            for m in images
            if not (reference.parse(m.ref).digest and _name_and_tag(m.ref) in tagged)
        ]
        return SortedCapture(
            images=tuple(distinct),
            blobs=tuple(_pick(self, BlobMaterial, lambda m: m.ref)),
            git=tuple(_pick(self, GitMaterial, lambda m: m.url)),
            http=tuple(_pick(self, HttpMaterial, lambda m: m.url)),
            locals=tuple(_pick(self, LocalMaterial, lambda m: m.name)),
            secrets=dict(sorted(self.secrets.items())),
            ssh=dict(sorted(self.ssh.items())),
            network=self.network,
            incomplete=self.incomplete,
            usage=dict(self.usage),
            proxied=self.proxied,
            uncaptured=tuple(self.uncaptured),
        )


class SortedCapture(Struct, frozen=True):
    """A capture, sorted."""

    images: tuple[ImageMaterial, ...] = ()
    blobs: tuple[BlobMaterial, ...] = ()
    git: tuple[GitMaterial, ...] = ()
    http: tuple[HttpMaterial, ...] = ()
    locals: tuple[LocalMaterial, ...] = ()
    secrets: Mapping[str, bool] = field(default_factory=dict)
    ssh: Mapping[str, bool] = field(default_factory=dict)
    network: bool = False
    incomplete: bool = False
    usage: Mapping[str, ResourceUsage] = field(default_factory=dict)
    proxied: bool = False
    uncaptured: tuple[MissingMaterial, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was used but what is listed with a digest."""
        return not self.incomplete and not self.locals


def _pick(capture: Capture, kind: type[M], key: Callable[[M], str]) -> list[M]:
    return sorted((m for m in capture.materials.values() if isinstance(m, kind)), key=key)


def _redacted(material: Material) -> Material:
    if isinstance(material, GitMaterial | HttpMaterial):
        return replace(material, url=redact(material.url))
    return material


def _identity(material: Material) -> object:
    match material:
        case ImageMaterial(ref, platform, _, local):
            return ("image", ref, local, _same_platform(platform))
        case BlobMaterial(ref, _, local):
            return ("blob", ref, local)
        case GitMaterial(url, _, bundle):
            return ("git", url, bundle)
        case HttpMaterial(url):
            return ("http", url)
        case LocalMaterial(name):
            return ("local", name)


def _same_platform(platform: Platform | None) -> object:
    if platform is None:
        return None
    return (platform.os, platform.architecture, platform.variant, platform.os_version)


def _name_and_tag(ref: str) -> str:
    parsed = reference.parse(ref)
    return f"{parsed.name}:{parsed.tag or reference.DEFAULT_TAG}"
