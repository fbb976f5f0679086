"""How each result of a build came to be: what it was made of, and who asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from croze.attest.capture import Capture
from croze.attest.provenance import Account
from croze.attest.walk import capture_of
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.scopes import RequestScope
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.solver.solver import Job
from croze.sources.materials import ImageMaterial


def accounts(
    job: Job, result: BridgeResult, platforms_of: Mapping[str, Platform]
) -> Mapping[str, Account]:
    """What went into each ref of an evaluated result, for provenance, by the result's keys;
    `platforms_of` says which platform a key stands for. Only while the job is open."""
    own = {ref.id for ref in result.all_refs()}
    several = platforms_of if result.refs is not None else {}
    scopes = {ref.scope for ref in result.by_key().values() if ref is not None}
    besides = {scope: _besides(job, scope, own) for scope in scopes}
    return {
        key: _account(ref, key, besides[ref.scope], several)
        for key, ref in result.by_key().items()
        if ref is not None
    }


def _besides(job: Job, scope: RequestScope, results: set[str]) -> Capture:
    """What else a request had made, on the way to its results."""
    others = (ref.solved for ref in scope.all_refs() if ref.id not in results)
    return capture_of(job.vertices(solved.edge for solved in others if solved is not None))


def _account(
    ref: BridgeRef, key: str, besides: Capture, platforms_of: Mapping[str, Platform]
) -> Account:
    capture = ref.used() or Capture()
    provenance = ref.scope.told(capture.described())
    capture.merge(besides)
    for image in _relevant(list(ref.scope.all_images()), key, platforms_of):
        capture.add(image)
    root = (
        provenance.request.root
        if provenance is not None and provenance.request is not None
        else None
    )
    return Account(capture.described(), ref.definition, ref.scope.attested_request, root)


def _relevant(
    images: list[ImageMaterial], key: str, platforms_of: Mapping[str, Platform]
) -> Iterator[ImageMaterial]:
    """An image that was asked about for every platform counts only for its own."""
    current = platforms_of.get(key)
    for image in images:
        asked_platforms = [each.platform for each in images if each.ref == image.ref]
        own = current is None or image.platform is None or _alike(image.platform, current)
        if own or not all(_has(asked_platforms, each) for each in platforms_of.values()):
            yield image


def _alike(one: Platform, other: Platform) -> bool:
    return (one.os, one.architecture) == (other.os, other.architecture)


def _has(candidates: Iterable[Platform | None], platform: Platform) -> bool:
    target = platforms.normalize(platform)
    return any(
        (each.os, each.architecture, each.variant)
        == (target.os, target.architecture, target.variant)
        for each in (platforms.normalize(p) for p in candidates if p is not None)
    )
