"""SBOMs for results: who makes them, and how they hang on a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from croze.api import gateway_pb2
from croze.attest.scanner import (
    CORE,
    CORE_KEY,
    REASON,
    SBOM_REASON,
    SPDX,
    Scanner,
    ScanTarget,
)
from croze.gateway.bridge import Bridge
from croze.gateway.results import BridgeAttestation, BridgeResult
from croze.image import config as configs
from croze.image.platform import Platform


@dataclass(frozen=True)
class Generator:
    """Who makes SBOMs: an image, resolved in a mode."""

    image: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""


async def scanned(
    bridge: Bridge,
    result: BridgeResult,
    generator: Generator,
    platform: Platform,
    targets: Mapping[str, ScanTarget],
) -> BridgeResult:
    """The result with an SBOM for each target, by the result's keys; made when it is looked at.
    The scanner runs on `platform`."""
    if not targets:
        return result
    scanner = await _scanner(bridge, generator, platform)
    attestations: dict[str, Sequence[BridgeAttestation]] = dict(result.attestations)
    for key, target in targets.items():
        made = BridgeAttestation(
            kind=gateway_pb2.Bundle,
            predicate_type=SPDX,
            ref=bridge.make_ref(scanner.scan(key, target)),
            metadata={REASON: SBOM_REASON, CORE_KEY: CORE.encode()},
        )
        attestations[key] = (*attestations.get(key, ()), made)
    return replace(result, attestations=attestations)


async def _scanner(bridge: Bridge, generator: Generator, platform: Platform) -> Scanner:
    found = await bridge.resolve_image(generator.image, platform=platform, mode=generator.mode)
    config = configs.parse(found.config).config
    return Scanner(found.ref, config, platform, generator.parameters)


def has_sbom(result: BridgeResult) -> bool:
    """A frontend has made one itself."""
    attached = (each for listed in result.attestations.values() for each in listed)
    return any(each.predicate_type == SPDX for each in attached)
