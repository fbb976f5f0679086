"""`croze uninstall`: see `install`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.flags import Flags
from croze.cli.install import INSTEAD, set_alias

if TYPE_CHECKING:
    from croze.cli.common import Common


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags("croze uninstall", "Uninstall the 'docker builder' alias", "")
    flags.deprecate(INSTEAD)
    flags.read(argv, common)
    set_alias("")
    return 0
