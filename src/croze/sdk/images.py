"""Images in registries and OCI layouts, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.builders.known import builder_files
from croze.client.flags.image import annotation_keys
from croze.image import platform as platform_words
from croze.image.config import ImageConfig
from croze.imagetools import contents, create
from croze.imagetools import location as locations
from croze.imagetools import sources as source_words
from croze.imagetools.create import CreateRequest
from croze.imagetools.places import opened


class RemoteImage(Struct, frozen=True):
    """An image that is somewhere else. `manifest` is the JSON text that its digest is of; `configs`
    are by platform."""

    name: str
    digest: str
    media_type: str
    size: int
    manifest: bytes
    configs: Mapping[str, ImageConfig]


class Imagetools:
    """Looks at images, and puts them together, with the registries that a builder is configured
    with. All raises `croze.CrozeError`."""

    def __init__(self, builder: str) -> None:
        self._builder = builder

    async def inspect(self, name: str) -> RemoteImage:
        """What an image is. `name` is a reference, or `oci-layout://PATH[:TAG]`."""
        async with opened(builder_files(self._builder)) as places:
            place = places.at(locations.parse(name))
            root = await place.resolve()
            data = await place.read(root)
            images = await contents.platform_images(place, root)
            configs = {text: image.config for text, image in images.items()}
        return RemoteImage(name, root.digest, root.media_type, root.size, data, configs)

    async def create(
        self,
        tags: Sequence[str],
        sources: Sequence[str],
        *,
        annotations: Sequence[str] = (),
        platforms: Sequence[str] = (),
        prefer_index: bool = True,
    ) -> str:
        """Put images together as one, under all the tags; its digest. Content that a registry has
        already is not sent."""
        targets = [locations.parse(tag) for tag in tags]
        request = CreateRequest(
            [source_words.parse(text) for text in sources],
            targets,
            annotation_keys(annotations),
            [platform_words.parse(text) for text in platforms],
            prefer_index,
        )
        async with opened(builder_files(self._builder)) as places:
            image = await create.make(request, places)
            await create.publish(image, targets, places)
        return image.image.descriptor.digest
