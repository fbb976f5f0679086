"""What runs in a worker process: a policy computes for so long, and has so much memory, and no
more."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

from croze.api import policysession_pb2
from croze.policy.contract import Question, Setup
from croze.policy.decision import PolicyEvaluation
from croze.policy.testing.report import TestReport
from croze.policy.testing.run import TestRun, run_tests

MODULES = ("croze.policy.work",)
CPU_S = 10
"""What one evaluation may take; waiting for answers is not counted."""
_FRAMES = 5_000
"""As deep as the stack of a process is sure to bear."""

Asking = Callable[[object], Awaitable[object]]


def _asks(ask: Asking) -> Callable[[Question], Awaitable[object]]:
    sys.setrecursionlimit(_FRAMES)
    return ask


async def check(ask: Asking, setup: Setup, request: bytes) -> bytes:
    """Answer a marshalled `CheckPolicyRequest`; the response's bytes."""
    check_request = policysession_pb2.CheckPolicyRequest.FromString(request)
    return (await PolicyEvaluation(_asks(ask), setup).check(check_request)).SerializeToString()


async def caps(ask: Asking, setup: Setup) -> dict[str, bool]:
    """See `PolicyEvaluation.caps`."""
    return await PolicyEvaluation(_asks(ask), setup).caps()


async def test(ask: Asking, run: TestRun) -> TestReport:
    """See `run_tests`."""
    return await run_tests(_asks(ask), run)
