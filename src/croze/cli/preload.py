"""What the warm process imports ahead of time, so that a forked command imports nothing.

Imports only: no thread, no connection, no event loop may come of it.
"""

from __future__ import annotations

import importlib

MODULES = (
    "asyncio",
    "socket",
    "subprocess",
    "tempfile",
    "grpc.aio",
    "croze.api.control_pb2_grpc",
    "croze.api.engine_pb2_grpc",
    "croze.client.options",
    "croze.drivers.local",
    "croze.progress.errors",
    "croze.progress.plain",
    "croze.progress.tty",
)


def everything() -> None:
    """Import it all."""
    for name in MODULES:
        importlib.import_module(name)
