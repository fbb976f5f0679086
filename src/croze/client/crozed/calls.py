"""Calls that only `crozed` knows: its image store, running an image, self-checks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct

from croze.api import engine_pb2
from croze.api.engine_pb2_grpc import EngineStub
from croze.errors import InvalidRequest, Unsupported
from croze.image.reference import parse
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error


class StoredImage(Struct, frozen=True):
    """A name in the image store. `size` in bytes of what is present; `updated_at` in Unix
    seconds."""

    repository: str
    tag: str
    digest: str
    platforms: tuple[str, ...]
    updated_at: float
    size: int


class CrozedClient:
    """All methods raise `errors.CrozeError`; `Unsupported` from another kind of daemon."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = EngineStub(channel)

    async def images(self) -> list[StoredImage]:
        """The local image store, sorted by name."""
        try:
            answer = await self._stub.ListImages(engine_pb2.ListImagesRequest())
        except grpc.RpcError as error:
            raise _translate(error) from None
        images = (stored_image(image) for image in answer.images)
        return sorted(images, key=lambda image: (image.repository, image.tag))

    async def remove_image(self, name: str) -> None:
        """Take a name off an image, which goes with its last one. Raises `CrozeError`."""
        try:
            await self._stub.RemoveImage(engine_pb2.RemoveImageRequest(name=name))
        except grpc.RpcError as error:
            raise _translate(error) from None

    async def verify(self) -> list[str]:
        """What is wrong with the daemon's store, as sentences."""
        try:
            answer = await self._stub.Verify(engine_pb2.VerifyRequest())
        except grpc.RpcError as error:
            raise _translate(error) from None
        return list(answer.problems)

    async def run(
        self, requests: AsyncIterator[engine_pb2.RunRequest]
    ) -> AsyncIterator[engine_pb2.RunResponse]:
        """The first request is `start`; the last response is the exit code."""
        try:
            async for response in self._stub.Run(requests):
                yield response
        except grpc.RpcError as error:
            raise _translate(error) from None


def stored_image(image: engine_pb2.Image) -> StoredImage:
    """A row of the store. One with a name that is none, from before these were refused, is shown by
    that name."""
    try:
        name = parse(image.name)
        repository, tag = name.familiar_name, name.tag
    except InvalidRequest:
        repository, tag = image.name, ""
    return StoredImage(
        repository=repository,
        tag=tag,
        digest=image.digest,
        platforms=tuple(image.platforms),
        updated_at=image.updated_at.seconds,
        size=image.size,
    )


def _translate(error: grpc.RpcError) -> Exception:
    if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Unsupported("this daemon is not a crozed: it has no image store to ask")
    return from_rpc_error(error)
