"""The refs of one bridge, which are released together."""

from __future__ import annotations

from collections.abc import Sequence

from croze.errors import Canceled
from croze.gateway.results import BridgeRef


class OwnedRefs:
    """All refs that were made through one bridge, by whatever frontend; released together."""

    def __init__(self) -> None:
        self._refs: list[BridgeRef] = []
        self._closed = False

    @property
    def all(self) -> Sequence[BridgeRef]:
        return self._refs

    def add(self, ref: BridgeRef) -> None:
        """Own one more ref. Raises `Canceled` when the build is over."""
        if self._closed:
            raise Canceled()
        self._refs.append(ref)

    async def close(self) -> None:
        """Release all refs. No more can be added."""
        self._closed = True
        refs, self._refs = self._refs, []
        for ref in refs:
            await ref.release()
