from __future__ import annotations

from tests.sources.conftest import (
    content,
    daemon,
    host,
    lending,
    private_namespace,
    rig,
    snapshotter,
)

__all__ = ["content", "daemon", "host", "lending", "private_namespace", "rig", "snapshotter"]
