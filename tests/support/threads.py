"""In which threads something is done: what takes long must not keep the event loop's."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest


def calling_threads(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> set[threading.Thread]:
    """The threads that call `owner.name`, noted from now on until the test is over."""
    function: Callable[..., object] = getattr(owner, name)
    threads: set[threading.Thread] = set()

    def noted(*args: object, **kwargs: object) -> object:
        threads.add(threading.current_thread())
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, noted)
    return threads


def are_beside_the_loop(threads: set[threading.Thread]) -> bool:
    """Whether there are any, and the one that runs the test is none of them."""
    return bool(threads) and threading.current_thread() not in threads
