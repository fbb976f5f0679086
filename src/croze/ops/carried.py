"""What a step's cache mounts get before it runs: contents that its builds' caches have of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from croze.job_values import JobKey
from croze.solver.contract import OpContext
from croze.store.contract import ImmutableRef, Sharing


class CarriedMounts(Protocol):
    """The contents that one build's caches have of its cache mounts:
    `remotecache.mounts.carried.BuildMounts`."""

    async def bring(
        self,
        id: str,
        base: ImmutableRef | None,
        sharing: Sharing,
        ctx: OpContext,
        *,
        description: str,
    ) -> None:
        """A step is about to use this cache mount: merge into it what the build's caches have of
        it, once. What can't be had is a warning."""

    def start_fresh(self, ids: Collection[str]) -> None:
        """Note cache mounts that steps of the build want empty: no imported content is merged into
        them."""


CARRIED: Final = JobKey[CarriedMounts]("carried-cache-mounts")
"""A build's, where mounts travel."""
