"""Which attestations a request wants."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from croze.attest.provenance import ProvenanceOptions, parse_options
from croze.attest.scanner import ScanTarget
from croze.daemon.build.results import result_platforms
from croze.dockerfile.result_options import parse_attestations, parse_sbom
from croze.gateway.bridge import BuildBridge, evaluate
from croze.gateway.results import BridgeResult
from croze.gateway.sboms import Generator, has_sbom, scanned


class Attests(Struct, frozen=True):
    """The attestations that a request wants; None for those it does not. `builder_id`: what
    provenance calls the builder."""

    provenance: ProvenanceOptions | None = None
    sbom: Generator | None = None
    ignore_cache: bool = False
    """For SBOMs that no frontend makes."""

    @classmethod
    def of(cls, attrs: Mapping[str, str]) -> Attests:
        """Read a request's frontend attributes. Raises `InvalidRequest`."""
        attests = parse_attestations(attrs)
        provenance = attests.get("provenance")
        sbom = parse_sbom(attrs)
        mode = attrs.get("image-resolve-mode", "")
        return cls(
            parse_options(provenance) if provenance is not None else None,
            Generator(sbom.generator, sbom.parameters, mode) if sbom is not None else None,
            ignore_cache=attrs.get("no-cache") == "",
        )

    async def scanned(self, bridge: BuildBridge, result: BridgeResult) -> BridgeResult:
        """An evaluated result with the SBOM that is wanted, unless a frontend has made one."""
        if self.sbom is None or has_sbom(result):
            return result
        targets = {}
        for key in result_platforms(result):
            ref = result.refs[key] if result.refs is not None else result.ref
            if ref is not None:
                targets[key] = ScanTarget(ref.definition, ignore_cache=self.ignore_cache)
        platform = bridge.services.platforms[0]
        with_sboms = await scanned(bridge.apart(), result, self.sbom, platform, targets)
        await evaluate(with_sboms)
        return with_sboms

    @property
    def builder_id(self) -> str:
        return self.provenance.builder_id if self.provenance is not None else ""
