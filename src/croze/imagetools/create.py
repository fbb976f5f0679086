"""A new image out of others: resolved, put together, copied to its repositories, published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from croze.aio.parallel import all_of
from croze.errors import CrozeError, InvalidRequest
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.annotations import AnnotationKey
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.imagetools import combine, sources
from croze.imagetools.combine import CombinedImage, SourceManifest
from croze.imagetools.contract import Place, check_target
from croze.imagetools.copying import ImageCopier
from croze.imagetools.location import Location
from croze.imagetools.places import Places
from croze.imagetools.sources import DescriptorHints, ManifestSource, PartialPlatform

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Shows a step of that name while it lasts; what it gives shows a line of the step's log."""


class CreateRequest(Struct, frozen=True):
    """What to make. `annotations` and `platforms` are as the user chose them, or empty."""

    sources: Sequence[ManifestSource]
    targets: Sequence[Location]
    annotations: Mapping[AnnotationKey, str]
    platforms: Sequence[Platform]
    prefer_index: bool


class Made(Struct, frozen=True):
    """An image that is not published yet, and where its manifests are."""

    image: CombinedImage
    places: Sequence[Place]


async def make(request: CreateRequest, places: Places) -> Made:
    """Put an image together; nothing is written. Raises `CrozeError` for sources that are not there
    or don't fit."""
    located = sources.located(list(request.sources), list(request.targets))
    origins = [places.at(location) for location, _ in located]
    parts = await all_of(
        _part(place, hints) for place, (_, hints) in zip(origins, located, strict=True)
    )
    image = combine.combine(parts, request.annotations, prefer_index=request.prefer_index)
    image = combine.chosen(image, request.platforms)
    return Made(await _with_attestations(image, origins), origins)


async def _part(place: Place, hints: DescriptorHints) -> SourceManifest:
    resolved = await place.resolve()
    descriptor = sources.merged(resolved, hints)
    data = await place.read(descriptor)
    if len(data) != descriptor.size:
        descriptor = msgspec.structs.replace(descriptor, size=len(data))
    if not descriptor.media_type:
        kind = manifests.detect_media_type(data)
        descriptor = msgspec.structs.replace(descriptor, media_type=kind)
    manifests.check_supported(descriptor.media_type)
    if descriptor.media_type in media.MANIFEST_TYPES:
        platform = await _platform(place, data, hints.platform)
        descriptor = msgspec.structs.replace(descriptor, platform=platform)
    return SourceManifest(descriptor, data)


async def _platform(place: Place, data: bytes, partial: PartialPlatform | None) -> Platform:
    wanted_platform = partial or PartialPlatform()
    if wanted_platform.os and wanted_platform.architecture:
        return wanted_platform.completed(Platform("", ""))
    config = configs.parse(await place.read(manifests.parse_manifest(data).config))
    return wanted_platform.completed(platforms.normalize(config.platform))


async def _with_attestations(image: CombinedImage, origins: Sequence[Place]) -> CombinedImage:
    """The images with attestations that the index lacks and their places know to refer to its
    manifests."""

    async def look(entry: Descriptor) -> tuple[str, Descriptor | None]:
        referrers = await origins[image.source_of(entry)].referrers(entry.digest)
        fitting = (one for one in referrers if one.artifact_type == combine.ATTESTATION_ARTIFACT)
        return entry.digest, next(fitting, None)

    looked = await all_of(look(entry) for entry in combine.without_attestation(image))
    return combine.with_attestations(
        image, {subject: one for subject, one in looked if one is not None}
    )


@contextmanager
def _silently(_name: str) -> Iterator[Callable[[str], None]]:
    yield lambda _line: None


async def publish(
    image: Made, targets: Sequence[Location], places: Places, step: Step = _silently
) -> None:
    """Bring the image to its targets, each repository's parts once. Raises `CrozeError`, before
    anything moves for a target that names another digest."""
    by_repository: dict[str, list[Location]] = {}
    for target in targets:
        why = check_target(target, image.image.descriptor.digest)
        if why is not None:
            raise InvalidRequest(why)
        by_repository.setdefault(target.name, []).append(target)
    await all_of(
        _publish(image, name, names, places, step, places.folder / str(at))
        for at, (name, names) in enumerate(by_repository.items())
    )


async def _publish(
    built: Made, name: str, names: Sequence[Location], places: Places, step: Step, folder: Path
) -> None:
    folder.mkdir()
    image = built.image
    with step(f"pushing {name}") as log:
        copier = ImageCopier(places.at(names[0]), folder)

        async def copy(entry: Descriptor) -> None:
            source = built.places[image.source_of(entry)]
            log(f"copying {entry.digest} from {source.location} to {name}\n")
            try:
                await copier.copy(source, entry)
            except CrozeError as error:
                where = f"copy {entry.digest} from {source.location} to {names[0]}"
                raise error.wrap(where) from error

        await all_of(copy(entry) for entry in image.entries)
        for target in names:
            digest = image.descriptor.digest
            log(f"pushing {digest} to {target}\n")
            try:
                await places.at(target).publish(image.descriptor, image.data)
            except CrozeError as error:
                raise error.wrap(f"publish {digest} to {target}") from error
        await copier.finish()
