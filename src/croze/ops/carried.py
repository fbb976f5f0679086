"""What a step's cache mounts get before it runs: contents that its builds' caches have of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol, runtime_checkable

from croze.solver.contract import OpContext
from croze.store.contract import ImmutableRef, Sharing

CARRIED: Final = "carried-cache-mounts"
"""The job value that is a build's `CarriedMounts`, where mounts travel."""


@runtime_checkable
class CarriedMounts(Protocol):
    """One build's; `remotecache.mounts.carried.BuildMounts`."""

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
        """Steps of the build want these empty: nothing is to be merged into them."""


def carried(values: Sequence[object]) -> list[CarriedMounts]:
    """Of the values that jobs have under `CARRIED`."""
    return [value for value in values if isinstance(value, CarriedMounts)]
