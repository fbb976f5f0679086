"""What ops make: filesystem states, or nothing at all (scratch)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from croze.cachekeys.contract import StoredResult
from croze.errors import CrozeError, NotFound
from croze.solver.contract import Result
from croze.store.contract import ImmutableRef, RefStore

SCRATCH_ID = "scratch"


class RefResult:
    """A counted handle on an immutable ref; `ref` None is an empty filesystem."""

    def __init__(self, ref: ImmutableRef | None) -> None:
        self.ref = ref

    @property
    def id(self) -> str:
        """The ref's id; empty filesystems share one that is always found."""
        return SCRATCH_ID if self.ref is None else self.ref.id

    def clone(self) -> Self:
        return type(self)(None if self.ref is None else self.ref.clone())

    async def release(self) -> None:
        if self.ref is not None:
            await self.ref.release()


def ref_of(result: Result) -> ImmutableRef | None:
    """The ref of a result that this package made. The result keeps its handle."""
    if not isinstance(result, RefResult):
        raise CrozeError(f"invalid reference: {type(result).__name__}")
    return result.ref


class RefResults:
    """`ResultStore` over a `RefStore`."""

    def __init__(self, refs: RefStore) -> None:
        self._refs = refs

    def save(self, result: Result) -> StoredResult:
        return StoredResult(result.id, datetime.now(UTC))

    def exists(self, id: str) -> bool:
        return id == SCRATCH_ID or self._refs.exists(id)

    async def load(self, id: str, *, uses: bool = True) -> RefResult:
        if id == SCRATCH_ID:
            return RefResult(None)
        if not self._refs.exists(id):
            raise NotFound(f"ref {id} not found")
        return RefResult(await self._refs.get(id, uses=uses))
