"""Locks by key: what is done for one key is done by one at a time."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K")


class KeyedLocks(Generic[K]):
    """A lock for each key, which is there for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: K) -> asyncio.Lock:
        """The key's lock: `async with locks.of(key)`."""
        return self._locks.setdefault(key, asyncio.Lock())

    def __len__(self) -> int:
        """How many keys somebody holds or waits for."""
        return len(self._locks)
