"""`SolveRequest.CompatibilityVersion`: whose ways a build keeps to, so that a newer daemon still
makes the same of it.

Source: BuildKit `solver/llbsolver/compat`.
"""

from __future__ import annotations

from typing import Final

BUILDKIT_0_13: Final = 10
BUILDKIT_0_15: Final = 20
BUILDKIT_0_32: Final = 30
VERSIONS: Final = (BUILDKIT_0_13, BUILDKIT_0_15, BUILDKIT_0_32)
CURRENT: Final = BUILDKIT_0_32
