"""The parts that several nodes have pushed by digest, put up under their names as one image."""

from __future__ import annotations

import json

from croze.builders.known import builder_files
from croze.client.builds.multinode import Merge, PushedParts
from croze.client.flags.pairs import is_true
from croze.image.annotations import AnnotationKey, parse_key
from croze.imagetools import create, sources
from croze.imagetools import location as locations
from croze.imagetools.create import CreateRequest
from croze.imagetools.location import Location, RegistryLocation
from croze.imagetools.places import opened
from croze.imagetools.sources import ManifestSource


def merging(builder_name: str) -> Merge:
    """A function that puts the parts of an image up under its names, with the registries that the
    builder's first node was configured with."""

    async def merge(image: PushedParts) -> str:
        targets = [locations.parse(name) for name in image.names]
        parts = [sources.parse(json.dumps(part)) for part in image.parts]
        here = [ManifestSource(one.text, targets[0], one.hints) for one in parts]
        here = [
            ManifestSource(
                one.text, locations.of_repository(targets[0], one.hints.digest), one.hints
            )
            for one in here
        ]
        request = CreateRequest(here, targets, _annotations(image), (), prefer_index=False)
        async with opened(builder_files(builder_name), _insecure(image, targets)) as places:
            merged = await create.make(request, places)
            await create.publish(merged, targets, places)
        return merged.image.descriptor.digest

    return merge


def _insecure(image: PushedParts, targets: list[Location]) -> list[str]:
    if not is_true(image.attrs, "registry.insecure"):
        return []
    return [one.ref.domain for one in targets if isinstance(one, RegistryLocation)]


def _annotations(image: PushedParts) -> dict[AnnotationKey, str]:
    """The annotations of the list itself and of its entries: the nodes have seen to the others."""
    annotations = ((parse_key(name), value) for name, value in image.attrs.items())
    return {
        key: value
        for key, value in annotations
        if key is not None and key.type in ("index", "manifest-descriptor")
    }
