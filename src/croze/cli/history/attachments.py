"""What is kept with a record: manifests, configs, attestations.

Source: docker/buildx `commands/history/inspect.go` for which count, and their order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from croze.client.records import history
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes import gojson
from croze.image import platform as platforms
from croze.image.platform import Platform

if TYPE_CHECKING:
    import grpc.aio

    from croze.api import control_pb2

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
PREDICATE_TYPE = "in-toto.io/predicate-type"
SLSA = "https://slsa.dev/provenance/"
MOST = 1000
"""Manifests and indexes of one result; real ones have some dozens."""


class _Descriptor(msgspec.Struct, frozen=True, rename={"media_type": "mediaType"}):
    media_type: str
    digest: str
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: tuple[_Descriptor, ...] = ()


class Attachment(Struct, frozen=True):
    """Something that is kept with a record. `platform` is empty for what is of the whole build;
    `type` a predicate's or a media type."""

    digest: str
    platform: str
    type: str


async def attachments(channel: grpc.aio.Channel, record: history.Record) -> list[Attachment]:
    """All of a record, sorted by platform and type."""
    listed: list[Attachment] = []
    results: dict[str, control_pb2.BuildResultInfo] = {
        platforms.format_all(platforms.parse(key)): info for key, info in record.Results.items()
    }
    if record.HasField("Result"):
        results[""] = record.Result
    for platform, info in results.items():
        for attestation in info.Attestations:
            kind = attestation.annotations.get(PREDICATE_TYPE, attestation.media_type)
            listed.append(Attachment(attestation.digest, platform, kind))
        for result in info.Results.values():
            top = _Descriptor(result.media_type, result.digest, dict(result.annotations))
            listed += [one async for one in _walk(channel, top, platform)]
    return sorted(listed, key=lambda one: (one.platform, one.type))


async def _walk(
    channel: grpc.aio.Channel, descriptor: _Descriptor, platform: str
) -> AsyncIterator[Attachment]:
    """What the daemon still has of a result: it may live in a registry only. What is there for a
    platform is told once, however often indexes name it: a daemon's may name themselves. Raises
    `InvalidRequest` for more than any result has."""
    seen: set[tuple[str, str]] = set()
    rest = [(descriptor, platform)]
    while rest:
        each, platform = rest.pop()
        if (each.digest, platform) in seen:
            continue
        seen.add((each.digest, platform))
        if len(seen) > MOST:
            raise InvalidRequest(f"{descriptor.digest} holds more than {MOST} manifests")
        try:
            data = await history.small_blob(channel, each.digest)
        except CrozeError:
            continue
        annotations = each.annotations or {}
        if annotations.get("vnd.docker.reference.type") != "attestation-manifest":
            kind = annotations.get(PREDICATE_TYPE, each.media_type)
            yield Attachment(each.digest, platform, kind)
        if each.media_type in INDEXES:
            rest += reversed([(child, _platform(child) or platform) for child in _inner(data)])


def _inner(data: bytes) -> tuple[_Descriptor, ...]:
    """The entries of an index; none of what is none."""
    try:
        return gojson.unmarshal(data, type=_Index).manifests
    except (msgspec.MsgspecError, RecursionError):
        return ()


def _platform(descriptor: _Descriptor) -> str:
    return "" if descriptor.platform is None else platforms.format_all(descriptor.platform)


async def materials(
    channel: grpc.aio.Channel, listed: list[Attachment]
) -> list[tuple[str, list[str]]]:
    """What the first provenance says the build was made of: URIs and digests."""
    provenance = next((one for one in listed if one.type.startswith(SLSA)), None)
    if provenance is None:
        return []
    try:
        predicate = gojson.unmarshal(
            await history.small_blob(channel, provenance.digest), type=dict[str, object]
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CrozeError(f"failed to unmarshal provenance {provenance.digest}: {error}") from None
    definition = predicate.get("buildDefinition")
    v1 = definition.get("resolvedDependencies") if isinstance(definition, dict) else None
    return [_material(one) for one in _list(v1 or predicate.get("materials"))]


def _list(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _material(value: Mapping[str, object]) -> tuple[str, list[str]]:
    digests = value.get("digest")
    listed = digests.items() if isinstance(digests, dict) else ()
    return str(value.get("uri", "")), [f"{kind}:{text}" for kind, text in listed]
