"""A frontend's result as exporters take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from croze.api import gateway_pb2
from croze.errors import InvalidRequest
from croze.export.bundles import from_frontend
from croze.export.contract import Attestation, ExportSource, NamedSubject, PlatformResult
from croze.export.patch import checked
from croze.gateway.results import BridgeAttestation, BridgeResult
from croze.image import config as configs
from croze.image import platform as platforms
from croze.image.platform import Platform

PLATFORMS_KEY = "refs.platforms"
CONFIG_KEY = "containerimage.config"


class _PlatformEntry(msgspec.Struct):
    id: str = msgspec.field(default="", name="ID")
    platform: Platform = msgspec.field(default=Platform("", ""), name="Platform")


class _Platforms(msgspec.Struct):
    platforms: list[_PlatformEntry] | None = msgspec.field(default=None, name="Platforms")


async def export_source(result: BridgeResult, sessions: Sequence[str]) -> ExportSource:
    """Everything evaluated, one entry for each platform. Raises `InvalidRequest` for a result
    whose refs and platforms don't fit together."""
    refs = result.by_key()
    many = result.refs is not None
    entries = platform_entries(result.metadata)
    if many and entries is None and len(refs) > 1:
        raise InvalidRequest("unable to export multiple refs, missing platforms mapping")
    if entries is None:
        entries = dict.fromkeys(refs, _config_platform(result.metadata))
    results = []
    for id, platform in entries.items():
        if many and id not in refs:
            raise InvalidRequest(f"failed to find ref for ID {id}")
        ref = refs[id] if many else refs[""]
        results.append(
            PlatformResult(
                key=id,
                platform=platform,
                ref=await ref.ref() if ref is not None else None,
                config=platform_value(result.metadata, CONFIG_KEY, id),
                attestations=await from_frontend(
                    [await _attestation(each) for each in _attached(result, id)], sessions
                ),
            )
        )
    return ExportSource(results, many, result.metadata)


def _attached(result: BridgeResult, id: str) -> Sequence[BridgeAttestation]:
    """The attestations of one ref; those of a single one may have any key."""
    if result.refs is None and id not in result.attestations:
        return [each for attached in result.attestations.values() for each in attached]
    return result.attestations.get(id, ())


async def _attestation(given: BridgeAttestation) -> Attestation:
    subjects = [
        None
        if subject.kind == gateway_pb2.Self
        else NamedSubject(subject.name, dict(d.split(":", 1) for d in subject.digests))
        for subject in given.subjects
    ]
    return Attestation(
        predicate_type=given.predicate_type,
        ref=await given.ref.ref() if given.ref is not None else None,
        path=given.path,
        metadata=given.metadata,
        subjects=subjects or (None,),
        bundle=given.kind == gateway_pb2.Bundle,
    )


def _config_platform(metadata: Mapping[str, bytes]) -> Platform:
    """What the image config says, or else this machine's."""
    config = metadata.get(CONFIG_KEY, b"").strip()
    image = configs.parse(config) if config not in (b"", b"null") else None
    if image is None or not (image.os or image.architecture):
        return platforms.normalize(platforms.default_platform())
    return platforms.normalize(checked(config).platform)


def platform_entries(metadata: Mapping[str, bytes]) -> dict[str, Platform] | None:
    """The ids of a result's refs and what platforms they are for."""
    raw = metadata.get(PLATFORMS_KEY)
    if not raw:
        return None
    try:
        parsed = msgspec.json.decode(raw, type=_Platforms | None)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"failed to parse platforms passed to exporter: {error}") from error
    if parsed is None or not parsed.platforms:
        raise InvalidRequest("invalid empty platforms index for exporter")
    for entry in parsed.platforms:
        if not entry.id:
            raise InvalidRequest("invalid empty platform key for exporter")
        if not entry.platform.os or not entry.platform.architecture:
            raise InvalidRequest(f"invalid platform value {entry.platform} for exporter")
    return {entry.id: platforms.normalize(entry.platform) for entry in parsed.platforms}


def platform_value(metadata: Mapping[str, bytes], key: str, id: str) -> bytes:
    """A value given for one platform, or else for all."""
    return metadata.get(f"{key}/{id}") or metadata.get(key) or b""
