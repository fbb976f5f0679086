"""A frontend's result as exporters take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import gateway_pb2
from croze.errors import InvalidRequest
from croze.export.bundles import from_frontend
from croze.export.contract import Attestation, ExportSource, NamedSubject, PlatformResult
from croze.export.result_metadata import (
    CONFIG_KEY,
    config_platform,
    platform_entries,
    value_for_platform,
)
from croze.gateway.results import BridgeAttestation, BridgeResult
from croze.gotypes.quote import quote
from croze.image.platform import Platform
from croze.workers.pool import Pool


async def export_source(result: BridgeResult, sessions: Sequence[str], pool: Pool) -> ExportSource:
    """Everything evaluated, one entry for each platform. Raises `InvalidRequest` for a result
    whose refs and platforms don't fit together."""
    refs = result.by_key()
    many = result.refs is not None
    results = []
    for id, platform in result_platforms(result).items():
        if many and id not in refs:
            raise InvalidRequest(f"failed to find ref for ID {id}")
        ref = refs[id] if many else refs[""]
        results.append(
            PlatformResult(
                key=id,
                platform=platform,
                ref=await ref.ref() if ref is not None else None,
                config=value_for_platform(result.metadata, CONFIG_KEY, id),
                attestations=await from_frontend(
                    [await _attestation(each) for each in _attached(result, id)], sessions, pool
                ),
            )
        )
    return ExportSource(results, many, result.metadata)


def result_platforms(result: BridgeResult) -> Mapping[str, Platform]:
    """What platforms a result is for, by key. Raises `InvalidRequest` when that is not said."""
    entries = platform_entries(result.metadata)
    if entries is not None:
        return entries
    refs = result.by_key()
    if result.refs:
        raise InvalidRequest("build result contains multiple refs without platforms mapping")
    return dict.fromkeys(refs, config_platform(result.metadata))


def _attached(result: BridgeResult, id: str) -> Sequence[BridgeAttestation]:
    """The attestations of one ref; those of a single one may have any key."""
    if result.refs is None and id not in result.attestations:
        return [each for attached in result.attestations.values() for each in attached]
    return result.attestations.get(id, ())


async def _attestation(attestation: BridgeAttestation) -> Attestation:
    subjects = [
        None
        if subject.kind == gateway_pb2.Self
        else NamedSubject(subject.name, dict(map(_digest, subject.digests)))
        for subject in attestation.subjects
    ]
    return Attestation(
        predicate_type=attestation.predicate_type,
        ref=await attestation.ref.ref() if attestation.ref is not None else None,
        path=attestation.path,
        metadata=attestation.metadata,
        subjects=subjects or (None,),
        bundle=attestation.kind == gateway_pb2.Bundle,
    )


def _digest(text: str) -> tuple[str, str]:
    algorithm, colon, value = text.partition(":")
    if not colon:
        raise InvalidRequest(f"invalid digest of an attestation's subject: {quote(text)}")
    return algorithm, value
