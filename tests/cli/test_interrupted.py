"""Interrupted work ends with buildx's words, which tell how far it was."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from croze.cli.interrupted import Interruptible
from croze.errors import Canceled


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """An interrupted process takes no other."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize(
    ("interruptible", "is_solving", "words"),
    [
        (Interruptible(), False, "Canceled: context canceled"),
        (Interruptible("one"), False, "Canceled: context canceled"),
        (Interruptible(), True, "failed to solve: Canceled: context canceled"),
        (Interruptible("one"), True, "target one: failed to solve: Canceled: context canceled"),
        (Interruptible(work="failed to run"), True, "failed to run: Canceled: context canceled"),
    ],
)
def test_the_words_of_interrupted_work(
    interruptible: Interruptible, is_solving: bool, words: str
) -> None:
    async def work() -> None:
        if is_solving:
            interruptible.solving()
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(Canceled) as caught:
        interruptible.run(work())
    assert str(caught.value) == words
