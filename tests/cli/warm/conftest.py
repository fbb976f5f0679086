"""A start in bash that asks this process."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.cli.warm.shell_caller import may_look_into_callers
from scripts.quick_start import BASH
from tests.cli.warm.desk import Desk


@pytest.fixture
def heeded() -> Iterator[None]:
    """No signal is ignored, as some are in the background of a shell: nobody can trap those."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def desk(tmp_path: Path, heeded: None) -> Iterator[Desk]:
    if not (shutil.which(BASH) and may_look_into_callers()):
        pytest.skip("bash asks nobody where processes may not be looked into")
    desk = Desk(tmp_path)
    yield desk
    desk.slots.close()
