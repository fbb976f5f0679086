"""Images by name: resolving, for the frontend and for the source, with the local image store.

Modes (BuildKit `util/resolver`): `pull` asks the registry; `local` prefers the local image store;
`default` asks the registry and falls back to the local image store when that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.patterns import lazy_pattern
from croze.sources.content import (
    Access,
    ImageContents,
    LentProvider,
    RegistryProvider,
)
from croze.sources.manifests import PulledImage, pull_manifests
from croze.store.contract import BlobStore
from croze.store.image_contract import ImageStore
from croze.store.names import ResolvedNames

Mode = Literal["default", "pull", "local"]

_ID = lazy_pattern(r"docker\.io/library/(?:([0-9a-f]{12,63}):latest|sha256:([0-9a-f]{12,64}))")


class ResolvedConfig(Struct, frozen=True):
    """An image's config, and what its name resolved to: `digest` is that of an index, if there is
    one."""

    ref: str
    digest: str
    config: bytes


def parse_mode(text: str) -> Mode:
    """The mode that an attribute names; an empty text is `default`. Raises `InvalidRequest`."""
    match text:
        case "" | "default":
            return "default"
        case "pull":
            return "pull"
        case "local":
            return "local"
    raise InvalidRequest(f"invalid resolvemode: {text}")


class Images:
    """Resolves images for all builds of a daemon. Knows which digests it got from which repository,
    so that a reference with a digest is answered without asking anyone."""

    def __init__(
        self, access: Access, blobs: BlobStore, store: ImageStore, names: ResolvedNames
    ) -> None:
        self.access = access
        self.blobs = blobs
        self._store = store
        self._names = names

    async def resolve_config(
        self, ref: str, platform: Platform | None, mode: str, sessions: Sequence[str]
    ) -> ResolvedConfig:
        """An image's config, by name. Raises `NotFound` (`<ref>: not found`)."""
        parsed = reference.parse(ref).tagged()
        image = await self.pull(parsed, platform, parse_mode(mode), sessions)
        return ResolvedConfig(str(parsed), image.root.digest, image.config)

    async def resolve_layout_config(
        self,
        ref: str,
        platform: Platform | None,
        *,
        store: str,
        session: str,
        sessions: Sequence[str],
    ) -> ResolvedConfig:
        """The config of an image in a content store of a client. `ref` must have a digest. Raises
        `NotFound`."""
        parsed = reference.parse(ref)
        provider = LentProvider(self.access, parsed, store or parsed.path, session)
        image = await pull_manifests(
            provider, self.blobs, platform or platforms.default_platform(), sessions
        )
        return ResolvedConfig(str(parsed), image.root.digest, image.config)

    async def pull(
        self, ref: Reference, platform: Platform | None, mode: Mode, sessions: Sequence[str]
    ) -> PulledImage:
        """Manifests and config of an image, by mode."""
        where = platform or platforms.default_platform()
        local = self.local(ref)
        if mode == "local" and local is not None:
            try:
                return await self._pull(ref, where, sessions, local)
            except NotFound:
                pass  # a local image of another platform, or one that lost its blobs
        try:
            return await self._pull(ref, where, sessions, self._known(ref))
        except CrozeError:
            if mode != "default" or local is None:
                raise
            try:
                return await self._pull(ref, where, sessions, local)
            except CrozeError:
                pass
            raise

    async def _pull(
        self,
        ref: Reference,
        platform: Platform,
        sessions: Sequence[str],
        root: Descriptor | None,
    ) -> PulledImage:
        provider = self.provider(ref)
        if root is None and self._names.latest(ref):
            # It is likely to be the same still, and a registry counts whose manifests it is asked.
            root = await provider.resolve(sessions)
        image = await pull_manifests(provider, self.blobs, platform, sessions, root)
        self._names.note(ref, image.root.digest)
        return image

    def provider(self, ref: Reference) -> ImageContents:
        """Who brings the image: its registry."""
        return RegistryProvider(self.access, ref)

    def _known(self, ref: Reference) -> Descriptor | None:
        """The root of a reference with a digest that this repository is known to have."""
        if not ref.digest or not self.blobs.has(ref.digest):
            return None
        if self._names.has(ref):
            return self._describe(ref.digest)
        local = self.local(ref)
        return local if local is not None and local.digest == ref.digest else None

    def _describe(self, digest: str) -> Descriptor:
        data = self.blobs.read(digest)
        return manifests.describe(data, manifests.detect_media_type(data))

    def local(self, ref: Reference) -> Descriptor | None:
        """What the local image store has under the name (and, if given, the digest)."""
        names = [str(ref)]
        if ref.digest:
            names.append(str(ref.with_digest("").tagged()))
        for name in names:
            try:
                target = self._store.get(name).target
            except NotFound:
                continue
            if ref.digest in ("", target.digest) and self.blobs.has(target.digest):
                return target
        return self._by_id(ref)

    def _by_id(self, ref: Reference) -> Descriptor | None:
        """The image whose digest begins so, if it is the only one, as in a Docker engine: it reads
        like a name of the hub's."""
        if (match := _ID.fullmatch(str(ref))) is None:
            return None
        id = f"sha256:{match[1] or match[2]}"
        targets = {each.target.digest: each.target for each in self._store.list()}
        fitting = [target for digest, target in targets.items() if digest.startswith(id)]
        return fitting[0] if len(fitting) == 1 and self.blobs.has(fitting[0].digest) else None
