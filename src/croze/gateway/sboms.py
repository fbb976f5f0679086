"""SBOMs for results: who makes them, and how they hang on a result."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

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
from croze.dockerfile.resolver import ImageQuestion
from croze.dockerfile.result_options import BUILTIN_GENERATOR
from croze.errors import InvalidRequest
from croze.gateway.contract import Bridge
from croze.gateway.results import BridgeAttestation, BridgeResult
from croze.image import config as configs
from croze.image.platform import Platform

GENERATOR_KEY = "generator"
"""The key of an attestation whose ref is what is to be told of."""


class Generator(Struct, frozen=True):
    """The image that makes SBOMs, and the mode in which it is resolved."""

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
    targets = {key: each for key, each in targets.items() if getattr(each.core, "def")}
    if not targets:
        return result
    if generator.image == BUILTIN_GENERATOR:
        statements = {
            key: _looked_into(bridge, generator, target) for key, target in targets.items()
        }
    else:
        scanner = await _scanner(bridge, generator, platform)
        statements = {key: [_bundle(bridge, scanner, key, each)] for key, each in targets.items()}
    attestations = {
        key: (*result.attestations.get(key, ()), *statements.get(key, ()))
        for key in (*result.attestations, *statements)
    }
    return replace(result, attestations=attestations)


def _bundle(bridge: Bridge, scanner: Scanner, key: str, target: ScanTarget) -> BridgeAttestation:
    return BridgeAttestation(
        kind=gateway_pb2.Bundle,
        predicate_type=SPDX,
        ref=bridge.make_ref(scanner.scan(key, target)),
        metadata={REASON: SBOM_REASON, CORE_KEY: CORE.encode()},
    )


def _looked_into(
    bridge: Bridge, generator: Generator, target: ScanTarget
) -> list[BridgeAttestation]:
    """The files themselves: the daemon looks into them when the result is exported."""
    unknown = [key for key in generator.parameters if key != "type"]
    if unknown:
        raise InvalidRequest(
            f"the sbom generator {BUILTIN_GENERATOR} has no parameter {unknown[0]}"
        )
    named = {CORE: target.core} | {f"{CORE}-{key}": each for key, each in target.extras.items()}
    return [
        BridgeAttestation(
            kind=gateway_pb2.InToto,
            predicate_type=SPDX,
            path=f"{name}.spdx.json",
            ref=bridge.make_ref(definition),
            metadata={
                REASON: SBOM_REASON,
                CORE_KEY: CORE.encode(),
                GENERATOR_KEY: BUILTIN_GENERATOR.encode(),
            },
        )
        for name, definition in named.items()
        if getattr(definition, "def")
    ]


async def _scanner(bridge: Bridge, generator: Generator, platform: Platform) -> Scanner:
    image = await bridge.sources.resolve_image(
        ImageQuestion(generator.image, platform, generator.mode)
    )
    config = configs.parse(image.config).config
    return Scanner(image.ref, config, platform, generator.parameters)


def has_sbom(result: BridgeResult) -> bool:
    """Whether a frontend has made an SBOM itself."""
    attached = (each for listed in result.attestations.values() for each in listed)
    return any(each.predicate_type == SPDX for each in attached)
