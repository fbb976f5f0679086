"""Work that is interrupted."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from croze.aio import interrupts
from croze.aio.interrupts import run


@pytest.fixture(autouse=True)
def as_python_has_it() -> Iterator[None]:
    """Afterwards, too."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def leaves(steps: list[str], interrupts_meanwhile: int) -> None:
    """Waits until it is cancelled, and is interrupted again while it leaves."""
    try:
        signal.raise_signal(signal.SIGINT)
        steps.append("begun")
        await asyncio.Event().wait()
    finally:
        for _ in range(interrupts_meanwhile):
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
        steps.append("left in order")


def test_who_interrupts_again_changes_nothing() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(leaves(steps, 5))
    signal.raise_signal(signal.SIGINT)  # while somebody says so
    assert steps == ["begun", "left in order"]


def test_who_insists_leaves_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "TOGETHER_S", 0.0)
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(leaves(steps, 5))
    assert steps == ["begun"]


def test_an_interrupt_of_what_waits_for_something_else() -> None:
    """The loop sleeps meanwhile."""

    async def waits() -> None:
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
        await asyncio.Event().wait()

    main = threading.get_ident()
    with pytest.raises(KeyboardInterrupt):
        run(waits())


def test_work_that_is_not_interrupted() -> None:
    async def answer() -> int:
        return 7

    async def cancels() -> None:
        raise asyncio.CancelledError

    assert run(answer()) == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(asyncio.CancelledError):
        run(cancels())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_interrupts_goes_on_to() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def works() -> int:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return 7

    assert run(works()) == 7
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
