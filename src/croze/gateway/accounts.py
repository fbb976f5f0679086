"""How each result of a build came to be: what it was made of, and who asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from croze.attest.capture import Capture
from croze.attest.provenance import Account
from croze.gateway.results import BridgeRef, BridgeResult
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.sources.materials import ImageMaterial


def accounts(result: BridgeResult, wanted: Mapping[str, Platform]) -> Mapping[str, Account]:
    """Of all refs of an evaluated result, by their keys; `wanted` are the platforms of the keys.
    Only while the job is open."""
    own = {ref.id for ref in result.all_refs()}
    several = wanted if result.refs is not None else {}
    return {
        key: _account(ref, key, own, several)
        for key, ref in result.by_key().items()
        if ref is not None
    }


def _account(
    ref: BridgeRef, key: str, results: set[str], wanted: Mapping[str, Platform]
) -> Account:
    """Other results of the request are its materials' users as well, but not other platforms'."""
    capture = ref.used() or Capture()
    told = ref.scope.told(capture.described())
    for other in ref.scope.all_refs():
        used = other.used() if other.id not in results else None
        if used is not None:
            capture.merge(used)
    for image in _relevant(list(ref.scope.all_images()), key, wanted):
        capture.add(image)
    root = told.request.root if told is not None and told.request is not None else None
    return Account(capture.described(), ref.definition, ref.scope.asked, root)


def _relevant(
    images: list[ImageMaterial], key: str, wanted: Mapping[str, Platform]
) -> Iterator[ImageMaterial]:
    """An image that was asked about for every platform counts only for its own."""
    current = wanted.get(key)
    for image in images:
        asked = [each.platform for each in images if each.ref == image.ref]
        own = current is None or image.platform is None or _alike(image.platform, current)
        if own or not all(_has(asked, each) for each in wanted.values()):
            yield image


def _alike(one: Platform, other: Platform) -> bool:
    return (one.os, one.architecture) == (other.os, other.architecture)


def _has(asked: Iterable[Platform | None], platform: Platform) -> bool:
    wanted = platforms.normalize(platform)
    return any(
        (each.os, each.architecture, each.variant)
        == (wanted.os, wanted.architecture, wanted.variant)
        for each in (platforms.normalize(p) for p in asked if p is not None)
    )
