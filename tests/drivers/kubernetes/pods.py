"""Pods for tests."""

from __future__ import annotations

import msgspec

from croze.drivers.kubernetes.api import Pod


def pod(name: str, *, phase: str = "Running", ending: bool = False) -> Pod:
    meta: dict[str, object] = {"name": name}
    if ending:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return msgspec.convert({"metadata": meta, "status": {"phase": phase}}, Pod)
