"""`croze version`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.flags import Flags
from croze.version import text_for

if TYPE_CHECKING:
    from croze.cli.common import Common


def run(argv: Sequence[str], common: Common) -> int:
    """Print this client's version."""
    Flags("croze version", "Show version information", "[OPTIONS]").read(argv, common)
    print(text_for(sys.argv[0]))
    return 0
