"""What containers write: a layer each over their images, kept while they don't run."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from croze.engineapi.containers.container import OneContainer
from croze.errors import CrozeError
from croze.image.config import RunConfig
from croze.store.contract import ImmutableRef, MutableRef, RefStore

log = logging.getLogger(__name__)

OpenImage = Callable[[str, str], Awaitable[tuple[RunConfig, ImmutableRef | None]]]
"""An image of the store by its full name, and a platform: its settings, and its (lazy) tree."""


class ContainerLayers:
    """The layers of all containers of a daemon. `OneContainer.state.layer` names a container's
    between runs of the daemon."""

    def __init__(self, refs: RefStore, open_image: OpenImage) -> None:
        self._refs = refs
        self._open_image = open_image
        self._kept: dict[str, ImmutableRef] = {}
        """What those have written that don't run."""
        self._written: dict[str, MutableRef] = {}
        """What those write that run, or are copied to or from."""

    async def recover(self, one: OneContainer) -> None:
        """Take what a container wrote before the daemon's start."""
        if one.state.layer:
            try:
                layer = await self._refs.get_mutable(one.state.layer)
                self._kept[one.id] = await layer.commit(retain=True)
            except CrozeError as error:
                log.warning("what container %s wrote is lost: %s", one.id[:12], error)

    async def fresh(self, image: ImmutableRef | None, name: str) -> tuple[str, ImmutableRef]:
        """An empty layer over an image, for `add` or `discard`, and the id to name it by."""
        layer = await self._new(image, f"container {name}".strip())
        id = layer.id
        return id, await layer.commit(retain=True)

    def add(self, one: OneContainer, layer: ImmutableRef) -> None:
        """Give a container a fresh layer."""
        self._kept[one.id] = layer

    async def discard(self, id: str, layer: ImmutableRef | None) -> None:
        """Remove what was written: it is nobody's any more."""
        if layer is not None:
            await layer.release()
        with suppress(CrozeError):  # it is gone already
            await (await self._refs.get_mutable(id)).discard()

    async def remove(self, one: OneContainer) -> None:
        """Remove all that a container wrote."""
        await self.discard(one.state.layer, self._kept.pop(one.id, None))

    @asynccontextmanager
    async def writing(self, one: OneContainer) -> AsyncIterator[MutableRef]:
        """What a container wrote before, or a fresh layer over its image, to be written while
        inside."""
        layer = self._written[one.id] = await self._take(one)
        id = layer.id
        try:
            yield layer
        finally:
            del self._written[one.id]
            self._kept[one.id] = await layer.commit(retain=True)
            one.state.layer = id

    async def _take(self, one: OneContainer) -> MutableRef:
        if (earlier := self._kept.pop(one.id, None)) is not None:
            await earlier.release()
            try:
                return await self._refs.get_mutable(one.state.layer)
            except CrozeError as error:
                log.warning("container %s starts anew: %s", one.id[:12], error)
        _, image = await self._open_image(one.state.image_name, "")
        try:
            return await self._new(image, f"container {one.state.name}")
        finally:
            if image is not None:
                await image.release()

    async def _new(self, image: ImmutableRef | None, description: str) -> MutableRef:
        return await self._refs.new(image, description=description, record_type="internal")

    async def written_bytes(self, one: OneContainer) -> int:
        """The bytes on disk of what a container has written."""
        layer = self._written.get(one.id) or self._kept.get(one.id)
        return await layer.usage() if layer is not None else 0

    async def release(self) -> None:
        """Let go of all layers; the store keeps them."""
        for layer in self._kept.values():
            await layer.release()
        self._kept.clear()
