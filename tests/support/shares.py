"""How the tests are shared out among several processes (pytest-xdist)."""

from __future__ import annotations

from typing import Final

import pytest

MACHINE: Final = tuple(
    f"tests/{name}/" for name in ("daemon/host", "e2e", "golden", "ops", "runtime")
)
"""Folders whose tests make containers and networks, and look for what is left of them on the
machine."""


def share(nodeid: str) -> str:
    """What a test is a part of, all of which one process runs: its file; or the machine's tests, or
    those that look at source files, which share what they have parsed."""
    path = nodeid.partition("::")[0]
    if path.startswith(MACHINE):
        return "machine"
    return path if "/" in path.removeprefix("tests/") else "sources"


def scheduler(config: pytest.Config, log: object) -> object:
    """Who gives the processes their shares, the largest first."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = share
    return scheduling
