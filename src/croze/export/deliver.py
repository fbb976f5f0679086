"""A committed image's blobs: bringing in lazy ones, and pushing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec import Struct

from croze.aio.parallel import all_of
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.export.commit import Committed
from croze.export.contract import ExportContext, ExportServices
from croze.export.layers import source_repository
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.reference import Reference
from croze.registry import failures, push
from croze.registry.client import Repository
from croze.registry.early import EarlyPush
from croze.registry.session_auth import SessionCredentials
from croze.status import step


class Destination(Struct, frozen=True):
    """Where an image is pushed to. With `by_digest` it gets no tag."""

    name: str
    by_digest: bool = False
    insecure: bool = False

    def repository(self, services: ExportServices, ctx: ExportContext) -> Repository:
        """The repository, with the tag. Raises `InvalidRequest`."""
        ref = _target(self.name, by_digest=self.by_digest)
        credentials = SessionCredentials(services.sessions, lenders(ctx))
        return services.registry.repository(ref, credentials, insecure=self.insecure)


def lenders(ctx: ExportContext) -> Sequence[str]:
    """Who may lend registry credentials: the build's own session first."""
    own = (ctx.session,) if ctx.session else ()
    return (*own, *(each for each in ctx.sessions if each not in own))


class ImageDelivery(Struct, frozen=True):
    """One committed image and the build that it is for."""

    services: ExportServices
    ctx: ExportContext
    committed: Committed
    early: EarlyPush | None = None
    """What has been pushed already."""

    @property
    def sessions(self) -> Sequence[str]:
        """Who may lend registry credentials."""
        return lenders(self.ctx)

    async def bring(self, digest: str) -> Path:
        """The blob's file, fetched if it was lazy."""
        blobs = self.services.blobs
        if not blobs.has(digest):
            for image in self.committed.images:
                held = {layer.digest for layer in image.layers}
                if image.result.ref is not None and digest in held:
                    await image.result.ref.fetch_blob(digest, self.sessions)
                    break
            else:
                raise NotFound(f"blob {digest} not found")
        return blobs.path(digest)

    async def bring_all(self, but: Collection[str] = ()) -> None:
        """Fetch the lazy layers of every platform, but for some."""
        digests = {layer.digest for image in self.committed.images for layer in image.layers}
        await all_of(self.bring(digest) for digest in sorted(digests.difference(but)))

    async def push(self, to: Destination) -> None:
        """Push the image under a name: blobs first, then manifests, the root last under its tag."""
        try:
            repo = to.repository(self.services, self.ctx)
            ref = repo.ref
            manifests, blobs = push.closure(self.committed.root, self.services.blobs)
            shown = ref.name if to.by_digest else str(ref.with_digest(self.committed.root.digest))
            async with step(self.ctx.progress, "pushing layers"):
                await all_of(self._push_blob(repo, blob) for blob in blobs)
            async with step(self.ctx.progress, f"pushing manifest for {shown}"):
                await self._push_manifests(repo, manifests)
        except CrozeError as err:
            raise failures.detailed(err).wrap(f"failed to push {to.name}") from err

    async def _push_blob(self, repo: Repository, blob: Descriptor) -> None:
        if self.early is not None and await self.early.has_pushed(repo, blob.digest):
            return
        source = next(
            (
                source_repository(layer, repo.ref.domain)
                for image in self.committed.images
                for layer in image.layers
                if layer.digest == blob.digest
            ),
            "",
        )
        await push.push_blob(
            repo, blob, lambda: self.bring(blob.digest), mount_from=source, log=self._log
        )

    async def _push_manifests(self, repo: Repository, manifests: Sequence[Descriptor]) -> None:
        for entry in manifests:
            tag = repo.ref.tag if entry is manifests[-1] else ""
            data = self.services.blobs.read(entry.digest)
            await push.push_manifest(repo, data, entry.media_type, tag=tag)

    def _log(self, text: str) -> None:
        self.ctx.progress.log(2, text.encode())


def _target(name: str, *, by_digest: bool) -> Reference:
    ref = reference.parse(name)
    if not by_digest:
        return ref.with_digest("").tagged()
    if ref.tag or ref.digest:
        raise InvalidRequest(f"can't push tagged ref {ref} by digest")
    return ref
