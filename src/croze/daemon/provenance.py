"""Provenance of a build's results: for its exporters, and for its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

import msgspec

from croze.attest.layers import known_layers
from croze.attest.provenance import (
    Account,
    BuildFacts,
    Layers,
    ProvenanceOptions,
    marshalled,
)
from croze.daemon.engine import Engine
from croze.daemon.recording import Recording
from croze.daemon.results import result_platforms
from croze.export.contract import Attestation, ExportSource, PlatformResult
from croze.gateway.accounts import accounts
from croze.gateway.results import BridgeRef, BridgeResult
from croze.solver.contract import ResultStore
from croze.solver.solver import Job


@dataclass
class BuildProvenance:
    """What is told of one build. Only while its job is open."""

    job: Job
    results: ResultStore
    facts: BuildFacts
    result: BridgeResult
    accounts: Mapping[str, Account]
    _finished: datetime | None = None

    @classmethod
    def of(cls, engine: Engine, job: Job, result: BridgeResult, facts: BuildFacts) -> Self:
        """Of an evaluated result."""
        told = accounts(result, result_platforms(result))
        return cls(job, engine.cache_services.results, facts, result, told)

    def attach(self, source: ExportSource, options: ProvenanceOptions | None) -> ExportSource:
        """The result with an attestation for each platform, if it is to have any. Raises when what
        the options ask for can't be said."""
        if options is None:
            return source
        for account in self.accounts.values():
            account.check(options)
        attached = [self._attached(each, options) for each in source.results]
        return replace(source, results=attached)

    def _attached(self, result: PlatformResult, options: ProvenanceOptions) -> PlatformResult:
        key = result.key if result.key in self.accounts else ""
        if key not in self.accounts:
            return result

        async def produce() -> bytes:
            return await self.predicate(key, options)

        inline_only = str(options.inline_only).lower().encode()
        made = Attestation(
            options.predicate_type,
            produce=produce,
            path=options.filename,
            metadata={"reason": b"provenance", "inline-only": inline_only},
        )
        return replace(result, attestations=(*result.attestations, made))

    async def predicate(self, key: str, options: ProvenanceOptions) -> bytes:
        """The JSON of one result's predicate, by its key. The first one ends the build's time."""
        self._finished = self._finished or datetime.now(UTC)
        layers = await self._layers(key) if options.mode == "max" else {}
        told = self.accounts[key].predicate(self.facts, options, layers, self._finished)
        return marshalled(told, options.predicate_type)

    async def _layers(self, key: str) -> Layers:
        solved = self._ref(key).solved
        if solved is None:
            return {}
        return await known_layers(self.results, list(self.job.stored(solved.edge)))

    async def record(self, record: Recording, builder_id: str) -> None:
        """Let the build's record have all that can be said, whatever was asked for."""
        options = ProvenanceOptions(builder_id=builder_id)
        for key in self.accounts:
            data = msgspec.json.format(await self.predicate(key, options), indent=2)
            await record.attest(key, options.predicate_type, data, single=self.result.refs is None)

    def _ref(self, key: str) -> BridgeRef:
        ref = self.result.by_key()[key]
        assert ref is not None
        return ref
