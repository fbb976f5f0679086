"""Provenance of a build's results: for its exporters, and for its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from croze.aio.threads import in_thread_if_many
from croze.attest.layers import known_layers
from croze.attest.provenance import (
    Account,
    BuildFacts,
    ProvenanceOptions,
    marshalled,
)
from croze.cachekeys.contract import StoredResult
from croze.daemon.build.recording import Recording
from croze.daemon.build.results import result_platforms
from croze.export.contract import Attestation, ExportSource, PlatformResult
from croze.gateway.accounts import accounts
from croze.gateway.results import BridgeRef, BridgeResult
from croze.solver.contract import Edge, ResultStore
from croze.solver.solver import Job
from croze.telemetry.machine import MachineUsage

_LINES = 5
"""About how many small things are told of a step."""


class BuildProvenance(Struct):
    """Makes the provenance of one build. Use it while the build's job is open."""

    job: Job
    results: ResultStore
    facts: BuildFacts
    result: BridgeResult
    accounts: Mapping[str, Account]
    usage: MachineUsage
    _finished: datetime | None = None

    @classmethod
    def of(
        cls,
        results: ResultStore,
        job: Job,
        result: BridgeResult,
        facts: BuildFacts,
        usage: MachineUsage,
    ) -> Self:
        """The provenance of a result that was evaluated; what went into it is looked up now."""
        went_in = accounts(job, result, result_platforms(result))
        return cls(job, results, facts, result, went_in, usage)

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
            stored = self._stored(key) if options.mode == "max" else ()
            return await self._predicate(key, options, stored)

        inline_only = str(options.inline_only).lower().encode()
        attestation = Attestation(
            options.predicate_type,
            produce=produce,
            path=options.filename,
            metadata={"reason": b"provenance", "inline-only": inline_only},
        )
        return replace(result, attestations=(*result.attestations, attestation))

    async def _predicate(
        self, key: str, options: ProvenanceOptions, stored: Sequence[tuple[Edge, StoredResult]]
    ) -> bytes:
        """The JSON of one result's predicate, by its key."""
        layers = await known_layers(self.results, stored)
        usage = self.usage.samples() if options.usage else ()
        account, end = self.accounts[key], self._end()

        def told() -> bytes:
            predicate = account.predicate(self.facts, options, layers, end, usage)
            return marshalled(predicate, options.predicate_type)

        return await in_thread_if_many(_LINES * len(account.definition.metadata), told)

    def _end(self) -> datetime:
        """When the build was over: when that was first asked."""
        self._finished = self._finished or datetime.now(UTC)
        return self._finished

    def _stored(self, key: str) -> Sequence[tuple[Edge, StoredResult]]:
        solved = self._ref(key).solved
        return list(self.job.stored(solved.edge)) if solved is not None else ()

    def record(self, record: Recording, builder_id: str) -> None:
        """Let the build's record have all that can be said, whatever was asked for. It is written
        when the build is over; what hangs on the job is looked up now."""
        options = ProvenanceOptions(builder_id=builder_id, usage=True)
        self._end()
        for key in self.accounts:
            predicate = partial(self._predicate, key, options, self._stored(key))
            record.attest(key, options.predicate_type, predicate, single=self.result.refs is None)

    def _ref(self, key: str) -> BridgeRef:
        ref = self.result.by_key()[key]
        assert ref is not None
        return ref
