"""Which attestations a request wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from croze.attest.provenance import ProvenanceOptions, parse_options
from croze.dockerfile.options import parse_attestations


@dataclass(frozen=True)
class Attests:
    """None for those that are not wanted. `builder_id`: what the builder is called."""

    provenance: ProvenanceOptions | None = None

    @classmethod
    def of(cls, attrs: Mapping[str, str]) -> Attests:
        """Read a request's frontend attributes. Raises `InvalidRequest`."""
        found = parse_attestations(attrs)
        given = found.get("provenance")
        return cls(parse_options(given) if given is not None else None)

    @property
    def builder_id(self) -> str:
        return self.provenance.builder_id if self.provenance is not None else ""
