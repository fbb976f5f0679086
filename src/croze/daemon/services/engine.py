"""`croze.v1.Engine`: the image store over gRPC, running an image, and self-checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from croze.api import engine_pb2, engine_pb2_grpc
from croze.daemon.build.status import timestamp
from croze.daemon.engine.engine import Engine
from croze.daemon.engine.opening import BuildServicesOpening
from croze.errors import NotFound
from croze.image import platform as platforms
from croze.image import reference
from croze.rpc.servers import Context, aborting, unary
from croze.store.contract import BlobStore
from croze.store.image_contract import ImageRecord
from croze.store.present import present_blobs, present_bytes, present_manifests


class EngineService(engine_pb2_grpc.EngineServicer):
    """What `crozed` offers beyond BuildKit's services."""

    def __init__(self, engine: Engine, opening: BuildServicesOpening) -> None:
        self._engine = engine
        self._opening = opening

    @unary
    async def ListImages(
        self, request: engine_pb2.ListImagesRequest, context: Context
    ) -> engine_pb2.ListImagesResponse:
        store = self._engine.store
        rows = [describe(record, store.blobs) for record in store.images.list()]
        return engine_pb2.ListImagesResponse(images=rows)

    async def RemoveImage(
        self, request: engine_pb2.RemoveImageRequest, context: Context
    ) -> engine_pb2.RemoveImageResponse:
        async with aborting(context):
            self._engine.store.images.delete(find_image(self._engine, request.name).name)
            return engine_pb2.RemoveImageResponse()
        raise AssertionError("aborting always raises")

    @unary
    async def Verify(
        self, request: engine_pb2.VerifyRequest, context: Context
    ) -> engine_pb2.VerifyResponse:
        return engine_pb2.VerifyResponse(problems=await self._engine.store.verify())

    async def Run(  # type: ignore[override]  # answers through `context.write`
        self, request_iterator: AsyncIterator[engine_pb2.RunRequest], context: Context
    ) -> None:
        async with aborting(context):
            services = await self._opening.build_services()
            from croze.daemon.services import run_image

            outgoing = run_image.RunOutput()
            with self._engine.activity.one():
                async with asyncio.TaskGroup() as group:
                    group.create_task(run_image.run(services, request_iterator, outgoing))
                    await outgoing.pump(context.write)


def find_image(engine: Engine, name: str) -> ImageRecord:
    """The image by any way of writing its name, or exactly as it is in the store. Raises
    `NotFound`, and `InvalidRequest` for what is no name."""
    images = engine.store.images
    if any(name == record.name for record in images.list()):
        return images.get(name)
    normal = reference.normalize(name)
    try:
        return images.get(normal)
    except NotFound:
        raise NotFound(f"no such image: {name}") from None


def describe(record: ImageRecord, blobs: BlobStore) -> engine_pb2.Image:
    """One row of `croze images`."""
    digests: set[str] = set()
    names: list[str] = []
    for platform, manifest in present_manifests(record.target, blobs):
        digests.update(blob.digest for blob in present_blobs(manifest))
        # Attestations stand beside the images as those of an unknown platform.
        if platform and platform.os != "unknown":
            names.append(platforms.format(platform))
    return engine_pb2.Image(
        name=record.name,
        digest=record.target.digest,
        media_type=record.target.media_type,
        size=present_bytes(digests, blobs),
        updated_at=timestamp(record.updated_at),
        platforms=names,
    )
