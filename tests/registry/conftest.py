from __future__ import annotations

from tests.session.conftest import daemon, lending

__all__ = ["daemon", "lending"]
