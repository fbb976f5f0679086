"""The SBOMs that the daemon makes itself, with no scanner image."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from croze.dockerfile.result_options import BUILTIN_GENERATOR
from croze.errors import CrozeError
from croze.export.contract import Attestation, ExportSource, PlatformResult
from croze.export.options import source_epoch
from croze.gateway.sboms import GENERATOR_KEY
from croze.sbom.spdx import describe
from croze.workers.pool import Pool


def with_own_sboms(source: ExportSource, pool: Pool, sessions: Sequence[str]) -> ExportSource:
    """The result with what is asked of this generator to be made when an exporter wants it."""

    def own(each: Attestation, result: PlatformResult) -> Attestation:
        if each.metadata.get(GENERATOR_KEY) != BUILTIN_GENERATOR.encode():
            return each
        created = source_epoch(source.metadata, result.key) or datetime.now(UTC)
        sbom = _Once(each, pool, sessions, created)
        return replace(each, produce=sbom.get)

    results = [
        replace(result, attestations=[own(each, result) for each in result.attestations])
        for result in source.results
    ]
    return replace(source, results=results)


class _Once:
    """The document, made for the first exporter that wants it."""

    def __init__(
        self, attestation: Attestation, pool: Pool, sessions: Sequence[str], created: datetime
    ) -> None:
        self._attestation = attestation
        self._pool = pool
        self._sessions = sessions
        self._created = created
        self._lock = asyncio.Lock()
        self._made = b""

    async def get(self) -> bytes:
        async with self._lock:
            self._made = self._made or await self._make()
        return self._made

    async def _make(self) -> bytes:
        ref = self._attestation.ref
        if ref is None:
            raise CrozeError("attestation does not have available content")
        name = self._attestation.path.partition(".")[0]
        async with ref.mounted(readonly=True, sessions=self._sessions) as root:
            return await self._pool.run(describe, str(root), name, self._created)
